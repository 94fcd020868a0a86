# SPDX-License-Identifier: Apache-2.0
"""Linux goes on in another process: its disks, its console, its clocks, its random numbers."""

import re
import time

import pytest

from framework import host, snapshot
from framework.guest import leave, shell

pytestmark = [pytest.mark.area("snapshot"), pytest.mark.kvm]

MIB = 1 << 20
# Neither instruction that gives random numbers: leaf 1 ECX bit 30, leaf 7 EBX bit 18.
NO_RDRAND = {"cpuid_modifiers": [
    {"leaf": "0x1", "subleaf": "0x0", "flags": 0,
     "modifiers": [{"register": "ecx", "bitmap": "0b" + "x0" + "x" * 30}]},
    {"leaf": "0x7", "subleaf": "0x0", "flags": 1,
     "modifiers": [{"register": "ebx", "bitmap": "0b" + "x" * 13 + "0" + "x" * 18}]}]}
SICK = ("I/O error|Oops|BUG:|general protection|soft lockup|detected stall|blocked for more than|"
        "clocksource.*unstable")
# Whether time runs back between processors.
CLOCKS = host.TOP / "build" / "guest" / "linux" / "clocks"


@pytest.fixture
def files(tmp_path):
    return snapshot.in_folder(tmp_path)


def guest(start_wisp, vcpus, drives=None, kernel="small-elf", args="", cpu=None, fio=False):
    def prepare(vm):
        assert vm.api.patch("/machine-config", {"vcpu_count": vcpus}).status == 204
        if cpu is not None:
            assert vm.api.put("/cpu-config", cpu).status == 204

    image = host.guest(kernel, tools=fio or kernel.startswith("cloud"), add=(CLOCKS,))
    return shell(start_wisp, drives or {}, kernel=kernel, args=args, prepare=prepare, image=image)


def healthy(vm):
    vm.run(f"! dmesg | grep -A 80 -E '{SICK}'", timeout=120)


# --- drives ---

# A signal before fio has its handlers would be lost, and a life without requests shows nothing.
MORE_WRITES = ("writes() { set -- $(cat /sys/block/vda/stat); echo $5; }; n=$(writes); "
               "while [ $(writes) -lt $((n + 50)) ]; do sleep 1; done")


def through_lives(start_wisp, tmp_path, files, engine, vcpus, lives, size, kernel="cloud"):
    disk = tmp_path / "disk.img"
    with open(disk, "wb") as file:
        file.truncate(32 * MIB)
    vm = guest(start_wisp, vcpus, {"disk": {"path": disk, "io_engine": engine,
                                            "cache_type": "Writeback"}}, kernel=kernel, fio=True)
    vm.run(f"(fio --ioengine=libaio --iodepth=16 --direct=1 --rw=randwrite --bsrange=512-64k "
           f"--size={size} --verify=crc32c --verify_fatal=1 --loops=10000 --name=j "
           "--filename=/dev/vda --minimal --eta=never --output=/tmp/fio; echo $? >/tmp/status) &")
    for _ in range(lives):
        vm.run(MORE_WRITES, timeout=120)
        vm = snapshot.move(vm, start_wisp, files, console="pty")
    vm.run(MORE_WRITES, timeout=120)
    vm.run("killall -INT fio; wait; grep -qxE '0|128' /tmp/status", timeout=240)
    vm.run("test \"$(tail -n 1 /tmp/fio | cut -d';' -f5)\" = 0")  # of the terse output: the error
    healthy(vm)
    leave(vm)


@pytest.mark.parametrize("engine, vcpus", [("Async", 2)])
def test_fio_through_lives(start_wisp, tmp_path, files, engine, vcpus):
    through_lives(start_wisp, tmp_path, files, engine, vcpus, 3, "1m")


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["Sync", "Async"])
@pytest.mark.parametrize("vcpus", [1, 2, 4])
@pytest.mark.parametrize("kernel", ["cloud", "small-elf"])
def test_fio_through_a_hundred_lives(start_wisp, tmp_path, files, engine, vcpus, kernel):
    through_lives(start_wisp, tmp_path, files, engine, vcpus, 100, "8m", kernel)


# --- console ---

