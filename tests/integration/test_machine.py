# SPDX-License-Identifier: Apache-2.0
"""The machine seen from the host, with payloads as guests: any /dev/kvm will do."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from framework import host, payload
from framework.wisp import LEFT, config_file

pytestmark = [pytest.mark.area("machine"), pytest.mark.anykvm]

DEFAULT_ARGS = ("reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux "
                "i8042.dumbkbd swiotlb=noforce")
AFTER = "The requested operation is not supported after starting the microVM."


def run_idle(start_wisp, *args, **machine):
    vm = start_wisp(*args)
    vm.machine(**machine)
    vm.boot_source(payload.image("idle"))
    vm.start()
    vm.expect("^READY$")
    return vm


# --- command line ---

def line_of(start_wisp, args, drives=(), entropy=False):
    vm = start_wisp()
    vm.machine()
    vm.boot_source(payload.image("cmdline"), args)
    for drive in drives:
        vm.drive(*drive[0], **drive[1])
    if entropy:
        vm.entropy()
    vm.start()
    assert vm.wait() == 0
    found = re.search(r"^CMDLINE \[(.*)\]$", vm.console(), re.MULTILINE)
    assert found, vm.console()
    assert "PASS" in vm.console(), vm.console()
    return found.group(1)


@pytest.mark.area("boot")
@pytest.mark.parametrize("args, line", [
    (None, DEFAULT_ARGS + " pci=off"),
    ("", "pci=off"),
    ("a=1 b", "a=1 b pci=off"),
    ("a=1 pci=off", "a=1 pci=off pci=off"),
    ("a -- init arg", "a pci=off -- init arg"),
    ("a --b c", "a --b c pci=off"),
])
def test_command_line(start_wisp, args, line):
    assert line_of(start_wisp, args).split() == line.split()


@pytest.mark.area("boot")
def test_command_line_of_devices(start_wisp, tmp_path):
    disks = [payload.make_disk(tmp_path / f"{n}.img") for n in "abc"]
    drives = [(("first", disks[0]), {}), (("top", disks[1]), {"root": True, "read_only": True}),
              (("third", disks[2]), {})]
    line = line_of(start_wisp, "x -- y", drives, entropy=True)
    assert line.split() == [
        "x", "pci=off", "root=/dev/vda", "ro",
        "virtio_mmio.device=4K@0xc0001000:5", "virtio_mmio.device=4K@0xc0002000:6",
        "virtio_mmio.device=4K@0xc0003000:7", "virtio_mmio.device=4K@0xc0004000:8", "--", "y"]


@pytest.mark.area("boot")
def test_command_line_of_partuuid(start_wisp, tmp_path):
    disk = payload.make_disk(tmp_path / "a.img")
    line = line_of(start_wisp, "x", [(("top", disk), {"root": True, "partuuid": "0eaa91a0-01"})])
    assert line.split()[:4] == ["x", "pci=off", "root=PARTUUID=0eaa91a0-01", "rw"]


@pytest.mark.area("boot")
def test_command_line_too_long(start_wisp):
    vm = start_wisp()
    vm.machine()
    # It fits by itself; with what the monitor adds it does not.
    vm.boot_source(payload.image("cmdline"), "x" * 2047)
    reply = vm.api.put("/actions", {"action_type": "InstanceStart"})
    assert reply.status == 400 and "command line" in reply.fault
    vm.boot_source(payload.image("cmdline"), "x" * (2047 - len(" pci=off")))
    vm.start()
    assert vm.wait() == 0
    assert "PASS" in vm.console()


# --- life cycle ---

def test_states(start_wisp):
    vm = start_wisp("--id", "of-states")
    assert vm.api.get("/").json == {"id": "of-states", "state": "Not started",
                                    "vmm_version": "1.17.0", "app_name": "Firecracker"}
    vm.machine(vcpus=2)
    vm.boot_source(payload.image("idle"))
    vm.start()
    assert vm.api.get("/").json["state"] == "Running"
    for state, shown in [("Paused", "Paused"), ("Paused", "Paused"), ("Resumed", "Running"),
                         ("Resumed", "Running")]:
        assert vm.api.patch("/vm", {"state": state}).status == 204
        assert vm.api.get("/").json["state"] == shown


@pytest.mark.area("api")
def test_refused_after_the_start(start_wisp, tmp_path):
    disk = payload.make_disk(tmp_path / "disk.img")
    vm = run_idle(start_wisp)
    requests = [
        ("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 128}),
        ("PATCH", "/machine-config", {"vcpu_count": 1}),
        ("PUT", "/boot-source", {"kernel_image_path": str(payload.image("idle"))}),
        ("PUT", "/entropy", {}),
        ("PUT", "/serial", {}),
        ("PUT", "/logger", {}),
        ("PUT", "/actions", {"action_type": "InstanceStart"}),
    ]
    for method, path, body in requests:
        reply = vm.api.request(method, path, body)
        assert (reply.status, reply.fault) == (400, AFTER), (method, path)
    reply = vm.api.put("/drives/d", {"drive_id": "d", "is_root_device": False,
                                     "path_on_host": str(disk)})
    assert reply.status == 400 and "PCI is not enabled" in reply.fault
    assert vm.api.get("/").json["state"] == "Running"
    assert vm.api.get("/machine-config").json["vcpu_count"] == 1
    assert vm.api.get("/vm/config").status == 200
    assert vm.api.get("/version").json == {"firecracker_version": "1.17.0"}


def test_pause_stops_the_guest(start_wisp):
    vm = start_wisp()
    vm.machine()
    vm.boot_source(payload.image("counter"))
    vm.start()
    vm.expect("^0x8$")
    for _ in range(3):
        vm.pause()
        time.sleep(0.2)  # what is under way reaches the file
        before = vm.console()
        time.sleep(host.seconds(1))
        assert vm.console() == before
        vm.resume()
        last = before.splitlines()[-2]  # the last may be half a line
        vm.expect(f"^{last}\n0x[0-9a-f]+\n0x")
    # Nothing was lost or came twice on the way.
    numbers = [int(n, 16) for n in vm.console().splitlines()[:-1]]
    assert numbers == list(range(len(numbers)))


def test_ends_by_sigterm_at_once(start_wisp):
    vm = run_idle(start_wisp)
    vm.process.terminate()
    assert vm.wait(10) == -signal.SIGTERM


def test_paused_and_terminated(start_wisp):
    vm = run_idle(start_wisp, vcpus=4)
    vm.pause()
    vm.process.terminate()
    assert vm.wait(10) == -signal.SIGTERM


# --- InstanceStart that fails ---

def bad_kernels(where):
    elf = bytearray(payload.image("idle").read_bytes())
    low = bytearray(elf)
    low[64 + 24:64 + 32] = (0x1000).to_bytes(8, "little")  # p_paddr of the first segment
    high = bytearray(elf)
    high[64 + 24:64 + 32] = (1 << 50).to_bytes(8, "little")
    long = bytearray(elf)
    long[64 + 40:64 + 48] = (1 << 60).to_bytes(8, "little")  # p_memsz
    contents = {"empty": b"", "text": b"not a kernel\n" * 100, "magic": elf[:4],
                "header": elf[:64], "cut": elf[:0x1010], "low": low, "high": high,
                "long": long, "arm": elf[:18] + b"\xb7\x00" + elf[20:]}
    for name, content in contents.items():
        path = where / name
        path.write_bytes(content)
        yield name, path


@pytest.mark.area("boot")
def test_bad_kernels(start_wisp, tmp_path):
    vm = start_wisp()
    vm.machine()
    for name, path in bad_kernels(tmp_path):
        vm.boot_source(path)
        reply = vm.api.put("/actions", {"action_type": "InstanceStart"})
        assert reply.status == 400, name
        assert reply.fault.startswith("Start microvm error: "), (name, reply.fault)
        assert vm.api.get("/").json["state"] == "Not started"
    vm.boot_source(payload.image("serial"))
    vm.start()
    assert vm.wait() == 0 and "PASS" in vm.console()


@pytest.mark.area("boot")
def test_no_kernel(start_wisp):
    vm = start_wisp()
    reply = vm.api.put("/actions", {"action_type": "InstanceStart"})
    assert reply.status == 400 and reply.fault.startswith("Start microvm error: ")
    vm.boot_source(payload.image("serial"))
    vm.start()
    assert vm.wait() == 0 and "PASS" in vm.console()


def break_kernel(vm, tmp_path):
    bad = tmp_path / "text"
    bad.write_bytes(b"not a kernel\n" * 100)
    vm.boot_source(bad)


def break_memory(vm, _):
    vm.machine(vcpus=2, mem=1 << 40)  # an exbibyte


def break_initrd(vm, tmp_path):
    big = tmp_path / "initrd"
    with open(big, "wb") as file:
        file.truncate(256 << 20)  # more than the machine's memory
    vm.boot_source(payload.image("serial"), initrd=big)


@pytest.mark.parametrize("break_it", [break_kernel, break_memory, break_initrd])
def test_failed_starts_leave_nothing(start_wisp, tmp_path, break_it):
    disk = payload.make_disk(tmp_path / "disk.img")
    vm = start_wisp()
    vm.machine(vcpus=2)
    vm.boot_source(payload.image("serial"))
    vm.drive("root", disk, root=True)
    vm.entropy()
    break_it(vm, tmp_path)
    connection = vm.api.connection()
    seen = []
    for n in range(20):
        reply = vm.api.put("/actions", {"action_type": "InstanceStart"}, connection=connection)
        assert reply.status == 400, n
        assert reply.fault.startswith("Start microvm error: "), reply.fault
        seen.append(host.usage(vm.pid))
    connection.close()
    second, last = seen[1], seen[-1]
    assert last[:3] == second[:3], seen
    assert last.rss_kib <= second.rss_kib + 64, seen
    # It can still be put right.
    vm.machine(vcpus=2)
    vm.boot_source(payload.image("serial"))
    vm.start()
    assert vm.wait() == 0 and "PASS" in vm.console()


# --- what it holds ---

def test_threads_have_their_names(start_wisp):
    vm = run_idle(start_wisp, vcpus=3)
    names = sorted(fields["Name"] for fields in host.tasks(vm.pid).values())
    assert [n for n in names if n.startswith("fc_")] == [
        "fc_api", "fc_vcpu 0", "fc_vcpu 1", "fc_vcpu 2"]


def test_thirty_two_vcpus(start_wisp):
    vm = run_idle(start_wisp, vcpus=32)
    vm.pause()
    vm.resume()
    assert sum(f["Name"].startswith("fc_vcpu") for f in host.tasks(vm.pid).values()) == 32


def memory_files(pid):
    """Descriptors of a microVM's memory that can be shared."""
    return [fd for fd, name in host.open_files(pid).items() if "memfd:guest_memory" in name]


