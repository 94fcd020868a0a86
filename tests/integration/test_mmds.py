# SPDX-License-Identifier: Apache-2.0
"""The metadata service: its API, and what curl in a Linux guest is answered."""

import hashlib
import json

import pytest

from framework import host, network, payload
from framework.guest import leave, shell

pytestmark = [pytest.mark.area("mmds")]

NOT_INITIALISED = "MMDS error: The MMDS data store is not initialized."
TOO_LARGE = "MMDS limit exceeded error: The MMDS patch request doesn't fit."
LIMIT = 51200


# --- the API ---

def test_put_patch_get(api):
    assert api.get("/mmds").json == {}
    assert api.patch("/mmds", {"a": 1}).fault == NOT_INITIALISED
    assert api.put("/mmds", {"b": {"c": 1, "d": [1, 2.5, None]}, "a": "x"}).status == 204
    assert api.get("/mmds").json == {"b": {"c": 1, "d": [1, 2.5, None]}, "a": "x"}
    assert api.patch("/mmds", {"a": None, "b": {"c": None, "e": {"f": None, "g": ""}}}).status == 204
    assert api.get("/mmds").json == {"b": {"d": [1, 2.5, None], "e": {"g": ""}}}
    assert api.put("/mmds", {}).status == 204
    assert api.get("/mmds").json == {}


def test_numbers_are_kept_to_the_digit(api):
    text = '{"a":18446744073709551616,"b":0.10,"c":-1E+400}'
    assert api.request("PUT", "/mmds", text).status == 204
    assert api.get("/mmds").body.decode() == text


@pytest.mark.parametrize("args, limit", [
    ((), LIMIT), (("--mmds-size-limit", "30"), 30), (("--http-api-max-payload-size", "400"), 400),
    (("--mmds-size-limit", "60000", "--http-api-max-payload-size", "70000"), 60000)],
    ids=["default", "limit", "payload", "both"])
