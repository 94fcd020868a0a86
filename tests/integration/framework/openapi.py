# SPDX-License-Identifier: Apache-2.0
"""resources/openapi.yaml: its parts, requests made of it, and whether an answer is what it says."""

import json
from typing import NamedTuple

import yaml

from framework import host

PATH = host.TOP / "resources" / "openapi.yaml"
METHODS = ("get", "put", "patch", "delete")
DOCUMENT = yaml.safe_load(PATH.read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]


def resolve(node):
    """The node behind its references; what stands beside a reference is added to it."""
    if "$ref" in node:
        found = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return resolve(found)
    if "allOf" in node:
        return {**resolve(node["allOf"][0]), **{k: v for k, v in node.items() if k != "allOf"}}
    return node


class Operation(NamedTuple):
    method: str
    path: str
    fields: dict

    @property
    def when(self):
        return self.fields["x-when"]

    @property
    def refused(self):
        return self.fields.get("x-refused")

    @property
    def body(self):
        """The schema of its body, or None."""
        if "requestBody" not in self.fields:
            return None
        return resolve(resolve(self.fields["requestBody"])["content"]["application/json"]["schema"])

    def reply(self, status):
        """The schema of an answer's JSON, or None."""
        answer = resolve(self.fields["responses"][str(status)])
        json_of = answer.get("content", {}).get("application/json")
        return json_of and resolve(json_of["schema"])

    def __str__(self):
        return f"{self.method} {self.path}"


def operations():
    return [Operation(method.upper(), path, item[method])
            for path, item in DOCUMENT["paths"].items() for method in METHODS if method in item]


# --- requests ---

class Request(NamedTuple):
    text: str    # the body
    good: bool
    why: str     # in words, for a failure
    value: object = None  # what the text says, when it is good