@pytest.mark.parametrize("pages", ["None", "Transparent"])
def test_shared_memory_is_the_guests(start_wisp, pages):
    """What the guest sees at an address stands in the file at that offset."""
    word = b"seen-from-outside"
    vm = start_wisp()
    vm.machine(mem=64, shared_memory=True, huge_pages=pages)
    assert vm.api.get("/machine-config").json["shared_memory"] is True
    vm.boot_source(payload.image("idle"), word.decode())
    vm.start()
    vm.expect("^READY$")
    (path,) = memory_files(vm.pid)
    assert path.stat().st_size == 64 << 20
    with open(path, "r+b") as file:
        assert word in file.read(1 << 20)
        with pytest.raises(OSError):
            file.truncate(1 << 20)


POOL = Path("/proc/sys/vm/nr_hugepages")


@pytest.fixture
def huge_pages():
    """A pool of so many pages of 2 MiB more than there were."""
    before = int(POOL.read_text())

    def make(count):
        if os.geteuid() != 0:
            pytest.skip("needs root, to make a pool of huge pages")
        POOL.write_text(str(before + count))
        if int(POOL.read_text()) < before + count:
            pytest.skip(f"this host's memory is in too small pieces for {count} huge pages")

    yield make
    if int(POOL.read_text()) != before:
        POOL.write_text(str(before))


