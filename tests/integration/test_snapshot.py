# SPDX-License-Identifier: Apache-2.0
"""A paused machine becomes two files and comes back right, or somebody says why not."""

import hashlib
import os
import re
import subprocess

import pytest

from framework import host, payload, snapshot, wisp as wisp_module

pytestmark = [pytest.mark.area("snapshot"), pytest.mark.anykvm]

FATAL = "Load snapshot error: Failed to restore from snapshot: "
BOOT = "Load snapshot error: Loading a microVM snapshot not allowed after configuring " \
       "boot-specific resources."
# Pages that a load changes: VMGenID and VMClock (docs/snapshots.md).
TOLD = range(0xde000, 0xe0000)


@pytest.fixture
def files(tmp_path):
    return snapshot.in_folder(tmp_path)


def busy(start_wisp, tmp_path, name, engine=None, jailed=None, console="file", **machine):
    vm = start_wisp(jailed=jailed, console=console)
    vm.machine(**machine)
    vm.boot_source(payload.image(name))
    if engine:
        vm.drive("disk", payload.make_disk(tmp_path / "disk.img"), io_engine=engine)
        vm.entropy()
    vm.start()
    vm.expect("^(READY|FAIL.*)$")
    return vm


def passes(vm):
    vm.ctrl_alt_del()
    assert vm.wait() == 0, vm.log()[-1500:]
    found = vm.expect("^(ROUNDS (\\S+)\nPASS|FAIL.*)$")
    assert found.group(2), found.group(0)


def memory_hash(path):
    data = bytearray(path.read_bytes())
    data[TOLD.start:TOLD.stop] = bytes(len(TOLD))
    return hashlib.sha256(data).hexdigest()


# --- it goes on ---

@pytest.mark.kvm
def test_clocks_of_a_real_kvm():
    """The unit test of what KVM keeps, where it keeps all of it: no part is skipped."""
    program = host.TOP / "build" / "release" / "tests" / "unit" / "vmm" / "test_vcpu_state"
    done = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=host.deadline(60), check=False)
    assert done.returncode == 0, done.stdout
    for name in ("the_clocks_go_on", "tscs_keep_their_distance"):
        assert f" - {name}\n" in done.stdout, done.stdout  # no `# SKIP' behind it


@pytest.mark.parametrize("vcpus", [1, 4])
def test_no_port_access_is_lost(start_wisp, tmp_path, files, vcpus):
    """A guest that counts through the UART notices one that is lost, or done twice."""
    vm = busy(start_wisp, tmp_path, "pause-serial", vcpus=vcpus)
    for _ in range(5):
        vm = snapshot.move(vm, start_wisp, files)
    passes(vm)


@pytest.mark.parametrize("engine", ["Sync", "Async"])
def test_no_request_is_lost(start_wisp, tmp_path, files, engine):
    """Disk and entropy device, in use while the snapshots are taken."""
    vm = busy(start_wisp, tmp_path, "pause-io", engine)
    for _ in range(5):
        vm = snapshot.move(vm, start_wisp, files)
    passes(vm)


@pytest.mark.soak
@pytest.mark.parametrize("name, engine", [("pause-serial", None), ("pause-io", "Sync"),
                                          ("pause-io", "Async")])
def test_a_hundred_lives(start_wisp, tmp_path, files, name, engine):
    vm = busy(start_wisp, tmp_path, name, engine)
    for _ in range(100):
        vm = snapshot.move(vm, start_wisp, files)
    passes(vm)


def test_no_output_is_lost(start_wisp, tmp_path, files):
    """Each number once and in order, whichever monitor's terminal it came out of."""
    vm = busy(start_wisp, tmp_path, "pause-console", console="pty")
    seen = ""
    for _ in range(50):
        vm.expect(r"^N \w+$")
        vm.pause()
        snapshot.create(vm, files)
        snapshot.kill(vm)
        assert "bytes of console output" not in vm.log()
        seen += vm.console()
        vm = start_wisp(console="pty")
        snapshot.load(vm, files, resume_vm=True)
    vm.expect(r"^N \w+$")
    passes(vm)
    numbers = re.findall(r"^N (\w+)$", seen + vm.console(), re.MULTILINE)
    assert [int(n, 16) for n in numbers] == list(range(len(numbers)))


