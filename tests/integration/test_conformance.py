# SPDX-License-Identifier: Apache-2.0
"""The virtio transport as virtio 1.2 has it, seen by a guest that drives it itself.

Each property is a payload of its own (tests/guest/virtio-*.c). test_payloads.py runs them
by the monitor as it is shipped; here the sanitised one runs them, so that an access which
only reads too far is seen as well.
"""

import pytest

from framework import host, payload

pytestmark = [pytest.mark.area("transport"), pytest.mark.anykvm]

ASAN = host.TOP / "build" / "asan" / "wisp"

PROPERTIES = {
    "virtio-probe": "identity, and what is there at all",
    "virtio-widths": "every register at every width and offset in every state",
    "virtio-status": "every status value in every state",
    "virtio-features": "masking, and nothing after FEATURES_OK",
    "virtio-queue-frozen": "queue registers while ready and after DRIVER_OK",
    "virtio-queue-select": "queues that do not exist",
    "virtio-notify": "notifications of queues that do not exist",
    "virtio-early-kick": "a kick before DRIVER_OK",
    "virtio-config-bounds": "configuration space behind its end",
    "virtio-ring-geometry": "rings of a bad size, alignment or place",
    "virtio-reset-io": "reset in the middle of I/O, and use again",
}


def test_every_property_is_run():
    """By test_payloads.py: a payload that no longer says what it is would not be."""
    run = {p.name for p in payload.every() if p.area == "transport"}
    assert run == set(PROPERTIES)


@pytest.mark.parametrize("name", PROPERTIES)
def test_conformance_under_sanitizers(start_wisp, tmp_path, name):
    if not ASAN.exists():
        pytest.skip("build/asan/wisp is not built: make MODE=asan")
    if host.SLOW > 1:
        pytest.skip("runs beside the test host, on this machine's own /dev/kvm")
    guest = payload.Payload(name)
    vm = start_wisp("--no-seccomp", binary=ASAN)
    vm.machine(vcpus=guest.vcpus)
    vm.boot_source(guest.image, "x")
    for n in range(sum(d.startswith("block") for d in guest.devices)):
        vm.drive(f"disk{n}", payload.make_disk(tmp_path / f"disk{n}.img"))
    vm.entropy()
    vm.start()
    assert vm.wait(guest.timeout) == 0, (vm.stderr(), vm.log()[-1500:])
    assert "FAIL" not in vm.console() and "PASS" in vm.console(), vm.console()
    assert "Sanitizer" not in vm.stderr() and "runtime error" not in vm.stderr(), vm.stderr()
