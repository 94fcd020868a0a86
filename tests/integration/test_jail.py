# SPDX-License-Identifier: Apache-2.0
"""The jailer: Firecracker's options and their results, and what is beyond them."""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from framework import host, jail, payload
from framework import wisp as wisp_module
from framework.http import Api
from framework.jail import Jail

pytestmark = [pytest.mark.area("jail")]

USER = 30123
TUN, KVM, URANDOM = os.makedev(10, 200), os.makedev(10, 232), os.makedev(1, 9)
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def binary():
    return wisp_module.BINARY


class Jailed:
    """A monitor in a jail as orchestrators make it: files in the root, paths of the jail."""

    def __init__(self, where, name="t1", uid=USER, options=(), args=(), guest=True, wait=True,
                 program=None, preexec=None, fds=()):
        self.jail = Jail(where, program or binary(), name, uid, uid, options)
        self.jail.readable = []
        self.root = self.jail.root
        self.root.mkdir(parents=True, exist_ok=True)
        if guest:
            shutil.copy(payload.image("idle"), self.root / "idle")
            os.chmod(self.root / "idle", 0o644)
        self.output = where / f"{name}.txt"
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                self.jail.words(args), executable=binary(), stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=preexec,
                pass_fds=fds)
        self.api = Api(self.root / "run" / "firecracker.socket", timeout=host.deadline(60))
        if wait:
            try:
                self.await_api()
            except BaseException:
                self.close()
                raise

    def await_api(self):
        end = time.monotonic() + host.deadline(15)
        while time.monotonic() < end:
            try:
                if self.api.get("/").status == 200:
                    return
            except (FileNotFoundError, ConnectionRefusedError):
                assert self.process.poll() in (None, 0), self.text()
            time.sleep(0.01)
        raise AssertionError(f"no API: {self.text()}")

    def text(self):
        return self.output.read_text(errors="replace")

    def start(self, vcpus=1):
        for path, body in (("/machine-config", {"vcpu_count": vcpus, "mem_size_mib": 128}),
                           ("/boot-source", {"kernel_image_path": "/idle"}),
                           ("/actions", {"action_type": "InstanceStart"})):
            reply = self.api.put(path, body)
            assert reply.status == 204, reply

    @property
    def pid(self):
        return self.jail.pid()

    def close(self):
        """By its own pid only, which the pid file has as this namespace counts."""
        try:
            pid = self.pid
            if Path(f"/proc/{pid}/root/{self.jail.name}").exists() or \
               os.path.samefile(f"/proc/{pid}/root", self.root):
                os.kill(pid, 9)
        except (OSError, ValueError):
            pass
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def jailed(tmp_path):
    started = []

    def start(**more):
        started.append(Jailed(tmp_path, **more))
        return started[-1]

    yield start
    for each in started:
        each.close()


def fails(tmp_path, *options, says, prepare=None, uid=USER, name="t1"):
    """The jailer refuses, with status 1 and these words."""
    place = Jail(tmp_path, binary(), name, uid, uid, options)
    place.readable = []
    if prepare:
        place.root.mkdir(parents=True)
        prepare(place.root)
    done = jail.run(binary(), *place.words()[1:])
    assert done.returncode == 1, done.stdout
    assert says in done.stdout, done.stdout
    return place


def status(pid):
    fields = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        fields[key] = value.strip()
    return fields


# --- words --------------------------------------------------------------------------------


def test_version_and_help():
    done = jail.run(binary(), "--version")
    assert done.returncode == 0 and done.stdout.startswith("Jailer v1.17.0")
    done = jail.run(binary(), "--help")
    assert done.returncode == 0
    for word in ("--id", "--exec-file", "--uid", "--gid", "--chroot-base-dir", "--netns",
                 "--cgroup", "--cgroup-version", "--parent-cgroup", "--resource-limit",
                 "--daemonize", "--new-pid-ns", "--cleanup"):
        assert f"  {word} " in done.stdout, word