def test_both_sides_of_the_limit(start_wisp, args, limit):
    api = start_wisp(*args).api
    filled = {"a": "x" * (limit // 2)}
    rest = limit - len(json.dumps(filled, separators=(",", ":"))) - len(',"b":""')
    assert api.put("/mmds", filled).status == 204
    # A body is measured as it is stored: without its spaces.
    reply = api.patch("/mmds", {"b": "y" * (rest + 1)})
    assert (reply.status, reply.fault) == (413, TOO_LARGE)
    assert api.get("/mmds").json == filled
    assert api.patch("/mmds", {"b": "y" * rest}).status == 204
    assert len(api.get("/mmds").body) == limit
    assert api.patch("/mmds", {"a": None}).status == 204


def test_a_put_over_the_limit(start_wisp):
    api = start_wisp("--mmds-size-limit", "20").api
    assert api.request("PUT", "/mmds", '{ "a" : "123456789012" }').status == 204
    reply = api.request("PUT", "/mmds", '{"a":"1234567890123"}')
    assert (reply.status, reply.fault) == (413, TOO_LARGE)
    assert api.get("/mmds").json == {"a": "123456789012"}


@pytest.mark.parametrize("body, why", [
    ("{", "EOF while parsing an object at line 1 column 1"),
    ("[1]", "invalid type: sequence, expected a map at line 1 column 0"),
    ('{"a":"\\u0000"}', "NUL character in a string at line 1 column 12"),
    ('{"a":' * 128 + "1" + "}" * 128, "recursion limit exceeded at line 1 column 636")])
def test_what_is_no_document(api, body, why):
    reply = api.request("PUT", "/mmds", body)
    assert (reply.status, reply.fault) == (
        400, f"An error occurred when deserializing the json body of a request: {why}.")


def test_bodies_are_not_in_the_log(wisp):
    secret = "correct-horse"
    assert wisp.api.put("/mmds", {"a": secret}).status == 204
    assert wisp.api.patch("/mmds", {"b": secret}).status == 204
    assert wisp.api.request("PUT", "/mmds?x", json.dumps({"b": secret})).status == 400
    assert wisp.api.get("/mmds").json == {"a": secret, "b": secret}
    log = wisp.log()
    assert 'a Put request on "/mmds".' in log and secret not in log


def test_metadata_from_a_file(start_wisp, tmp_path):
    path = tmp_path / "metadata.json"
    path.write_text(' {"latest": {"x": [1]}} ')
    vm = start_wisp("--metadata", path)
    assert vm.api.get("/mmds").json == {"latest": {"x": [1]}}
    assert "Successfully added metadata to mmds from file" in vm.log()
    assert vm.api.patch("/mmds", {"y": 1}).status == 204


@pytest.mark.parametrize("text, args, why", [
    ('{"a":"0123456789012345678901"}', ("--mmds-size-limit", "29"),
     "The MMDS patch request doesn't fit."),
    ('{"a":"0123456789012345678901"}', ("--http-api-max-payload-size", "29"),
     "The MMDS patch request doesn't fit."),
    ("{", (), "metadata provided not valid json: EOF while parsing an object at line 1 column 1"),
    (None, (), "No such file or directory: ")])
def test_metadata_that_cannot_be_used(start_wisp, tmp_path, text, args, why):
    path = tmp_path / "metadata.json"
    if text is not None:
        path.write_text(text)
    vm = start_wisp("--metadata", path, *args, api=False)
    assert vm.wait() == 1
    assert f"Populating MMDS from file failed: {why}" in vm.log()


@pytest.mark.anykvm
def test_a_machine_without_the_service_has_no_store(start_wisp):
    vm = start_wisp()
    vm.machine()
    vm.boot_source(payload.image("idle"))
    assert vm.api.put("/mmds", {"a": 1}).status == 204
    vm.start()
    for reply in (vm.api.get("/mmds"), vm.api.put("/mmds", {}), vm.api.patch("/mmds", {})):
        assert (reply.status, reply.fault) == (400, NOT_INITIALISED)
    reply = vm.api.put("/mmds/config", {"network_interfaces": ["eth0"]})
    assert reply.fault == "The requested operation is not supported after starting the microVM."


# --- the configuration ---

@pytest.fixture(scope="module")
def own_network():
    if why := network.lacking():
        pytest.skip(why)
    namespace = network.Namespace()
    yield
    namespace.close()


@pytest.fixture
def taps(own_network):
    made = [network.Tap(), network.Tap()]
    yield made
    for tap in made:
        tap.close()


def put_config(vm, **fields):
    return vm.api.put("/mmds/config", fields)


def test_configuration(wisp, taps):
    unknown = "MMMDS config error: The list of network interface IDs provided contains at least " \
              "one ID that does not correspond to any existing network interface."
    assert put_config(wisp, network_interfaces=["eth0"]).fault == unknown
    wisp.net("eth0", tap=taps[0].name)
    assert put_config(wisp, network_interfaces=["eth0", "eth1"]).fault == unknown
    wisp.net("eth1", tap=taps[1].name)
    assert wisp.api.get("/vm/config").json["mmds-config"] is None
    reply = put_config(wisp, network_interfaces=["eth0"])
    assert (reply.status, reply.headers["Deprecation"]) == (204, "true")
    assert wisp.api.get("/vm/config").json["mmds-config"] == {
        "version": "V1", "network_interfaces": ["eth0"], "ipv4_address": "169.254.169.254",
        "imds_compat": False}
    reply = put_config(wisp, network_interfaces=["eth1", "eth0"], version="V2",
                       ipv4_address="169.254.170.2", imds_compat=True)
    assert (reply.status, reply.headers["Deprecation"]) == (204, None)
    for address in ("169.254.0.255", "169.254.255.0", "1.1.1.1"):
        reply = put_config(wisp, network_interfaces=["eth0"], ipv4_address=address)
        assert reply.fault == "MMMDS config error: The MMDS IPv4 address is not link local."
        assert reply.headers["Deprecation"] == "true"
    assert wisp.api.get("/vm/config").json["mmds-config"] == {
        "version": "V2", "network_interfaces": ["eth1", "eth0"], "ipv4_address": "169.254.170.2",
        "imds_compat": True}


@pytest.mark.anykvm
def test_a_snapshot_has_the_configuration_and_not_the_document(start_wisp, taps, tmp_path):
    vm = start_wisp()
    vm.machine()
    vm.boot_source(payload.image("idle"))
    vm.net("eth0", tap=taps[0].name)
    assert put_config(vm, network_interfaces=["eth0"], version="V2", imds_compat=True,
                      ipv4_address="169.254.170.2").status == 204
    assert vm.api.put("/mmds", {"secret": "x"}).status == 204
    vm.start()
    vm.expect("^READY$")
    assert vm.api.get("/mmds").json == {"secret": "x"}
    vm.pause()
    state, memory = tmp_path / "state", tmp_path / "memory"
    assert vm.api.put("/snapshot/create", {
        "snapshot_path": str(state), "mem_file_path": str(memory)}).status == 204
    before = vm.api.get("/vm/config").json
    vm.close()
    assert b"secret" not in state.read_bytes()
    loaded = start_wisp()
    assert loaded.api.put("/snapshot/load", {
        "snapshot_path": str(state),
        "mem_backend": {"backend_type": "File", "backend_path": str(memory)}}).status == 204
    assert loaded.api.get("/vm/config").json["mmds-config"] == before["mmds-config"]
    assert loaded.api.get("/mmds").json == {}
    assert loaded.api.patch("/mmds", {"a": 1}).fault == NOT_INITIALISED
    assert loaded.api.put("/mmds", {"a": 1}).status == 204


# --- from a guest ---

DOCUMENT = {"latest": {
    "meta-data": {"ami-id": "ami-1", "list": ["a", "b"], "empty": "", "net": {"mac": "06:00"},
                  "n": 512, "pi": 3.14159, "yes": True, "no": None},
    "a/b": {"~": "tilde"}}}
UNSUPPORTED = "Cannot retrieve value. The value has an unsupported type."
NO_TOKEN = "No MMDS token provided. Use `X-metadata-token` or `X-aws-ec2-metadata-token` header " \
           "to specify the session token."


class Asker:
    """curl in a guest, and what it says of the last answer."""

    def __init__(self, vm, address="169.254.169.254"):
        self.vm, self.address = vm, address

    def __call__(self, path, *options):
        words = " ".join(f"'{o}'" for o in options)
        # A value may end without a newline, and the console has lines.
        out = self.vm.run(f"curl -sS -m 300 -o /tmp/out -D /tmp/head {words} -w "
                          f"'%{{http_code}} %{{content_type}} %{{size_download}}\\n' "
                          f"'http://{self.address}{path}' && cat /tmp/out && echo")
        # The last command's end may have left its newline behind.
        status, _, body = out.lstrip("\n").partition("\n")
        status, kind, size = status.split(" ")
        assert len(body) == int(size)
        return int(status), kind, body

    def text(self, path, *options):
        status, kind, body = self(path, *options)
        assert kind == "text/plain"
        return status, body

    def json(self, path, *options):
        status, kind, body = self(path, "-H", "Accept: application/json", *options)
        assert (status, kind) == (200, "application/json")
        return json.loads(body)

    def token(self, ttl=21600, header="X-metadata-token-ttl-seconds"):
        status, body = self.text("/latest/api/token", "-X", "PUT", "-H", f"{header}: {ttl}")
        assert (status, len(body)) == (200, 48)
        assert f"{header}: {ttl}" in self.vm.run("cat /tmp/head")
        return body


def linux(start_wisp, taps, **config):
    """A guest with two interfaces, of which the first reaches the service."""
    def prepare(vm):
        assert put_config(vm, network_interfaces=["eth0"], **config).status == 204
        assert vm.api.put("/mmds", DOCUMENT).status == 204
        metrics = {"metrics_path": str(vm.where / "metrics.json")}
        assert vm.api.put("/metrics", metrics).status == 204

    vm = shell(start_wisp, {}, nets={"eth0": {"tap": taps[0].name}, "eth1": {"tap": taps[1].name}},
               prepare=prepare, image=host.guest_with_curl())
    vm.run("ip addr add 169.254.1.2/16 dev eth0 && ip link set eth0 up && ip link set eth1 up")
    return vm


def counted(vm):
    """The sums of group `mmds' of all lines so far."""
    assert vm.api.put("/actions", {"action_type": "FlushMetrics"}).status == 204
    lines = [json.loads(line)["mmds"] for line in
             (vm.where / "metrics.json").read_text().splitlines()]
    return {key: sum(line[key] for line in lines) for key in lines[0]}


def check_values(ask, *headers):
    names = "ami-id\nempty\nlist\nn\nnet/\nno\npi\nyes"
    assert ask.text("/latest/meta-data/", *headers) == (200, names)
    assert ask.text("//latest///meta-data", *headers) == (200, names)
    assert ask.text("/", *headers) == (200, "latest/")
    assert ask.text("/latest/meta-data/ami-id/", *headers) == (200, "ami-1")
    assert ask.text("/latest/meta-data/list/1", *headers) == (200, "b")
    assert ask.text("/latest/meta-data/empty", *headers) == (200, "")
    assert ask.text("/latest/a~1b/~0", *headers) == (200, "tilde")
    for name in ("n", "pi", "yes", "no", "list"):
        assert ask.text(f"/latest/meta-data/{name}", *headers) == (501, UNSUPPORTED)
        assert ask.json(f"/latest/meta-data/{name}", *headers) == DOCUMENT["latest"]["meta-data"][name]
    assert ask.json("/", *headers) == DOCUMENT
    assert ask.json("/latest/meta-data/empty", *headers) == ""
    assert ask.text("/latest/nothing", *headers) == (404, "Resource not found: /latest/nothing.")


def check_methods(ask, *headers):
    assert ask.text("/latest", "-X", "PATCH", *headers) == (405, "Not allowed HTTP method.")
    assert "Allow: GET, PUT" in ask.vm.run("cat /tmp/head")
    assert ask.text("/latest", "-X", "DELETE", *headers) == (405, "Not allowed HTTP method.")
    assert ask.text("/latest", "-X", "POST", *headers) == (501, "Unsupported HTTP method.")
    assert ask.text("/", "-X", "GET", "-d", "body", *headers) == (400, "Invalid request.")


def check_token_requests(ask):
    path, ttl = "/latest/api/token", "X-metadata-token-ttl-seconds"
    assert ask.text(path, "-X", "PUT") == (
        400, "Token time to live value not found. Use `X-metadata-token-ttl-seconds` or "
             "`X-aws-ec2-metadata-token-ttl-seconds` header to specify the token's lifetime.")
    for value in (0, 21601):
        assert ask.text(path, "-X", "PUT", "-H", f"{ttl}: {value}") == (
            400, f"Invalid time to live value provided for token: {value}. Please provide a value "
                 "between 1 and 21600.")
    assert ask.text(path, "-X", "PUT", "-H", f"{ttl}: x") == (
        400, f"Invalid header. Reason: Invalid value. Key:{ttl}; Value:x")
    assert ask.text(path, "-X", "PUT", "-H", f"{ttl}: 60", "-H", "X-Forwarded-For: 1.1.1.1") == (
        400, "Invalid header. Reason: Unsupported header name. Key: X-Forwarded-For")
    assert ask.text("/latest/api/toke", "-X", "PUT", "-H", f"{ttl}: 60") == (
        404, "Resource not found: /latest/api/toke.")
    ask.token(1)
    ask.token(21600, "X-aws-ec2-metadata-token-ttl-seconds")


@pytest.mark.kvm
def test_v2_from_linux(start_wisp, taps):
    vm = linux(start_wisp, taps, version="V2")
    ask = Asker(vm)
    assert ask.text("/latest") == (401, NO_TOKEN)
    assert ask.text("/latest", "-H", "X-metadata-token: foo") == (401, "MMDS token not valid.")
    token = ask.token()
    check_values(ask, "-H", f"X-metadata-token: {token}")
    assert ask.text("/", "-H", f"x-AWS-ec2-metadata-token: {token}") == (200, "latest/")
    check_methods(ask, "-H", f"X-metadata-token: {token}")
    check_token_requests(ask)
    short = ask.token(1)
    vm.run("sleep 2")
    assert ask.text("/", "-H", f"X-metadata-token: {short}") == (401, "MMDS token not valid.")
    # A change while the guest runs, longer than many segments, through a pause.
    data = "0123456789abcdef" * 3000
    assert vm.api.patch("/mmds", {"big": data}).status == 204
    vm.pause()
    vm.resume()
    digest = hashlib.md5(data.encode()).hexdigest()
    vm.run(f"curl -sS -m 600 -H 'X-metadata-token: {token}' http://169.254.169.254/big >/tmp/big")
    assert vm.run("md5sum </tmp/big").split()[0] == digest
    # Many at once.
    vm.run(f"for n in $(seq 12); do curl -sS -m 600 -H 'X-metadata-token: {token}' "
           "http://169.254.169.254/big >/tmp/big$n & done; wait", timeout=300)
    assert vm.run("cat /tmp/big? /tmp/big?? | wc -c").strip() == str(12 * len(data))
    assert vm.run("md5sum /tmp/big? /tmp/big?? | cut -d' ' -f1 | sort -u").strip() == digest
    # The interface that is not listed leads to the host, where nobody has that address.
    vm.run("ip addr del 169.254.1.2/16 dev eth0 && ip addr add 169.254.1.3/16 dev eth1")
    # curl's words for no route to it, and for no answer.
    assert vm.run("curl -s -m 3 http://169.254.169.254/; echo $?").strip() in ("7", "28")
    counts = counted(vm)
    assert counts["rx_no_token"] == 1 and counts["rx_invalid_token"] == 2
    assert counts["connections_created"] == counts["connections_destroyed"] > 50
    assert counts["rx_accepted_err"] == counts["rx_bad_eth"] == counts["tx_errors"] == 0
    assert counts["tx_bytes"] > 13 * len(data) and counts["tx_frames"] == counts["tx_count"]
    leave(vm)


@pytest.mark.kvm
def test_v1_from_linux(start_wisp, taps):
    """The same values as a token gives, without one."""
    vm = linux(start_wisp, taps, version="V1")
    check_values(Asker(vm))
    leave(vm)


@pytest.mark.kvm
def test_v1_and_imds_from_linux(start_wisp, taps):
    vm = linux(start_wisp, taps, version="V1", ipv4_address="169.254.170.2", imds_compat=True)
    ask = Asker(vm, "169.254.170.2")
    accept = ("-H", "Accept: application/json")
    assert ask.text("/latest/meta-data/ami-id", *accept) == (200, "ami-1")
    assert ask.text("/latest/meta-data/n", *accept) == (501, UNSUPPORTED)
    assert ask.text("/", "-H", "X-metadata-token: bad") == (200, "latest/")
    check_methods(ask)
    assert ask.text("/", "-H", f"X-metadata-token: {ask.token()}") == (200, "latest/")
    # Other programs: busybox's wget keeps to the length, its nc closes behind the request.
    assert vm.run("wget -q -O - http://169.254.170.2/latest/meta-data/ami-id && echo").strip() == \
        "ami-1"
    assert "Content-Length: 0" in vm.run(
        "printf 'GET /latest/meta-data/empty HTTP/1.0\\r\\n\\r\\n' | nc 169.254.170.2 80")
    # The smallest MTU: requests come in parts. Linux tells itself over lo that it has to cut.
    vm.run("ip link set lo up && ip link set eth0 mtu 68")
    assert ask.text("/latest/meta-data/") == (200, "ami-id\nempty\nlist\nn\nnet/\nno\npi\nyes")
    leave(vm)
