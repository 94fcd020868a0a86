# SPDX-License-Identifier: Apache-2.0
"""Each resource: every wrong value with its message, both sides of each limit."""

import os
import socket

import pytest

pytestmark = pytest.mark.area("api")

JSON_ERROR = "An error occurred when deserializing the json body of a request: "
VCPUS = ("Machine config error: The number of vCPUs must be greater than 0, less than 32 and "
         "must be 1 or an even number if SMT is enabled.")
MEMORY = ("Machine config error: The memory size (MiB) is either 0, or not a multiple of the "
          "configured page size.")
KERNEL = "Boot source error: The kernel file cannot be opened: "
INITRD = ("Boot source error: The initrd file cannot be opened due to invalid path or invalid "
          "permissions. ")
CMDLINE = "Boot source error: The kernel command line is invalid: "


def refused(reply, text):
    assert reply.status == 400, reply
    assert text in reply.fault, reply


# --- /machine-config ---

def machine(**more):
    return {"vcpu_count": 1, "mem_size_mib": 128, **more}


@pytest.mark.parametrize("body", [
    machine(vcpu_count=1), machine(vcpu_count=32), machine(vcpu_count=31),
    machine(vcpu_count=1, smt=True), machine(vcpu_count=2, smt=True),
    machine(vcpu_count=32, smt=True), machine(vcpu_count=3, smt=False),
    machine(mem_size_mib=1), machine(mem_size_mib=3073), machine(mem_size_mib=1048576),
    machine(mem_size_mib=2, huge_pages="2M"), machine(mem_size_mib=4, huge_pages="Transparent"),
    machine(mem_size_mib=3, huge_pages="None"), machine(track_dirty_pages=True),
    machine(cpu_template="None"), machine(cpu_template=None),
])
def test_good_machines(api, body):
    assert api.put("/machine-config", body).status == 204
    now = api.get("/machine-config").json
    for key, value in body.items():
        if value is not None and key != "cpu_template":
            assert now[key] == value


@pytest.mark.parametrize("body, text", [
    (machine(vcpu_count=0), VCPUS), (machine(vcpu_count=33), VCPUS),
    (machine(vcpu_count=255), VCPUS), (machine(vcpu_count=3, smt=True), VCPUS),
    (machine(vcpu_count=31, smt=True), VCPUS),
    (machine(vcpu_count=256), JSON_ERROR), (machine(vcpu_count=-1), JSON_ERROR),
    (machine(vcpu_count=1.5), JSON_ERROR), (machine(vcpu_count="1"), JSON_ERROR),
    (machine(vcpu_count=None), JSON_ERROR), (machine(vcpu_count=True), JSON_ERROR),
    (machine(vcpu_count=[1]), JSON_ERROR), (machine(vcpu_count=1e3), JSON_ERROR),
    (machine(mem_size_mib=0), MEMORY), (machine(mem_size_mib=1, huge_pages="2M"), MEMORY),
    (machine(mem_size_mib=3, huge_pages="Transparent"), MEMORY),
    (machine(mem_size_mib=-1), JSON_ERROR), (machine(mem_size_mib=1 << 64), JSON_ERROR),
    (machine(mem_size_mib=128.5), JSON_ERROR), (machine(mem_size_mib="128"), JSON_ERROR),
    (machine(smt="yes"), JSON_ERROR), (machine(smt=1), JSON_ERROR),
    (machine(track_dirty_pages=0), JSON_ERROR), (machine(track_dirty_pages=None), JSON_ERROR),
    (machine(huge_pages="1G"), JSON_ERROR + "unknown variant `1G`"),
    (machine(huge_pages="2m"), JSON_ERROR + "unknown variant `2m`"),
    (machine(huge_pages=2), JSON_ERROR),
    (machine(cpu_template="T9"), JSON_ERROR + "unknown variant `T9`"),
    (machine(gdb_socket_path="/x"), JSON_ERROR + "unknown field `gdb_socket_path`"),
    (machine(VCPU_COUNT=1), JSON_ERROR + "unknown field `VCPU_COUNT`"),
    ({"vcpu_count": 1}, JSON_ERROR + "missing field `mem_size_mib`"),
    ({"mem_size_mib": 1}, JSON_ERROR + "missing field `vcpu_count`"),
    ({}, JSON_ERROR + "missing field"),
])
def test_bad_machines(api, body, text):
    before = api.get("/machine-config").json
    refused(api.put("/machine-config", body), text)
    assert api.get("/machine-config").json == before


