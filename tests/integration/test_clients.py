# SPDX-License-Identifier: Apache-2.0
"""What the programs that drive Firecracker really send, in their order and with their oddities:
firecracker-go-sdk, firectl, firecracker-containerd, Kata Containers (contract, annex A)."""

import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from framework import host, jail, network, payload, wisp as wisp_module
from framework.guest import leave
from framework.http import Api

pytestmark = pytest.mark.area("clients")

# As Go's http client writes them.
GO_HEADERS = {"User-Agent": "Go-http-client/1.1", "Accept": "application/json",
              "Content-Type": "application/json", "Accept-Encoding": "gzip"}

FIRECTL_ARGS = "ro console=ttyS0 noapic reboot=k panic=1 pci=off nomodules"
CONTAINERD_ARGS = "console=ttyS0 noapic reboot=k panic=1 pci=off nomodules rw"
KATA_ARGS = ("pci=off reboot=k panic=1 iommu=off net.ifnames=0 random.trust_cpu=on acpi=off "
             "console=ttyS0")
LISTEN = "stty -echo; echo LISTENS; (set -f; IFS=; while read -r l; do echo $l; done) | sh"


class Fifo:
    """A FIFO with a reader that keeps what comes, as these clients have."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path, self.lines = str(path), []
        # For both: an open for reading alone would wait for a writer.
        self._fd = os.open(path, os.O_RDWR)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        with os.fdopen(self._fd, "rb") as file:
            for line in file:
                self.lines.append(line.decode(errors="replace"))

    def wait_for(self, text):
        end = time.monotonic() + host.deadline(30)
        while not any(text in line for line in self.lines):
            assert time.monotonic() < end, (text, self.lines[-20:])
            time.sleep(0.02)


class Started:
    """The program as a client starts it: with arguments of its own and its folder as cwd."""

    def __init__(self, where, *args):
        self.where = where
        self.output = open(where / "output.txt", "wb")
        self.process = subprocess.Popen([wisp_module.BINARY, *map(str, args)], cwd=where,
                                        stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.STDOUT,
                                        preexec_fn=wisp_module.plain_signals)

    def text(self):
        return (self.where / "output.txt").read_text(errors="replace")

    def expect(self, pattern, timeout=60):
        end = time.monotonic() + host.deadline(timeout)
        while not (found := re.search(pattern, self.text(), re.MULTILINE)):
            assert self.process.poll() is None and time.monotonic() < end, self.text()[-2000:]
            time.sleep(0.05)
        return found

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.output.close()


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(*args):
        started.append(Started(tmp_path, *args))
        return started[-1]

    yield begin
    for each in started:
        each.close()


def go_sdk_wait(process, path):
    """waitForSocket(): the file every 10 ms, then GET /machine-config before anything is put."""
    end = time.monotonic() + host.deadline(3)
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    api = Api(path, timeout=host.deadline(60))
    while True:
        try:
            if api.get("/machine-config", headers=GO_HEADERS).status == 200:
                return api
        except ConnectionRefusedError:
            pass
        assert time.monotonic() < end
        time.sleep(0.01)


def send(api, method, path, body, deprecated=False):
    # json.Encoder ends each body with a line feed.
    reply = api.request(method, path, (json.dumps(body) + "\n").encode(), headers=GO_HEADERS)
    assert reply.status == 204 and reply.body == b"", (path, reply)
    assert (reply.headers["Deprecation"] == "true") == deprecated, path


def terminate(vm):
    """SIGTERM, and at once: these clients wait 15 s at most, and look at the signal."""
    vm.process.send_signal(signal.SIGTERM)
    assert vm.process.wait(host.deadline(15)) == -signal.SIGTERM


# --- firecracker-go-sdk ---

@pytest.mark.anykvm
def test_go_sdk(start, tmp_path):
    log, metrics = Fifo(tmp_path / "log.fifo"), Fifo(tmp_path / "metrics.fifo")
    disk = payload.make_disk(tmp_path / "root.img")
    vm = start("--api-sock", tmp_path / "fc.sock", "--id", "b2c3-4d5e")
    api = go_sdk_wait(vm.process, tmp_path / "fc.sock")
    send(api, "PUT", "/logger", {"level": None, "log_path": log.path, "show_level": True,
                                 "show_log_origin": False})
    send(api, "PUT", "/metrics", {"metrics_path": metrics.path})
    send(api, "PUT", "/machine-config", {"mem_size_mib": 128, "smt": False,
                                         "track_dirty_pages": False, "vcpu_count": 1})
    assert api.get("/machine-config", headers=GO_HEADERS).json["mem_size_mib"] == 128
    send(api, "PUT", "/boot-source", {"boot_args": "console=ttyS0",
                                      "kernel_image_path": str(payload.image("echo"))})
    send(api, "PUT", "/drives/1", {"cache_type": "Unsafe", "drive_id": "1", "is_read_only": False,
                                   "is_root_device": True, "path_on_host": str(disk)})
    send(api, "PUT", "/vsock", {"guest_cid": 3, "uds_path": str(tmp_path / "v.sock"),
                                "vsock_id": "agent_api"}, deprecated=True)
    send(api, "PUT", "/actions", {"action_type": "InstanceStart"})
    vm.expect("^READY$")
    assert api.get("/", headers=GO_HEADERS).json["state"] == "Running"
    log.wait_for("Put request on \"/actions\"")
    log.wait_for(":WARN")
    send(api, "PUT", "/actions", {"action_type": "FlushMetrics"})
    metrics.wait_for("\"utc_timestamp_ms\"")
    # Shutdown() presses the keys and waits for the process.
    send(api, "PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    vm.expect("^BYE$")
    assert vm.process.wait(host.deadline(30)) == 0


@pytest.mark.anykvm
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_go_sdk_ends_it_by_a_signal(start, tmp_path, number):
    """StopVMM() sends SIGTERM; signals of the client's own terminal are passed on."""
    vm = start("--api-sock", tmp_path / "fc.sock")
    api = go_sdk_wait(vm.process, tmp_path / "fc.sock")
    send(api, "PUT", "/boot-source", {"kernel_image_path": str(payload.image("spin"))})
    send(api, "PUT", "/actions", {"action_type": "InstanceStart"})
    vm.process.send_signal(number)
    assert vm.process.wait(host.deadline(15)) == -number
    # The socket stays: the SDK removes it.
    assert (tmp_path / "fc.sock").exists()


