# SPDX-License-Identifier: Apache-2.0
"""Linux boots: every kernel format, processors, memory, devices, and every way to end."""

import os
import re
import time

import pytest

from framework import host, payload
from framework.wisp import LEFT, Wisp, config_file

pytestmark = [pytest.mark.area("boot"), pytest.mark.kvm]

KERNELS = ["cloud", "cloud-elf", "small", "small-elf"]
VCPUS = [1, 2, 4, 8]
MEM = [128, 1024, 4096, 8192]
# What `make test' runs of the matrix: every kernel, and what most users run.
CUT = {("cloud", 2, 1024), ("cloud-elf", 1, 128), ("cloud", 4, 4096), ("small", 1, 128),
       ("small", 2, 4096), ("small-elf", 4, 1024), ("small-elf", 1, 1024)}

ARGS = "console=ttyS0 quiet reboot=k panic=-1"
CHECK = ("nproc | sed s/^/NPROC=/; grep MemTotal /proc/meminfo; mount -t ext4 -o ro /dev/vda /mnt "
         "&& cd /mnt && sha256sum -c SHA256SUMS >/tmp/sums && wc -l </tmp/sums | sed s/^/SUMS=/; "
         "head -c 16 /dev/hwrng | wc -c | sed s/^/RANDOM=/; cd /")


def args(test, end=None, more=""):
    """A command line for guest-init; the test's words may hold no double quote."""
    assert '"' not in test
    return f"{ARGS} {more} test=\"{test}\"" + (f" end=\"{end}\"" if end else "")


def boot(vm, guest, line, vcpus=1, mem=None):
    vm.machine(vcpus=vcpus, mem=mem or max(128, guest.memory_min_mib))
    vm.boot_source(guest.kernel, line, initrd=guest.initrd)
    vm.start()


def finish(vm, timeout=120):
    """Waits for a guest that resets itself; what it said."""
    status = vm.wait(timeout)
    console = vm.console()
    assert status == 0, (status, console[-1500:], vm.log()[-1500:])
    assert vm.exit_reason() == "guest-reset"
    assert re.search(r"^GUEST-STATUS 0$", console, re.MULTILINE), console[-1500:]
    return console


# --- the matrix ---

def matrix():
    for kernel in KERNELS + ["small-6.1", "small-6.1-elf"]:
        for vcpus in VCPUS:
            for mem in MEM:
                soak = (kernel, vcpus, mem) not in CUT
                yield pytest.param(kernel, vcpus, mem, marks=[pytest.mark.soak] if soak else [])
    for kernel in ("cloud", "small"):
        yield pytest.param(kernel, 32, 1024, marks=[pytest.mark.soak])


@pytest.mark.parametrize("kernel, vcpus, mem", matrix())
def test_boot(wisp, disk, kernel, vcpus, mem):
    wisp.drive("rootfs", disk, root=True)
    wisp.entropy()
    boot(wisp, host.guest(kernel), args(CHECK), vcpus, mem)
    console = finish(wisp, timeout=120 + 20 * vcpus)
    assert f"NPROC={vcpus}" in console
    seen = int(re.search(r"MemTotal: +(\d+) kB", console).group(1)) // 1024
    assert mem * 0.95 - 90 <= seen <= mem, seen
    assert int(re.search(r"SUMS=(\d+)", console).group(1)) > 100
    assert "RANDOM=16" in console
    protocol = "PVH boot protocol" if kernel.endswith("elf") else \
        "Linux 64-bit boot protocol (bzImage)"
    assert f"Kernel loaded using {protocol}" in wisp.log()


# --- ends ---

def test_poweroff(wisp):
    boot(wisp, host.guest("small"), args("true", end="poweroff -f"), vcpus=2)
    assert wisp.wait() == 0
    assert wisp.exit_reason() == "guest-poweroff"
    assert "Firecracker exiting successfully. exit_code=0" in wisp.log()


def test_poweroff_of_the_cloud_kernel(wisp):
    boot(wisp, host.guest("cloud"), args("true", end="poweroff -f"), vcpus=2, mem=256)
    assert wisp.wait(120) == 0
    assert wisp.exit_reason() == "guest-poweroff"


def test_triple_fault(wisp):
    # The last reboot= counts.
    boot(wisp, host.guest("small-elf"), args("true", more="reboot=t"))
    assert wisp.wait() == 1
    assert wisp.exit_reason() == "triple-fault"


def test_acpi_reboot(wisp):
    boot(wisp, host.guest("small-elf"), args("true", more="reboot=a"), vcpus=2)
    finish(wisp)


def test_panic_reboots(wisp, tmp_path):
    """No first program: the kernel panics and, told so, resets."""
    guest = host.guest("small-elf")
    wisp.machine()
    wisp.boot_source(guest.kernel, ARGS + " rdinit=/nonexistent", initrd=guest.initrd)
    wisp.start()
    assert wisp.wait() == 0
    assert wisp.exit_reason() == "guest-reset"
    assert "Kernel panic" in wisp.console()