def test_default_machine(api):
    assert api.get("/machine-config").json == {
        "vcpu_count": 1, "mem_size_mib": 128, "smt": False, "track_dirty_pages": False,
        "huge_pages": "None"}


def test_put_machine_resets_what_it_does_not_say(api):
    api.put("/machine-config", machine(vcpu_count=2, smt=True, track_dirty_pages=True))
    api.put("/machine-config", machine())
    now = api.get("/machine-config").json
    assert (now["smt"], now["track_dirty_pages"]) == (False, False)


@pytest.mark.parametrize("body", [{"vcpu_count": 32}, {"mem_size_mib": 1}, {"smt": False},
                                  {"track_dirty_pages": True}, {"huge_pages": "2M"},
                                  {"vcpu_count": 4, "mem_size_mib": 64, "smt": True}])
def test_good_patches_of_machines(api, body):
    before = api.get("/machine-config").json
    assert api.patch("/machine-config", body).status == 204
    assert api.get("/machine-config").json == {**before, **body}


@pytest.mark.parametrize("body, text", [
    ({}, "Empty PATCH request."),
    ({"vcpu_count": 0}, VCPUS), ({"vcpu_count": 33}, VCPUS), ({"vcpu_count": 256}, JSON_ERROR),
    ({"vcpu_count": 3, "smt": True}, VCPUS), ({"mem_size_mib": 0}, MEMORY),
    ({"mem_size_mib": 1 << 64}, JSON_ERROR), ({"x": 1}, JSON_ERROR + "unknown field `x`"),
    ({"huge_pages": "x"}, JSON_ERROR + "unknown variant `x`"), ([], JSON_ERROR),
])
def test_bad_patches_of_machines(api, body, text):
    before = api.get("/machine-config").json
    refused(api.patch("/machine-config", body), text)
    assert api.get("/machine-config").json == before


def test_patch_is_checked_with_what_stands(api):
    api.put("/machine-config", machine(mem_size_mib=3))
    refused(api.patch("/machine-config", {"huge_pages": "2M"}), MEMORY)
    api.put("/machine-config", machine(vcpu_count=3))
    refused(api.patch("/machine-config", {"smt": True}), VCPUS)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_deprecation_of_templates(wisp, method):
    api = wisp.api
    reply = api.request(method, "/machine-config", machine(cpu_template="None"))
    assert reply.status == 204 and reply.headers["Deprecation"] == "true"
    reply = api.request(method, "/machine-config", machine(vcpu_count=0, cpu_template="T2"))
    assert reply.status == 400 and reply.headers["Deprecation"] == "true"
    for body in (machine(), machine(cpu_template=None)):
        reply = api.request(method, "/machine-config", body)
        assert reply.status == 204 and reply.headers["Deprecation"] is None
    assert wisp.log().count(f"{method} /machine-config: a deprecated field was used.") == 2


# --- /boot-source ---

@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(b"kernel")
    return str(path)


def test_good_boot_sources(api, kernel):
    for more in ({}, {"boot_args": ""}, {"boot_args": None, "initrd_path": None},
                 {"boot_args": "x" * 2047}, {"boot_args": "a=\"b c\" -- d", "initrd_path": kernel}):
        assert api.put("/boot-source", {"kernel_image_path": kernel, **more}).status == 204, more