@pytest.mark.parametrize("boot", [
    {"boot_args": None, "initrd_path": None}, {"boot_args": ""}])
def test_go_sdk_leaves_out_what_is_empty(api, tmp_path, boot):
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"kernel")
    send(api, "PUT", "/boot-source", {"kernel_image_path": str(kernel), **boot})
    send(api, "PUT", "/drives/1", {
        "drive_id": "1", "is_root_device": False, "path_on_host": str(kernel),
        "partuuid": None, "rate_limiter": None, "io_engine": None, "socket": None})
    send(api, "PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 128,
                                         "cpu_template": None})
    send(api, "PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 128,
                                         "cpu_template": "None"}, deprecated=True)


def test_go_sdk_asks_before_it_configures(api):
    """GET /machine-config and GET / answer at any time."""
    for path in ("/machine-config", "/", "/version", "/vm/config"):
        assert api.get(path, headers=GO_HEADERS).status == 200


# --- firectl ---

@pytest.mark.anykvm
def test_firectl(start, tmp_path):
    """A relative socket, a log FIFO on the command line of its user, root by PARTUUID."""
    log = Fifo(tmp_path / "fc.log")
    disk = payload.make_disk(tmp_path / "root.img")
    vm = start("--api-sock", "./firecracker.sock")
    api = go_sdk_wait(vm.process, tmp_path / "firecracker.sock")
    send(api, "PUT", "/logger", {"level": "Debug", "log_path": log.path, "show_level": True,
                                 "show_log_origin": True})
    send(api, "PUT", "/machine-config", {"mem_size_mib": 512, "smt": True, "vcpu_count": 1})
    send(api, "PUT", "/boot-source", {"boot_args": FIRECTL_ARGS,
                                      "kernel_image_path": str(payload.image("cmdline"))})
    send(api, "PUT", "/drives/root_drive", {
        "drive_id": "root_drive", "is_read_only": False, "is_root_device": True,
        "partuuid": "6f5d-01", "path_on_host": str(disk)})
    send(api, "PUT", "/vsock", {"guest_cid": 42, "uds_path": "./fc.vsock", "vsock_id": "0"},
         deprecated=True)
    send(api, "PUT", "/actions", {"action_type": "InstanceStart"})
    vm.expect(r"CMDLINE \[" + re.escape(FIRECTL_ARGS) + r" pci=off root=PARTUUID=6f5d-01 rw ")
    assert vm.process.wait(host.deadline(30)) == 0
    log.wait_for("Kernel loaded using")