def test_memory_is_the_same(start_wisp, tmp_path, files):
    """What is loaded and saved again has the same hash, but for what tells the guest of it."""
    vm = busy(start_wisp, tmp_path, "pause-io", "Sync", mem=128)
    vm.pause()
    snapshot.create(vm, files)
    first = memory_hash(files.memory)
    snapshot.kill(vm)
    generations = {files.memory.read_bytes()[TOLD.start:TOLD.start + 16]}
    for n in range(2):
        again = snapshot.Snapshot(tmp_path / f"state{n}", tmp_path / f"memory{n}")
        other = start_wisp()
        snapshot.load(other, files)
        assert other.api.get("/").json["state"] == "Paused"
        snapshot.create(other, again)
        assert memory_hash(again.memory) == first
        assert memory_hash(files.memory) == first  # a view of a file does not write it
        generations.add(again.memory.read_bytes()[TOLD.start:TOLD.start + 16])
        other.close()
    assert len(generations) == 3


def test_the_original_goes_on(start_wisp, tmp_path, files):
    """A snapshot takes nothing away; two more machines come from it, over and over."""
    vm = busy(start_wisp, tmp_path, "pause-serial")
    vm.pause()
    snapshot.create(vm, files)
    vm.resume()
    for _ in range(2):
        other = start_wisp()
        snapshot.load(other, files, resume_vm=True)
        other.pause()
        other.resume()
        passes(other)
    vm.pause()
    snapshot.create(vm, files)
    vm.resume()
    passes(vm)


def test_memory_file_is_sparse_and_may_be_read_only(start_wisp, tmp_path, files):
    vm = busy(start_wisp, tmp_path, "pause-serial", mem=1024)
    vm.pause()
    snapshot.create(vm, files)
    stat = files.memory.stat()
    assert stat.st_size == 1024 << 20
    assert stat.st_blocks * 512 < 16 << 20
    snapshot.kill(vm)
    for path in files:
        path.chmod(0o400)
    other = start_wisp()
    snapshot.load(other, files, resume_vm=True)
    passes(other)


@pytest.mark.parametrize("jailed", [None, False])
def test_holes_of_a_loaded_machine_stay_holes(start_wisp, tmp_path, files, jailed):
    """In a jail nothing says which pages are its own: all are looked at. Outside /proc says it,
    and where the others' file has holes they are not read."""
    vm = busy(start_wisp, tmp_path, "pause-serial", mem=1024)
    vm.pause()
    snapshot.create(vm, files)
    vm.close()
    other = start_wisp(jailed=jailed)
    again = snapshot.Snapshot(tmp_path / "state2", tmp_path / "memory2")
    snapshot.load(other, files, resume_vm=True)
    other.pause()
    snapshot.create(other, again)
    assert again.memory.stat().st_size == 1024 << 20
    assert again.memory.stat().st_blocks <= files.memory.stat().st_blocks + (1 << 20) // 512
    other.close()
    other = start_wisp(jailed=jailed)
    snapshot.load(other, again, resume_vm=True)
    passes(other)


def test_configuration_comes_along(start_wisp, tmp_path, files):
    vm = busy(start_wisp, tmp_path, "pause-io", "Sync", vcpus=2, track_dirty_pages=True)
    before = vm.api.get("/vm/config").json
    vm.pause()
    snapshot.create(vm, files)
    snapshot.kill(vm)
    other = start_wisp()
    snapshot.load(other, files)
    after = other.api.get("/vm/config").json
    assert after["machine-config"].pop("track_dirty_pages") is False  # the load's own
    assert before["machine-config"].pop("track_dirty_pages") is True
    assert after == before
    assert other.api.get("/").json["state"] == "Paused"
    other.resume()
    passes(other)


def tap(name):
    """Makes one, or skips."""
    done = subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tap"], check=False,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        pytest.skip(f"no tap: {done.stderr.strip()}")


@pytest.fixture
def taps():
    names = [f"wsnap{os.getpid() % 100000}{n}" for n in "ab"]
    made = []
    try:
        for name in names:
            tap(name)
            made.append(name)
        yield names
    finally:
        for name in made:
            subprocess.run(["ip", "link", "del", name], check=True)


