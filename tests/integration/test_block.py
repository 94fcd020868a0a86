# SPDX-License-Identifier: Apache-2.0
"""Drives under Linux: the data, limits, and what PATCH changes while they are used."""

import os
import re
import struct
import time

import pytest

from framework import host
from framework.guest import ARGS, leave, shell

pytestmark = [pytest.mark.area("block"), pytest.mark.kvm]

MIB = 1 << 20
ENGINES = ["Sync", "Async"]
CANNOT = "Drive config error: Unable to patch the block device: Device manager error: "
VERIFY = ". Please verify the request arguments."


def finish(vm, timeout=60):
    leave(vm, timeout)
    assert "I/O error" not in vm.console()


def patch(vm, name, **fields):
    return vm.api.patch(f"/drives/{name}", {"drive_id": name, **fields})


def image(path, content=b"", size=None):
    with open(path, "wb") as file:
        file.write(content)
        file.truncate(len(content) if size is None else size)
    return path


def wait_for(vm, command, answer, timeout=30):
    end = time.monotonic() + host.deadline(timeout)
    while (got := vm.run(command).strip()) != answer:
        assert time.monotonic() < end, f"{command} gives {got!r}, not {answer!r}"
        time.sleep(0.1)


def open_files(vm):
    """The names of what the monitor holds open, without the API's connections: they come and go."""
    return [name for name in host.open_files(vm.pid).values() if not name.startswith("socket:")]


# --- data ---

def fio(names, depth, direct, size="2m", rw="randwrite", sizes="--bsrange=512-64k", more=""):
    jobs = " ".join(f"--name={n} --filename=/dev/{n}" for n in names)
    sizes = sizes if direct else "--bsrange=4k-64k"
    return (f"fio --ioengine=libaio --iodepth={depth} --direct={direct:d} --rw={rw} {sizes} "
            f"--size={size} --verify=crc32c --verify_fatal=1 --minimal --output=/tmp/fio {more} "
            f"{jobs}")


def two_disks(start_wisp, tmp_path, engine):
    disks = {name: {"path": image(tmp_path / name, size=32 * MIB), "io_engine": engine,
                    "cache_type": cache}
             for name, cache in (("a", "Writeback"), ("b", "Unsafe"))}
    return shell(start_wisp, disks, kernel="cloud-elf")


CUT = [(("vda",), 1, True), (("vda", "vdb"), 8, True), (("vda", "vdb"), 32, False)]
FULL = [(names, depth, direct) for names in (("vda",), ("vda", "vdb")) for depth in (1, 8, 32)
        for direct in (True, False)]


@pytest.mark.parametrize("engine", ENGINES)
def test_fio(start_wisp, tmp_path, engine):
    vm = two_disks(start_wisp, tmp_path, engine)
    for run in CUT:
        vm.run(fio(*run), timeout=60)
    finish(vm)


@pytest.mark.soak
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rw", ["randwrite", "write", "randrw"])
def test_fio_in_full(start_wisp, tmp_path, engine, rw):
    vm = two_disks(start_wisp, tmp_path, engine)
    for run in FULL:
        vm.run(fio(*run, size="24m", rw=rw), timeout=900)
    finish(vm)


def fio_through_pauses_and_resets(vm, pauses, resets, size):
    vm.run(f"({fio(('vda', 'vdb'), 8, True, size=size)} --loops=50; echo $? >/tmp/status) &")
    for number in range(pauses):
        time.sleep(0.05 + number % 5 / 20)
        vm.pause()
        vm.resume()
    vm.run("test ! -e /tmp/status")  # it was there all the time
    vm.run("killall -INT fio; wait; cat /tmp/status", timeout=120)
    assert vm.run("cat /tmp/status").strip() in ("0", "128"), vm.console()[-2000:]
    # A reset between what is written and what is read.
    job = fio(("vda",), 8, True, size=size, rw="write", sizes="--bs=16k")
    for _ in range(resets):
        vm.run(job.replace("--verify_fatal=1", "--do_verify=0"), timeout=120)
        vm.run("d=/sys/bus/virtio/drivers/virtio_blk; v=$(basename $(readlink "
               "/sys/block/vda/device)); echo $v >$d/unbind; test ! -b /dev/vda; echo $v >$d/bind; "
               "while [ ! -b /dev/vda ]; do usleep 10000; done")
        vm.run(f"{job} --verify_only=1", timeout=120)