# --- firecracker-containerd ---

@pytest.mark.kvm
def test_containerd_patches_stub_drives(start_wisp, disk, tmp_path):
    """Stub drives, noapic, and a drive that becomes the container's image while Linux runs."""
    stubs = []
    for n in range(2):
        stub = tmp_path / f"stub{n}"
        stub.write_bytes(b"\0" * 512)
        stubs.append(stub)
    image = tmp_path / "container.img"
    image.write_bytes(b"container-image!" + bytes((1 << 20) - 16))
    guest = host.guest("small-elf")
    vm = start_wisp(console="pty")
    vm.machine(mem=256)
    vm.boot_source(guest.kernel, f'{CONTAINERD_ARGS} quiet test="{LISTEN}"', initrd=guest.initrd)
    vm.drive("root_drive", disk, root=True, read_only=True)
    for n, stub in enumerate(stubs):
        vm.drive(f"stub{n}", stub)
    vm.start()
    vm.expect("^LISTENS$", timeout=120)
    assert vm.run("cat /sys/block/vdb/size") == "1"
    reply = vm.api.patch("/drives/stub0", {"drive_id": "stub0", "path_on_host": str(image)})
    assert reply.status == 204, reply
    vm.run("while [ $(cat /sys/block/vdb/size) != 2048 ]; do sleep 0.1; done")
    # What Linux has read of the stub, looking for partitions, it would show again.
    vm.run("echo 3 >/proc/sys/vm/drop_caches")
    assert vm.run("head -c 16 /dev/vdb; echo") == "container-image!"
    assert "XT-PIC" in vm.run("grep virtio /proc/interrupts | head -1")
    leave(vm)


# --- Kata Containers ---

def test_kata_reads_the_version(tmp_path):
    done = subprocess.run([wisp_module.BINARY, "--version"], stdout=subprocess.PIPE, check=True,
                          cwd=tmp_path, timeout=host.deadline(20))
    word = done.stdout.decode().splitlines()[0].split()[1].removeprefix("v")
    assert tuple(int(n) for n in word.split(".")) >= (0, 21, 1)


def kata_config(where, kernel, args, metrics, log, more=None, seen=None, nets=()):
    """fcConfig.json, with its nulls, its deprecated field and its pool of empty drives.

    seen: what the monitor calls that folder; by default as it is called here.
    """
    seen = seen or where
    drives = []
    for n in range(8):
        (where / f"drive{n}").touch()
        drives.append({"drive_id": f"drive{n}", "path_on_host": str(seen / f"drive{n}"),
                       "is_root_device": False, "is_read_only": False, "rate_limiter": None,
                       "partuuid": None})
    path = where / "fcConfig.json"
    path.write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(kernel), "boot_args": args,
                        **({"initrd_path": str(more)} if more else {})},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 256, "smt": False,
                           "cpu_template": None},
        "vsock": {"guest_cid": 3, "uds_path": str(seen / "kata.hvsock"), "vsock_id": "root"},
        "logger": {"log_path": log, "level": "Debug", "show_level": False,
                   "show_log_origin": False},
        "metrics": {"metrics_path": metrics},
        "drives": drives,
        "network-interfaces": list(nets),
    }))
    return path