def guest_memory(pid, mib):
    """What smaps says of the one mapping of that size."""
    found = []
    for block in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{pid}/smaps").read_text(),
                          flags=re.MULTILINE)[1:]:
        start, end = (int(n, 16) for n in block.split()[0].split("-"))
        if end - start == mib << 20:
            found.append(dict(re.findall(r"^(\w+): +(.*)$", block, re.MULTILINE)))
    (only,) = found
    return only


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("pages", ["None", "Transparent", "2M"])
def test_pages_of_the_guests_memory(start_wisp, huge_pages, pages, shared):
    """Of the size that was asked for, and in no core dump and no child."""
    if pages == "2M":
        huge_pages(32)
    vm = run_idle(start_wisp, mem=64, huge_pages=pages, shared_memory=shared)
    found = guest_memory(vm.pid, 64)
    assert found["KernelPageSize"] == ("2048 kB" if pages == "2M" else "4 kB")
    flags = found["VmFlags"].split()
    assert {"dd", "dc"} <= set(flags), flags
    assert ("hg" in flags) == (pages == "Transparent")


def test_huge_pages_that_the_host_has_not(start_wisp, huge_pages):
    """Refused with the figure, and when the pool is there the same request is served."""
    huge_pages(0)
    vm = start_wisp()
    vm.machine(mem=256, huge_pages="2M")
    vm.boot_source(payload.image("idle"))
    reply = vm.api.put("/actions", {"action_type": "InstanceStart"})
    if reply.status == 204:
        pytest.skip("this host has huge pages to spare")
    assert reply.fault.startswith("Start microvm error: guest memory of 256 MiB cannot be mapped "
                                  "from 2 MiB pages: Cannot allocate memory"), reply
    assert reply.fault.endswith("raise /proc/sys/vm/nr_hugepages to hold 128 more"), reply
    huge_pages(128)
    vm.start()
    vm.expect("^READY$")


