# SPDX-License-Identifier: Apache-2.0
"""Every way into a kernel (PVH, 64-bit, bzImage) by every way to find its devices (ACPI, MP
tables and virtio_mmio.device= with acpi=off, the PIC alone with noapic)."""

import itertools
import re
import struct

import pytest

from framework import host, payload
from framework.wisp import config_file

pytestmark = [pytest.mark.area("boot", "paths")]

ARGS = "console=ttyS0 quiet reboot=k panic=-1"
PT_NOTE = 4
XEN_ELFNOTE_PHYS32_ENTRY = 18

PVH = "Kernel loaded using PVH boot protocol"
LINUX64 = "Kernel loaded using Linux 64-bit boot protocol"
SAID = {"pvh": PVH, "linux64": LINUX64, "bzimage": LINUX64 + " (bzImage)"}
WORDS = {"acpi": "", "acpi-off": "acpi=off", "noapic": "noapic"}


def without_pvh(kernel, path):
    """A copy of an ELF kernel whose PVH notes are of another type."""
    image = bytearray(kernel.read_bytes())
    phoff, = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    changed = 0
    for n in range(count):
        kind, _, at, _, _, length = struct.unpack_from("<IIQQQQ", image, phoff + n * size)
        end = at + length
        while kind == PT_NOTE and at + 12 <= end:
            namesz, descsz, note = struct.unpack_from("<III", image, at)
            name = image[at + 12:at + 12 + namesz]
            if name == b"Xen\0" and note == XEN_ELFNOTE_PHYS32_ENTRY:
                struct.pack_into("<I", image, at + 8, 0xffff)
                changed += 1
            at += 12 + (namesz + 3) // 4 * 4 + (descsz + 3) // 4 * 4
    assert changed, f"{kernel} has no PVH note"
    path.write_bytes(image)
    return path


def image_of(kernel, protocol, where):
    """The kernel as it must be to be entered that way, and its guest."""
    if protocol == "bzimage":
        guest = host.guest(kernel)
        return guest.kernel, guest
    guest = host.guest(f"{kernel}-elf")
    if protocol == "pvh":
        return guest.kernel, guest
    return without_pvh(guest.kernel, where / "vmlinux"), guest


# Processors, the disk's contents, random numbers, and where its interrupts come from.
CHECK = ("nproc | sed s/^/NPROC=/; grep MemTotal /proc/meminfo; "
         "mount -t ext4 -o ro /dev/vda /mnt && cd /mnt && sha256sum -c SHA256SUMS >/tmp/sums && wc -l </tmp/sums | sed s/^/SUMS=/; cd /; "
         "head -c 16 /dev/hwrng | wc -c | sed s/^/RANDOM=/; "
         "sed -n /virtio/p /proc/interrupts; ls -d /sys/firmware/acpi /sys/bus/acpi 2>/dev/null; "
         "true")

KERNELS = ["small", "small-6.1", "cloud"]
PROTOCOLS = ["pvh", "linux64", "bzimage"]
VCPUS = [1, 2, 4, 8]
MEM = [128, 1024, 4096, 8192]
# What `make test' runs: every protocol, every discovery, the cloud kernel by each protocol.
CUT = {("small", "pvh", "acpi", 2, 1024), ("small", "pvh", "acpi-off", 2, 4096),
       ("small", "pvh", "noapic", 1, 128), ("small", "linux64", "acpi", 1, 1024),
       ("small", "linux64", "acpi-off", 1, 128), ("small", "bzimage", "acpi-off", 2, 1024),
       ("small", "bzimage", "noapic", 2, 4096), ("cloud", "pvh", "acpi", 2, 1024),
       ("cloud", "linux64", "acpi", 1, 128)}