@pytest.mark.parametrize("more, text", [
    ({"kernel_image_path": "/nonexistent"}, KERNEL + "No such file or directory (os error 2)"),
    ({"kernel_image_path": ""}, KERNEL + "No such file or directory (os error 2)"),
    ({"kernel_image_path": "/dev/urandom/x"}, KERNEL + "Not a directory (os error 20)"),
    ({"initrd_path": "/nonexistent"}, INITRD + "No such file or directory (os error 2)"),
    ({"boot_args": "x" * 2048}, CMDLINE), ({"boot_args": "x" * 40000}, CMDLINE),
    ({"boot_args": "a\u0007b"}, CMDLINE), ({"boot_args": "\u00e9"}, CMDLINE),
    ({"kernel_image_path": None}, JSON_ERROR), ({"kernel_image_path": 1}, JSON_ERROR),
    ({"kernel_image_path": "a\0b"}, ""), ({"kernel_image_path": "/" + "x" * 5000}, ""),
    ({"boot_args": 1}, JSON_ERROR), ({"boot_args": ["x"]}, JSON_ERROR),
    ({"initrd_path": {}}, JSON_ERROR), ({"x": 1}, JSON_ERROR + "unknown field `x`"),
])
def test_bad_boot_sources(api, kernel, more, text):
    assert api.put("/boot-source", {"kernel_image_path": kernel}).status == 204
    refused(api.put("/boot-source", {"kernel_image_path": kernel, **more}), text)
    assert api.get("/vm/config").json["boot-source"]["kernel_image_path"] == kernel


def test_boot_source_needs_a_kernel(api):
    refused(api.put("/boot-source", {"boot_args": "x"}),
            JSON_ERROR + "missing field `kernel_image_path`")


# --- /drives ---

@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096))
    return str(path)


def drive(path, **more):
    return {"drive_id": "d", "path_on_host": path, "is_root_device": False, **more}


@pytest.mark.parametrize("more", [
    {}, {"is_read_only": True}, {"is_read_only": None}, {"is_root_device": True},
    {"is_root_device": True, "partuuid": "x"}, {"partuuid": "not-used"},
    {"cache_type": "Writeback"}, {"cache_type": "Unsafe"}, {"io_engine": "Sync"},
    {"rate_limiter": {}}, {"rate_limiter": None},
    {"rate_limiter": {"bandwidth": {"size": 0, "refill_time": 0}}},
    {"rate_limiter": {"ops": {"size": (1 << 64) - 1, "refill_time": 0, "extra": "ignored"}}},
])
def test_good_drives(api, disk, more):
    assert api.put("/drives/d", drive(disk, **more)).status == 204
    assert api.get("/vm/config").json["drives"][0]["path_on_host"] == disk


BAD_BUCKETS = [
    ({}, "missing field `size`"), ({"size": 1}, "missing field `refill_time`"),
    ({"refill_time": 1}, "missing field `size`"),
    ({"size": -1, "refill_time": 1}, ""), ({"size": 1 << 64, "refill_time": 1}, ""),
    ({"size": 1.5, "refill_time": 1}, ""), ({"size": "1", "refill_time": 1}, ""),
    ({"size": 1, "refill_time": 1 << 64}, ""),
    ({"size": 1, "refill_time": 1, "one_time_burst": -1}, ""), ([], ""), (1, ""),
]


@pytest.mark.parametrize("more, text", [
    ({"path_on_host": "/nonexistent"}, "Drive config error: "),
    ({"path_on_host": ""}, "Drive config error: "),
    ({"path_on_host": "/tmp"}, "Drive config error: "),
    ({"path_on_host": "/dev/null"}, "Drive config error: "),
    ({"path_on_host": 1}, JSON_ERROR), ({"path_on_host": "a\0b"}, ""),
    ({"path_on_host": None},
     "Drive config error: Unable to create the virtio block device: Invalid block config."),
    ({"socket": "/nonexistent"},
     "Drive config error: Unable to create the virtio block device: Invalid block config."),
    ({"drive_id": "other"}, "The id from the path does not match the id from the body!"),
    ({"drive_id": None}, JSON_ERROR), ({"drive_id": 1}, JSON_ERROR),
    ({"is_root_device": None}, JSON_ERROR), ({"is_root_device": "true"}, JSON_ERROR),
    ({"is_read_only": 1}, JSON_ERROR), ({"partuuid": 1}, JSON_ERROR),
    ({"cache_type": "unsafe"}, JSON_ERROR + "unknown variant `unsafe`"),
    ({"io_engine": "sync"}, JSON_ERROR + "unknown variant `sync`"),
    ({"rate_limiter": {"x": 1}}, JSON_ERROR + "unknown field `x`"),
    ({"rate_limiter": 1}, JSON_ERROR), ({"x": 1}, JSON_ERROR + "unknown field `x`"),
    *[({"rate_limiter": {kind: bucket}}, JSON_ERROR + text)
      for kind in ("bandwidth", "ops") for bucket, text in BAD_BUCKETS],
])
def test_bad_drives(api, disk, more, text):
    refused(api.put("/drives/d", drive(disk, **more)), text)
    assert api.get("/vm/config").json["drives"] == []