@pytest.mark.parametrize("words,says", [
    (["--id", "x"], "'--exec-file' required"),
    (["--id", "x", "--exec-file", "/bin/true", "--uid", "1"], "'--gid' required"),
    (["--nonsense"], "'--nonsense' which wasn't expected"),
    (["--id"], "'--id' requires a value"),
    (["--id", "a", "--id", "b"], "'--id' was provided more than once"),
    (["--id", "a/b"], "neither alphanumeric nor a hyphen"),
    (["--uid", "4294967295"], "is more than"),
    (["--cgroup-version", "3"], "neither 1 nor 2"),
    (["--parent-cgroup", "../x"], "goes up"),
    (["--cgroup", "tasks=1"], "is not the name"),
    (["--resource-limit", "core=1"], "neither fsize"),
    (["--id", "x", "--exec-file", "/no/such", "--uid", "1", "--gid", "1"], "`/no/such': No such"),
    (["--id", "x", "--exec-file", "/tmp", "--uid", "1", "--gid", "1"], "is no file"),
])
def test_wrong_words(words, says):
    done = jail.run(binary(), *words)
    assert done.returncode == 1
    assert says in done.stdout


# --- what is made -------------------------------------------------------------------------


@NEEDS_ROOT
@pytest.mark.anykvm
def test_layout_ownership_and_devices(jailed):
    vm = jailed()
    vm.start()
    for folder in ("", "dev", "dev/net", "run"):
        st = os.stat(vm.root / folder)
        assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (USER, USER, 0o700), folder
    for name, device in (("dev/kvm", KVM), ("dev/net/tun", TUN), ("dev/urandom", URANDOM)):
        st = os.stat(vm.root / name)
        assert stat.S_ISCHR(st.st_mode) and st.st_rdev == device
        assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (USER, USER, 0o600)
    if Path("/dev/userfaultfd").exists():
        assert os.stat(vm.root / "dev/userfaultfd").st_rdev == os.stat("/dev/userfaultfd").st_rdev
    # The same process goes on: nothing was copied, and the pid is the jailer's own.
    assert not (vm.root / Path(binary()).name).exists()
    assert vm.pid == vm.process.pid
    assert Path(f"/proc/{vm.pid}/comm").read_text() == Path(binary()).name[:15] + "\n"
    assert vm.api.get("/").json["id"] == "t1"


@NEEDS_ROOT
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_names_are_those_of_the_link(jailed, tmp_path, link):
    """As make install leaves it: clients look for `firecracker'."""
    name = tmp_path / "firecracker"
    try:
        link(binary(), name)
    except OSError as error:
        pytest.skip(f"no such link to the monitor can be made here: {error.strerror}")
    vm = jailed(program=name, guest=False, wait=False)  # the socket's path is too long to connect
    assert vm.root == tmp_path / "jail" / "firecracker" / "t1" / "root"
    end = time.monotonic() + host.deadline(15)
    while not (vm.root / "run" / "firecracker.socket").exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert vm.process.poll() is None, vm.text()
    assert int((vm.root / "firecracker.pid").read_text()) == vm.process.pid
    assert not (vm.root / "firecracker").exists()
    assert Path(f"/proc/{vm.pid}/comm").read_text() == "firecracker\n"


@NEEDS_ROOT
@pytest.mark.anykvm
def test_every_task_is_stripped(jailed):
    """Seccomp, NoNewPrivs and Cap* of each task of a running jailed machine."""
    vm = jailed()
    vm.start(vcpus=2)
    tasks = host.tasks(vm.pid)
    assert len(tasks) >= 4
    for task in tasks.values():
        assert task["Seccomp"] == "2" and task["NoNewPrivs"] == "1", task["Name"]
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(task[kind], 16) == 0, f"{task['Name']}: {kind}"
        assert task["Uid"].split() == task["Gid"].split() == [str(USER)] * 4
        assert task["Groups"] == ""


@NEEDS_ROOT
def test_user_zero_has_no_capabilities(jailed):
    vm = jailed(uid=0, guest=False)
    found = status(vm.pid)
    assert found["Uid"].split()[0] == "0"
    assert all(int(found[kind], 16) == 0 for kind in ("CapPrm", "CapEff", "CapBnd"))


