# SPDX-License-Identifier: Apache-2.0
"""resources/openapi.yaml says what the program does, and the program does what it says."""

import json
import os
import subprocess

import pytest

from framework import host, openapi, payload

pytestmark = pytest.mark.area("api")

DUMP = os.environ.get("WISP_CONTRACT", str(host.TOP / "build/release/tests/contract/dump"))
BEFORE = "The requested operation is not supported before starting the microVM."
AFTER = "The requested operation is not supported after starting the microVM."
NO_PCI = "PCI is not enabled"
NO_KERNEL = "Start microvm error: Cannot start microvm without kernel configuration."

# Routes that only have words for a path that is none.
NO_OPERATIONS = {("GET", "balloon/hinting"), ("PATCH", "balloon/hinting")}

# Operations that come with their part of the program.
PENDING = {
    "PUT /metrics", "GET /metrics", "GET /events"}


def ask_program(*lines):
    """Its routes, and of each request the tables that its body was decoded by."""
    done = subprocess.run([DUMP], input="".join(f"{line}\n" for line in lines), text=True,
                          stdout=subprocess.PIPE, timeout=host.deadline(60), check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines) + 1
    return answers[0], answers[1:]


def route_of(path):
    """A path of the document as the program spells it."""
    parts = ["{id}" if part.startswith("{") else part for part in path.strip("/").split("/")]
    return "/".join(parts)


def routed():
    return {(method, path) for method, path in ask_program()[0]}


def present():
    routes = routed()
    return [o for o in openapi.operations()
            if str(o) not in PENDING or (o.method, route_of(o.path)) in routes]


# --- routes and tables, in both directions ---

def test_every_route_is_an_operation_and_every_operation_a_route():
    documented = {(o.method, route_of(o.path)) for o in present()}
    assert routed() - NO_OPERATIONS == documented


def kind_of(field):
    field = openapi.resolve(field)
    return "enum" if "enum" in field and field.get("type") == "string" else field.get("type")


def compare_field(where, row, field, required):
    """Differences between a row of a table and a property of the document."""
    field = openapi.resolve(field)
    kinds = {"integer": ("integer",), "boolean": ("boolean",), "string": ("string", "enum"),
             "enum": ("enum",), "object": ("object",), "array": ("array",)}
    said = {"nullable": field.get("nullable", False), "ours": field.get("x-wisp", False),
            "required": required}
    yield from (f"{where}: {key} is {row[key]} in the program" for key, value in said.items()
                if row[key] != value and row["type"] != "any")
    if row["type"] == "any":
        return
    if kind_of(field) not in kinds[row["type"]]:
        yield f"{where}: {kind_of(field)} in the document, {row['type']} in the program"
        return
    if row["type"] == "integer" and field.get("format") != f"uint{row['size'] * 8}":
        yield f"{where}: the program has uint{row['size'] * 8}"
    if row["type"] == "integer" and not 0 <= field["minimum"] <= field["maximum"] < \
            1 << row["size"] * 8:
        yield f"{where}: bounds that its type does not have"
    if row["type"] == "enum" and row["names"] != field["enum"]:
        yield f"{where}: the program has {row['names']}"
    if row["type"] == "string" and field.get("maxLength") and field["maxLength"] > row["size"] - 1:
        yield f"{where}: at most {row['size'] - 1} bytes in the program"
    if row["type"] == "string" and not field.get("maxLength"):
        yield f"{where}: no maxLength; the program has {row['size'] - 1}"
    if row["type"] == "object" and row.get("table", "").removeprefix("struct ") != \
            field.get("x-struct", ""):
        yield f"{where}: the program has {row.get('table')}"


def compare_table(table, schema):
    name = table["name"].removeprefix("struct ")
    named = schema.get("properties", {})
    rows = {row["key"]: row for row in table["fields"]}
    for key in sorted(set(rows) ^ set(named)):
        yield f"{name}.{key}: only in the {'program' if key in rows else 'document'}"
    for key in sorted(set(rows) & set(named)):
        yield from compare_field(f"{name}.{key}", rows[key], named[key],
                                 key in schema.get("required", []))
    if table["strict"] != (schema.get("additionalProperties") is False):
        yield f"{name}: strict is {table['strict']} in the program"


def all_tables():
    """Name -> table, of everything that any request or file is decoded by."""
    lines, operations = [], [o for o in present() if o.body]
    for operation in operations:
        path = operation.path.replace("{drive_id}", "x").replace("{iface_id}", "x")
        path = path.replace("{id}", "x")
        for request in openapi.requests(operation):
            if request.good:
                lines.append(f"{operation.method} {path} {fill(request.text, 'x', '/none')}")
    lines.append("FILE - {}")
    tables = {}
    for answer in ask_program(*lines)[1]:
        for table in answer["tables"]:
            # An object may be read in two parts.
            known = tables.setdefault(table["name"], table)
            known["fields"] += [row for row in table["fields"] if row not in known["fields"]]
            assert known["strict"] == table["strict"]
    return tables


