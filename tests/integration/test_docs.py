# SPDX-License-Identifier: Apache-2.0
"""Names of tests that stand in docs/ are names of tests."""

import re

import pytest

from framework import host

pytestmark = [pytest.mark.area("docs")]

DOCS = sorted((host.TOP / "docs").glob("*.md"))
TESTS = host.TOP / "tests"
# As docs/faults.md explains them; its explanations end in `name'.
UNIT = re.compile(r"`([a-z]+/test_[a-z0-9_]+)::([a-z0-9_]+)`")
PYTHON = re.compile(r"`(test_[a-z0-9_]+\.py)::(test_[a-z0-9_]+)`")
GUEST = re.compile(r"`guest/([a-z0-9-]+)`")
FUZZ = re.compile(r"`fuzz/(fuzz_[a-z0-9_]+)`")
EXAMPLES = {"name", "test_name"}


def holds(path, text):
    return path.is_file() and text in path.read_text()


def unknown(text):
    """Names in the text that nothing has."""
    for name, test in UNIT.findall(text):
        source = TESTS / "unit" / f"{name}.c"
        # A file may be another's with one word changed.
        included = re.findall(r'#include "(\S+\.[ch])"', source.read_text()) \
            if source.is_file() else []
        places = [source] + [TESTS / "unit" / i for i in included] + \
            [source.parent / i for i in included]
        if test not in EXAMPLES and not any(holds(p, f"TEST({test})") for p in places):
            yield f"{name}::{test}"
    for name, test in PYTHON.findall(text):
        if test not in EXAMPLES and not holds(TESTS / "integration" / name, f"def {test}("):
            yield f"{name}::{test}"
    for name in GUEST.findall(text):
        if not (TESTS / "guest" / f"{name}.c").is_file():
            yield f"guest/{name}"
    for name in FUZZ.findall(text):
        if not list((TESTS / "fuzz").glob(f"*/{name}.c")):
            yield f"fuzz/{name}"


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_tests_that_are_named_exist(path):
    assert list(unknown(path.read_text())) == []


def test_a_name_that_nothing_has_is_seen():
    text = "`devices/test_virtq::no_such` `test_docs.py::test_no_such` `guest/no-such` " \
           "`fuzz/fuzz_no_such` `devices/test_virtq::pop_fill_publish`"
    assert len(list(unknown(text))) == 4


def test_every_fault_has_a_test_or_a_reason():
    rows = [line for line in (host.TOP / "docs" / "faults.md").read_text().splitlines()
            if line.startswith("| ") and line.count("|") == 4]
    without = [row for row in rows if not any(p.search(row) for p in (UNIT, PYTHON, GUEST, FUZZ))]
    rows = [row for row in rows if not row.startswith("| fault ")]
    reasons = ("comes with", "come with", "is not used")
    assert len(rows) > 50
    assert [r for r in without if not r.startswith("| fault ") and
            not any(word in r for word in reasons)] == []


def test_every_capability_has_a_test_or_a_reason():
    text = (host.TOP / "docs" / "parity.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", text, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 181))
    assert [number for number, _, kept in rows
            if not kept.startswith("out: ") and
            not any(p.search(kept) for p in (UNIT, PYTHON, GUEST, FUZZ))] == []