def test_memory_is_private_unless_asked(start_wisp):
    vm = run_idle(start_wisp)
    assert not memory_files(vm.pid)
    assert "shared_memory" not in vm.api.get("/machine-config").json


def test_last_device_slot(start_wisp, tmp_path):
    """17 virtio devices have an interrupt, the 18th has none."""
    disk = payload.make_disk(tmp_path / "disk.img")
    vm = start_wisp()
    vm.machine()
    vm.boot_source(payload.image("cmdline"), "x")
    for n in range(16):
        vm.drive(f"d{n}", disk, read_only=True)
    vm.entropy()
    vm.start()
    assert vm.wait() == 0
    assert "virtio_mmio.device=4K@0xc0011000:21" in vm.console()


@pytest.mark.area("serial")
def test_serial_to_a_file(start_wisp, tmp_path):
    out = tmp_path / "serial.txt"
    vm = start_wisp()
    vm.machine()
    vm.boot_source(payload.image("serial"))
    assert vm.api.put("/serial", {"serial_out_path": str(out)}).status == 204
    vm.start()
    assert vm.wait() == 0
    assert "PASS" in out.read_text()
    assert "PASS" not in vm.console()


@pytest.mark.area("serial")
def test_serial_that_nobody_reads_stops_nothing(start_wisp, tmp_path):
    """A FIFO without a reader: bytes are lost, the guest goes on to its end."""
    import os
    fifo = tmp_path / "serial.fifo"
    os.mkfifo(fifo)
    vm = start_wisp()
    vm.machine()
    vm.boot_source(payload.image("cpuid"))
    assert vm.api.put("/serial", {"serial_out_path": str(fifo)}).status == 204
    vm.start()
    assert vm.wait() == 0


@pytest.mark.area("config")
def test_config_file_with_the_api(start_wisp, tmp_path):
    config = config_file(tmp_path, payload.image("idle"), "x", vcpus=2, mem=64)
    vm = start_wisp("--config-file", config)
    vm.expect("^READY$")
    assert vm.api.get("/").json["state"] == "Running"
    assert vm.api.get("/machine-config").json["vcpu_count"] == 2
    assert "configured from one single json" in vm.log()


def test_twenty_in_a_row_leave_nothing(start_wisp, tmp_path):
    before = sorted(p.name for p in tmp_path.iterdir())
    for n in range(20):
        vm = start_wisp()
        vm.machine(vcpus=1 + n % 4)
        vm.boot_source(payload.image("rng"))
        vm.entropy()
        vm.start()
        assert vm.wait() == 0 and "PASS" in vm.console(), n
        left = {p.name for p in vm.where.iterdir()}
        assert left <= LEFT
        vm.socket.unlink(missing_ok=True)
    after = sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("vm"))
    assert after == before
