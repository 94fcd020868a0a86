# SPDX-License-Identifier: Apache-2.0
"""the process: its start, and its memory beside the guest's

The peer is stopped before its first instruction (-S); its machine is made by then, so its
start is the longer way of the two, and its memory that of a machine that has not run. The
floor is a program that does nothing, to its end.
"""

import os
import subprocess
import time

from framework import host, payload, wisp
from measure import quartiles

GUEST_MIB = 512


def empty_process_ms():
    start = time.monotonic()
    subprocess.run(["/bin/true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic() - start) * 1000


def start_times(bench):
    took = {"floor": [], "wisp": [], "QEMU": []}
    for _ in range(bench.runs):
        took["floor"].append(empty_process_ms())
        for name, start in (("wisp", bench.wisp), ("QEMU", bench.qemu)):
            with start() as started:
                took[name].append(started.ready_ms)
    return {k: v for name, taken in took.items() for k, v in quartiles(name, taken).items()}


def memory(bench, started):
    with bench.wisp() as vm:
        bench.call(vm, "PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": GUEST_MIB})
        if started:
            bench.call(vm, "PUT", "/boot-source",
                       {"kernel_image_path": str(payload.image("idle"))})
            bench.call(vm, "PUT", "/actions", {"action_type": "InstanceStart"})
            bench.call(vm, "PATCH", "/vm", {"state": "Paused"})
        return host.memory_beside(vm.pid, GUEST_MIB)


def rows(bench):
    yield bench.row("exec to API (peer: QMP) ready, median", "ms", **start_times(bench))
    yield bench.row("memory, configured", "KiB", **memory(bench, False))
    if host.kvm_kind() == "absent":
        yield bench.note("memory, started and paused: there is no /dev/kvm")
    else:
        yield bench.row("memory, started and paused", "KiB", **memory(bench, True))
    with bench.qemu(mem=GUEST_MIB) as peer:
        yield bench.row("memory, QEMU microvm -S", "KiB", **host.memory_beside(peer.pid, GUEST_MIB))
    yield bench.row("size of the program", "bytes", wisp=os.stat(wisp.BINARY).st_size)
