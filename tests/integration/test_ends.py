# SPDX-License-Identifier: Apache-2.0
"""Every way in which the monitor ends: its exit status and its last words."""

import ctypes
import os
import resource
import signal
import termios
import time
from pathlib import Path

import pytest

from framework import host, payload
from framework.wisp import BINARY, RECORD

pytestmark = [pytest.mark.area("ends")]

FATAL = [(signal.SIGBUS, 149), (signal.SIGSEGV, 150), (signal.SIGXFSZ, 151),
         (signal.SIGXCPU, 154), (signal.SIGHUP, 156), (signal.SIGILL, 157)]
ARGS = "console=ttyS0 quiet reboot=k"


def running(start_wisp, name="idle", *args, **more):
    vm = start_wisp(*args, **more)
    vm.machine(vcpus=1)
    vm.boot_source(payload.image(name))
    vm.start()
    vm.expect("^READY$")
    return vm


def last_line(vm):
    return vm.log().strip().splitlines()[-1]


def words(sig, status):
    return (f"Shutting down VM after intercepting signal {int(sig)}, code 0 ({sig.name}). "
            f"exit_code={status} exit_reason=signal")


def wrapper(where, code):
    """A program that spoils what is inherited and becomes the monitor."""
    path = where / "wrapper"
    path.write_text(f"#!/usr/bin/python3\nimport os, signal, sys\n{code}\n"
                    f"os.execv({BINARY!r}, [{BINARY!r}] + sys.argv[1:])\n")
    path.chmod(0o755)
    return path


# --- signals ---

@pytest.mark.anykvm
@pytest.mark.parametrize("sig, status", FATAL, ids=lambda v: getattr(v, "name", ""))
def test_fatal_signal(start_wisp, sig, status):
    vm = running(start_wisp)
    os.kill(vm.pid, sig)
    assert vm.wait(10) == status
    assert last_line(vm) == words(sig, status)


def test_fatal_signal_before_the_start(wisp):
    os.kill(wisp.pid, signal.SIGHUP)
    assert wisp.wait(10) == 156
    assert last_line(wisp) == words(signal.SIGHUP, 156)


def thread_of(vm, name):
    return next(tid for tid, fields in host.tasks(vm.pid).items() if fields["Name"] == name)


@pytest.mark.anykvm
@pytest.mark.parametrize("name", ["fc_vcpu 0", "fc_api"])
def test_fault_of_another_thread(start_wisp, name):
    """The handler runs on the thread that faults, under its filter, and restores the terminal."""
    vm = running(start_wisp, console="pty")
    assert not termios.tcgetattr(vm._terminal)[3] & termios.ICANON
    tgkill(vm.pid, thread_of(vm, name), signal.SIGSEGV)
    assert vm.wait(10) == 150
    assert "signal 11, code -6 (SIGSEGV)" in last_line(vm)
    assert termios.tcgetattr(vm._terminal)[3] & termios.ICANON


def tgkill(pid, tid, sig):
    if ctypes.CDLL(None, use_errno=True).syscall(234, pid, tid, int(sig)) != 0:
        raise OSError(ctypes.get_errno(), "tgkill")


@pytest.mark.anykvm
@pytest.mark.parametrize("sig, status", [(signal.SIGHUP, 156), (signal.SIGSYS, 148)])
def test_the_terminal_is_restored(start_wisp, sig, status):
    if RECORD and sig == signal.SIGSYS:
        pytest.skip("a recorded monitor takes it for a call of its own")
    vm = running(start_wisp, console="pty")
    before = termios.tcgetattr(vm._terminal)
    assert not before[3] & (termios.ICANON | termios.ECHO)
    os.kill(vm.pid, sig)
    assert vm.wait(10) == status
    after = termios.tcgetattr(vm._terminal)
    assert after[3] & termios.ICANON and after[3] & termios.ECHO


@pytest.mark.anykvm
def test_sigpipe_is_said_once(start_wisp):
    vm = running(start_wisp)
    for _ in range(3):
        os.kill(vm.pid, signal.SIGPIPE)
        time.sleep(0.05)
    assert vm.api.get("/").json["state"] == "Running"
    assert vm.log().count("Received signal 13, code 0 (SIGPIPE).") == 1


def test_a_log_whose_reader_goes_away(start_wisp, tmp_path):
    """Every line to it is a SIGPIPE, also the handler's own."""
    fifo = tmp_path / "log.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    vm = start_wisp("--log-path", fifo, log=False)
    os.close(reader)
    for _ in range(20):
        assert vm.api.get("/").status == 200
    assert vm.alive()


def test_log_that_may_not_grow(start_wisp):
    vm = start_wisp()
    resource.prlimit(vm.pid, resource.RLIMIT_FSIZE, (1, 1))
    with pytest.raises(OSError):  # it ends before it answers
        vm.api.get("/version")
    assert vm.wait(10) == 151


@pytest.mark.anykvm
def test_inherited_masks_do_not_matter(start_wisp, tmp_path):
    binary = wrapper(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                               "signal.pthread_sigmask(signal.SIG_BLOCK, [15, signal.SIGBUS])")
    vm = running(start_wisp, binary=binary)
    vm.process.terminate()
    assert vm.wait(10) == -signal.SIGTERM
    vm = running(start_wisp, binary=binary)
    os.kill(vm.pid, signal.SIGBUS)
    assert vm.wait(10) == 149