def kata_wait(api):
    end = time.monotonic() + host.deadline(10)
    while api.state() != "Running":
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.anykvm
def test_kata(start, tmp_path):
    log, metrics = Fifo(tmp_path / "logs.fifo"), Fifo(tmp_path / "metrics.fifo")
    config = kata_config(tmp_path, payload.image("idle"), KATA_ARGS, metrics.path, log.path)
    vm = start("--api-sock", tmp_path / "firecracker.socket", "--config-file", config)
    while not (tmp_path / "firecracker.socket").exists():
        assert vm.process.poll() is None, vm.text()
        time.sleep(0.01)
    api = Api(tmp_path / "firecracker.socket", timeout=host.deadline(60))
    kata_wait(api)
    # It is there before the machine is Running, and Kata changes its mode.
    assert stat.S_ISSOCK(os.stat(tmp_path / "kata.hvsock").st_mode)
    os.chmod(tmp_path / "kata.hvsock", 0o660)
    image = payload.make_disk(tmp_path / "rootfs.img")
    limiter = {"bandwidth": {"size": 0, "one_time_burst": 0, "refill_time": 0},
               "ops": {"size": 1000, "one_time_burst": 0, "refill_time": 1000}}
    reply = api.patch("/drives/drive3", {"drive_id": "drive3", "path_on_host": str(image),
                                         "rate_limiter": limiter})
    assert reply.status == 204, reply
    drives = {d["drive_id"]: d for d in api.get("/vm/config").json["drives"]}
    assert len(drives) == 8 and drives["drive3"]["path_on_host"] == str(image)
    log.wait_for("/drives/drive3")
    metrics.wait_for("\"utc_timestamp_ms\"")
    terminate(vm)


@pytest.mark.kvm
def test_kata_guest_without_acpi(start_wisp, disk, tmp_path):
    """acpi=off, eight empty drives, and one that becomes a file system while Linux runs."""
    metrics = Fifo(tmp_path / "metrics.fifo")
    guest = host.guest("small-elf")
    config = kata_config(tmp_path, guest.kernel, f'{KATA_ARGS} quiet test="{LISTEN}"',
                         metrics.path, str(tmp_path / "kata.log"), guest.initrd)
    vm = start_wisp("--config-file", config, console="pty", log=False)
    kata_wait(vm.api)
    vm.expect("^LISTENS$", timeout=120)
    assert vm.run("ls -d /sys/firmware/acpi 2>&1 | grep -c 'No such'").strip() == "1"
    assert vm.run("cat /sys/block/vdc/size") == "0"
    limiter = {"bandwidth": {"size": 100 << 20, "one_time_burst": 0, "refill_time": 1000}}
    reply = vm.api.patch("/drives/drive2", {"drive_id": "drive2", "path_on_host": str(disk),
                                            "rate_limiter": limiter})
    assert reply.status == 204, reply
    vm.run("while [ $(cat /sys/block/vdc/size) = 0 ]; do sleep 0.1; done")
    assert vm.run("mount -t ext4 -o ro /dev/vdc /mnt && ls /mnt/SHA256SUMS && umount /mnt") == \
        "/mnt/SHA256SUMS"
    leave(vm)


# --- through the jailer, with a tap in a network namespace ---

ADDRESSES = bytes.fromhex("020000000001" "020000000002" "88b5")  # what net-peer.c talks with
ETHERTYPE = 0x88b5


class Network:
    """A namespace with a tap by name, which only a monitor that has entered it can open."""

    def __init__(self, where, owner):
        inside = network.Namespace()
        try:
            self.tap = network.Tap(owner=owner)
            self.path = where / "netns"
            self._held = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self.path.symlink_to(f"/proc/{os.getpid()}/fd/{self._held}")
            self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
            self._wire.bind((self.tap.name, ETHERTYPE))
            self._wire.settimeout(0.5)
        finally:
            inside.close()

    def expect_echo(self):
        """The guest gives a frame back; one that it was not ready for is sent again."""
        data = ADDRESSES + b"E" + os.urandom(100)
        end = time.monotonic() + host.deadline(60)
        while True:
            assert time.monotonic() < end, "no frame came back"
            try:
                self._wire.send(data)
                if self._wire.recv(2048) == data:
                    return
            except OSError:  # a timeout; EIO or ENOBUFS while nobody reads
                time.sleep(0.05)

    def close(self):
        self._wire.close()
        os.close(self._held)  # the tap goes with its namespace