@pytest.mark.parametrize("engine", ENGINES)
def test_fio_through_pauses_and_resets(start_wisp, tmp_path, engine):
    """With polling, which a test host of one processor would not have by itself."""
    vm = two_disks(lambda **more: start_wisp("--poll-max-us", 64, **more), tmp_path, engine)
    fio_through_pauses_and_resets(vm, 10, 2, "1m")
    finish(vm)


@pytest.mark.soak
@pytest.mark.parametrize("engine", ENGINES)
def test_fio_through_many_pauses_and_resets(start_wisp, tmp_path, engine):
    vm = two_disks(start_wisp, tmp_path, engine)
    fio_through_pauses_and_resets(vm, 50, 20, "8m")
    finish(vm)


@pytest.mark.parametrize("engine", ENGINES)
def test_discard_and_write_zeroes(start_wisp, tmp_path, disk, engine):
    zeroed = image(tmp_path / "zeroed", b"\xa5" * (4 * MIB))
    vm = shell(start_wisp, {"d": {"path": disk, "discard": True, "io_engine": engine},
                            "z": {"path": zeroed, "discard": True, "io_engine": engine}},
               kernel="cloud-elf")
    os.sync()
    before = disk.stat().st_blocks
    vm.run("mount -t ext4 /dev/vda /mnt && rm -r /mnt/data && sync && fstrim /mnt && umount /mnt")
    freed = (before - disk.stat().st_blocks) * 512
    assert freed > 5 * MIB, freed
    vm.run("mount -t ext4 /dev/vda /mnt && cd /mnt && grep -v data/ SHA256SUMS | sha256sum -c && "
           "cd / && umount /mnt")
    # By its path: busybox has one of the name, which cannot write zeroes.
    vm.run(f"/bin/blkdiscard -z -o {MIB} -l {MIB} /dev/vdb && sync")
    vm.run(f"/bin/blkdiscard -o {2 * MIB} -l {MIB} /dev/vdb")
    data = zeroed.read_bytes()
    assert not any(data[MIB:3 * MIB])
    assert data[:MIB] == data[3 * MIB:] == b"\xa5" * MIB
    finish(vm)


