# SPDX-License-Identifier: Apache-2.0
"""Every payload of tests/guest, run by the monitor itself from a configuration file."""

import pytest

from framework import host, payload
from framework.wisp import config_file


def cases():
    for each in payload.every():
        marks = [pytest.mark.area(each.area, "payloads")]
        marks.append(pytest.mark.kvm if each.needs == "real" else pytest.mark.anykvm)
        for mem in each.mem:
            yield pytest.param(each, mem, id=f"{each.name}-{mem}", marks=marks)


@pytest.mark.parametrize("guest, mem", cases())
def test_payload(guest, mem, tmp_path, start_wisp):
    drives, more = payload.devices(guest.devices, tmp_path)
    config = config_file(tmp_path, guest.image, f"mem_mib={mem} kvm={host.kvm_kind()}", drives=drives, mem=mem,
                         vcpus=guest.vcpus, **more)
    vm = start_wisp("--no-api", "--config-file", config, *guest.args, api=False)
    status = vm.wait(guest.timeout)
    console = vm.console()
    assert "FAIL" not in console, console
    assert "PASS" in console, f"{console!r}, exit status {status}, log ends {vm.log()[-1500:]}"
    assert status == guest.exit, vm.log()[-1500:]
    assert vm.exit_reason() == guest.reason
    assert guest.log in vm.log()


@pytest.mark.area("block", "payloads")
@pytest.mark.anykvm
@pytest.mark.parametrize("usec", [0, 1000])
def test_devices_that_poll_never_or_long(usec, tmp_path, start_wisp):
    guest = next(each for each in payload.every() if each.name == "block-rw")
    drives, _ = payload.devices(guest.devices, tmp_path)
    config = config_file(tmp_path, guest.image, f"mem_mib={guest.mem[0]}", drives=drives,
                         mem=guest.mem[0])
    vm = start_wisp("--no-api", "--config-file", config, "--poll-max-us", usec, api=False)
    assert vm.wait(guest.timeout) == guest.exit, vm.log()[-1500:]
    assert "PASS" in vm.console() and "FAIL" not in vm.console(), vm.console()


@pytest.mark.area("payloads")
@pytest.mark.anykvm
def test_a_failing_payload_fails(tmp_path, start_wisp):
    """The harness itself: a check that does not hold must be seen."""
    config = config_file(tmp_path, payload.image("rng"), "mem_mib=128")
    vm = start_wisp("--no-api", "--config-file", config, api=False)
    assert vm.wait(20) == 0
    assert "lib/virtio.c:" in vm.console() and "PASS" not in vm.console()