class InJail:
    """The jailer as clients start it, and what they find by the names of its folders."""

    def __init__(self, where, net, uid, options, files):
        self.jail = jail.Jail(where, wisp_module.BINARY, "b2c3-4d5e", uid, uid,
                              ["--netns", net.path, *options])
        self.root, self.uid, self.output = self.jail.root, uid, where / "output.txt"
        self.root.mkdir(parents=True)
        for name, source in files.items():
            shutil.copy(source, self.root / name)
            self.own(self.root / name)
        self.process = None

    def own(self, path):
        os.chown(path, self.uid, self.uid)
        return path

    def fifo(self, name):
        made = Fifo(self.root / name)
        self.own(self.root / name)
        return made

    def begin(self, *args):
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                self.jail.words(args), executable=wisp_module.BINARY, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT)

    def wait_for_socket(self):
        path = self.root / "run" / "firecracker.socket"
        end = time.monotonic() + host.deadline(10)
        while not path.exists():
            assert self.process.poll() in (None, 0) and time.monotonic() < end, \
                self.output.read_text(errors="replace")
            time.sleep(0.01)
        return path

    def monitor(self):
        """Its pid, if it lives and is this jail's."""
        try:
            pid = self.jail.pid()
            return pid if os.path.samefile(f"/proc/{pid}/root", self.root) else None
        except (OSError, ValueError):
            return None

    def terminate(self):
        pidfd = os.pidfd_open(self.monitor())
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            assert select.select([pidfd], [], [], host.deadline(15))[0], "it outlived SIGTERM"
        finally:
            os.close(pidfd)

    def close(self):
        if self.process:
            if pid := self.monitor():
                os.kill(pid, signal.SIGKILL)
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()


@pytest.fixture
def in_jail(tmp_path):
    if reason := network.lacking():
        pytest.skip(reason)
    if not jail.possible(wisp_module.BINARY):
        pytest.skip("a sanitizer's program does not run in a jail")
    opened = []

    def make(uid, *options, **files):
        opened.append(Network(tmp_path, uid))
        opened.append(InJail(tmp_path, opened[0], uid, options, files))
        return opened

    yield make
    for each in reversed(opened):
        each.close()


@pytest.mark.anykvm
def test_go_sdk_in_a_jail(in_jail, tmp_path):
    """A stub drive, a tap, MMDS filled before the start; then another file for the stub."""
    (tmp_path / "stub").touch()
    net, vm = in_jail(30123, kernel=payload.image("net-peer"), stub=tmp_path / "stub",
                      image=payload.make_disk(tmp_path / "image"))
    log, metrics = vm.fifo("log.fifo"), vm.fifo("metrics.fifo")
    vm.begin("--api-sock", "/run/firecracker.socket")
    api = go_sdk_wait(vm.process, vm.wait_for_socket())
    send(api, "PUT", "/logger", {"level": None, "log_path": "/log.fifo", "show_level": True,
                                 "show_log_origin": False})
    send(api, "PUT", "/metrics", {"metrics_path": "/metrics.fifo"})
    send(api, "PUT", "/machine-config", {"mem_size_mib": 128, "smt": False, "vcpu_count": 1,
                                         "cpu_template": None, "track_dirty_pages": False})
    send(api, "PUT", "/boot-source", {"boot_args": FIRECTL_ARGS, "initrd_path": None,
                                      "kernel_image_path": "/kernel"})
    send(api, "PUT", "/drives/1", {"drive_id": "1", "is_read_only": False, "partuuid": None,
                                   "is_root_device": True, "path_on_host": "/stub",
                                   "rate_limiter": None})
    send(api, "PUT", "/network-interfaces/1", {
        "guest_mac": "02:00:00:00:00:01", "host_dev_name": net.tap.name, "iface_id": "1",
        "rx_rate_limiter": None, "tx_rate_limiter": None})
    send(api, "PUT", "/vsock", {"guest_cid": 3, "uds_path": "/v.sock", "vsock_id": "agent_api"},
         deprecated=True)
    # Without a version it is V1.
    send(api, "PUT", "/mmds/config", {"network_interfaces": ["1"]}, deprecated=True)
    send(api, "PUT", "/mmds", {"latest": {"meta-data": {"instance-id": "b2c3"}}})
    send(api, "PUT", "/actions", {"action_type": "InstanceStart"})
    net.expect_echo()
    assert api.get("/mmds", headers=GO_HEADERS).json == \
        {"latest": {"meta-data": {"instance-id": "b2c3"}}}
    send(api, "PATCH", "/drives/1", {"drive_id": "1", "path_on_host": "/image"})
    assert api.get("/vm/config").json["drives"][0]["path_on_host"] == "/image"
    log.wait_for("Put request on \"/actions\"")
    send(api, "PUT", "/actions", {"action_type": "FlushMetrics"})
    metrics.wait_for("\"utc_timestamp_ms\"")
    net.expect_echo()
    vm.terminate()
    assert vm.process.wait(host.deadline(15)) == -signal.SIGTERM


