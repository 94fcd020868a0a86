# SPDX-License-Identifier: Apache-2.0
"""What a monitor that has fallen silent is doing: for the message of the test that fails."""

import time
from pathlib import Path

LOOK_S = 3  # between two looks at the processor time of each thread


def _read(path):
    try:
        return path.read_text().strip()
    except OSError as error:
        return f"({error.strerror})"


def _threads(pid):
    return sorted(Path(f"/proc/{pid}/task").glob("*"))


def _time(task):
    words = _read(task / "stat").rpartition(")")[2].split()
    return tuple(int(w) for w in words[11:13]) if len(words) > 13 else (0, 0)


def _said(vm):
    return len(vm.console())


def describe(vm):
    """Each thread's place and use of the processor, and whether a pause wakes the guest.

    A guest that goes on after a pause had lost an interrupt: a resume raises it again.
    One whose vCPUs run on and on without a word is busy; one that stays halted waits
    for what never came.
    """
    if not vm.alive():
        return "the monitor has ended"
    tasks = _threads(vm.pid)
    before = {task: _time(task) for task in tasks}
    time.sleep(LOOK_S)
    lines = []
    for task in tasks:
        user, system = (b - a for a, b in zip(before[task], _time(task)))
        stack = " < ".join(_read(task / "stack").split("\n")[:4])
        lines.append(f"{_read(task / 'comm')}: {user}+{system} ticks in {LOOK_S} s, "
                     f"waits in {_read(task / 'wchan')}, call {_read(task / 'syscall')[:40]}, {stack}")
    silent = _said(vm)
    try:
        replies = [vm.api.patch("/vm", {"state": state}).status for state in ("Paused", "Resumed")]
        time.sleep(LOOK_S)
        lines.append(f"pause and resume gave {replies}; the console then grew by "
                     f"{_said(vm) - silent} bytes")
    except OSError as error:
        lines.append(f"pause and resume: {error}")
    return "\n".join(lines)
