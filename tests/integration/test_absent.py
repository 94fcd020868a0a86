# SPDX-License-Identifier: Apache-2.0
"""What the contract has and this version does not: checked, refused with one message, at the
right moment."""

import pytest

from framework import payload

pytestmark = pytest.mark.area("api")

BEFORE = "The requested operation is not supported before starting the microVM."
AFTER = "The requested operation is not supported after starting the microVM."
JSON_ERROR = "An error occurred when deserializing the json body of a request: "
NO_PCI = "PCI is not enabled"

BALLOON = {"amount_mib": 1, "deflate_on_oom": True}
PMEM = {"id": "p", "path_on_host": "/dev/null"}
HOTPLUG = {"total_size_mib": 1024}

# method, path, a good body, the answer before the start, the answer after it
REQUESTS = [
    ("GET", "/balloon", None, "Balloon config error: No balloon device found.",
     "Balloon config error: No balloon device found."),
    ("PUT", "/balloon", BALLOON,
     "Balloon config error: The balloon device is not part of this version of wisp.", AFTER),
    ("PATCH", "/balloon", {"amount_mib": 2}, BEFORE,
     "Balloon update error: No balloon device found."),
    ("GET", "/balloon/statistics", None, BEFORE, "Balloon config error: No balloon device found."),
    ("PATCH", "/balloon/statistics", {"stats_polling_interval_s": 1}, BEFORE,
     "Balloon update error: No balloon device found."),
    ("PATCH", "/balloon/hinting/start", None, BEFORE,
     "Balloon update error: No balloon device found."),
    ("PATCH", "/balloon/hinting/start", {"acknowledge_on_stop": False}, BEFORE,
     "Balloon update error: No balloon device found."),
    ("GET", "/balloon/hinting/status", None, BEFORE,
     "Balloon config error: No balloon device found."),
    ("PATCH", "/balloon/hinting/stop", None, BEFORE,
     "Balloon config error: No balloon device found."),
    ("PUT", "/pmem/p", PMEM,
     "Pmem config error: The persistent memory device is not part of this version of wisp.",
     NO_PCI),
    ("PATCH", "/pmem/p", {"id": "p"}, BEFORE, "Pmem config error: No pmem device found."),
    ("PUT", "/hotplug/memory", HOTPLUG,
     "Memory hotplug config error: Memory hotplug is not part of this version of wisp.", AFTER),
    ("GET", "/hotplug/memory", None, BEFORE,
     "Memory hotplug update error: No memory hotplug device found."),
    ("PATCH", "/hotplug/memory", {"requested_size_mib": 128}, BEFORE,
     "Memory hotplug update error: No memory hotplug device found."),
    ("DELETE", "/drives/d", None, BEFORE, NO_PCI),
    ("DELETE", "/pmem/d", None, BEFORE, NO_PCI),
    ("DELETE", "/network-interfaces/d", None, BEFORE, NO_PCI),
]

BAD = [
    ("PUT", "/balloon", {}, JSON_ERROR + "missing field `amount_mib`"),
    ("PUT", "/balloon", {**BALLOON, "amount_mib": 1 << 32}, JSON_ERROR + "invalid value"),
    ("PUT", "/balloon", {**BALLOON, "amount_mib": 129},
     "Balloon config error: Amount of pages requested is too large."),
    ("PUT", "/balloon", {**BALLOON, "x": 1}, JSON_ERROR + "unknown field `x`"),
    ("PATCH", "/balloon", {}, JSON_ERROR + "missing field `amount_mib`"),
    ("PATCH", "/balloon", None, "Empty PATCH request."),
    ("PATCH", "/balloon/statistics", {"stats_polling_interval_s": 65536}, JSON_ERROR),
    ("PATCH", "/balloon/hinting/start", {"acknowledge_on_stop": 1}, JSON_ERROR),
    ("GET", "/balloon/x", None, "Unrecognized GET request path `x`."),
    ("GET", "/balloon/hinting/x", None, "Unrecognized GET request path `/hinting/x`."),
    ("PATCH", "/balloon/hinting/x", None, "Unrecognized PATCH request path `/hinting/x`."),
    ("PUT", "/pmem/p", {"id": "p"}, JSON_ERROR + "missing field `path_on_host`"),
    ("PUT", "/pmem/q", PMEM, "The id from the path does not match the id from the body!"),
    ("PUT", "/pmem/a-b", PMEM, "API Resource IDs can only contain"),
    ("PATCH", "/pmem/p", {"id": "p", "path_on_host": "/x"}, JSON_ERROR + "unknown field"),
    ("PUT", "/hotplug/memory", {"total_size_mib": 129}, "Memory hotplug config error: Total size "),
    ("PUT", "/hotplug/memory", {**HOTPLUG, "block_size_mib": 3},
     "Memory hotplug config error: Block size must be a power of 2"),
    ("PATCH", "/hotplug/memory", {}, JSON_ERROR + "missing field `requested_size_mib`"),
    ("DELETE", "/drives/d", {}, "Empty Delete request."),
    ("DELETE", "/drives", None, "The ID cannot be empty."),
]


def refused(reply, text):
    assert reply.status == 400, reply
    assert reply.fault.startswith(text), reply


def test_before_the_start(api):
    connection = api.connection()
    for method, path, body, before, _ in REQUESTS:
        refused(api.request(method, path, body, connection=connection), before)
    config = api.get("/vm/config").json
    assert config["balloon"] is None and config["pmem"] == [] and config["memory-hotplug"] is None


@pytest.mark.parametrize("method, path, body, text", BAD)
def test_nonsense_is_called_nonsense(api, method, path, body, text):
    refused(api.request(method, path, body), text)


@pytest.mark.anykvm
def test_after_the_start(start_wisp):
    vm = start_wisp("--enable-pci")
    vm.machine()
    vm.boot_source(payload.image("idle"))
    vm.start()
    vm.expect("^READY$")
    connection = vm.api.connection()
    for method, path, body, _, after in REQUESTS:
        refused(vm.api.request(method, path, body, connection=connection), after)
    # Hot-plug takes PCI, which --enable-pci does not bring.
    refused(vm.api.put("/drives/d", {"drive_id": "d", "is_root_device": False,
                                     "path_on_host": "/dev/null"}), NO_PCI)
    assert "--enable-pci has no effect" in vm.log()
    assert vm.api.get("/").json["state"] == "Running"


@pytest.mark.parametrize("more", [
    {"socket": "/tmp/x"}, {"socket": "/tmp/x", "cache_type": "Writeback"},
    {"socket": "/tmp/x", "is_root_device": True, "partuuid": "1-2"}])
def test_vhost_user_is_refused(api, more):
    refused(api.put("/drives/d", {"drive_id": "d", "is_root_device": False, **more}),
            "Drive config error: Unable to create the virtio block device: Drive `d` has a "
            "`socket`, and vhost-user is not supported by this version of wisp.")


@pytest.mark.parametrize("more", [
    {"path_on_host": "/x"}, {"is_read_only": False}, {"rate_limiter": {}}, {"io_engine": "Sync"}])
def test_a_drive_is_of_one_kind(api, more):
    refused(api.put("/drives/d", {"drive_id": "d", "is_root_device": False, "socket": "/tmp/x",
                                  **more}),
            "Drive config error: Unable to create the virtio block device: Invalid block config.")
