# SPDX-License-Identifier: Apache-2.0
"""Pauses while the guest is busy with the machine: nothing is lost, nothing done twice."""

import itertools
import threading
import time

import pytest

from framework import host, payload

pytestmark = [pytest.mark.area("transport"), pytest.mark.area("pause"), pytest.mark.anykvm]

PAUSES = 1000


def busy(start_wisp, tmp_path, name, engine=None, **machine):
    vm = start_wisp()
    vm.machine(**machine)
    vm.boot_source(payload.image(name))
    if engine:
        vm.drive("disk", payload.make_disk(tmp_path / "disk.img"), io_engine=engine)
        vm.entropy()
    vm.start()
    vm.expect("^(READY|FAIL.*)$")
    return vm


def pause_often(vm, times):
    """On one connection; the guest gets no time before the next, or sometimes a little."""
    connection = vm.api.connection()
    # A wake-up that is lost costs a pause the ten seconds until somebody looks again.
    end = time.monotonic() + host.deadline(60)
    for n in range(times):
        assert time.monotonic() < end, f"{n} pauses and no more"
        if n % 4 == 0:
            time.sleep(n % 5 / 1000)
        for state in ("Paused", "Resumed"):
            reply = vm.api.patch("/vm", {"state": state}, connection=connection)
            assert reply.status == 204, (n, reply, vm.log()[-1500:])
    connection.close()


def rounds_at_the_end(vm):
    vm.ctrl_alt_del()
    assert vm.wait() == 0, vm.log()[-1500:]
    found = vm.expect("^(ROUNDS (\\S+)\nPASS|FAIL.*)$")
    assert found.group(2), found.group(0)
    return int(found.group(2), 16)


def test_a_thousand_pauses_lose_no_port_access(start_wisp, tmp_path):
    vm = busy(start_wisp, tmp_path, "pause-serial")
    pause_often(vm, PAUSES)
    assert rounds_at_the_end(vm) > 0


@pytest.mark.parametrize("engine", ["Sync", "Async"])
def test_pauses_lose_no_request(start_wisp, tmp_path, engine):
    vm = busy(start_wisp, tmp_path, "pause-io", engine)
    before = host.usage(vm.pid).tasks
    pause_often(vm, PAUSES // 4)
    # Threads of the kernel's own come and go with an asynchronous drive.
    if engine == "Sync":
        assert host.usage(vm.pid).tasks == before
    assert rounds_at_the_end(vm) > 0


def test_a_paused_machine_does_nothing(start_wisp, tmp_path):
    """While it is paused its disk stays as it is, however long one looks."""
    vm = busy(start_wisp, tmp_path, "pause-io", "Sync")
    for _ in range(20):
        vm.pause()
        first = (tmp_path / "disk.img").read_bytes()
        for _ in range(20):
            assert vm.api.get("/").json["state"] == "Paused"
        assert (tmp_path / "disk.img").read_bytes() == first
        vm.resume()
    assert rounds_at_the_end(vm) > 0


@pytest.mark.parametrize("engine", ["Sync", "Async"])
def test_pause_reset_and_end_in_any_order(start_wisp, tmp_path, engine):
    """The guest resets its disk, two clients pause and resume, and then it ends: whoever comes
    first, nobody waits for ever."""
    orders = list(itertools.product(("Paused", "Resumed"), repeat=3))
    for n, order in enumerate(orders):
        where = tmp_path / str(n)
        where.mkdir()
        vm = busy(start_wisp, where, "pause-io", engine)
        clients = [threading.Thread(target=pause_often, args=(vm, 10)) for _ in range(2)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(host.deadline(60))
            assert not client.is_alive()
        for state in order:
            assert vm.api.patch("/vm", {"state": state}).status == 204
        if n % 2:
            vm.process.terminate()
            assert vm.wait() < 0
        else:
            vm.resume()
            assert rounds_at_the_end(vm) > 0
