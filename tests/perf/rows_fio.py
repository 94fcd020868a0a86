# SPDX-License-Identifier: Apache-2.0
"""the disk under Linux: requests per second of a guest's fio, and what they cost the monitor

The same kernel and the same fio (libaio, O_DIRECT in the guest) under wisp and under QEMU's
microvm machine with an iothread, in each of its aio modes; the last column is fio with
io_uring on the file itself. Processor time is the monitor's without its vCPU. `cached' and
`direct' are about the host, as in block's rows.
"""

import contextlib
import json
import os

from framework import host, wisp
from measure import QEMU, Lines, cpu_beside_vcpus
from rows_block import FILE_MIB, MIB, Figures, Work, fio, text

RUN_S = 3
WORKS = [Work(f"4 KiB {'write' if w else 'read'}, depth {d}", d, write=w)
         for w in (False, True) for d in (1, 8, 32)] + \
        [Work("128 KiB sequential read, depth 8", 8, 131072, sequential=True)]

# Fields of fio's terse output: kilobytes and requests per second, of reads and of writes.
LOOP = (f"for w in {{works}}; do echo BEGIN; set -- $(echo $w | tr : ' '); fio --name=j "
        f"--filename=/dev/vda --ioengine=libaio --direct=1 --size={FILE_MIB}m --norandommap "
        f"--runtime={RUN_S} --time_based --iodepth=$1 --rw=$2 --bs=$3 --minimal --eta=never "
        "--output=/tmp/o; "
        "echo FIO $(cut -d';' -f6,8,47,49 /tmp/o | tr ';' ' '); done; sleep 1000")


def arguments(works):
    words = " ".join(f"{w.depth}:{w.way}:{w.length}" for w in works)
    return f"console=ttyS0 quiet reboot=k panic=-1 test=\"{LOOP.format(works=words)}\""


def measure(argv):
    """Figures of all works, one after the other in one guest."""
    found = []
    with contextlib.closing(Lines(argv, RUN_S * len(WORKS) * host.SLOW)) as guest:
        for work in WORKS:
            guest.next("BEGIN")
            before = cpu_beside_vcpus(guest.process.pid)
            read_kib, reads, write_kib, writes = map(int, guest.next("FIO").split())
            spent = cpu_beside_vcpus(guest.process.pid) - before
            requests = (read_kib + write_kib) * 1024 // work.length
            found.append(Figures(reads + writes, spent * 1e6 / max(requests, 1)))
    return found


def wisp_argv(where, guest, image, engine, direct):
    config = where / "fio.json"
    config.write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(guest.kernel), "initrd_path": str(guest.initrd),
                        "boot_args": arguments(WORKS)},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 256, "huge_pages": "Transparent"},
        "drives": [{"drive_id": "d", "is_root_device": False, "path_on_host": str(image),
                    "cache_type": "Writeback", "io_engine": engine, "direct": direct}]}))
    return [wisp.BINARY, "--no-api", "--config-file", config, "--level", "Error",
            "--log-path", where / "fio.log"]


def qemu_argv(guest, image, aio, direct):
    return [*QEMU, "-M", "microvm,rtc=off,isa-serial=on", "-accel", "kvm", "-m", 256,
            "-cpu", "host", "-nodefaults", "-no-user-config", "-display", "none", "-serial",
            "stdio", "-no-reboot", "-object", "iothread,id=io", "-blockdev",
            f"driver=file,filename={image},aio={aio},cache.direct={'on' if direct else 'off'},"
            "node-name=d", "-device", "virtio-blk-device,drive=d,iothread=io",
            "-kernel", guest.kernel, "-initrd", guest.initrd, "-append", arguments(WORKS)]


def rows_of(bench, guest, image, direct):
    mine = {engine: measure(wisp_argv(bench.where, guest, image, engine, direct))
            for engine in ("Sync", "Async")}
    peers = {aio: measure(qemu_argv(guest, image, aio, direct))
             for aio in ("threads", "io_uring", *(("native",) if direct else ()))}
    for i, work in enumerate(WORKS):
        best = max(peers, key=lambda aio: peers[aio][i].rate)
        on_host = fio(image, work, direct)
        figures = {name: text(found[i]) for name, found in mine.items()}
        figures[f"QEMU({best})"] = text(peers[best][i])
        figures["file"] = f"{on_host / 1000:.1f}k" if on_host else "(no fio)"
        figures["Async/QEMU"] = f"{mine['Async'][i].rate / peers[best][i].rate:.2f}"
        yield bench.row(f"{'direct' if direct else 'cached'} {work.name}", "", **figures)


def takes_direct(path):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
        return True
    except OSError:
        return False


def rows(bench):
    if host.kvm_kind() != "native":
        yield bench.note("/dev/kvm does not run kernels here: tools/with-kvm")
        return
    guest = host.guest("small-elf", tools=True)
    image = bench.where / "disk.img"
    image.write_bytes(os.urandom(FILE_MIB * MIB))
    os.sync()
    yield from rows_of(bench, guest, image, False)
    if takes_direct(image):
        yield from rows_of(bench, guest, image, True)
    else:
        yield bench.note(f"no rows of `direct': {image.parent} is on no file system that has "
                         "O_DIRECT (TMPDIR chooses another)")