def matrix():
    for kernel, protocol, discovery in itertools.product(KERNELS, PROTOCOLS, WORDS):
        # Debian's cloud kernel knows neither MP tables nor virtio_mmio.device=.
        if kernel == "cloud" and discovery != "acpi":
            continue
        sizes = list(itertools.product(VCPUS, MEM))
        sizes += [(32, 1024)] if discovery == "acpi" else []
        for size in sizes:
            case = (kernel, protocol, discovery, *size)
            yield pytest.param(*case, marks=[] if case in CUT else [pytest.mark.soak])


def interrupts(console):
    """Controllers of the virtio devices' lines in /proc/interrupts."""
    found = re.findall(r"^ *(\d+): .*?(IO-APIC|XT-PIC) .*virtio", console, re.MULTILINE)
    assert found, console[-2000:]
    return {controller for _, controller in found}


@pytest.mark.kvm
@pytest.mark.parametrize("kernel, protocol, discovery, vcpus, mem", list(matrix()))
def test_boot_path(wisp, disk, tmp_path, kernel, protocol, discovery, vcpus, mem):
    image, guest = image_of(kernel, protocol, tmp_path)
    wisp.machine(vcpus=vcpus, mem=mem)
    wisp.boot_source(image, f'{ARGS} {WORDS[discovery]} test="{CHECK}"', initrd=guest.initrd)
    wisp.drive("rootfs", disk, root=True, read_only=True)
    wisp.entropy()
    wisp.start()
    status = wisp.wait(120 + 20 * vcpus)
    console = wisp.console()
    assert status == 0, (status, console[-2000:], wisp.log()[-1000:])
    assert wisp.exit_reason() == "guest-reset"
    assert re.search(r"^GUEST-STATUS 0$", console, re.MULTILINE), console[-2000:]
    assert re.search(re.escape(SAID[protocol]) + "$", wisp.log(), re.MULTILINE), wisp.log()[-2000:]
    assert f"NPROC={vcpus}" in console
    assert int(re.search(r"SUMS=(\d+)", console).group(1)) > 100
    assert "RANDOM=16" in console
    seen = int(re.search(r"MemTotal: +(\d+) kB", console).group(1)) // 1024
    assert mem * 0.95 - 90 <= seen <= mem, seen
    assert interrupts(console) == {"XT-PIC" if discovery == "noapic" else "IO-APIC"}
    assert ("/sys/firmware/acpi" in console) == (discovery == "acpi")


# --- limits: no guest has to run for these ---

def drives(where, count):
    for n in range(count):
        path = where / f"disk{n}"
        path.write_bytes(b"\0" * 512)
        yield {"drive_id": f"disk{n}", "is_root_device": False, "path_on_host": str(path)}


def start(start_wisp, where, count, args, **more):
    config = config_file(where, payload.image("counter"), args, drives=drives(where, count), **more)
    return start_wisp("--no-api", "--config-file", config, api=False)


LIMITS = [("", 17), ("noapic", 11), ("a -- noapic", 17)]


@pytest.mark.anykvm
@pytest.mark.parametrize("args, most", LIMITS)
def test_one_device_too_many_is_refused_by_name(start_wisp, tmp_path, args, most):
    vm = start(start_wisp, tmp_path, most, args, entropy={})
    assert vm.wait(20) != 0
    said = vm.log() + vm.stderr()
    assert "Could not allocate GSI: The requested resource is not available." in said
    assert f"entropy is one virtio device more than the {most} that have an interrupt" in said
    assert ("with `noapic'" in said) == (args == "noapic")


@pytest.mark.anykvm
def test_the_twelfth_disk_without_the_io_apic(start_wisp, tmp_path):
    vm = start(start_wisp, tmp_path, 12, "noapic")
    assert vm.wait(20) != 0
    assert "block `disk11' is one virtio device more than the 11 that have an interrupt" in vm.log()


@pytest.mark.anykvm
@pytest.mark.parametrize("args, most", LIMITS)
def test_as_many_devices_as_there_are_interrupts(start_wisp, tmp_path, args, most):
    vm = start(start_wisp, tmp_path, most, args)
    vm.expect("0x[0-9a-f]+", timeout=20)
    assert "Could not allocate" not in vm.log()