def test_every_table_is_an_object_and_every_object_a_table():
    tables = all_tables()
    pending = {o.body.get("x-struct") for o in openapi.operations()
               if str(o) in PENDING and o.body} | {"MemBackendConfig", "NetworkOverride",
                                                   "VsockOverride"}
    objects = {schema["x-struct"]: schema for schema in openapi.SCHEMAS.values()
               if "x-struct" in schema}
    wrong = [f"{name}: only in the program" for name in
             sorted({t.removeprefix("struct ") for t in tables} - set(objects))]
    for name, schema in objects.items():
        table = tables.get(f"struct {name}")
        if table:
            wrong += compare_table(table, schema)
        elif name not in pending:
            wrong.append(f"{name}: only in the document")
    assert wrong == []


def test_each_operation_is_decoded_by_its_object():
    wrong = []
    for operation in present():
        if not operation.body or "x-struct" not in operation.body:
            continue
        path = operation.path.split("{")[0] + ("x" if "{" in operation.path else "")
        (answer,) = ask_program(f"{operation.method} {path} {{}}")[1]
        first = answer["tables"][0]["name"].removeprefix("struct ")
        if first != operation.body["x-struct"]:
            wrong.append(f"{operation}: decoded by {first}")
    assert wrong == []


def test_differences_are_seen():
    table = {"name": "struct T", "strict": True, "fields": [
        {"key": "a", "type": "integer", "size": 1, "required": True, "nullable": False,
         "ours": False},
        {"key": "b", "type": "enum", "size": 4, "required": False, "nullable": False,
         "ours": False, "names": ["X"]}]}
    good = {"additionalProperties": False, "required": ["a"], "properties": {
        "a": {"type": "integer", "format": "uint8", "minimum": 0, "maximum": 255},
        "b": {"type": "string", "enum": ["X"]}}}
    assert list(compare_table(table, good)) == []
    for change in ({"required": []}, {"additionalProperties": True},
                   {"properties": {**good["properties"], "c": {"type": "boolean"}}},
                   {"properties": {"a": good["properties"]["a"]}},
                   {"properties": {**good["properties"], "b": {"type": "string", "enum": ["Y"]}}},
                   {"properties": {**good["properties"], "b": {"type": "boolean"}}},
                   {"properties": {**good["properties"], "a": {
                       **good["properties"]["a"], "format": "uint16"}}},
                   {"properties": {**good["properties"], "a": {
                       **good["properties"]["a"], "maximum": 256}}},
                   {"properties": {**good["properties"], "a": {
                       **good["properties"]["a"], "nullable": True}}}):
        assert len(list(compare_table(table, {**good, **change}))) == 1, change


# --- requests made of the document, to the real program ---

def fill(text, name, file, sock="/tmp/none.sock"):
    return text.replace("{id}", name).replace("{file}", str(file)).replace("{socket}", str(sock)) \
        .replace("{tap}", "wisp/none")  # no such name can be made, by root neither


class Asker:
    """Sends requests over one connection and keeps what is not as the document says."""

    def __init__(self, vm, file):
        self.vm, self.file = vm, file
        self.connection = vm.api.connection()
        self.count, self.wrong = 0, []

    def ask(self, operation, request):
        path = operation.path.split("{")[0] + ("x" if "{" in operation.path else "")
        sock = self.vm.where / f"{operation.path.split('/')[1]}.sock"
        body = fill(request.text, "x", self.file, sock) if request else None
        self.count += 1
        return self.vm.api.request(operation.method, path, body and body.encode(),
                                   connection=self.connection)

    def note(self, operation, request, reply, what):
        why = f"{request.why} {request.text[:200]}" if request else ""
        self.wrong.append(f"{operation} {why}: {what}: {reply}")

    def check_form(self, operation, request, reply):
        if reply.status == 204:
            return
        if str(reply.status) not in operation.fields["responses"]:
            self.note(operation, request, reply, "a status that is not in the document")
            return
        schema = operation.reply(reply.status)
        for fault in openapi.faults(schema, reply.json) if schema else []:
            self.note(operation, request, reply, fault)

    def check_bad(self, operation, request, late=()):
        reply = self.ask(operation, request)
        self.check_form(operation, request, reply)
        moments = {BEFORE, AFTER, operation.refused} - set(late)
        if reply.status != 400 or reply.fault in moments:
            self.note(operation, request, reply, "not refused for what it is")

    def check_good(self, operation, request, expected):
        """expected: a text that the refusal begins with; None: it is not refused."""
        reply = self.ask(operation, request)
        self.check_form(operation, request, reply)
        if reply.status == 400 and str(operation) in HOST and \
                reply.fault.startswith(HOST[str(operation)]):
            expected = reply.fault
        if expected is None and reply.status not in (200, 204):
            self.note(operation, request, reply, "refused")
        if expected is not None and not (reply.status == 400 and
                                         reply.fault.startswith(expected)):
            self.note(operation, request, reply, f"not refused with {expected!r}")
        uses = request and openapi.deprecated(operation.body, request.value)
        if bool(uses) != (reply.headers["Deprecation"] == "true"):
            self.note(operation, request, reply, "the header Deprecation is wrong")