@NEEDS_ROOT
def test_the_root_is_all_there_is(jailed):
    vm = jailed(guest=False)
    mounts = Path(f"/proc/{vm.pid}/mountinfo").read_text().splitlines()
    assert len(mounts) == 1 and mounts[0].split()[4] == "/", mounts
    assert "nosuid" in mounts[0] and "noexec" in mounts[0]
    assert os.readlink(f"/proc/{vm.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    assert os.path.samefile(f"/proc/{vm.pid}/root", vm.root)
    assert os.path.samefile(f"/proc/{vm.pid}/cwd", vm.root)
    # No descriptor is a folder, and none is a file outside.
    for link, name in host.open_files(vm.pid).items():
        assert not link.is_dir(), name
    # Nor does its memory remember the caller's environment.
    assert Path(f"/proc/{vm.pid}/environ").read_bytes().strip(b"\0") == b""


@NEEDS_ROOT
def test_who_waits_is_told_from_inside(jailed, tmp_path):
    """--ready-fd and NOTIFY_SOCKET are the caller's, outside of the jail, and are gone after it."""
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(host.deadline(20))

        def prepare():
            os.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")

        vm = jailed(guest=False, args=("--ready-fd", writer), wait=False, preexec=prepare,
                    fds=(writer,))
        os.close(writer)
        with os.fdopen(reader, "rb") as told:
            assert told.read() == b"READY=1\n"
        assert sock.recv(100) == b"READY=1"
    assert vm.api.get("/").status == 200
    assert not any("notify" in name or "pipe" in name
                   for name in host.open_files(vm.pid).values())


@NEEDS_ROOT
def test_no_descriptor_of_the_caller_comes_in(jailed, tmp_path):
    secret = os.open(tmp_path, os.O_RDONLY)
    vm = jailed(guest=False, fds=(secret,))
    os.close(secret)
    names = host.open_files(vm.pid).values()
    assert len(names) > 3 and str(tmp_path) not in names


@NEEDS_ROOT
@pytest.mark.parametrize("options,soft,size", [
    ([], "2048", "unlimited"),
    (["--resource-limit", "no-file=500", "--resource-limit", "fsize=65536"], "500", "65536"),
])
def test_limits(jailed, options, soft, size):
    vm = jailed(options=options, guest=False)
    text = Path(f"/proc/{vm.pid}/limits").read_text()
    for name, value in (("open files", soft), ("file size", size), ("core file size", "0")):
        found = re.search(rf"^Max {name}\s+(\S+)\s+(\S+)", text, re.MULTILINE)
        assert found.groups() == (value, value), name


@NEEDS_ROOT
@pytest.mark.anykvm
def test_daemon(jailed):
    vm = jailed(options=["--daemonize"])
    assert vm.process.wait(host.deadline(10)) == 0
    vm.start()
    assert vm.pid != vm.process.pid
    # Neither a leader nor of our session: it can never get a terminal.
    assert os.getsid(vm.pid) not in (vm.pid, os.getsid(0))
    for fd in range(3):
        assert os.readlink(f"/proc/{vm.pid}/fd/{fd}") == "/dev/null"


@NEEDS_ROOT
@pytest.mark.parametrize("options", [(), ("--new-pid-ns",)])
def test_no_monitor_without_a_pid_file(tmp_path, options):
    """On a full disk the file can be made, and not be written."""
    place = Jail(tmp_path, binary(), "t1", USER, USER, options)
    place.base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place.base], check=True)
    process = None
    try:
        (place.base / "fill").write_bytes(bytes(64 << 10))
        with open(tmp_path / "out.txt", "wb") as out:
            process = subprocess.Popen(place.words(), executable=binary(),
                                       stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        assert process.wait(host.deadline(10)) == 1
        assert "pid file: No space left on device" in (tmp_path / "out.txt").read_text()
        time.sleep(0.2)
        with pytest.raises(ProcessLookupError):  # nobody is left of its session
            os.killpg(process.pid, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        subprocess.run(["umount", "-l", place.base], check=True)


@NEEDS_ROOT
@pytest.mark.anykvm
def test_new_namespaces(jailed):
    vm = jailed(options=["--new-pid-ns", "--new-user-ns", "--new-ipc-ns", "--new-uts-ns"])
    assert vm.process.wait(host.deadline(10)) == 0
    vm.start()
    assert status(vm.pid)["NSpid"].split() == [str(vm.pid), "1"]
    for kind in ("pid", "user", "ipc", "uts", "mnt"):
        assert os.readlink(f"/proc/{vm.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    assert Path(f"/proc/{vm.pid}/uid_map").read_text().split() == [str(USER), str(USER), "1"]
    for task in host.tasks(vm.pid).values():
        assert all(int(task[k], 16) == 0 for k in ("CapPrm", "CapEff", "CapBnd"))


@NEEDS_ROOT
def test_abort_ends_process_one(jailed):
    """No default action of a signal does, and abort() would go on to a call that is denied."""
    vm = jailed(options=["--new-pid-ns"], guest=False)
    os.kill(vm.pid, signal.SIGABRT)
    end = time.monotonic() + host.deadline(10)
    while time.monotonic() < end:
        try:
            if status(vm.pid)["State"].startswith("Z"):
                break
        except FileNotFoundError:
            break
        time.sleep(0.02)
    else:
        raise AssertionError("it lives")


@NEEDS_ROOT
def test_network_namespace_through_a_link(jailed, tmp_path):
    """A symbolic link to a namespace is a legitimate path (/var/run is one)."""
    with subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; read x"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        link = tmp_path / "netns"
        link.symlink_to(f"/proc/{holder.pid}/ns/net")
        vm = jailed(options=["--netns", link], guest=False)
        assert os.readlink(f"/proc/{vm.pid}/ns/net") == os.readlink(f"/proc/{holder.pid}/ns/net")
        holder.stdin.write(b"\n")


@NEEDS_ROOT
def test_another_program_is_copied_and_executed(jailed, tmp_path):
    program = tmp_path / "other"
    shutil.copy("/bin/busybox", program)
    os.chmod(program, 0o755)
    vm = jailed(program=program, guest=False, wait=False)
    vm.process.wait(host.deadline(20))
    st = os.stat(vm.root / "other")
    assert (st.st_uid, st.st_gid) == (USER, USER)
    assert "other: applet not found" in vm.text() or "BusyBox" in vm.text(), vm.text()
    assert (vm.root / "other.pid").exists()


@NEEDS_ROOT
def test_another_program_is_known_to_run(tmp_path):
    """It holds the lock that it knows nothing of: neither cleaned up nor started twice."""
    program = tmp_path / "yes"
    shutil.copy("/bin/busybox", program)
    place = Jail(tmp_path, program, "t1", USER, USER)
    words = ["jailer", *place.words()[1:]]
    with subprocess.Popen(words, executable=binary(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + host.deadline(15)
            while time.monotonic() < end and \
                    os.path.basename(os.readlink(f"/proc/{process.pid}/exe")) != "yes":
                time.sleep(0.01)
            for more in (["--cleanup", *words[1:5], "--chroot-base-dir", place.base], words[1:]):
                done = jail.run(binary(), *more)
                assert done.returncode == 1 and "is running" in done.stdout, done.stdout
                assert (place.root / "yes").exists()
        finally:
            process.kill()
    done = jail.run(binary(), "--cleanup", *words[1:5], "--chroot-base-dir", place.base)
    assert done.returncode == 0 and not place.root.exists(), done.stdout


# --- cgroups ------------------------------------------------------------------------------


def memberships(pid):
    return {line.split(":")[1]: line.split(":")[2]
            for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()}


V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")
HAS_V1 = (V1 / "tasks").exists()
HAS_V2 = (V2 / "cgroup.controllers").exists()


def remove_group(*folders):
    for folder in folders:
        for path in (V2, *V2.iterdir()):
            if (path / folder).is_dir():
                (path / folder).rmdir()


@NEEDS_ROOT
@pytest.mark.skipif(not HAS_V1, reason="no cgroups of version 1 here")
@pytest.mark.parametrize("version", [[], ["--cgroup-version", "1"]])
def test_cgroup_v1(jailed, version):
    vm = jailed(guest=False, options=[
        *version, "--parent-cgroup", "wisp-test/deep", "--cgroup", "cpu.shares=300", "--cgroup",
        "memory.limit_in_bytes=400000000", "--cgroup", "cpuset.cpus=0"])
    found = memberships(vm.pid)
    assert found["memory"] == found["cpuset"] == "/wisp-test/deep/t1"
    assert (V2 / "cpu/wisp-test/deep/t1/cpu.shares").read_text().strip() == "300"
    assert (V2 / "cpuset/wisp-test/deep/t1/cpuset.cpus").read_text().strip() == "0"
    done = jail.run(binary(), "--cleanup", "--id", "t1", "--exec-file", binary(),
                    "--chroot-base-dir", vm.jail.base, "--parent-cgroup", "wisp-test/deep")
    assert done.returncode == 1 and "is running" in done.stdout
    vm.close()
    done = jail.run(binary(), "--cleanup", "--id", "t1", "--exec-file", binary(),
                    "--chroot-base-dir", vm.jail.base, "--parent-cgroup", "wisp-test/deep")
    assert done.returncode == 0, done.stdout
    assert not (V1 / "wisp-test/deep/t1").exists()
    remove_group("wisp-test/deep", "wisp-test")


@NEEDS_ROOT
@pytest.mark.skipif(not HAS_V2, reason="no cgroups of version 2 at /sys/fs/cgroup here")
@pytest.mark.parametrize("version", [[], ["--cgroup-version", "2"]])
def test_cgroup_v2(jailed, version):
    vm = jailed(guest=False, options=[
        *version, "--parent-cgroup", "wisp-test/deep", "--cgroup", "pids.max=50", "--cgroup",
        "memory.max=400003072"])
    assert memberships(vm.pid)[""] == "/wisp-test/deep/t1"
    assert (V2 / "wisp-test/deep/t1/pids.max").read_text().strip() == "50"
    assert (V2 / "wisp-test/deep/t1/memory.max").read_text().strip() == "400003072"
    vm.close()
    done = jail.run(binary(), "--cleanup", "--id", "t1", "--exec-file", binary(),
                    "--chroot-base-dir", vm.jail.base, "--parent-cgroup", "wisp-test/deep")
    assert done.returncode == 0, done.stdout
    assert not (V2 / "wisp-test/deep/t1").exists()
    remove_group("wisp-test/deep", "wisp-test")


@NEEDS_ROOT
@pytest.mark.skipif(not HAS_V2, reason="no cgroups of version 2 at /sys/fs/cgroup here")
def test_move_into_a_parent_only(jailed, tmp_path):
    fails(tmp_path, "--parent-cgroup", "wisp-none", says="it must exist")
    (V2 / "wisp-parent").mkdir()
    vm = jailed(guest=False, options=["--parent-cgroup", "wisp-parent"])
    assert memberships(vm.pid)[""] == "/wisp-parent"
    vm.close()
    remove_group("wisp-parent")


@NEEDS_ROOT
@pytest.mark.skipif(not HAS_V2, reason="no cgroups of version 2 at /sys/fs/cgroup here")
def test_busy_parent(tmp_path):
    """A group with processes of its own cannot have controllers for its children."""
    group = V2 / "wisp-busy"
    group.mkdir()
    with subprocess.Popen(["sleep", "600"]) as inside:
        try:
            (group / "cgroup.procs").write_text(str(inside.pid))
            fails(tmp_path, "--parent-cgroup", "wisp-busy", "--cgroup", "memory.max=9000000",
                  says="busy: the")
        finally:
            inside.kill()
    remove_group("wisp-busy/t1", "wisp-busy")


@NEEDS_ROOT
def test_no_such_controller_or_value(tmp_path):
    fails(tmp_path, "--cgroup", "nonsense.max=1", says="not to be had here")
    group = "memory.limit_in_bytes=lots" if HAS_V1 else "memory.max=lots"
    place = fails(tmp_path, "--cgroup", group, says="the kernel does not take this value")
    place.cleanup()
    remove_group(Path(binary()).name)


def where_run_is_shared(tmp_path, cpu, steps):
    """As systemd has it: /run is shared, and services have copies of it. What `steps' said, which
    may call jailer()."""
    words = " ".join(map(str, Jail(tmp_path, binary(), "t1", USER, USER).words(["--version"])[1:]))
    script = f"""
        jailer() {{ (exec -a jailer {binary()} {words}) || exit 1; }}
        mount --make-rprivate / && mount -t tmpfs none /run && mount --make-shared /run || exit 1
        unshare -m --propagation slave sh -c 'echo; read x' < {tmp_path}/hold > {tmp_path}/up &
        exec 3> {tmp_path}/hold
        read x < {tmp_path}/up
        {steps}
        echo kind $(stat -f -c %T /run/wisp-jailer.mnt)
        echo mounts $(grep -c wisp-jailer.mnt /proc/self/mountinfo)"""
    for name in ("up", "hold"):
        os.mkfifo(tmp_path / name)
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=host.deadline(20),
                          preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    assert done.returncode == 0, done.stdout
    return done.stdout


@NEEDS_ROOT
def test_the_tiny_namespace_is_kept_where_run_is_shared(tmp_path):
    # On one processor: Linux 6.18 numbers namespaces by processor, and takes one with a number
    # below ours for one that we are in.
    said = where_run_is_shared(tmp_path, min(os.sched_getaffinity(0)), """
        for n in 1 2 3; do
            jailer
            umount /run/wisp-jailer.mnt || exit 1
        done
        jailer""")
    assert "kind nsfs\n" in said and "mounts 2\n" in said, said  # however often it was taken off


@NEEDS_ROOT
@pytest.mark.parametrize("order", [1, -1])
def test_a_namespace_that_cannot_be_kept_leaves_no_mounts(tmp_path, order):
    """See above: with one of the two orders Linux 6.18 keeps none."""
    cpus = sorted(os.sched_getaffinity(0))[:2][::order]
    if len(cpus) < 2:
        pytest.skip("needs two processors")
    said = where_run_is_shared(tmp_path, cpus[0], f"""
        taskset -pc {cpus[1]} $$ > /dev/null || exit 1
        for n in 1 2 3 4; do jailer; done""")
    assert int(re.search(r"^mounts (\d+)$", said, re.MULTILINE).group(1)) <= 2, said


# --- what somebody has prepared -------------------------------------------------------------


def link_folder(root):
    (root / "dev").symlink_to("/etc")


def link_run(root):
    (root / "run").symlink_to("..")


def link_pid_file(root):
    (root / f"{Path(binary()).name}.pid").symlink_to("/etc/wisp-owned")


def hard_pid_file(root):
    (root / "victim").write_text("untouched")
    os.link(root / "victim", root / f"{Path(binary()).name}.pid")


def file_for_node(root):
    (root / "dev").mkdir()
    (root / "dev" / "kvm").write_text("untouched")


def node_of_another_device(root):
    (root / "dev").mkdir()
    os.mknod(root / "dev" / "kvm", 0o600 | stat.S_IFCHR, os.makedev(1, 3))


def folder_is_a_file(root):
    (root / "dev").write_text("untouched")


@NEEDS_ROOT
@pytest.mark.parametrize("prepare,says", [
    (link_folder, "a symbolic link is in the way"),
    (link_run, "a symbolic link is in the way"),
    (link_pid_file, "a symbolic link is in the way"),
    (hard_pid_file, "has other names"),
    (file_for_node, "is there and is not the device 10:232"),
    (node_of_another_device, "is there and is not the device 10:232"),
    (folder_is_a_file, "something that is no folder is in the way"),
])
def test_prepared_folders(tmp_path, prepare, says):
    before = os.stat("/etc")
    place = fails(tmp_path, says=says, prepare=prepare)
    after = os.stat("/etc")
    assert (before.st_uid, before.st_mode) == (after.st_uid, after.st_mode)
    assert not Path("/etc/wisp-owned").exists()
    if (place.root / "victim").exists():
        assert (place.root / "victim").read_text() == "untouched"


@NEEDS_ROOT
def test_the_copy_follows_no_link(tmp_path):
    """CVE-2026-1386: a link where the executable is to be copied."""
    program = tmp_path / "other"
    shutil.copy("/bin/busybox", program)
    victim = tmp_path / "victim"
    for make in (os.symlink, os.link):
        victim.write_text("untouched")
        place = Jail(tmp_path, program, "t2", USER, USER)
        place.root.mkdir(parents=True)
        make(victim, place.root / "other")
        done = jail.run(binary(), *place.words()[1:])
        assert done.returncode == 1 and ("link" in done.stdout), done.stdout
        assert victim.read_text() == "untouched" and victim.stat().st_uid == 0
        shutil.rmtree(place.base)


@NEEDS_ROOT
def test_the_id_is_no_link(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    parent = tmp_path / "jail" / Path(binary()).name
    parent.mkdir(parents=True)
    (parent / "t1").symlink_to(outside)
    fails(tmp_path, says="a symbolic link is in the way")
    assert not list(outside.iterdir())


@NEEDS_ROOT
@pytest.mark.anykvm
def test_a_folder_full_of_races(tmp_path):
    """Somebody with the user's rights swaps what the jailer makes for links to a victim."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    os.chmod(victim, 0o600)
    swapper = tmp_path / "swap.sh"
    root = tmp_path / "jail" / Path(binary()).name / "t1" / "root"
    swapper.write_text(f"""
        while :; do
            for f in dev run dev/net dev/kvm dev/net/tun dev/urandom {Path(binary()).name}.pid; do
                rm -rf {root}/$f 2>/dev/null
                ln -s {victim} {root}/$f 2>/dev/null
                rm -f {root}/$f 2>/dev/null
                ln {victim} {root}/$f 2>/dev/null
                rm -f {root}/$f 2>/dev/null
            done
        done""")
    root.mkdir(parents=True)
    with subprocess.Popen(["sh", swapper]) as swap:
        try:
            for _ in range(40):
                vm = Jailed(tmp_path, guest=False, wait=False)
                time.sleep(0.02)
                vm.close()
                st = victim.stat()
                assert (st.st_uid, stat.S_IMODE(st.st_mode)) == (0, 0o600)
                assert victim.read_text() == "untouched"
        finally:
            swap.kill()


@NEEDS_ROOT
@pytest.mark.parametrize("option,program,says", [
    ("nodev", None, "nodev, where no device can be opened"),
    ("noexec", "/bin/busybox", "noexec, where no program can be executed"),
])
def test_mount_options(tmp_path, option, program, says):
    base = tmp_path / "jail"
    base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", option, "none", base], check=True)
    try:
        place = Jail(tmp_path, program or binary(), "t1", USER, USER)
        done = jail.run(binary(), *place.words()[1:])
        assert done.returncode == 1 and says in done.stdout, done.stdout
    finally:
        subprocess.run(["umount", base], check=True)


# --- one after the other --------------------------------------------------------------------


@NEEDS_ROOT
@pytest.mark.anykvm
def test_same_id_twice_at_once_and_one_after_the_other(jailed, tmp_path):
    first = jailed()
    fails(tmp_path, says="a microVM with this id is running")
    assert first.api.get("/").status == 200
    first.close()
    (first.root / "run" / "firecracker.socket").unlink()
    again = jailed()
    again.start()
    assert again.pid == again.process.pid


@NEEDS_ROOT
def test_two_jailers_do_not_replace_each_others_files(tmp_path):
    """Between the making of a pid file and its lock there is nothing for the second one."""
    place = Jail(tmp_path, binary(), "t1", USER, USER)
    place.root.mkdir(parents=True)
    pid_file = place.root / f"{Path(binary()).name}.pid"
    pid_file.write_text("the first one's")
    first = os.open(place.root, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(first, fcntl.LOCK_EX)
    done = jail.run(binary(), *place.words(["--version"])[1:])
    assert done.returncode == 1 and "another jailer is at work there" in done.stdout, done.stdout
    assert pid_file.read_text() == "the first one's"
    os.close(first)
    done = jail.run(binary(), *place.words(["--version"])[1:])
    assert done.returncode == 0, done.stdout


@NEEDS_ROOT
def test_cleanup(jailed):
    vm = jailed(guest=False)
    (vm.root / "more").mkdir()
    (vm.root / "more" / "link").symlink_to("/etc/passwd")
    done = vm.jail.cleanup()
    assert done.returncode == 1 and "is running" in done.stdout
    vm.close()
    done = vm.jail.cleanup()
    assert done.returncode == 0, done.stdout
    assert not vm.root.parent.exists() and vm.root.parent.parent.exists()
    assert Path("/etc/passwd").exists()
    assert vm.jail.cleanup().returncode == 0  # what is gone is no error


@NEEDS_ROOT
def test_cleanup_follows_no_link_and_says_so(tmp_path):
    place, outside = Jail(tmp_path, binary(), "t1"), tmp_path / "outside"
    (outside / "t1" / "root").mkdir(parents=True)
    place.base.mkdir()
    (place.base / Path(binary()).name).symlink_to(outside)
    done = place.cleanup()
    assert done.returncode == 1 and "a symbolic link is in the way" in done.stdout, done.stdout
    assert (outside / "t1" / "root").exists()


@NEEDS_ROOT
@pytest.mark.parametrize("kind", ["other", "same"])
def test_cleanup_stops_at_a_mount(jailed, tmp_path, kind):
    """Of another file system, or of a folder of the one that the jail is on."""
    vm = jailed(guest=False)
    vm.close()
    inside, images = vm.root / "mounted", tmp_path / "images"
    inside.mkdir()
    images.mkdir()
    words = ["-t", "tmpfs", "none"] if kind == "other" else ["--bind", images]
    subprocess.run(["mount", *words, inside], check=True)
    try:
        (inside / "precious").write_text("untouched")
        done = vm.jail.cleanup()
        assert done.returncode == 1 and "unmount it first" in done.stdout
        assert (inside / "precious").read_text() == "untouched"
    finally:
        subprocess.run(["umount", inside], check=True)
    assert vm.jail.cleanup().returncode == 0


@NEEDS_ROOT
def test_late_mounts_arrive(jailed, tmp_path):
    """What an orchestrator mounts below the root later is seen: a drive to be swapped in."""
    base = tmp_path / "jail"
    base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", base], check=True)
    subprocess.run(["mount", "--make-shared", base], check=True)
    try:
        vm = jailed(guest=False)
        (vm.root / "drive").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", vm.root / "drive"], check=True)
        assert " /drive " in Path(f"/proc/{vm.pid}/mountinfo").read_text()
        subprocess.run(["umount", vm.root / "drive"], check=True)
        vm.close()
    finally:
        subprocess.run(["umount", "-R", base], check=True)


# --- without root ---------------------------------------------------------------------------


def rootless(tmp_path, *options, uid=USER, own=USER):
    os.chown(tmp_path, own, own)
    os.chmod(tmp_path, 0o755)
    for above in tmp_path.parents:
        if above != Path("/") and above != Path("/tmp"):
            os.chmod(above, os.stat(above).st_mode | 0o011)
    place = Jail(tmp_path, binary(), "t1", uid, uid, options)
    place.readable = []
    return place, ["setpriv", f"--reuid={own}", f"--regid={own}", "--clear-groups"]


def user_namespaces(setpriv):
    return subprocess.run([*setpriv, "unshare", "-U", "true"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


@NEEDS_ROOT
def test_rootless(tmp_path):
    place, setpriv = rootless(tmp_path)
    if not user_namespaces(setpriv):
        pytest.skip("this host gives no user namespaces to users")
    argv = [*setpriv, "sh", "-c", f"exec -a jailer {binary()} \"$@\"", *place.words()]
    argv[argv.index("sh")] = "bash"
    with open(tmp_path / "out.txt", "wb") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT)
    try:
        api = Api(place.root / "run" / "firecracker.socket")
        end = time.monotonic() + host.deadline(15)
        while api.state() is None and time.monotonic() < end and process.poll() is None:
            time.sleep(0.02)
        assert api.state() == "Not started", (tmp_path / "out.txt").read_text()
        found = status(process.pid)
        assert found["Uid"].split() == [str(USER)] * 4 and found["NoNewPrivs"] == "1"
        assert all(int(found[k], 16) == 0 for k in ("CapPrm", "CapEff", "CapBnd"))
        points = [line.split()[4] for line in
                  Path(f"/proc/{process.pid}/mountinfo").read_text().splitlines()]
        assert set(points) <= {"/", "/dev/kvm", "/dev/net/tun", "/dev/urandom",
                               "/dev/userfaultfd"}
        assert os.stat(f"/proc/{process.pid}/root/dev/kvm").st_rdev == KVM
    finally:
        process.kill()
        process.wait()


@NEEDS_ROOT
@pytest.mark.parametrize("options,uid,says", [
    ([], 0, "--uid: without root it must be the caller's own"),
    (["--netns", "/proc/1/ns/net"], USER, "--netns: "),
    (["--resource-limit", "no-file=1000000000"], USER, "above the hard limit"),
    (["--cgroup", "memory.max=1", "--cgroup-version", "2"], USER, "cgroup"),
])
def test_rootless_limits_are_named(tmp_path, options, uid, says):
    place, setpriv = rootless(tmp_path, *options, uid=uid)
    if not user_namespaces(setpriv):
        pytest.skip("this host gives no user namespaces to users")
    argv = [*setpriv, "bash", "-c", f"exec -a jailer {binary()} \"$@\"", *place.words()]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=host.deadline(20))
    assert done.returncode == 1 and says in done.stdout, done.stdout


# --- many -------------------------------------------------------------------------------------


@NEEDS_ROOT
def test_many_at_once(jailed):
    """No two jailers get into each other's way, the first ones of a host included."""
    count = 10
    started = [jailed(name=f"m{n}", guest=False, wait=False) for n in range(count)]
    for vm in started:
        vm.await_api()
    spaces = {os.readlink(f"/proc/{vm.pid}/ns/mnt") for vm in started}
    assert len(spaces) == count