def test_nohup(start_wisp, tmp_path):
    vm = start_wisp(binary=wrapper(tmp_path, "signal.signal(signal.SIGHUP, signal.SIG_IGN)"))
    os.kill(vm.pid, signal.SIGHUP)
    assert vm.api.get("/").status == 200 and vm.alive()


# --- a guest that does nothing else any more ---

@pytest.mark.anykvm
def test_stuck_guest_ends_by_sigterm_at_once(start_wisp):
    vm = running(start_wisp, "spin")
    vm.process.terminate()
    assert vm.wait(10) == -signal.SIGTERM


@pytest.mark.anykvm
def test_stuck_guest_can_be_paused(start_wisp):
    vm = running(start_wisp, "spin")
    for _ in range(5):
        vm.pause()
        assert vm.api.get("/").json["state"] == "Paused"
        vm.resume()
    assert vm.alive()


# --- a host that has no more tasks ---

@pytest.fixture
def tasks_limit():
    """Lets a process have so many tasks more than it has, and no more."""
    groups = []

    def limit(pid, more):
        top = Path("/sys/fs/cgroup/pids")
        group = (top if top.exists() else top.parent) / f"wisp-test-{pid}"
        try:
            if not top.exists():
                (top.parent / "cgroup.subtree_control").write_text("+pids")
            group.mkdir()
            groups.append(group)
            (group / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            pytest.skip(f"no cgroup for tasks can be made here: {error}")
        (group / "pids.max").write_text(str(len(host.tasks(pid)) + more))

    yield limit
    for group in groups:
        group.rmdir()


@pytest.mark.anykvm
@pytest.mark.parametrize("vcpus", [1, 2])
def test_no_task_left_for_kvm(tasks_limit, start_wisp, vcpus):
    """Older kernels make one with the machine, and a vCPU of ours has none; newer ones at the first
    KVM_RUN, which fails. Or it is not counted, and the guest runs. None of them waits for ever."""
    vm = start_wisp()
    tasks_limit(vm.pid, vcpus)
    vm.machine(vcpus=vcpus)
    vm.boot_source(payload.image("idle"))
    reply = vm.api.put("/actions", {"action_type": "InstanceStart"})
    if reply.status != 204:
        assert "cannot be started: Resource temporarily unavailable" in reply.fault
        return
    until = time.monotonic() + host.deadline(10)
    while vm.alive() and "READY" not in vm.console() and time.monotonic() < until:
        time.sleep(0.05)
    if vm.alive():
        assert "READY" in vm.console()
    else:
        assert vm.wait(10) == 1
        assert vm.exit_reason() == "kvm-failure"
        assert "KVM needs a task of its own" in vm.log()


# --- what Linux does ---

def boot(vm, line, initrd=True):
    guest = host.guest("small-elf")
    vm.machine()
    vm.boot_source(guest.kernel, line, initrd=guest.initrd if initrd else None)
    vm.start()


@pytest.mark.kvm
@pytest.mark.parametrize("seconds", ["1", "-1"])
def test_panic_that_reboots(wisp, seconds):
    boot(wisp, f"{ARGS} panic={seconds} rdinit=/nonexistent")
    assert wisp.wait() == 0
    assert wisp.exit_reason() == "guest-reset"
    assert "Kernel panic" in wisp.console()
    assert "exiting successfully. exit_code=0" in last_line(wisp)


@pytest.mark.kvm
def test_panic_that_stays(wisp):
    boot(wisp, f"{ARGS} panic=0 rdinit=/nonexistent")
    wisp.expect("end Kernel panic")
    time.sleep(host.seconds(1))
    assert wisp.api.get("/").json["state"] == "Running"


@pytest.mark.kvm
def test_halt_stays(wisp):
    boot(wisp, f"{ARGS} panic=-1 test=\"true\" end=\"halt -f\"")
    wisp.expect("GUEST-END")
    time.sleep(host.seconds(1))
    assert wisp.api.get("/").json["state"] == "Running"
    wisp.pause()
    wisp.resume()
    wisp.process.terminate()
    assert wisp.wait(10) == -signal.SIGTERM


@pytest.mark.kvm
def test_reboot_by_acpi(wisp):
    boot(wisp, f"{ARGS} reboot=a test=\"true\"")
    assert wisp.wait() == 0
    assert wisp.exit_reason() == "guest-reset"
    assert "exiting successfully. exit_code=0 exit_reason=guest-reset" in last_line(wisp)


@pytest.mark.kvm
def test_reboot_by_triple_fault(wisp):
    boot(wisp, f"{ARGS} reboot=t test=\"true\"")
    assert wisp.wait() == 1
    assert "exiting with error. exit_code=1 exit_reason=triple-fault" in last_line(wisp)


# --- core scheduling ---

def test_core_sched(start_wisp):
    """In force, not needed, or refused: what this host's kernel can do decides."""
    try:
        vm = start_wisp("--core-sched")
    except AssertionError as ended:
        assert "ended with 1" in str(ended) and "CONFIG_SCHED_CORE" in str(ended)
        return
    value = ctypes.c_ulonglong()
    core_sched, get, thread = 62, 0, 0
    if ctypes.CDLL(None).prctl(core_sched, get, vm.pid, thread, ctypes.byref(value)) == 0:
        assert value.value != 0
    else:
        assert "no core of this host runs two threads" in vm.log()
