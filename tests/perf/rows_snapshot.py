# SPDX-License-Identifier: Apache-2.0
"""snapshots: what it takes to make one, and to go on from it

The guest is a payload of one vCPU with a disk and an entropy device. `load' is from the request
to its answer, `to its first exit' to the guest's first byte on the console, which the console
collects output for 1 ms before it writes. The floor is snapshot_floor.c: the system calls that
no monitor can do without, from open(/dev/kvm) on. Files are in the host's page cache.
"""

import os
import select
import socket
import subprocess
import time

from framework import host, payload, snapshot, wisp
from framework.wisp import Wisp
from measure import LIMIT_S, quartiles

SIZES_MIB = (128, 1024, 4096)
DIRTY_MIB = 64
SOURCE = host.TOP / "tests" / "perf" / "snapshot_floor.c"


def request(path, method, what, body):
    """Milliseconds from the request to its answer, on a connection that is there."""
    text = wisp.json.dumps(body).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(LIMIT_S)
        sock.connect(str(path))
        begun = time.perf_counter()
        sock.sendall(f"{method} {what} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n"
                     .encode() + text)
        answer = sock.recv(4096)
        took = (time.perf_counter() - begun) * 1000
    if not answer.startswith(b"HTTP/1.1 204 "):
        raise RuntimeError(f"{method} {what}: {answer}")
    return took


def saved(where, mem_mib, dirty_mib, runs):
    """A snapshot of a guest that has written so much; milliseconds that making it took."""
    where.mkdir()
    files = snapshot.in_folder(where)
    took = []
    with Wisp(where, log=False) as vm:
        vm.machine(mem=mem_mib)
        vm.boot_source(payload.image("dirty"), f"dirty={dirty_mib}")
        vm.drive("disk", payload.make_disk(where / "disk.img"))
        vm.entropy()
        vm.start()
        vm.expect("^READY$")
        vm.pause()
        for _ in range(runs):
            took.append(request(vm.socket, "PUT", "/snapshot/create", {
                "snapshot_path": str(files.state), "mem_file_path": str(files.memory)}))
    return files, took


def load(bench, files):
    """Milliseconds to the answer, and to the guest's first byte."""
    reader, writer = os.pipe()
    try:
        path = bench.where / f"load{time.monotonic_ns()}"
        process = subprocess.Popen([wisp.BINARY, "--api-sock", path, "--level", "Off"],
                                   stdin=subprocess.DEVNULL, stdout=writer)
        try:
            while not path.exists():
                time.sleep(0.0002)
            time.sleep(0.02 * host.SLOW)  # its start is not what is measured
            begun = time.perf_counter()
            answered = request(path, "PUT", "/snapshot/load", files.load_body(resume_vm=True))
            if not select.select([reader], [], [], LIMIT_S)[0]:
                raise RuntimeError("the guest does not go on")
            return answered, (time.perf_counter() - begun) * 1000
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(reader)
        os.close(writer)


def floor(program, files, runs):
    done = subprocess.run([program, files.memory, files.state, str(runs)], check=True,
                          stdout=subprocess.PIPE, text=True, timeout=LIMIT_S)
    return [float(line) / 1000 for line in done.stdout.split()]


def rows(bench):
    if host.kvm_kind() == "absent":
        yield bench.note("there is no /dev/kvm")
        return
    program = bench.where / "snapshot_floor"
    subprocess.run(["cc", "-O2", "-o", program, SOURCE], check=True)
    for mem in SIZES_MIB:
        name = f"{mem} MiB, {DIRTY_MIB} MiB written"
        files, took = saved(bench.where / f"m{mem}", mem, DIRTY_MIB, max(3, bench.runs // 10))
        yield bench.row(f"create, {name}", "ms", **quartiles("wisp", took))
        both = [load(bench, files) for _ in range(bench.runs)]
        least = floor(program, files, bench.runs)
        yield bench.row(f"load, {name}", "ms", **quartiles("wisp", [a for a, _ in both]),
                        **quartiles("floor", least))
        yield bench.row(f"load to its first exit, {name}", "ms",
                        **quartiles("wisp", [b for _, b in both]))