def test_ctrl_alt_del(wisp):
    boot(wisp, host.guest("small"), args("sleep 600"))
    wisp.expect("GUEST-READY")
    time.sleep(host.seconds(0.5))
    wisp.ctrl_alt_del()
    assert wisp.wait() == 0
    assert wisp.exit_reason() == "guest-reset"


# --- devices ---

@pytest.mark.area("block")
def test_boot_from_disk(wisp, disk):
    """No initramfs: root=/dev/vda is what the monitor appended."""
    guest = host.guest("small-elf")
    wisp.machine(vcpus=2)
    wisp.boot_source(guest.kernel, args("grep ' / ' /proc/mounts; tr ' ' '\\n' </proc/cmdline "
                                        "| grep -c root=/dev/vda; touch /var/x && sync"))
    wisp.drive("rootfs", disk, root=True)
    wisp.start()
    console = finish(wisp)
    assert re.search(r"^/dev/root / ext4 rw|^/dev/vda / ext4 rw", console, re.MULTILINE), console


@pytest.mark.area("block")
def test_boot_from_a_read_only_disk(wisp, disk):
    before = disk.read_bytes()
    guest = host.guest("small-elf")
    wisp.machine()
    wisp.boot_source(guest.kernel, args("cat /sys/block/vda/ro; grep -o ' ro' /proc/cmdline; "
                                        "! touch /var/x 2>/dev/null && "
                                        "! dd if=/dev/zero of=/dev/vda count=1 2>/dev/null"))
    wisp.drive("rootfs", disk, root=True, read_only=True)
    wisp.start()
    finish(wisp)
    assert disk.read_bytes() == before


