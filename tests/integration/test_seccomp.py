# SPDX-License-Identifier: Apache-2.0
"""The filters: on every thread before the guest runs, and off only when asked."""

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from framework import host, metrics, payload, snapshot
from framework import wisp as wisp_module

pytestmark = [pytest.mark.area("seccomp")]

FILTERED, OFF = "2", "0"


def running(start_wisp, *args, metrics_file=False, **machine):
    vm = start_wisp(*args)
    if metrics_file:
        vm.metrics()
    vm.machine(**machine)
    vm.boot_source(payload.image("idle"))
    vm.start()
    vm.expect("^READY$")
    return vm


@pytest.mark.anykvm
def test_every_thread_is_filtered(start_wisp):
    vm = running(start_wisp, vcpus=4)
    found = host.tasks(vm.pid)
    assert len(found) >= 6  # main, API, four vCPUs
    for task in found.values():
        assert task["Seccomp"] == FILTERED, task["Name"]
        assert task["NoNewPrivs"] == "1", task["Name"]


def test_the_api_thread_is_filtered_before_its_first_request(wisp):
    filters = {t["Name"]: t["Seccomp"] for t in host.tasks(wisp.pid).values()}
    assert filters["fc_api"] == FILTERED


@pytest.mark.anykvm
def test_no_seccomp(start_wisp):
    vm = running(start_wisp, "--no-seccomp", vcpus=2)
    assert {t["Seccomp"] for t in host.tasks(vm.pid).values()} == {OFF}


@pytest.mark.anykvm
def test_pause_resume_and_requests_under_the_filter(start_wisp):
    """Every request that is legal while running passes the filters."""
    vm = running(start_wisp, vcpus=2)
    for _ in range(5):
        vm.pause()
        vm.resume()
        for path in ("/", "/version", "/vm/config", "/machine-config"):
            assert vm.api.get(path).status == 200
        # There is no keyboard, but the request is served.
        for action in ("SendCtrlAltDel", "FlushMetrics"):
            assert vm.api.put("/actions", {"action_type": action}).status in (204, 400)
    assert vm.alive()


@pytest.mark.anykvm
def test_a_denied_call_ends_the_process(start_wisp):
    """A thread of the running monitor is made to call what no filter allows."""
    if os.uname().machine != "x86_64" or os.geteuid() != 0:
        pytest.skip("needs root, to make a foreign thread call")
    if wisp_module.RECORD:
        pytest.skip("a recorded thread makes its calls in another place")
    vm = running(start_wisp, metrics_file=True)
    inject_syscall(vm.pid, 101)  # ptrace
    assert vm.wait(20) == 148
    assert "101" in vm.log() + vm.stderr() + vm.console()
    lines = metrics.parse((vm.where / "metrics.json").read_text())
    metrics.check(lines[-1])
    assert [line["seccomp"]["num_faults"] for line in lines] == [0, 1]


class Regs(ctypes.Structure):
    """struct user_regs_struct."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp "
        "ss fs_base gs_base ds es fs gs").split()]


def inject_syscall(pid, number):
    """Lets the main thread, asleep in a system call, make another one when it goes on."""
    attach, detach, getregs, setregs = 16, 17, 12, 13
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    regs = Regs()

    def ptrace(request, data=None):
        if libc.ptrace(request, pid, None, data) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request}")

    ptrace(attach)
    os.waitpid(pid, 0)
    ptrace(getregs, ctypes.byref(regs))
    regs.rip -= 2  # back to the `syscall' instruction
    regs.rax = number
    regs.orig_rax = ctypes.c_ulonglong(-1).value  # no restart
    ptrace(setregs, ctypes.byref(regs))
    ptrace(detach)


# --- other C libraries ---

@pytest.fixture(name="newer_libc", scope="module")
def _newer_libc():
    done = subprocess.run([host.TOP / "tools" / "testhost" / "newer-libc"], check=True,
                          stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


@pytest.mark.soak  # fetches a package of another release
@pytest.mark.anykvm
@pytest.mark.parametrize("engine", ["Sync", "Async"])
def test_the_policies_hold_with_a_newer_libc(start_wisp, tmp_path, newer_libc, engine):
    """Start, disk, entropy, requests, pauses, snapshots and the end, on Debian 13's libc."""
    prefix = (newer_libc / "ld-linux-x86-64.so.2", "--library-path", newer_libc)

    def start(**more):
        vm = start_wisp(jailed=False, prefix=prefix, **more)
        assert str(newer_libc / "libc.so.6") in Path(f"/proc/{vm.pid}/maps").read_text()
        return vm

    files = snapshot.in_folder(tmp_path)
    vm = start()
    vm.metrics()
    vm.machine(vcpus=2)
    vm.boot_source(payload.image("pause-io"))
    vm.drive("disk", payload.make_disk(tmp_path / "disk.img"), io_engine=engine)
    vm.entropy()
    vm.start()
    vm.expect("^READY$")
    assert {t["Seccomp"] for t in host.tasks(vm.pid).values()} == {FILTERED}
    for path in ("/", "/version", "/vm/config", "/machine-config", "/metrics"):
        assert vm.api.get(path).status == 200
    assert vm.api.put("/actions", {"action_type": "FlushMetrics"}).status == 204
    for _ in range(3):
        vm = snapshot.move(vm, lambda console: start(console=console), files)
    vm.ctrl_alt_del()
    assert vm.wait() == 0, vm.log()[-1500:]
    assert vm.expect("^(PASS|FAIL.*)$").group(0) == "PASS"