def test_fields_that_a_drive_must_have(api, disk):
    refused(api.put("/drives/d", {"drive_id": "d", "path_on_host": disk}),
            JSON_ERROR + "missing field `is_root_device`")
    refused(api.put("/drives/d", {"is_root_device": False, "path_on_host": disk}),
            JSON_ERROR + "missing field `drive_id`")
    refused(api.put("/drives/d", {"drive_id": "d", "is_root_device": False}),
            "Unable to create the virtio block device: Invalid block config.")


@pytest.mark.parametrize("name, status", [
    ("a", 204), ("_", 204), ("Z9_a", 204), ("x" * 64, 204),
    ("a-b", 400), ("a%20b", 400), ("..", 400)])
def test_names_of_drives(api, disk, name, status):
    body = drive(disk)
    body["drive_id"] = name
    assert api.put(f"/drives/{name}", body).status == status


def test_files_that_are_no_disks(api, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        for name in ("fifo", "socket"):
            refused(api.put("/drives/d", drive(str(tmp_path / name))), "Drive config error: ")
    assert api.get("/version").status == 200


def test_an_empty_file_is_a_disk(api, tmp_path):
    (tmp_path / "empty").touch()
    assert api.put("/drives/d", drive(str(tmp_path / "empty"))).status == 204


def test_a_disk_that_may_not_be_written(start_wisp, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everything")
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(512))
    path.chmod(0o444)
    api = start_wisp().api
    refused(api.put("/drives/d", drive(str(path))), "Drive config error: ")
    assert api.put("/drives/d", drive(str(path), is_read_only=True)).status == 204


def test_second_root(api, disk):
    assert api.put("/drives/d", drive(disk, is_root_device=True)).status == 204
    body = drive(disk, is_root_device=True)
    body["drive_id"] = "e"
    refused(api.put("/drives/e", body), "Drive config error: A root block device already exists!")
    assert [d["drive_id"] for d in api.get("/vm/config").json["drives"]] == ["d"]
    # The same one again is a replacement.
    assert api.put("/drives/d", drive(disk, is_root_device=True)).status == 204
    assert api.put("/drives/d", drive(disk)).status == 204
    assert api.put("/drives/e", body).status == 204
    assert [d["drive_id"] for d in api.get("/vm/config").json["drives"]] == ["e", "d"]


def test_replacing_a_drive_closes_the_old_file(wisp, disk):
    from framework import host
    connection = wisp.api.connection()  # a descriptor too: the same for all
    wisp.api.put("/drives/d", drive(disk), connection=connection)
    before = host.usage(wisp.pid).descriptors
    for _ in range(20):
        assert wisp.api.put("/drives/d", drive(disk), connection=connection).status == 204
    assert host.usage(wisp.pid).descriptors == before
    connection.close()


# --- /entropy, /serial ---

@pytest.mark.parametrize("body", [
    {}, {"rate_limiter": None}, {"rate_limiter": {}},
    {"rate_limiter": {"bandwidth": {"size": 0, "refill_time": 1}, "ops": None}}])
def test_good_entropy(api, body):
    assert api.put("/entropy", body).status == 204
    assert api.get("/vm/config").json["entropy"] is not None


@pytest.mark.parametrize("body, text", [
    ({"x": 1}, "unknown field `x`"), ({"rate_limiter": {"x": 1}}, "unknown field `x`"),
    ({"rate_limiter": 1}, ""), ({"rate_limiter": {"bandwidth": 1}}, ""),
    *[({"rate_limiter": {"ops": bucket}}, text) for bucket, text in BAD_BUCKETS]])
def test_bad_entropy(api, body, text):
    refused(api.put("/entropy", body), JSON_ERROR + text)
    assert api.get("/vm/config").json["entropy"] is None


@pytest.mark.parametrize("body", [
    {}, {"serial_out_path": None}, {"rate_limiter": {"size": 1, "refill_time": 1}},
    {"rate_limiter": {"size": 1, "refill_time": 1, "other": 1}}])
def test_good_serial(api, body):
    assert api.put("/serial", body).status == 204


@pytest.mark.parametrize("body, text", [
    ({"x": 1}, JSON_ERROR + "unknown field `x`"), ({"serial_out_path": 1}, JSON_ERROR),
    ({"rate_limiter": {"bandwidth": {"size": 1, "refill_time": 1}}}, JSON_ERROR + "missing field"),
    *[({"rate_limiter": bucket}, JSON_ERROR + text) for bucket, text in BAD_BUCKETS]])
def test_bad_serial(api, body, text):
    refused(api.put("/serial", body), text)


# --- /logger ---

@pytest.mark.parametrize("body", [
    {}, *[{"level": level} for level in ("Off", "Trace", "Debug", "Info", "Warn", "Warning",
                                         "Error", "error", "WARNING", "dEbUg")],
    {"level": None, "show_level": True}, {"show_log_origin": True, "module": "api"}])
def test_good_loggers(api, body):
    assert api.put("/logger", body).status == 204


def test_module_filter(start_wisp):
    """Lines of one module; the option does the same; what is not given stays."""
    vm = start_wisp("--module", "api::request_log", log=False)
    assert vm.api.put("/logger", {"log_path": str(vm.where / "l")}).status == 204
    assert vm.api.get("/version").status == 200
    assert vm.api.put("/logger", {"module": "api_server"}).status == 204
    assert vm.api.get("/version").status == 200
    text = (vm.where / "l").read_text()
    first, _, second = text.partition("on \"/logger\" with body \"{\\\"module")
    assert "The request was executed" not in first
    assert first.count("The API server received a Get request on \"/version\"") == 1
    assert second.count("The request was executed successfully. Status code: 200 OK.") == 1


@pytest.mark.parametrize("body, text", [
    ({"level": "Loud"}, JSON_ERROR), ({"level": 1}, JSON_ERROR), ({"show_level": "x"}, JSON_ERROR),
    ({"show_log_origin": 0}, JSON_ERROR), ({"x": 1}, JSON_ERROR + "unknown field `x`"),
    ({"log_path": 1}, JSON_ERROR), ({"log_path": "/nonexistent/x"}, "Logger error: "),
    ({"log_path": "/tmp"}, "Logger error: ")])
def test_bad_loggers(api, body, text):
    refused(api.put("/logger", body), text)


def test_log_goes_where_it_is_told(start_wisp, tmp_path):
    vm = start_wisp(log=False)
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    for path in (first, second):
        assert vm.api.put("/logger", {"log_path": str(path), "level": "Info",
                                      "show_level": True}).status == 204
        vm.api.get("/nothing")
        assert "GET nothing" in path.read_text()
    size = first.stat().st_size
    assert vm.api.put("/logger", {"level": "Error"}).status == 204
    vm.api.get("/version")
    vm.api.get("/nothing")
    lines = second.read_text().splitlines()
    assert "GET nothing" in lines[-1] and "ERROR" in lines[-1]
    assert "version" not in lines[-2]
    assert first.stat().st_size == size


# --- /actions, /vm ---

@pytest.mark.parametrize("body, text", [
    ({}, JSON_ERROR + "missing field `action_type`"),
    ({"action_type": "Start"}, JSON_ERROR + "unknown variant `Start`"),
    ({"action_type": "instancestart"}, JSON_ERROR + "unknown variant `instancestart`"),
    ({"action_type": None}, JSON_ERROR), ({"action_type": 1}, JSON_ERROR),
    ({"action_type": "InstanceStart", "payload": "x"}, JSON_ERROR + "unknown field `payload`"),
])
def test_bad_actions(api, body, text):
    refused(api.put("/actions", body), text)
    assert api.get("/").json["state"] == "Not started"


@pytest.mark.parametrize("body, text", [
    ({}, "missing field `state`"), ({"state": "Running"}, "unknown variant `Running`"),
    ({"state": "paused"}, "unknown variant `paused`"), ({"state": None}, ""), ({"state": 1}, ""),
    ({"state": "Paused", "x": 1}, "unknown field `x`"), ([], ""),
])
def test_bad_vm_states(api, body, text):
    refused(api.patch("/vm", body), JSON_ERROR + text)