def _sample(schema):
    """A value as good as any."""
    schema = resolve(schema)
    if "example" in schema:
        return schema["example"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return _base(schema)
    return {"boolean": True, "integer": schema.get("minimum", 1), "string": "x", "array": []}[kind]


def _needed(schema):
    extra = schema["oneOf"][0]["required"] if "oneOf" in schema else []
    return [*schema.get("required", []), *extra]


def _base(schema):
    """The smallest good object."""
    named = schema.get("properties", {})
    found = {key: _sample(named[key]) for key in _needed(schema)}
    if schema.get("minProperties", 0) > len(found):
        key = next(iter(named))
        found[key] = _sample(named[key])
    return found


def fits(schema, value):
    """Whether enough is there, of alternatives exactly one, and nothing beside what excludes it."""
    given = {k for k, v in value.items() if v is not None}
    if "not" in schema and set(schema["not"]["required"]) <= given:
        return False
    return len(given) >= schema.get("minProperties", 0) and (
        "oneOf" not in schema or
        sum(set(one["required"]) <= given for one in schema["oneOf"]) == 1)


def good_values(schema):
    schema = resolve(schema)
    kind = schema.get("type")
    if "example" in schema:
        yield schema["example"]
    if "enum" in schema:
        yield from schema["enum"]
        if schema.get("x-any-case"):
            yield from (name.upper() for name in schema["enum"])
            yield from (name.lower() for name in schema["enum"])
    elif kind == "boolean":
        yield from (True, False)
    elif kind == "integer" and not schema.get("x-depends"):
        yield from (schema["minimum"], schema["maximum"])
    elif kind == "string" and "example" not in schema:
        yield "x"
        yield "x" * schema.get("maxLength", 1)
    elif kind == "array":
        if schema.get("minItems", 0) == 0:
            yield []
        yield [_sample(schema["items"])]
        yield from ([value] for value in good_values(schema["items"]))
    elif kind == "object" and "properties" in schema:
        yield from (value for value in good_objects(schema) if fits(schema, value))
    elif kind == "object":
        yield {}
    if schema.get("nullable"):
        yield None


def good_objects(schema):
    """The smallest, each field with each of its values, all of them at once, and strangers."""
    base = _base(schema)
    yield base
    every = dict(base)
    for key, field in schema.get("properties", {}).items():
        for value in good_values(field):
            yield {**base, key: value}
        if fits(schema, {**every, key: _sample(field)}):
            every[key] = _sample(field)
    yield every
    if schema.get("additionalProperties") is not False:
        yield {**base, "a_stranger": {"deep": [1, None]}}


def bad_values(schema):
    """JSON texts that are no such value."""
    schema = resolve(schema)
    kind = schema.get("type")
    others = {"boolean": "true", "integer": "7", "string": '"text"', "array": "[]", "object": "{}"}
    others.pop(kind, None)
    yield from others.values()
    yield "1.5"
    if not schema.get("nullable"):
        yield "null"
    if "enum" in schema:
        yield '"nonsense"'
        yield '""'
        if not schema.get("x-any-case"):
            yield from (json.dumps(n.swapcase()) for n in schema["enum"] if n.swapcase() != n)
    if kind == "integer":
        yield from (str(schema["minimum"] - 1), str(schema["maximum"] + 1), "1e1", "-0", "1.0",
                    "18446744073709551616", "-9223372036854775809")
        yield str(1 << int(schema["format"].removeprefix("uint")))
    if "maxLength" in schema:
        yield json.dumps("x" * (schema["maxLength"] + 1))
        yield json.dumps("/" + "x" * 5000)
        yield '"a\\u0000b"'
    if kind == "array":
        yield from (f"[{text}]" for text in bad_values(schema["items"]))
    if kind == "object" and "properties" in schema:
        yield from (text for text, _ in bad_objects(schema))


def _text(members):
    return "{" + ",".join(f"{json.dumps(key)}:{text}" for key, text in members) + "}"


def bad_objects(schema):
    base = {key: json.dumps(value) for key, value in _base(schema).items()}
    for key in _needed(schema):
        rest = {k: v for k, v in base.items() if k != key}
        yield _text(rest.items()), f"without {key}"
    for key, field in schema["properties"].items():
        for text in bad_values(field):
            yield _text({**base, key: text}.items()), f"{key}: {text[:60]}"
        twice = json.dumps(_sample(field))
        yield _text([*{**base, key: twice}.items(), (key, twice)]), f"{key} twice"
        for value in good_values(field):
            full = {**_base(schema), key: value}
            if not fits(schema, full):
                yield json.dumps(full), f"{key} beside what excludes it"
    if schema.get("additionalProperties") is False:
        yield _text([*base.items(), ("a_stranger", "1")]), "a stranger"
        yield _text([*base.items(), ("", "1")]), "a nameless member"
        for key in schema["properties"]:
            yield _text([*base.items(), (key.upper(), "1")]), f"{key} in upper case"
    if schema.get("minProperties"):
        yield "{}", "nothing"


def requests(operation):
    """Every request of an operation that can be made of its schema, once."""
    schema, seen = operation.body, set()
    if "properties" not in schema:
        found = [Request(text, True, "any object", json.loads(text))
                 for text in ("{}", '{"a":{"b":[1,2.5,null,"x"]}}')]
    else:
        found = [Request(json.dumps(value), True, "good", value) for value in good_objects(schema)
                 if fits(schema, value)]
        found += [Request(text, False, why) for text, why in bad_objects(schema)]
    whole = found[0].text
    found += [Request(text, False, "no object") for text in (
        "[]", "null", "1", '"x"', "true", "{", "}", "{}}", " ", "nonsense", whole[:-1],
        whole + whole, whole + ",", whole.replace(":", " ", 1) if ":" in whole else "{a:1}",
        "[" * 200, '{"a":' * 200, whole[:-1] + ",}")]
    for request in found:
        if request.text not in seen:
            seen.add(request.text)
            yield request


def deprecated(schema, value):
    """Whether a good object uses what will go away."""
    for key, field in schema.get("properties", {}).items():
        mark = resolve(field).get("x-deprecated")
        if mark is True and value.get(key) is not None:
            return True
        if isinstance(mark, str) and value.get(key, field.get("default")) == mark:
            return True
    return False


# --- answers ---

def faults(schema, value, where="answer"):
    """What about an answer is not as the schema says."""
    schema = resolve(schema)
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    kind = schema.get("type")
    if value is None:
        return [] if schema.get("nullable") else [f"{where} is null"]
    if kind and not (isinstance(value, kinds[kind]) and
                     (kind == "boolean") == isinstance(value, bool)):
        return [f"{where} is no {kind}: {value!r}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where} is none of {schema['enum']}: {value!r}")
    if kind == "array":
        for n, item in enumerate(value):
            found += faults(schema["items"], item, f"{where}[{n}]")
    if kind == "object":
        named = schema.get("properties", {})
        found += [f"{where} lacks {key}" for key in schema.get("required", []) if key not in value]
        for key, item in value.items():
            if key in named:
                found += faults(named[key], item, f"{where}.{key}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{where} has a stranger, {key}")
    return found