@pytest.mark.area("block")
def test_disks_in_their_order(wisp, disk, tmp_path):
    sizes = {"first": 3, "second": 5, "third": 0}
    for name, mib in sizes.items():
        with open(tmp_path / name, "wb") as file:
            file.truncate(mib << 20)
    wisp.drive("first", tmp_path / "first")
    wisp.drive("second", tmp_path / "second", cache_type="Writeback")
    wisp.drive("rootfs", disk, root=True)
    wisp.drive("third", tmp_path / "third")
    boot(wisp, host.guest("small"), args(
        "cat /sys/block/vd[abcd]/size; for d in a b c d; do cat /sys/block/vd$d/serial; echo; done; "
        "cat /sys/block/vd[abcd]/queue/write_cache; "
        "yes wisp | head -c 2097152 | dd of=/dev/vdc bs=64k seek=16 conv=fsync 2>/dev/null && "
        "dd if=/dev/vdc bs=64k skip=16 count=32 2>/dev/null | md5sum && "
        "yes wisp | head -c 2097152 | md5sum"))
    lines = finish(wisp).splitlines()
    at = lines.index(str(disk.stat().st_size // 512))
    assert lines[at:at + 4] == [str(disk.stat().st_size // 512), "6144", "10240", "0"]
    serials = lines[at + 4:at + 8]
    assert all(serials) and len(set(serials)) == 4
    assert lines[at + 8:at + 12] == ["write through"] * 2 + ["write back", "write through"]
    assert lines[at + 12] == lines[at + 13]
    written = (tmp_path / "second").read_bytes()
    assert written[1 << 20:3 << 20] == (b"wisp\n" * (1 << 20))[:2 << 20]
    assert not any(written[:1 << 20]) and not any(written[3 << 20:])


@pytest.mark.area("rng")
def test_hwrng(wisp):
    wisp.entropy()
    boot(wisp, host.guest("small"), args("cat /sys/class/misc/hw_random/rng_current; "
                                         "head -c 300000 /dev/hwrng | wc -c"))
    console = finish(wisp)
    assert "virtio_rng.0" in console and "300000" in console


# --- console ---

@pytest.mark.area("serial")
@pytest.mark.parametrize("kernel", ["small", "cloud"])
def test_interactive_console(start_wisp, kernel):
    vm = start_wisp(console="pty")
    boot(vm, host.guest(kernel), args("read a; echo GOT-$a; read b; echo GOT-$b"), mem=256)
    vm.expect("GUEST-READY", timeout=120)
    time.sleep(host.seconds(0.2))
    vm.send("hello\n")
    vm.expect("^GOT-hello$")
    # More than the receive FIFO holds, at once.
    long = "x" * 300
    vm.send(long + "\n")
    vm.expect(f"^GOT-{long}$")
    assert vm.wait() == 0


@pytest.mark.area("serial")
def test_much_output(wisp):
    boot(wisp, host.guest("small"), args("seq 1 4000"))
    console = finish(wisp)
    lines = console.splitlines()
    at = lines.index("1")
    assert lines[at:at + 4000] == [str(n) for n in range(1, 4001)]


# --- life cycle ---

def test_pause_and_resume(wisp):
    boot(wisp, host.guest("small"), args("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo N$i; "
                                         "usleep 20000; done"), vcpus=2)
    wisp.expect("^N3$")
    for _ in range(5):
        wisp.pause()
        assert wisp.api.get("/").json["state"] == "Paused"
        time.sleep(0.3)
        before = wisp.console()
        time.sleep(1.5)
        assert wisp.console() == before
        wisp.resume()
        last = int(re.findall(r"^N(\d+)$", before, re.MULTILINE)[-1])
        wisp.expect(f"^N{last + 3}$")
    numbers = [int(n) for n in re.findall(r"^N(\d+)$", wisp.console(), re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_pause_during_boot(wisp):
    """Stopped again and again on its way up, the guest comes up all the same."""
    guest = host.guest("small")
    wisp.machine(vcpus=2, mem=256)
    wisp.boot_source(guest.kernel, args("echo UP; sleep 600"), initrd=guest.initrd)
    wisp.start()
    for _ in range(20):
        wisp.pause()
        wisp.resume()
        time.sleep(host.seconds(0.05))
    wisp.expect("^UP$")
    wisp.ctrl_alt_del()
    assert wisp.wait() == 0, wisp.log()[-1500:]


def test_boot_by_config_file(start_wisp, tmp_path, disk):
    guest = host.guest("small")
    drives = [{"drive_id": "rootfs", "is_root_device": True, "is_read_only": True,
               "path_on_host": str(disk)}]
    config = config_file(tmp_path, guest.kernel, args(CHECK), initrd=guest.initrd, drives=drives,
                         vcpus=2, entropy={})
    vm = start_wisp("--no-api", "--config-file", config, api=False)
    assert "NPROC=2" in finish(vm)
    assert not vm.socket.exists()


def test_boot_without_seccomp(start_wisp):
    vm = start_wisp("--no-seccomp")
    boot(vm, host.guest("small-elf"), args("true"), vcpus=2)
    finish(vm)


def test_seccomp_while_linux_runs(wisp):
    boot(wisp, host.guest("small-elf"), args("sleep 3"), vcpus=2)
    wisp.expect("GUEST-READY")
    assert {t["Seccomp"] for t in host.tasks(wisp.pid).values()} == {"2"}
    finish(wisp)


def test_boot_of_the_address_sanitizer_build(start_wisp, disk):
    binary = host.TOP / "build" / "asan" / "wisp"
    if not binary.exists():
        pytest.skip("build/asan/wisp is not built: make MODE=asan")
    env = {**os.environ, "ASAN_OPTIONS": "exitcode=99:detect_leaks=1"}
    vm = start_wisp("--no-seccomp", binary=str(binary), env=env)
    vm.drive("rootfs", disk, root=True)
    vm.entropy()
    boot(vm, host.guest("small"), args(CHECK), vcpus=2, mem=256)
    vm.expect("GUEST-READY")
    vm.pause()
    vm.resume()
    finish(vm, timeout=240)
    assert "Sanitizer" not in vm.stderr() and "runtime error" not in vm.stderr(), vm.stderr()


def test_twenty_boots_in_a_row(tmp_path, disk):
    """Nothing fails and nothing is left: processes, files beside its own, shared memory."""
    def left():
        processes = {p for p in os.listdir("/proc") if p.isdigit() and p != str(os.getpid())
                     and "wisp" in comm(p)}
        return processes, sorted(os.listdir("/dev/shm"))

    def comm(pid):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                return file.read()
        except OSError:
            return ""

    guest = host.guest("small-elf")
    before = left()
    for n in range(20):
        where = tmp_path / f"boot{n}"
        where.mkdir()
        with Wisp(where) as vm:
            vm.drive("rootfs", disk, root=True, read_only=True)
            vm.entropy()
            boot(vm, guest, args("nproc"), vcpus=1 + n % 2)
            finish(vm)
        files = set(os.listdir(where))
        assert files <= LEFT, files
    assert left() == before


@pytest.mark.soak
@pytest.mark.parametrize("kernel", ["cloud", "small"])
def test_many_boots(tmp_path, disk, kernel):
    guest = host.guest(kernel)
    for n in range(100):
        where = tmp_path / f"boot{n}"
        where.mkdir()
        with Wisp(where) as vm:
            vm.drive("rootfs", disk, root=True, read_only=True)
            boot(vm, guest, args("nproc"), vcpus=VCPUS[n % 3], mem=256)
            finish(vm)


def test_two_machines_at_once(start_wisp):
    """Neither knows of the other."""
    vms = [start_wisp(), start_wisp()]
    for vm in vms:
        boot(vm, host.guest("small-elf"), args("echo UP"))
    for vm in vms:
        assert "UP" in finish(vm)


def test_memory_is_the_guests_alone(wisp):
    """What the monitor needs beside the guest's memory stays small."""
    boot(wisp, host.guest("small"), args("sleep 3"), mem=512)
    wisp.expect("GUEST-READY")
    beside = host.memory_beside(wisp.pid, 512)
    assert beside["Private_Dirty"] < 5 * 1024, beside
    finish(wisp)


@pytest.mark.area("payloads")
def test_payload_images_are_there():
    for each in payload.every():
        assert each.image.exists()
