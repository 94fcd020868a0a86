# SPDX-License-Identifier: Apache-2.0
"""The server: transport, routing, and what every resource has in common."""

import socket
import time

import pytest

from framework import host

pytestmark = pytest.mark.area("api")

BEFORE = "The requested operation is not supported before starting the microVM."
JSON_ERROR = "An error occurred when deserializing the json body of a request: "


def refused(reply, text):
    assert reply.status == 400, reply
    assert reply.headers["Content-Type"] == "application/json"
    assert list(reply.json) == ["fault_message"], reply
    assert text in reply.fault, reply


# --- GETs ---

def test_instance(start_wisp):
    vm = start_wisp("--id", "a-Z09")
    reply = vm.api.get("/")
    assert reply.status == 200
    assert reply.headers["Server"] == "Firecracker API"
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json == {"id": "a-Z09", "state": "Not started", "vmm_version": "1.17.0",
                          "app_name": "Firecracker"}


def test_default_id(api):
    assert api.get("/").json["id"] == "anonymous-instance"


def test_version(api):
    assert api.get("/version").json == {"firecracker_version": "1.17.0"}


def test_vm_config_of_nothing(api):
    reply = api.get("/vm/config")
    assert reply.status == 200
    config = reply.json
    assert config["drives"] == [] and config["network-interfaces"] == [] and config["pmem"] == []
    for key in ("balloon", "boot-source", "cpu-config", "logger", "metrics", "mmds-config",
                "vsock", "entropy", "memory-hotplug"):
        assert config[key] is None, key
    assert config["machine-config"]["vcpu_count"] == 1
    assert len(config) == 13, sorted(config)


def test_vm_config_of_all(api, tmp_path):
    kernel, disk = tmp_path / "kernel", tmp_path / "disk"
    kernel.write_bytes(b"kernel")
    disk.write_bytes(bytes(512))
    assert api.put("/boot-source", {"kernel_image_path": str(kernel), "boot_args": "a \"b\"",
                                    "initrd_path": str(kernel)}).status == 204
    for name, root in (("data", False), ("top", True)):
        assert api.put(f"/drives/{name}", {
            "drive_id": name, "path_on_host": str(disk), "is_root_device": root,
            "is_read_only": True}).status == 204
    assert api.put("/entropy", {}).status == 204
    config = api.get("/vm/config").json
    assert config["boot-source"] == {"kernel_image_path": str(kernel), "boot_args": "a \"b\"",
                                     "initrd_path": str(kernel)}
    assert [d["drive_id"] for d in config["drives"]] == ["top", "data"]
    assert config["drives"][0] == {
        "drive_id": "top", "partuuid": None, "is_root_device": True, "cache_type": "Unsafe",
        "is_read_only": True, "path_on_host": str(disk),
        "rate_limiter": None, "io_engine": "Sync", "socket": None}
    assert config["entropy"] == {"rate_limiter": None}


# --- routing ---

@pytest.mark.parametrize("method, path, body, text", [
    ("GET", "/nothing", None, "Invalid request method and/or path: GET nothing."),
    ("GET", "/vm", None, "Invalid request method and/or path: GET vm."),
    ("GET", "/actions", None, "Invalid request method and/or path: GET actions."),
    ("PUT", "/nothing", {}, "Invalid request method and/or path: PUT nothing."),
    ("PUT", "/version", {}, "Invalid request method and/or path: PUT version."),
    ("PUT", "/vm", {}, "Invalid request method and/or path: PUT vm."),
    ("PATCH", "/boot-source", {}, "Invalid request method and/or path: PATCH boot-source."),
    ("PATCH", "/actions", {}, "Invalid request method and/or path: PATCH actions."),
    ("DELETE", "/machine-config", None,
     "Invalid request method and/or path: DELETE machine-config."),
    ("GET", "/version", "x", "GET request cannot have a body."),
    ("PUT", "/machine-config", None, "Empty PUT request."),
    ("PUT", "/actions", None, "Empty PUT request."),
    ("PATCH", "/machine-config", None, "Empty PATCH request."),
    ("PATCH", "/vm", None, "Empty PATCH request."),
    ("PUT", "/drives", {}, "The ID cannot be empty."),
    ("PUT", "/drives/", {}, "The ID cannot be empty."),
    ("PUT", "/drives/a-b", {},
     "API Resource IDs can only contain alphanumeric characters and underscores."),
    ("PUT", "/drives/a.b", {},
     "API Resource IDs can only contain alphanumeric characters and underscores."),
])
def test_refused_by_the_router(api, method, path, body, text):
    refused(api.request(method, path, body), text)


def test_surplus_of_the_path_is_ignored(api):
    assert api.get("/machine-config/x/y").status == 200
    assert api.get("/machine-config/").status == 200
    assert api.put("/machine-config/x", {"vcpu_count": 3, "mem_size_mib": 64}).status == 204
    assert api.get("//machine-config").json["vcpu_count"] == 3


@pytest.mark.parametrize("path", ["/machine-config", "/boot-source", "/drives/d", "/entropy",
                                  "/serial", "/logger", "/actions"])
@pytest.mark.parametrize("body", [
    "{", "[]", "null", "5", "\"x\"", "{}}", "{\"a\" 1}", "{\"a\":1,}", "nonsense", "{\"x\":1}",
    "{\"\\u0000\":1}", "\xff", "{" * 600, "[" * 600],
    ids=lambda body: ascii(body[:20]))