def test_root_by_partuuid(wisp, disk, tmp_path):
    """The partition, not the disk, is the root; root=PARTUUID= is what the monitor appended."""
    system = disk.read_bytes()
    table = bytearray(512)
    struct.pack_into("<I", table, 440, 0xdeadbeef)
    struct.pack_into("<B3xB3xII", table, 446, 0, 0x83, 2048, len(system) // 512)
    table[510:] = b"\x55\xaa"
    whole = image(tmp_path / "whole", bytes(table).ljust(MIB, b"\0") + system)
    image(tmp_path / "other", size=MIB)
    guest = host.guest("small-elf")
    wisp.machine()
    wisp.boot_source(guest.kernel, f"{ARGS} test=\"grep ' / ' /proc/mounts; cat /proc/cmdline; "
                                   "cat /sys/block/vd[ab]/size\"")
    wisp.drive("other", tmp_path / "other")
    wisp.drive("rootfs", whole, root=True, read_only=True, partuuid="deadbeef-01")
    wisp.start()
    assert wisp.wait() == 0
    console = wisp.console()
    assert re.search(r"^/dev/(root|vda1) / ext4 ro", console, re.MULTILINE), console
    assert " root=PARTUUID=deadbeef-01 ro " in console
    assert f"\n{whole.stat().st_size // 512}\n2048\n" in console


# --- PATCH: files ---

@pytest.mark.parametrize("engine", ENGINES)
def test_placeholders_become_disks(start_wisp, tmp_path, disk, engine):
    """As Kata does it: empty files at the start, a path and a limit for them later."""
    empty = image(tmp_path / "empty")
    small = image(tmp_path / "small", b"small".ljust(MIB, b"."))
    vm = shell(start_wisp, {"d0": {"path": empty, "io_engine": engine, "direct": True},
                            "d1": {"path": empty, "io_engine": engine, "read_only": True}})
    assert vm.run("cat /sys/block/vda/size /sys/block/vdb/size").split() == ["0", "0"]
    no_limit = {"bandwidth": {"size": 0, "one_time_burst": 0, "refill_time": 0},
                "ops": {"size": 0, "one_time_burst": 0, "refill_time": 0}}
    assert patch(vm, "d0", path_on_host=str(disk), rate_limiter=no_limit).status == 204
    wait_for(vm, "cat /sys/block/vda/size", str(disk.stat().st_size // 512))
    assert "vda] new size: " in vm.run("dmesg")
    vm.run("mount -t ext4 /dev/vda /mnt && cd /mnt && sha256sum -c SHA256SUMS >/dev/null && "
           "echo here >/mnt/var/new && cd / && umount /mnt")
    config = {d["drive_id"]: d for d in vm.api.get("/vm/config").json["drives"]}
    assert config["d0"]["path_on_host"] == str(disk)
    assert config["d0"]["rate_limiter"] is None
    assert config["d1"]["path_on_host"] == str(empty)
    # Read-only stays so; the file of one drive is nobody else's business.
    assert patch(vm, "d1", path_on_host=str(small)).status == 204
    wait_for(vm, "cat /sys/block/vdb/size", "2048")
    assert vm.run("head -c 5 /dev/vdb; echo") == "small"
    vm.run("! dd if=/dev/zero of=/dev/vdb count=1 2>/dev/null")
    # What fails changes nothing.
    reply = patch(vm, "d1", path_on_host="missing")
    assert reply.status == 400 and reply.fault.startswith(CANNOT), reply
    assert "No such file or directory" in reply.fault and reply.fault.endswith(VERIFY)
    assert patch(vm, "d1", path_on_host=str(tmp_path)).status == 400
    assert vm.run("dd if=/dev/vdb bs=4k count=1 iflag=direct 2>/dev/null | head -c 5; echo") == \
        "small"
    # The same file at another size, both ways.
    os.truncate(small, 3 * MIB)
    assert patch(vm, "d1", path_on_host=str(small)).status == 204
    wait_for(vm, "cat /sys/block/vdb/size", "6144")
    # In a paused machine, which stays so.
    vm.pause()
    os.truncate(small, 2 * MIB)
    assert patch(vm, "d1", path_on_host=str(small)).status == 204
    assert vm.api.get("/").json["state"] == "Paused"
    vm.resume()
    wait_for(vm, "cat /sys/block/vdb/size", "4096")
    assert str(empty) not in open_files(vm)
    assert empty.stat().st_size == 0 and small.read_bytes()[:5] == b"small"
    finish(vm)


def test_what_cannot_be_patched(start_wisp, tmp_path):
    disk = image(tmp_path / "disk", size=MIB)
    vm = start_wisp()
    vm.drive("d", disk)
    reply = patch(vm, "d", path_on_host=str(disk))
    assert (reply.status, reply.fault) == (
        400, "The requested operation is not supported before starting the microVM.")
    guest = host.guest("small-elf")
    vm.machine()
    vm.boot_source(guest.kernel, f"{ARGS} test='sleep 3'", initrd=guest.initrd)
    vm.start()
    for body, text in (
            ({}, CANNOT + "Running method expected different backend" + VERIFY),
            ({"drive_id": "e"}, "The id from the path does not match the id from the body!"),
            ({"is_read_only": True}, "unknown field `is_read_only`"),
            ({"io_engine": "Sync"}, "unknown field `io_engine`"),
            ({"path_on_host": 1}, "invalid type")):
        reply = patch(vm, "d", **body) if "drive_id" not in body else \
            vm.api.patch("/drives/d", body)
        assert reply.status == 400 and text in reply.fault, reply
    reply = patch(vm, "nosuch", path_on_host=str(disk))
    assert (reply.status, reply.fault) == (400, CANNOT + "Device not found: drive `nosuch'" + VERIFY)
    assert vm.wait() == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_patches_under_load(start_wisp, tmp_path, engine):
    """A hundred times another file of the same content, and the guest sees nothing of it."""
    content = os.urandom(4 * MIB)
    twins = [image(tmp_path / name, content) for name in ("one", "two")]
    vm = shell(start_wisp, {"d": {"path": twins[0], "io_engine": engine}})
    want = vm.run("md5sum </dev/vda")
    vm.run("(while [ ! -e /tmp/stop ]; do dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | md5sum; "
           "done >/tmp/sums) & (while [ ! -e /tmp/stop ]; do dd if=/dev/vda of=/tmp/mib bs=1M "
           "count=1 2>/dev/null; dd if=/tmp/mib of=/dev/vda bs=16k oflag=direct 2>/dev/null; done) &")
    before = None
    for number in range(100):
        assert patch(vm, "d", path_on_host=str(twins[(number + 1) % 2])).status == 204
        if number == 1:
            before = sorted(open_files(vm))
    assert sorted(open_files(vm)) == before
    vm.run("touch /tmp/stop; wait", timeout=60)
    sums = vm.run("cat /tmp/sums").split("\n")
    assert sums and set(sums) == {want}, set(sums)
    finish(vm)
    assert [t.read_bytes() == content for t in twins] == [True, True]


# --- limits ---

FOREVER = 10**10  # ms: not one token comes back while a test runs


def test_limits_of_a_drive(start_wisp, tmp_path):
    """Tokens that never come back are counted exactly; taking the limit away lets all go on."""
    vm = shell(start_wisp, {"d": {"path": image(tmp_path / "d", size=4 * MIB),
                                  "io_engine": "Async"}})
    done = "cut -c1-9 /sys/block/vda/stat"

    def limited(limit, command, requests):
        before = int(vm.run(done))
        assert patch(vm, "d", rate_limiter=limit).status == 204
        vm.run(f"({command} 2>/dev/null; echo all >/tmp/all) &")
        wait_for(vm, done, str(before + requests))
        time.sleep(host.seconds(0.3))
        assert int(vm.run(done)) == before + requests
        vm.run("test ! -e /tmp/all")
        free = {kind: {"size": 0, "refill_time": 0} for kind in limit}
        assert patch(vm, "d", rate_limiter=free).status == 204
        vm.run("wait; cat /tmp/all && rm /tmp/all")

    limited({"ops": {"size": 10, "one_time_burst": 20, "refill_time": FOREVER}},
            "dd if=/dev/vda of=/dev/null bs=4k count=50 iflag=direct", 30)
    limited({"bandwidth": {"size": 65536, "one_time_burst": MIB, "refill_time": FOREVER}},
            "dd if=/dev/vda of=/dev/null bs=64k count=40 iflag=direct", 17)
    # Each of two limits holds, and the one that is not named stays.
    assert patch(vm, "d", rate_limiter={"ops": {"size": 5, "refill_time": FOREVER}}).status == 204
    config = vm.api.get("/vm/config").json["drives"][0]["rate_limiter"]
    assert config["bandwidth"] is None and config["ops"]["size"] == 5
    limited({"bandwidth": {"size": MIB, "refill_time": FOREVER},
             "ops": {"size": 5, "refill_time": FOREVER}},
            "dd if=/dev/vda of=/dev/null bs=64k count=20 iflag=direct", 5)
    assert vm.api.get("/vm/config").json["drives"][0]["rate_limiter"] is None
    finish(vm)


def test_limits_from_the_start(start_wisp, tmp_path):
    """Of a drive and of the random number device, as PUT gives them."""
    limiter = {"bandwidth": {"size": MIB, "refill_time": FOREVER}}
    vm = shell(start_wisp, {"d": {"path": image(tmp_path / "d", size=4 * MIB),
                                  "rate_limiter": limiter}},
               entropy={"rate_limiter": {"bandwidth": {"size": 65536, "refill_time": FOREVER}}})
    vm.run("dd if=/dev/vda of=/dev/null bs=64k iflag=direct 2>/dev/null & "
           "dd if=/dev/hwrng of=/tmp/random bs=64 2>/dev/null &")
    sectors = "awk '{ print $3 }' /sys/block/vda/stat"
    # What Linux read to find partitions counts too.
    wait_for(vm, f"test $({sectors}) -gt {(MIB - 65536) // 512} && echo yes || true", "yes")
    wait_for(vm, "test -s /tmp/random && echo yes || true", "yes")
    time.sleep(host.seconds(1))
    assert int(vm.run(sectors)) * 512 <= MIB
    assert int(vm.run("wc -c </tmp/random")) <= 65536
    assert patch(vm, "d", rate_limiter={"bandwidth": {"size": 0, "refill_time": 0}}).status == 204
    wait_for(vm, f'test $({sectors}) -ge 8192 && echo yes || true', "yes")
    finish(vm)
