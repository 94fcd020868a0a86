# SPDX-License-Identifier: Apache-2.0
"""Guests that attack a device: the machine, its other devices and its API go on.

A payload of tests/guest/hostile-*.c attacks one device, again and again; the second disk
completes a thousand requests beside each attack, and every `GET /' is answered. What is
counted is counted, nothing is timed.
"""

import threading
import time

import pytest

from framework import host, payload

pytestmark = [pytest.mark.area("hostile"), pytest.mark.area("transport"), pytest.mark.anykvm]

BLOCK, ENTROPY = 2, 4
VICTIMS = {"block": BLOCK, "async": BLOCK, "rng": ENTROPY}
# What comes and goes by itself. The kernel may at any time make a huge page of an
# asynchronous drive's tables.
LEAK_KIB = {"block": 256, "async": 256 + 2048, "rng": 256}
BYSTANDER = 1000  # requests beside each attack, lib/hostile.h
GUESTS = sorted(path.stem for path in payload.SOURCES.glob("hostile-*.c"))

ASAN = host.TOP / "build" / "asan" / "wisp"


class Questions:
    """Asks `GET /' without a break, on a thread of its own, and counts the answers."""

    def __init__(self, api):
        self.asked = self.answered = 0
        self.wrong = []
        self._api = api
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.is_set():
            self.asked += 1
            try:
                reply = self._api.get("/")
            except OSError as error:
                self.wrong.append(repr(error))
                return
            if reply.status == 200 and reply.json["state"] in ("Running", "Paused"):
                self.answered += 1
            else:
                self.wrong.append(repr(reply))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def attacked(start_wisp, tmp_path, name, victim, *args, **more):
    """A monitor whose guest is ready to attack."""
    guest = payload.Payload(name)
    vm = start_wisp(*args, **more)
    vm.machine(vcpus=guest.vcpus)
    vm.boot_source(guest.image, f"victim={VICTIMS[victim]}")
    for disk in ("first", "second"):
        engine = "Async" if (victim, disk) == ("async", "first") else "Sync"
        vm.drive(disk, payload.make_disk(tmp_path / f"{disk}.img"), io_engine=engine)
    vm.entropy()
    vm.start()
    vm.expect("^(READY|FAIL.*)$")
    return vm, guest


def held(vm):
    """Descriptors, threads and mappings, and the KiB outside the guest's memory."""
    return host.usage(vm.pid)[:3], host.memory_beside(vm.pid, 128)["Private_Dirty"]


def settled(vm, like=None):
    """What the monitor holds when the last connection is closed, which may take a moment."""
    end = time.monotonic() + host.deadline(5)
    while True:
        now = held(vm)
        time.sleep(0.05)
        if now[0] == (like or held(vm)[0]) or time.monotonic() > end:
            return now


def finish(vm, guest):
    """The attacks, from READY to the end of the machine; how many there were."""
    vm.ctrl_alt_del()
    found = vm.expect("^(ATTACKS (\\S+) SERVED (\\S+)\nDONE|FAIL.*)$", guest.timeout)
    assert found.group(2), found.group(0)
    return int(found.group(2), 16), int(found.group(3), 16)


def end(vm, tmp_path):
    vm.ctrl_alt_del()
    assert vm.wait() == 0, vm.log()[-1500:]
    assert "FAIL" not in vm.console() and "PASS" in vm.console(), vm.console()
    assert vm.exit_reason() == "guest-reset"
    # The disks were read and never written.
    fresh = payload.make_disk(tmp_path / "fresh.img").read_bytes()
    for disk in ("first", "second"):
        assert (tmp_path / f"{disk}.img").read_bytes() == fresh, disk


def cases():
    """On this machine's own /dev/kvm all of them; in the test host, where everything is slow, one
    victim for each guest, in turn, and all in the long run."""
    for n, name in enumerate(GUESTS):
        for m, victim in enumerate(VICTIMS):
            # Kicks come the same way to both engines, and 65,536 of them take their time.
            long = name == "hostile-notify" and victim == "async"
            long |= host.SLOW > 1 and -n % len(VICTIMS) != m
            yield pytest.param(name, victim, marks=[pytest.mark.soak] if long else [])


@pytest.mark.parametrize("name, victim", cases())
def test_hostile(start_wisp, tmp_path, name, victim):
    vm, guest = attacked(start_wisp, tmp_path, name, victim)
    before, dirty = settled(vm)
    with Questions(vm.api) as questions:
        attacks, served = finish(vm, guest)
    assert attacks > 0 and served == BYSTANDER * attacks
    assert questions.wrong == [] and questions.asked == questions.answered
    assert questions.answered > 0
    after, dirty_after = settled(vm, before)
    assert after == before
    assert dirty_after <= dirty + LEAK_KIB[victim], (dirty, dirty_after)
    end(vm, tmp_path)


def sanitized():
    """All of them are for the long run; the disk that answers later is the one to watch."""
    for name in GUESTS:
        for victim in VICTIMS:
            marks = [] if victim == "async" else [pytest.mark.soak]
            yield pytest.param(name, victim, marks=marks)


@pytest.mark.parametrize("name, victim", sanitized())
def test_hostile_under_sanitizers(start_wisp, tmp_path, name, victim):
    """Memory errors and undefined behaviour end the process here; the filter would, too."""
    if not ASAN.exists():
        pytest.skip("build/asan/wisp is not built: make MODE=asan")
    if host.SLOW > 1:
        pytest.skip("runs beside the test host, on this machine's own /dev/kvm")
    vm, guest = attacked(start_wisp, tmp_path, name, victim, "--no-seccomp", binary=ASAN)
    attacks, served = finish(vm, guest)
    assert served == BYSTANDER * attacks
    end(vm, tmp_path)
    assert "runtime error" not in vm.stderr() and "Sanitizer" not in vm.stderr(), vm.stderr()


def test_hostile_guests_are_logged_sparingly(start_wisp, tmp_path):
    """A guest that breaks its ring a hundred times does not fill the host's log."""
    vm, guest = attacked(start_wisp, tmp_path, "hostile-ranges", "block")
    before, start = len(vm.log().splitlines()), time.monotonic()
    attacks, _ = finish(vm, guest)
    # Ten in each five seconds, of which the first may have begun before; slow machines take more.
    most = 10 * (2 + (time.monotonic() - start) // 5)
    said = [line for line in vm.log().splitlines()[before:] if "needs a reset" in line]
    assert attacks > 50 and 0 < len(said) <= most, (attacks, len(said))
    end(vm, tmp_path)


@pytest.mark.parametrize("victim", VICTIMS)
def test_hostile_guests_are_paused(start_wisp, tmp_path, victim):
    """Pauses in the middle of attacks and resets change none of it."""
    vm, guest = attacked(start_wisp, tmp_path, "hostile-loops", victim)
    stop = threading.Event()
    pauses = []

    def pause_and_resume():
        while not stop.wait(0.02):
            vm.pause()
            vm.resume()
            pauses.append(1)

    thread = threading.Thread(target=pause_and_resume)
    thread.start()
    try:
        attacks, served = finish(vm, guest)
    finally:
        stop.set()
        thread.join()
    assert attacks > 0 and served == BYSTANDER * attacks
    assert len(pauses) > 5
    end(vm, tmp_path)
