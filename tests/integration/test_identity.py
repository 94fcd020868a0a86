# SPDX-License-Identifier: Apache-2.0
"""What a guest is told of itself: generation id, seed, and the host's clock."""

import re
import time

import pytest

from framework import host, payload
from framework.guest import leave, shell
from framework.wisp import config_file

pytestmark = [pytest.mark.area("identity")]

ARGS = "console=ttyS0 reboot=k panic=-1"


def said(start_wisp, tmp_path, name, word):
    config = config_file(tmp_path, payload.image(name), "mem_mib=128",
                         drives=payload.devices(["block"], tmp_path)[0])
    vm = start_wisp("--no-api", "--config-file", config, api=False)
    assert vm.wait(20) == 0
    return re.search(rf"^{word} (\S+)$", vm.console(), re.MULTILINE).group(1)


@pytest.mark.anykvm
@pytest.mark.parametrize("name, word", [("generation", "GENERATION"), ("seed", "SEED")])
def test_every_machine_has_its_own(start_wisp, tmp_path, name, word):
    values = {said(start_wisp, tmp_path, name, word) for _ in range(4)}
    assert len(values) == 4


def run(vm, kernel, test, more=""):
    guest = host.guest(kernel)
    vm.machine(mem=max(128, guest.memory_min_mib))
    vm.boot_source(guest.kernel, f"{ARGS} {more} test=\"{test}\"", initrd=guest.initrd)
    vm.start()
    assert vm.wait(120) == 0, vm.console()[-1500:]
    return vm.console()


@pytest.mark.kvm
@pytest.mark.parametrize("kernel", ["small", "small-6.1"])
def test_linux_binds_vmgenid(wisp, kernel):
    console = run(wisp, kernel, "ls /sys/bus/acpi/drivers/vmgenid /sys/bus/platform/drivers/vmgenid "
                  "2>/dev/null | grep VMGENCTR; grep -E 'ACPI:Ged|ged' /proc/interrupts")
    assert re.search(r"^VMGENCTR:00", console, re.MULTILINE), console[-1500:]
    # The event device has asked for both interrupts.
    for gsi in (22, 23):
        assert re.search(rf"IO-APIC +{gsi}-edge +ACPI:Ged", console), console[-1500:]
    assert "GUEST-STATUS 0" in console


@pytest.mark.kvm
@pytest.mark.parametrize("kernel", ["small", "cloud"])
def test_random_generator_is_ready_at_once(wisp, kernel):
    """Seeded before any driver is there; no virtio-rng, no RDRAND. (Whether a kernel trusts its
    boot loader is built in before Linux 6.2, and off in the small one.)"""
    console = run(wisp, kernel, "head -c 8 /dev/urandom | od -An -tx1",
                  more="nordrand random.trust_cpu=off random.trust_bootloader=on")
    assert "random: crng init done" in console, console[:1500]
    assert console.index("random: crng init done") < console.index("Kernel command line:")


@pytest.mark.kvm
def test_two_boots_differ(start_wisp):
    seen = set()
    for _ in range(2):
        console = run(start_wisp(), "small", "head -c 16 /dev/urandom | od -An -tx1 | sed s/^/R=/",
                      more="nordrand random.trust_cpu=off")
        seen.add(re.search("^R=(.*)$", console, re.MULTILINE).group(1))
    assert len(seen) == 2


@pytest.mark.kvm
def test_ptp_clock(wisp):
    console = run(wisp, "small", "cat /sys/class/ptp/ptp0/clock_name; ls /dev/ptp0")
    assert "KVM virtual PTP" in console and "/dev/ptp0" in console, console[-1500:]


# --- the guest's clocks ---

class Clock:
    """How far the guest's clock is behind the host's, in seconds, and how sure that is."""

    def __init__(self, vm):
        before = time.monotonic()
        uptime = float(vm.run("cat /proc/uptime").split()[0])
        after = time.monotonic()
        self.at = (before + after) / 2
        self.behind = self.at - uptime
        self.doubt = (after - before) / 2 + 0.01


@pytest.mark.kvm
@pytest.mark.parametrize("kernel", ["small-elf"])
def test_clock_goes_on_through_pauses(start_wisp, kernel):
    """The guest's monotonic clock goes on while it is paused, pause after pause. An emulated
    host's clock is not exact: what it drifts by without a pause is measured first."""
    pauses, each = 100, 0.05
    vm = shell(start_wisp, {}, kernel=kernel)
    first = Clock(vm)
    time.sleep(host.seconds(pauses * each / 2))
    second = Clock(vm)
    for _ in range(pauses):
        vm.pause()
        time.sleep(each)
        vm.resume()
    third = Clock(vm)
    drift_before = (second.behind - first.behind) / (second.at - first.at)
    lost = third.behind - second.behind - drift_before * (third.at - second.at)
    doubt = second.doubt + third.doubt + \
        (first.doubt + second.doubt) * (third.at - second.at) / (second.at - first.at)
    print(f"clock: {pauses} pauses of {each} s: lost {lost:.3f} s, sure to {doubt:.3f} s; without "
          f"pauses it drifts by {drift_before * 1e6:.0f} ppm")
    # A clock that stood still would have lost all of them.
    assert lost < pauses * each / 2 + doubt, (lost, doubt)
    # Nor does the wall clock fall behind: both are one clock in the guest.
    wall = int(vm.run("date +%s").strip())
    leave(vm)
    assert abs(time.time() - wall) < host.deadline(60)