@pytest.mark.anykvm
def test_kata_in_a_jail(in_jail, tmp_path):
    """User 0, a daemon, all by fcConfig.json; the names of pid file and socket are known."""
    net, vm = in_jail(0, "--daemonize", kernel=payload.image("net-peer"),
                      rootfs=payload.make_disk(tmp_path / "rootfs.img"))
    log, metrics = vm.fifo("logs.fifo"), vm.fifo("metrics.fifo")
    kata_config(vm.root, "/kernel", KATA_ARGS, "/metrics.fifo", "/logs.fifo", seen=Path("/"),
                nets=[{"iface_id": "eth0", "guest_mac": "02:00:00:00:00:01",
                       "host_dev_name": net.tap.name, "rx_rate_limiter": None,
                       "tx_rate_limiter": None}])
    vm.begin("--config-file", "/fcConfig.json")
    api = Api(vm.wait_for_socket(), timeout=host.deadline(60))
    kata_wait(api)
    assert vm.process.wait(host.deadline(15)) == 0  # who starts a daemon is free
    assert stat.S_ISSOCK(os.stat(vm.root / "kata.hvsock").st_mode)
    net.expect_echo()
    send(api, "PATCH", "/drives/drive3", {"drive_id": "drive3", "path_on_host": "/rootfs"})
    drives = {d["drive_id"]: d for d in api.get("/vm/config").json["drives"]}
    assert len(drives) == 8 and drives["drive3"]["path_on_host"] == "/rootfs"
    log.wait_for("/drives/drive3")
    metrics.wait_for("\"utc_timestamp_ms\"")
    net.expect_echo()
    vm.terminate()


# --- Firecracker's own tests ---

@pytest.mark.anykvm
def test_firecracker_tests_start_it_without_an_api(start, tmp_path):
    config = kata_config(tmp_path, payload.image("boot-timer"), "console=ttyS0",
                         str(tmp_path / "metrics.json"), str(tmp_path / "log.txt"))
    (tmp_path / "metrics.json").touch()
    vm = start("--id", "x-1", "--no-api", "--config-file", config, "--boot-timer",
               "--level", "Info", "--log-path", tmp_path / "log.txt")
    assert vm.process.wait(host.deadline(60)) == 0, vm.text()
    log = (tmp_path / "log.txt").read_text()
    assert "Successfully started microvm that was configured from one single json" in log
    assert "Guest-boot-time" in log
    assert not (tmp_path / "run").exists()


def test_requests_say_how_long_they_took(wisp):
    """Firecracker's tests read it for every request."""
    wisp.api.put("/entropy", {})
    wisp.api.put("/entropy", {"x": 1})
    lines = re.findall(r"Total previous API call duration: (\d+) us\.$", wisp.log(), re.MULTILINE)
    requests = wisp.log().count("The API server received a ")
    # The newest may still be on its way.
    assert requests - 1 <= len(lines) <= requests and requests >= 3