# What a right request may be refused with for reasons that are not the document's affair: the
# host has no such device, or what it refers to is not configured.
HOST = {
    "PUT /network-interfaces/{iface_id}": "Network config error: ",
    "PUT /mmds/config": "MMMDS config error: ",
}
ONE_BY_ONE = {"PUT /snapshot/load", "PUT /metrics", "GET /events"}  # what they do stays


def expected_before(operation, request):
    if operation.when == "value":
        return NO_KERNEL if request.value["action_type"] == "InstanceStart" else BEFORE
    if operation.when == "after":
        return BEFORE
    if str(operation) == "PUT /drives/{drive_id}" and request.value.get("socket"):
        return "Drive config error: Unable to create the virtio block device: Drive `x` has a"
    if str(operation) == "PUT /pmem/{id}" and request.value.get("root_device"):
        return "Pmem config error: "  # whether there is a root already
    return operation.refused


def bodies(operation):
    """Its requests; None is one without a body."""
    if operation.body is None or operation.fields.get("x-empty-body"):
        yield None
    if operation.body is not None:
        yield from openapi.requests(operation)


def finish(asker, least, capsys):
    with capsys.disabled():
        print(f" {asker.count} requests, {len(asker.wrong)} disagreements ", end="")
    assert not asker.wrong, "\n".join(asker.wrong[:50])
    assert asker.count >= least
    assert asker.vm.api.get("/version").status == 200


def test_requests_before_the_start(start_wisp, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_bytes(bytes(4096))
    asker = Asker(start_wisp(), file)
    # What is always allowed comes last: /mmds needs nothing, but its store stays.
    for operation in present():
        for request in bodies(operation):
            if str(operation) in ONE_BY_ONE and (request is None or request.good):
                continue
            if request is None or request.good:
                asker.check_good(operation, request, expected_before(operation, request))
            else:
                asker.check_bad(operation, request, {BEFORE} if operation.when == "after" else ())
    finish(asker, 1000, capsys)


def expected_after(operation, request):
    if operation.when == "value":
        return {"InstanceStart": AFTER}.get(request.value["action_type"], "")
    if operation.method == "PUT" and operation.path.split("/")[1] in (
            "drives", "pmem", "network-interfaces"):
        return NO_PCI
    if operation.when == "before":
        return AFTER
    return operation.refused


# What a right request to a running guest may be refused with: there is no such device.
LACKING = {
    "PATCH /drives/{drive_id}": "Drive config error: ",
    "PATCH /network-interfaces/{iface_id}": "Network config error: ",
    "PUT /snapshot/create": "Create snapshot error: ",
    "PUT /mmds": "MMDS error: ", "PATCH /mmds": "MMDS error: ", "GET /mmds": "MMDS error: ",
}


@pytest.mark.anykvm
def test_requests_after_the_start(start_wisp, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_bytes(bytes(4096))
    vm = start_wisp()
    vm.machine()
    vm.boot_source(payload.image("idle"))
    vm.start()
    vm.expect("^READY$")
    asker = Asker(vm, file)
    for operation in present():
        if operation.when == "value" or str(operation) == "GET /events":
            continue
        for request in bodies(operation):
            if request and not request.good:
                # What is decoded but wrong is never looked at so late.
                asker.check_bad(operation, request, {AFTER} & {expected_after(operation, request)})
            else:
                asker.check_good(operation, request, LACKING.get(str(operation)) or
                                 expected_after(operation, request))
    vm.resume()
    finish(asker, 1000, capsys)


# --- defaults ---

@pytest.mark.parametrize("operation, section", [
    ("PUT /machine-config", "machine-config"), ("PUT /drives/{drive_id}", "drives"),
    ("PUT /entropy", "entropy"), ("PUT /boot-source", "boot-source")])
def test_defaults_are_what_stands_there(api, tmp_path, operation, section):
    file = tmp_path / "file"
    file.write_bytes(bytes(512))
    (chosen,) = [o for o in openapi.operations() if str(o) == operation]
    first = next(r for r in openapi.requests(chosen) if r.good)
    path = chosen.path.split("{")[0] + ("x" if "{" in chosen.path else "")
    assert api.request(chosen.method, path, fill(first.text, "x", file)).status == 204
    now = api.get("/vm/config").json[section]
    now = now[0] if isinstance(now, list) else now
    for key, field in chosen.body["properties"].items():
        field = openapi.resolve(field)
        if key in json.loads(first.text) or field.get("x-wisp") or field.get("x-deprecated"):
            continue
        assert now[key] == field.get("default"), key
