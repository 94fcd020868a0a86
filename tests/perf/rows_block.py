# SPDX-License-Identifier: Apache-2.0
"""the disk: requests per second, and what a request costs of the processor

The guest is a payload that keeps `depth' requests in flight and polls for their end, the same
one under wisp and under QEMU's microvm machine with an iothread, in each of its aio modes;
the last column is the same work on the file itself, by fio and io_uring. Rounds are a fixed
number of requests; of all rounds the best counts, because what else runs on the machine only
makes them slower. Processor time is the monitor's in the best run without its vCPU thread:
what the host pays beside the guest.

`cached': the file is in the host's page cache. `direct': O_DIRECT on both sides. Either
guest's memory is of transparent huge pages, as QEMU's always is: a long transfer around the
page cache is then a few segments for the host's disk, and one for each 4 KiB of small pages.
"""

import contextlib
import ctypes
import functools
import json
import mmap
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from framework import host, payload, wisp
from measure import QEMU, Lines, cpu_beside_vcpus

MIB = 1 << 20
FILE_MIB = 64
ROUND = {1: 500, 4: 1000, 8: 3200, 32: 6400}  # requests of 4 KiB by depth: a tenth of a second
REPEATS = 3
RUN_S = 0.7 * host.SLOW

WISP_WINDOWS = f"base={0xc0001000} stride={0x1000} slots=19"
QEMU_WINDOWS = f"base={0xfeb00000} stride={0x200} slots=24"


class Work(NamedTuple):
    """What is asked of the disk."""

    name: str
    depth: int
    length: int = 4096
    write: bool = False
    sequential: bool = False

    @property
    def way(self):
        """As fio calls it."""
        return ("" if self.sequential else "rand") + ("write" if self.write else "read")

    def words(self, count):
        return (f"depth={self.depth} len={self.length} count={count} "
                f"sectors={FILE_MIB * MIB // 512} write={self.write:d} seq={self.sequential:d} "
                f"user={host.kvm_kind() == 'interpreted':d}")


WORKS = [Work(f"4 KiB {'write' if w else 'read'}, depth {d}", d, write=w)
         for w in (False, True) for d in (1, 4, 8, 32)] + \
        [Work("128 KiB sequential read, depth 8", 8, 131072, sequential=True)]


class Figures(NamedTuple):
    """Of a run: requests in a second, processor time of each in microseconds."""

    rate: float
    cpu_us: float


@functools.lru_cache(maxsize=None)
def ticks_per_second():
    """Of the processor's time stamp counter; a guest's runs as fast."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))  # rdtsc; shl rdx,32; or rax,rdx; ret
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    began, first = time.monotonic(), read()
    time.sleep(0.3)
    return (read() - first) / (time.monotonic() - began)


def measure(start, work):
    """The best round of a run, and the processor time of them all."""
    count = ROUND[work.depth] * 4096 // work.length // host.SLOW
    with contextlib.closing(Lines(start(work.words(count)), RUN_S)) as guest:
        guest.next("ROUND")
        before, best, taken = cpu_beside_vcpus(guest.process.pid), None, 0
        end = time.monotonic() + RUN_S
        while taken < 3 or time.monotonic() < end:
            ticks = int(guest.next("ROUND"), 16)  # how many it took
            best = min(best or ticks, ticks)
            taken += 1
        spent = cpu_beside_vcpus(guest.process.pid) - before
    return Figures(count / best * ticks_per_second(), max(spent, 0) * 1e6 / (count * taken))


def start_wisp(where, image, engine, direct):
    def argv(words):
        config = where / "block.json"
        config.write_text(json.dumps({
            "boot-source": {"kernel_image_path": str(payload.image("bench-block")),
                            "boot_args": f"{WISP_WINDOWS} {words}"},
            "machine-config": {"vcpu_count": 1, "mem_size_mib": 128,
                               "huge_pages": "Transparent"},
            "drives": [{"drive_id": "d", "is_root_device": False, "path_on_host": str(image),
                        "cache_type": "Writeback", "io_engine": engine,
                        **({"direct": True} if direct else {})}]}))
        return [wisp.BINARY, "--no-api", "--config-file", config, "--level", "Error",
                "--log-path", where / "block.log"]
    return argv


def start_qemu(_, image, aio, direct):
    def argv(words):
        return [*QEMU, "-M", "microvm,rtc=off,pit=off,isa-serial=on", "-accel", "kvm", "-m", 128,
                "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
                "-no-reboot", "-global", "virtio-mmio.force-legacy=false",
                "-object", "iothread,id=io", "-blockdev",
                f"driver=file,filename={image},aio={aio},cache.direct={'on' if direct else 'off'},"
                "node-name=d", "-device", "virtio-blk-device,drive=d,iothread=io",
                "-kernel", payload.image("bench-block"), "-append", f"{QEMU_WINDOWS} {words}"]
    return argv


def fio(image, work, direct):
    """The file itself; None if there is no fio. Its best of several short runs."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        tree = Path(subprocess.run([host.TOOLS / "guest-tools"], stdout=subprocess.PIPE, text=True,
                                   check=True).stdout.strip())
        loader = next(tree.glob("lib*/ld-linux*"), None) or next(tree.rglob("ld-linux*"))
        libraries = ":".join(sorted({str(p.parent) for p in tree.rglob("*.so*")}))
        best = 0
        for _ in range(3):
            done = subprocess.run(
                [loader, "--library-path", libraries, next(tree.rglob("fio")), "--name=host",
                 f"--filename={image}", "--ioengine=io_uring", f"--iodepth={work.depth}",
                 f"--rw={work.way}", f"--bs={work.length}", f"--direct={direct:d}",
                 f"--size={FILE_MIB}m", "--runtime=1", "--time_based",
                 "--output-format=json", "--norandommap"],
                stdout=subprocess.PIPE, check=True)
            job = json.loads(done.stdout)["jobs"][0]
            best = max(best, job["write" if work.write else "read"]["iops"])
        return best
    return None


def text(figures):
    return f"{figures.rate / 1000:.1f}k {figures.cpu_us:.1f}us"


def best_of(starts, work):
    """By name, of several runs that take turns: how one begins decides at times how it goes on."""
    found = {}
    for _ in range(REPEATS):
        for name, start in starts.items():
            figures = measure(start, work)
            found[name] = max(figures, found.get(name, figures))
    return found


def row_of(bench, image, work, direct):
    engines = ("Sync", "Async")
    aios = ("threads", "io_uring", *(("native",) if direct else ()))
    found = best_of({engine: start_wisp(bench.where, image, engine, direct) for engine in engines} |
                    {aio: start_qemu(bench.where, image, aio, direct) for aio in aios}, work)
    best = max(aios, key=lambda aio: found[aio].rate)
    on_host = fio(image, work, direct)
    figures = {engine: text(found[engine]) for engine in engines}
    figures[f"QEMU({best})"] = text(found[best])
    figures["file"] = f"{on_host / 1000:.1f}k" if on_host else "(no fio)"
    figures["Async/QEMU"] = f"{found['Async'].rate / found[best].rate:.2f}"
    return bench.row(f"{'direct' if direct else 'cached'} {work.name}", "", **figures)


def rows(bench):
    if host.kvm_kind() == "absent":
        yield bench.note("there is no /dev/kvm")
        return
    image = bench.where / "disk.img"
    image.write_bytes(os.urandom(FILE_MIB * MIB))
    os.sync()
    for direct in (False, True):
        for work in WORKS:
            yield row_of(bench, image, work, direct)