def test_network_and_vsock_may_be_elsewhere(start_wisp, tmp_path, files, taps):
    """The overrides, beside the original, which still has its tap and its socket."""
    vm = start_wisp()
    vm.machine()
    vm.boot_source(payload.image("pause-serial"))
    for path, body in (("/network-interfaces/eth0",
                        {"iface_id": "eth0", "host_dev_name": taps[0], "mtu": 1400}),
                       ("/vsock", {"guest_cid": 3, "uds_path": str(tmp_path / "v1")})):
        assert vm.api.put(path, body).status == 204
    vm.start()
    vm.expect("^READY$")
    vm.pause()
    snapshot.create(vm, files)
    vm.resume()
    fails_for_good(start_wisp(), files.load_body(network_overrides=[
        {"iface_id": "eth1", "host_dev_name": taps[1]}]), "Unknown Network Device.")
    other = start_wisp()
    snapshot.load(other, files, resume_vm=True, vsock_override={"uds_path": str(tmp_path / "v2")},
                  network_overrides=[{"iface_id": "eth0", "host_dev_name": taps[1]}])
    config = other.api.get("/vm/config").json
    assert config["network-interfaces"][0]["host_dev_name"] == taps[1]
    assert config["network-interfaces"][0]["mtu"] == 1400
    assert config["vsock"] == {"guest_cid": 3, "uds_path": str(tmp_path / "v2")}
    assert (tmp_path / "v1").is_socket() and (tmp_path / "v2").is_socket()
    for each in (vm, other):
        passes(each)


def test_what_the_log_says(start_wisp, tmp_path, files):
    vm = busy(start_wisp, tmp_path, "pause-serial")
    vm.pause()
    snapshot.create(vm, files)
    vm.expect(r"'create full snapshot' API request took \d+ us\.$", where=vm.log)
    snapshot.kill(vm)
    other = start_wisp()
    snapshot.load(other, files, resume_vm=True)
    other.expect(r"'load snapshot' API request took \d+ us\.$", where=other.log)
    passes(other)


# --- errors of create ---

PAUSED = "Cannot write the snapshot, the microVM is paused as before: "


def refused(reply, text, prefix="Create snapshot error: "):
    assert reply.status == 400, reply
    assert reply.fault.startswith(prefix + text), reply


def create_at(vm, state, memory, **more):
    return vm.api.put("/snapshot/create", {"snapshot_path": str(state),
                                           "mem_file_path": str(memory), **more})


def test_create_that_cannot_be(start_wisp, tmp_path, files):
    """The machine is as paused as before and goes on; nothing is left behind."""
    vm = busy(start_wisp, tmp_path, "pause-serial")
    refused(create_at(vm, *files), "Cannot save the microVM state: Operation not allowed: "
            "save/restore unavailable while running")
    vm.pause()
    place = tmp_path / "place"
    place.mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(os.listdir(tmp_path))
    refused(create_at(vm, *files, snapshot_type="Diff"), "snapshot_type `Diff` is not part of")
    refused(create_at(vm, place / "x", place / "x"),
            PAUSED + "`snapshot_path` and `mem_file_path` are")
    refused(create_at(vm, files.state, place),
            PAUSED + "memory file: the file cannot be created: Is a directory")
    refused(create_at(vm, place, files.memory),
            PAUSED + "state file: the file cannot be created: Is a directory")
    refused(create_at(vm, tmp_path / "no" / "x", files.memory), PAUSED + "state file: the file's "
            "folder cannot be opened: No such file or directory")
    refused(create_at(vm, tmp_path / "pipe", files.memory), PAUSED + "state file: what is there is")
    assert sorted(os.listdir(tmp_path)) == before
    assert os.listdir(place) == []
    assert vm.api.get("/").json["state"] == "Paused"
    vm.resume()
    passes(vm)


def test_a_full_disk(start_wisp, tmp_path, files):
    small = tmp_path / "small"
    small.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=False,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        pytest.skip(f"no small file system to fill: {done.stderr.strip()}")
    try:
        # A jail has the folder that is behind the mount.
        vm = busy(start_wisp, tmp_path, "pause-serial", jailed=False)
        vm.pause()
        for state, memory in ((files.state, small / "memory"), (small / "state", small / "mem")):
            reply = create_at(vm, state, memory)
            refused(reply, PAUSED + "the memory file cannot be written: No space left on device")
            assert os.listdir(small) == []
        assert not files.state.exists()
        snapshot.create(vm, files)
        vm.resume()
        passes(vm)
    finally:
        subprocess.run(["umount", small], check=True)


# --- errors of load ---

@pytest.fixture
def saved(start_wisp, tmp_path, files):
    vm = busy(start_wisp, tmp_path, "pause-io", "Sync")
    vm.pause()
    snapshot.create(vm, files)
    snapshot.kill(vm)
    return files


def fails_for_good(vm, body, text):
    """First the answer, then the end of the process."""
    reply = vm.api.put("/snapshot/load", body)
    refused(reply, text, FATAL)
    assert vm.wait(20) == 1
    assert vm.exit_reason() == "load-failed"
    assert text in vm.log()


