# SPDX-License-Identifier: Apache-2.0
"""GET /events: what is said of a machine, to whom, and that nobody waits for it."""

import os
import socket
import time

import pytest

from framework import host, payload, snapshot
from framework.events import Events
from framework.guest import ARGS

pytestmark = pytest.mark.area("metrics")


def boot(vm, name="idle", devices=(), **more):
    vm.machine()
    drives, more_devices = payload.devices(devices, vm.where)
    for drive in drives:
        vm.drive(drive.pop("drive_id"), drive.pop("path_on_host"), **{
            k: v for k, v in drive.items() if k != "is_root_device"})
    if "entropy" in more_devices:
        vm.entropy()
    vm.boot_source(payload.image(name), **more)
    vm.start()


@pytest.mark.anykvm
def test_life(wisp):
    with Events(wisp) as events:
        boot(wisp)
        events.expect("started")
        wisp.pause()
        events.expect("paused")
        wisp.pause()  # nothing changes
        wisp.resume()
        events.expect("resumed")
        wisp.resume()
        wisp.pause()
        events.expect("paused")


@pytest.mark.anykvm
def test_snapshot(start_wisp):
    """Taken, loaded, gone on from; and the latencies of both."""
    before = start_wisp()
    before.metrics()
    taken = snapshot.in_folder(before.where)
    with Events(before) as events:
        boot(before)
        events.expect("started")
        before.pause()
        events.expect("paused")
        snapshot.create(before, taken)
        assert events.expect("snapshot-created")["path"] == str(taken.state)
    latencies = before.flush_metrics()["latencies_us"]
    assert 0 < latencies["vmm_full_create_snapshot"] <= latencies["full_create_snapshot"]
    snapshot.kill(before)
    after = start_wisp()
    after.metrics()
    with Events(after) as events:
        snapshot.load(after, taken, resume_vm=True)
        events.expect("loaded")
        events.expect("resumed")
    latencies = after.flush_metrics()["latencies_us"]
    assert 0 < latencies["vmm_load_snapshot"] <= latencies["load_snapshot"]
    assert latencies["full_create_snapshot"] == 0


@pytest.mark.anykvm
@pytest.mark.parametrize("name", ["i8042-reset", "acpi-reset", "acpi-poweroff", "triple-fault"])
def test_ends(wisp, name):
    """The reason is the last event, and the stream ends in order before the process does."""
    with Events(wisp) as events:
        boot(wisp, name)
        assert events.rest() == ["started", payload.Payload(name).reason]
    wisp.wait()
    assert wisp.exit_reason() == payload.Payload(name).reason


@pytest.mark.anykvm
def test_a_thousand_reports_of_a_panic_are_one_event(wisp):
    with Events(wisp) as events:
        boot(wisp, "pvpanic")
        assert events.rest() == ["started", "panicked", "guest-reset"]
    assert wisp.wait() == 0
    assert wisp.log().count("has panicked") == 1


@pytest.mark.anykvm
def test_device_needs_reset(wisp):
    words = payload.Payload("block-hostile")
    with Events(wisp) as events:
        boot(wisp, words.name, words.devices, args="kvm=interpreted")
        events.expect("started")
        event = events.expect("device-needs-reset")
        assert event["device"] == "block `disk0'" and event["reason"]
        assert set(events.rest()) == {"device-needs-reset", "guest-reset"}
    assert wisp.wait() == 0
    # Ten in five seconds at most, whatever the guest does.
    assert len(events.seen) <= 2 + 10 * (1 + host.deadline(60) // 5)


@pytest.mark.anykvm
def test_late_subscribers_hear_of_what_follows(wisp):
    boot(wisp)
    wisp.pause()
    with Events(wisp) as first, Events(wisp) as second:
        wisp.resume()
        first.expect("resumed")
        second.expect("resumed")
        third = wisp.api.get("/events")
        assert third.status == 400 and "2 clients watch already" in third.fault
    end = time.monotonic() + host.deadline(10)
    while (reply := wisp.api.raw(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(
            b"HTTP/1.1 400") and time.monotonic() < end:
        time.sleep(0.05)
    assert reply.startswith(b"HTTP/1.1 200"), reply


@pytest.mark.anykvm
def test_subscribers_leave_ten_connections_to_others(wisp):
    boot(wisp)
    with Events(wisp), Events(wisp):
        many = [wisp.api.connection() for _ in range(10)]
        for connection in many:
            assert wisp.api.get("/", connection=connection).status == 200
        assert wisp.api.get("/").status == 503
        for connection in many:
            connection.close()


@pytest.mark.anykvm
def test_a_subscriber_that_reads_nothing_is_no_burden(wisp):
    boot(wisp)
    with Events(wisp) as quick:
        dead = socket.socket(socket.AF_UNIX)
        dead.connect(str(wisp.socket))
        dead.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(50):
            wisp.pause()
            quick.expect("paused")
            wisp.resume()
            quick.expect("resumed")
        dead.close()
    assert wisp.alive()


@pytest.mark.kvm
def test_linux(start_wisp):
    """A Linux that is paused, goes on and powers off."""
    guest = host.guest("small-elf")
    vm = start_wisp()
    vm.machine(mem=256)
    vm.boot_source(guest.kernel, f"{ARGS} test=\"echo LISTENS; sleep 5; poweroff -f\"",
                   initrd=guest.initrd)
    with Events(vm) as events:
        vm.start()
        vm.expect("^LISTENS$", timeout=120)
        vm.pause()
        vm.resume()
        assert events.rest() == ["started", "paused", "resumed", "guest-poweroff"]
    assert vm.wait() == 0


@pytest.mark.kvm
@pytest.mark.parametrize("name, told", [("small-elf", []), ("cloud", ["panicked"])])
def test_linux_panic(start_wisp, name, told):
    """With the driver of pvpanic it is an event; with none, panic=-1 makes it a reset at least."""
    guest = host.guest(name, modules="pvpanic-mmio" if told else "")
    vm = start_wisp()
    vm.machine(mem=256)
    vm.boot_source(guest.kernel, f"{ARGS} test=\"echo c > /proc/sysrq-trigger\"",
                   initrd=guest.initrd)
    with Events(vm) as events:
        vm.start()
        assert events.rest() == ["started", *told, "guest-reset"]
    assert vm.wait() == 0