def break_in(seen):
    """What stands around the first number that is not the next one."""
    found = None
    for want, found in enumerate(re.finditer(r"^N(\d+)$", seen, re.MULTILINE), 1):
        if int(found[1]) != want:
            return seen[max(found.start() - 300, 0):found.end() + 100]
    return None if found else "no number at all"


# One processor prints without end, and the port, which never makes it wait, keeps the one that
# takes the port's interrupts in the driver's handler: whether Linux calls that a stall is luck.
# Its message would stand in the middle of a number.
NO_STALLS = "rcupdate.rcu_cpu_stall_suppress=1 nosoftlockup"


def stream(start_wisp, files, kernel, vcpus, lives):
    """Each number once and in order, whichever monitor it came out of."""
    vm = guest(start_wisp, vcpus, kernel=kernel, args=NO_STALLS)
    vm.send("i=0; while [ ! -e /tmp/end ]; do i=$((i+1)); echo N$i; done &\n")
    vm.expect(r"^N5$")
    seen = ""
    for _ in range(lives):
        vm.pause()
        snapshot.create(vm, files)
        snapshot.kill(vm)
        assert "bytes of console output" not in vm.log()
        seen += vm.console()
        vm = start_wisp(console="pty")
        snapshot.load(vm, files, resume_vm=True)
        vm.expect(r"^N\d+$")
    vm.send("touch /tmp/end; wait; echo ENDED\n")
    vm.expect(r"^ENDED$", timeout=120)
    seen += vm.console()
    healthy(vm)
    assert break_in(seen) is None
    leave(vm)


def test_serial_stream(start_wisp, files):
    stream(start_wisp, files, "small-elf", 2, 3)


@pytest.mark.soak
@pytest.mark.parametrize("kernel", ["small-elf", "small-6.1", "cloud"])
@pytest.mark.parametrize("vcpus", [1, 2, 4])
def test_serial_stream_in_full(start_wisp, files, kernel, vcpus):
    stream(start_wisp, files, kernel, vcpus, 100)


# --- what two machines from one snapshot must not share, and their clocks ---

def random_bytes(vm):
    return vm.run("head -c 16 /dev/urandom | od -An -tx1").strip()


def clocks(vm):
    """The guest's uptime and date, and what time it was here before and after the question."""
    before = time.time()
    uptime, date = vm.run("echo $(cat /proc/uptime) $(date +%s)").split()[::2]
    return float(uptime), int(date), before, time.time()


@pytest.mark.parametrize("kernel, clock, args", [("small-elf", "kvm-clock", ""),
                                                 ("small-elf", "tsc", "tsc=reliable")])
def test_clones_and_clocks(start_wisp, files, kernel, clock, args):
    """Two restores of one snapshot draw different random numbers, with no RDRAND to help; one
    goes on as if no time had passed, the other knows that it has."""
    vm = guest(start_wisp, 2, kernel=kernel, cpu=NO_RDRAND,
               args=f"clocksource={clock} {args} nordrand")
    vm.run("! grep -q rdrand /proc/cpuinfo")
    assert clock in vm.run("cat /sys/devices/system/clocksource/*/current_clocksource")
    vm.run("clocks 100")
    drawn = [random_bytes(vm)]
    then, then_date, then_before, then_after = clocks(vm)
    behind = then_after - then_date  # at most: of the guest's date, before any of this
    vm.pause()
    snapshot.create(vm, files)
    snapshot.kill(vm)
    away = host.seconds(5)
    time.sleep(away)
    for realtime in (False, True):
        vm = start_wisp(console="pty")
        snapshot.load(vm, files, resume_vm=True, clock_realtime=realtime)
        drawn.append(random_bytes(vm))
        now, date, before, after = clocks(vm)
        least, most = before - then_after, after - then_before
        assert now >= then
        if realtime:
            assert least - 1 <= now - then <= most + 1, (now, then, least, most)
            assert before - behind - 2 <= date <= after + 2
        else:
            assert now - then <= most - away + 1, (now, then, most)
        vm.run("clocks 100")
        vm.run("dmesg | grep -q 'crng reseeded due to virtual machine fork'")
        healthy(vm)
        leave(vm)
    assert len(set(drawn)) == 3


@pytest.mark.soak
@pytest.mark.parametrize("kernel", ["cloud", "small"])
def test_clones_and_clocks_of_others(start_wisp, files, kernel):
    test_clones_and_clocks(start_wisp, files, kernel, "kvm-clock", "")
