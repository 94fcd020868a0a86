# SPDX-License-Identifier: Apache-2.0
"""What the host can do, the guests it has, and what a process takes of it."""

import contextlib
import functools
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parents[3]
TOOLS = TOP / "tools" / "testhost"

# Everything takes longer where the processor is emulated.
SLOW = 4 if os.environ.get("TESTHOST") else 1
# A deadline only ends what hangs; a busy machine is not a fault.
PATIENCE = 4


def seconds(normal):
    """How long to let something go on."""
    return normal * SLOW


def deadline(normal):
    """How long to wait for something that takes `normal' seconds at most, if idle."""
    return normal * SLOW * PATIENCE


def kernel():
    """Version and level of the host's Linux, as (6, 1)."""
    return tuple(int(n) for n in os.uname().release.split(".", 2)[:2])


@functools.lru_cache(maxsize=None)
def kvm_kind():
    """`native', `interpreted' or `absent'."""
    if os.environ.get("TESTHOST"):
        return "native"  # by its making; a probe that looks at the time errs there under load
    done = subprocess.run([TOOLS / "probe-kvm"], stdout=subprocess.PIPE, text=True, check=False,
                          timeout=deadline(60))
    return done.stdout.split(":")[0].strip() or "absent"


@functools.lru_cache(maxsize=None)
def _script(name, *args):
    done = subprocess.run([TOOLS / name, *args], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=1800)
    return Path(done.stdout.strip())


class Guest(NamedTuple):
    """A kernel with the initramfs that suits it."""

    name: str
    kernel: Path
    initrd: Path
    memory_min_mib: int


def guest(name, tools=False, add=(), modules=""):
    """cloud: Debian's bzImage. cloud-elf: the ELF inside it. small, small-elf: the minimal
    kernel; small-6.1: the same of Debian 12's own source. With tools: fio,
    blkdiscard and iperf3 too; with more modules for the cloud kernels. Static programs to
    add go into /bin."""
    more = [word for path in add for word in ("--add", str(path))]
    if name.startswith("cloud"):
        kernels = _script("guest-kernel", "--cloud")
        initrd = _script("guest-initrd", "--cloud", "--modules",
                         f"virtio_mmio virtio_blk virtio-rng virtio_net {modules}".strip(),
                         *(("--tree", str(_script("guest-tools"))) if tools else ()), *more)
        return Guest(name, kernels / ("vmlinux" if name == "cloud-elf" else "vmlinuz"), initrd, 128)
    source = ("--source", "linux-source-6.1") if "6.1" in name else ()
    kernels = _script("guest-kernel", *source)
    initrd = _script("guest-initrd", *(("--tree", str(_script("guest-tools"))) if tools else ()), *more)
    return Guest(name, kernels / ("vmlinux" if name.endswith("elf") else "bzImage"), initrd, 64)


def guest_with_curl():
    """The minimal kernel, with curl in its initramfs."""
    return guest("small-elf")._replace(
        initrd=_script("guest-initrd", "--tree", str(_script("guest-curl"))))


def disk():
    """A root file system; tests that write take a copy."""
    return _script("guest-disk")


class Usage(NamedTuple):
    """What a process holds of its host."""

    descriptors: int
    tasks: int
    maps: int
    rss_kib: int


def usage(pid):
    proc = Path("/proc") / str(pid)
    rss = 0
    # Not VmRSS: each thread of Linux 6.1 holds back what it counts, up to 256 KiB.
    for line in (proc / "smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            rss = int(line.split()[1])
    return Usage(len(os.listdir(proc / "fd")), len(os.listdir(proc / "task")),
                 len((proc / "maps").read_text().splitlines()), rss)


def open_files(pid):
    """What each descriptor of a process leads to, by its path in /proc. One may close meanwhile."""
    found = {}
    for link in (Path("/proc") / str(pid) / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[link] = os.readlink(link)
    return found


def tasks(pid):
    """Name and status fields of every thread of a process."""
    found = {}
    for task in (Path("/proc") / str(pid) / "task").iterdir():
        fields = {}
        for line in (task / "status").read_text().splitlines():
            key, _, value = line.partition(":")
            fields[key] = value.strip()
        found[int(task.name)] = fields
    return found


def memory_beside(pid, guest_mib):
    """KiB of {Rss, Pss, Private_Dirty} outside the guest's own memory."""
    total = {"Rss": 0, "Pss": 0, "Private_Dirty": 0}
    skip = False
    for line in (Path("/proc") / str(pid) / "smaps").read_text().splitlines():
        word = line.split()
        if "-" in word[0] and not word[0].endswith(":"):
            start, _, end = word[0].partition("-")
            skip = int(end, 16) - int(start, 16) >= (guest_mib << 20) // 2
        elif not skip and word[0].rstrip(":") in total:
            total[word[0].rstrip(":")] += int(word[1])
    return total