def test_bodies_that_are_no_such_object(api, path, body):
    reply = api.put(path, body.encode("latin-1"))
    refused(reply, JSON_ERROR)


@pytest.mark.parametrize("body, text", [
    ("{\"vcpu_count\":1}", "missing field `mem_size_mib` at line 1 column 16"),
    ("{\"mem_size_mib\":128}", "missing field `vcpu_count` at line 1 column 20"),
    ("{\"vcpu_count\":1,\"vcpu_count\":1,\"mem_size_mib\":1}", "duplicate field `vcpu_count`"),
    ("{\"vcpu_count\":1,\"foo\":2}", "unknown field `foo`, expected one of `vcpu_count`"),
])
def test_words_of_json_errors(api, body, text):
    refused(api.put("/machine-config", body), JSON_ERROR + text)


# --- life cycle before the start ---

@pytest.mark.parametrize("method, path, body", [
    ("PATCH", "/vm", {"state": "Paused"}),
    ("PATCH", "/vm", {"state": "Resumed"}),
    ("PUT", "/actions", {"action_type": "FlushMetrics"}),
    ("PUT", "/actions", {"action_type": "SendCtrlAltDel"}),
])
def test_refused_before_the_start(api, method, path, body):
    refused(api.request(method, path, body), BEFORE)
    assert api.get("/").json["state"] == "Not started"


# --- transport ---

@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "TRACE", "get", "X"])
def test_other_methods(api, method):
    answer = api.raw(f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 "), answer


@pytest.mark.parametrize("data", [
    b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/3.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
    b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n",
    bytes(range(256)) * 8,
], ids=["lines", "method", "no-version", "version-3", "length-1", "length-x", "headers", "path",
        "bytes"])
def test_what_is_no_http_ends_no_server(wisp, data):
    try:
        answer = wisp.api.raw(data, timeout=2)
    except (ConnectionResetError, BrokenPipeError):
        answer = b""
    assert answer == b"" or answer[:9] == b"HTTP/1.1 " and answer[9:10] in b"45", answer
    assert wisp.api.get("/version").status == 200


@pytest.mark.parametrize("length, status", [(51200, 204), (51201, 400)])
def test_largest_body(api, length, status):
    body = b"{\"vcpu_count\":1,\"mem_size_mib\":128}"
    body += b" " * (length - len(body))
    try:
        assert api.put("/machine-config", body).status == status
    except (BrokenPipeError, ConnectionResetError):
        assert status == 400
    assert api.get("/version").status == 200


def test_one_connection_for_many_requests(api):
    connection = api.connection()
    for n in range(1, 33):
        body = {"vcpu_count": n, "mem_size_mib": 128}
        assert api.put("/machine-config", body, connection=connection).status == 204
        assert api.get("/machine-config", connection=connection).json["vcpu_count"] == n
    connection.close()


def test_no_content_has_no_length(api):
    answer = api.raw(b"PUT /entropy HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.1 204 "), answer
    assert b"content-length" not in answer.lower() and b"content-type" not in answer.lower()


def test_pipelined_requests_are_answered_in_order(api):
    one = b"PUT /machine-config HTTP/1.1\r\nContent-Length: 35\r\n\r\n" \
          b"{\"vcpu_count\":7,\"mem_size_mib\":128}"
    two = b"GET /machine-config HTTP/1.1\r\n\r\n"
    answer = api.raw(one + two, until=b"}")
    assert answer.startswith(b"HTTP/1.1 204 ") and b"HTTP/1.1 200 " in answer
    assert b"\"vcpu_count\":7" in answer.replace(b" ", b"")


def test_a_body_in_pieces(wisp):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(120)
        sock.connect(str(wisp.socket))
        for byte in b"PUT /entropy HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}":
            sock.send(bytes([byte]))
        assert sock.recv(4096).startswith(b"HTTP/1.1 204 ")


def test_connections_left_half_way(wisp):
    """Clients that go away in the middle cost nothing that stays."""
    for _ in range(100):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(str(wisp.socket))
            sock.sendall(b"PUT /entropy HTTP/1.1\r\nContent-Length: 2000\r\n\r\n{")
    # The last ones that left may not have been noticed yet on a busy machine.
    end = time.monotonic() + host.deadline(10)
    while wisp.api.get("/version").status == 503 and time.monotonic() < end:
        time.sleep(0.01)
    assert wisp.api.get("/version").status == 200


def test_ten_connections_and_no_more(wisp):
    held = []
    for _ in range(10):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(60)
        sock.connect(str(wisp.socket))
        sock.sendall(b"GET /version HTTP/1.1\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
        held.append(sock)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as eleventh:
        eleventh.settimeout(60)
        eleventh.connect(str(wisp.socket))
        try:
            eleventh.sendall(b"GET /version HTTP/1.1\r\n\r\n")
            answer = eleventh.recv(4096)
        except (ConnectionResetError, BrokenPipeError):
            answer = b""
        assert not answer.startswith(b"HTTP/1.1 200 "), answer
    for sock in held:
        sock.sendall(b"GET /version HTTP/1.1\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
        sock.close()
    assert wisp.api.get("/version").status == 200


def test_log_of_requests(wisp):
    wisp.api.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 128})
    wisp.api.get("/nothing")
    log = wisp.log()
    assert "The API server received a Put request on \"/machine-config\" with body" in log
    assert "The request was executed successfully. Status code: 204 No Content." in log
    assert ("Received Error. Status code: 400 Bad Request. Message: "
            "Invalid request method and/or path: GET nothing.") in log
