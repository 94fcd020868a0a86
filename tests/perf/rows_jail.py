# SPDX-License-Identifier: Apache-2.0
"""the jail: what it costs to be put into one, and what a thread may call afterwards

From exec to an answering API, with a jail and without, 1, 10 and 50 at once, on a host with 0,
100 and 500 mounts more (in a mount namespace of this program's own). A round starts that many
and waits for all; the figure is the end of the fastest tenth of all starts. Processor time is
the process's own until it answered; what else runs on the machine disturbs it least.
"""

import contextlib
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent),
                    str(Path(__file__).resolve().parents[1] / "integration")]

from framework import host, jail, wisp
from framework.http import Api

MORE_MOUNTS = (0, 100, 500)
AT_ONCE = (1, 10, 50)
USER = 30200


def fastest_tenth(values):
    """What it takes when nothing else is in the way: the end of the fastest tenth."""
    return sorted(values)[len(values) // 10]


def mount_more(folder, count):
    libc = ctypes.CDLL(None, use_errno=True)
    for n in range(count):
        path = folder / f"m{n}"
        path.mkdir()
        if libc.mount(b"none", os.fsencode(path), b"tmpfs", 0, b"size=4k") != 0:
            raise OSError(ctypes.get_errno(), "mount")


def await_api(path, process):
    api = Api(path, timeout=10)
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            if api.get("/version").status == 200:
                return time.perf_counter()
        time.sleep(0.0002)
    raise RuntimeError(f"{path}: ended with {process.returncode}")


def one_round(where, jailed, count):
    """Milliseconds from exec to an answer, and of processor time, of each."""
    places, argv = [], []
    for n in range(count):
        if jailed:
            place = jail.Jail(where, wisp.BINARY, f"vm{n}", USER, USER)
            place.readable = []
            places.append(place.root / "run" / "firecracker.socket")
            argv.append(place.words())
        else:
            places.append(where / f"vm{n}.socket")
            argv.append(["wisp", "--api-sock", str(places[-1])])
    started, processes = [], []
    for words in argv:
        started.append(time.perf_counter())
        processes.append(subprocess.Popen(words, executable=wisp.BINARY, stdin=subprocess.DEVNULL,
                                          stdout=subprocess.DEVNULL))
    try:
        ready = [await_api(path, process) for path, process in zip(places, processes)]
    finally:
        used = []
        for process in processes:
            process.kill()
            _, process.returncode, usage = os.wait4(process.pid, 0)
            used.append((usage.ru_utime + usage.ru_stime) * 1000)
    for path in places:
        if not jailed:
            path.unlink()
    shutil.rmtree(where / "jail", ignore_errors=True)
    return [(end - begin) * 1000 for begin, end in zip(started, ready)], used


def measure(mounts, jailed, count, rounds):
    """In a process with a mount namespace of its own: this one."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        subprocess.run(["mount", "-t", "tmpfs", "none", where], check=True)
        mount_more(where, mounts)
        times, used = [], []
        one_round(where, jailed, 1)  # the first one of a host makes the tiny namespace
        for _ in range(rounds):
            more, more_used = one_round(where, jailed, count)
            times += more
            used += more_used
        subprocess.run(["umount", "-R", "-l", where], check=True)
    return round(fastest_tenth(times), 2), round(fastest_tenth(used), 2)


def apart(mounts, jailed, count, rounds):
    done = subprocess.run(["unshare", "-m", "--propagation", "private", sys.executable, "-B",
                           __file__, json.dumps([mounts, jailed, count, rounds])],
                          stdout=subprocess.PIPE, check=True, timeout=600)
    return json.loads(done.stdout)


def calls(kind):
    """Lines of a policy, and calls that are in it."""
    text = (host.TOP / "resources" / "seccomp" / f"{kind}.policy").read_text()
    names = re.findall(r"^(\w+)", text, re.MULTILINE)
    return f"{len(set(names))} in {len(names)} lines"


def ends():
    """How the two ways to die of a call end, by the tests that look at them."""
    for name in ("foreign_architecture_is_killed", "report_is_one_exact_line"):
        program = Path(wisp.BINARY).parent / "tests" / "unit" / "jail" / "test_filter"
        if not program.exists():
            return "the unit tests are not built"
        done = subprocess.run([program, name], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            return f"{name} failed"
    return "int 0x80: signal 31; a denied call: status 148 with its line"


def rows(bench):
    yield bench.row("calls that a thread may make", "", **{k: calls(k) for k in
                                                           ("vmm", "api", "vcpu")})
    yield bench.note(f"forbidden calls: {ends()}")
    if os.geteuid() != 0:
        yield bench.note("start in a jail: needs root")
        return
    rounds = max(bench.runs, 3)
    for count in AT_ONCE:
        each = max(rounds // count, 2)
        free, caught = apart(0, False, count, each), apart(0, True, count, each)
        yield bench.row(f"exec to API, {count} at once", "ms", unjailed=free[0],
                        jailed=caught[0])
        yield bench.row("  processor time of one", "ms", unjailed=free[1], jailed=caught[1])
    for mounts in MORE_MOUNTS:
        free, caught = apart(mounts, False, 1, rounds), apart(mounts, True, 1, rounds)
        yield bench.row(f"exec to API, {mounts} mounts more", "ms", unjailed=free[0],
                        jailed=caught[0])
        yield bench.row("  processor time of one", "ms", unjailed=free[1], jailed=caught[1])


if __name__ == "__main__":
    print(json.dumps(measure(*json.loads(sys.argv[1]))))