def test_load_that_cannot_be(start_wisp, tmp_path, saved):
    fails_for_good(start_wisp(), snapshot.in_folder(tmp_path / "no").load_body(),
                   "Failed to get snapshot state from file: the state file cannot be opened: No "
                   "such file or directory")
    fails_for_good(start_wisp(), saved.load_body(huge_pages="2M"),
                   "Cannot restore hugetlbfs backed snapshot by mapping the memory file. Please "
                   "use uffd.")
    fails_for_good(start_wisp(), saved.load_body(network_overrides=[
        {"iface_id": "eth0", "host_dev_name": "tap0"}]), "Unknown Network Device.")
    fails_for_good(start_wisp(), saved.load_body(vsock_override={"uds_path": "/tmp/v"}),
                   "Unknown Vsock Device.")
    fails_for_good(start_wisp(), snapshot.Snapshot(saved.memory, saved.memory).load_body(),
                   "Failed to get snapshot state from file: the state file has 134217728 bytes")
    fails_for_good(start_wisp(), snapshot.Snapshot(saved.state, saved.state).load_body(),
                   "the memory file has ")


def test_damaged_files(start_wisp, saved):
    whole = saved.state.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    for data, text in ((bytes(damaged), "the file is damaged: the checksum of record `"),
                       (whole[:-1], "the file is damaged: it has "),
                       (b"", "the file is no state file of a wisp snapshot"),
                       (b"x" * 100, "the file is no state file of a wisp snapshot")):
        saved.state.write_bytes(data)
        fails_for_good(start_wisp(), saved.load_body(),
                       f"Failed to get snapshot state from file: {text}")
    saved.state.write_bytes(whole)
    memory = saved.memory.stat().st_size
    os.truncate(saved.memory, memory - 1)
    fails_for_good(start_wisp(), saved.load_body(), f"the memory file has {memory - 1} bytes")


def test_drives_that_have_changed(start_wisp, tmp_path, saved):
    disk = tmp_path / "disk.img"
    os.truncate(disk, 512)
    fails_for_good(start_wisp(), saved.load_body(), "block `disk': the file is smaller than when")
    disk.unlink()
    fails_for_good(start_wisp(), saved.load_body(), "Drive config error: Unable to create")


def test_a_process_that_is_not_fresh(start_wisp, saved):
    """Refused, and that is not fatal: not everything counts, and a request in vain does."""
    vm = start_wisp()
    vm.api.put("/serial", {})
    vm.api.put("/logger", {"level": "Debug"})
    vm.api.put("/cpu-config", {})
    assert vm.api.put("/boot-source", {"kernel_image_path": "/no/such"}).status == 400
    reply = vm.api.put("/snapshot/load", saved.load_body())
    assert (reply.status, reply.fault) == (400, BOOT)
    reply = vm.api.put("/snapshot/load", saved.load_body())
    assert reply.fault == BOOT and vm.alive()
    reply = vm.api.put("/snapshot/load", {
        "snapshot_path": str(saved.state), "mem_file_path": str(saved.memory)})
    assert reply.fault == BOOT and reply.headers["Deprecation"] == "true"


def test_deprecated_fields_work(start_wisp, saved):
    vm = start_wisp()
    reply = vm.api.put("/snapshot/load", {
        "snapshot_path": str(saved.state), "mem_file_path": str(saved.memory),
        "enable_diff_snapshots": True, "resume_vm": True})
    assert reply.status == 204 and reply.headers["Deprecation"] == "true"
    assert vm.api.get("/machine-config").json["track_dirty_pages"] is True
    passes(vm)


def test_uffd_is_refused_and_that_is_all(start_wisp, saved):
    vm = start_wisp()
    reply = vm.api.put("/snapshot/load", {"snapshot_path": str(saved.state), "mem_backend": {
        "backend_type": "Uffd", "backend_path": "/tmp/uffd.sock"}})
    refused(reply, "backend_type `Uffd` is not part of", "Load snapshot error: ")
    snapshot.load(vm, saved, resume_vm=True)
    passes(vm)


# --- the command line ---

def ask(*args):
    return subprocess.run([wisp_module.BINARY, *args], stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.PIPE, text=True, timeout=60)


def test_describe(saved, tmp_path):
    done = ask("--describe-snapshot", saved.state)
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert lines[0] == ask("--snapshot-version").stdout.splitlines()[0]
    assert re.fullmatch(r"v\d+\.\d+\.\d+", lines[0])
    assert any(re.match(r"vcpu-msrs +0 +\d+ bytes$", line) for line in lines)
    done = ask("--describe-snapshot", tmp_path / "none")
    assert done.returncode == 1 and "No such file or directory" in done.stderr
    done = ask("--describe-snapshot", saved.memory)
    assert done.returncode == 1 and "more than any of wisp's" in done.stderr
