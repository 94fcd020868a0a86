# SPDX-License-Identifier: Apache-2.0
"""Options, markers and fixtures of the integration tests."""

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

sys.dont_write_bytecode = True

from framework import host, wisp as wisp_module  # noqa: E402
from framework.wisp import Wisp  # noqa: E402

# Only ends what waits for ever: all else in a test has a deadline of its own.
LIMIT_S, SOAK_LIMIT_S = 1200, 4 * 3600


def pytest_addoption(parser):
    parser.addoption("--wisp", help="the monitor under test (build/release/wisp)")
    parser.addoption("--area", help="only tests of this area")
    parser.addoption("--soak", action="store_true", help="the full matrices too")
    parser.addoption("--shard", default="0/1", help="I/N: every N-th test, beginning with the I-th")
    parser.addoption("--keep", help="a directory for the logs of tests that failed")


def pytest_configure(config):
    if config.getoption("--wisp"):
        wisp_module.BINARY = os.path.abspath(config.getoption("--wisp"))


def pytest_collection_modifyitems(config, items):
    area = config.getoption("--area")
    index, count = (int(n) for n in config.getoption("--shard").split("/"))
    chosen, rest = [], []
    for item in items:
        mine = area is None or any(area in m.args for m in item.iter_markers("area"))
        if item.get_closest_marker("soak") and not config.getoption("--soak"):
            mine = False
        (chosen if mine else rest).append(item)
    rest += [item for n, item in enumerate(chosen) if n % count != index]
    chosen = [item for n, item in enumerate(chosen) if n % count == index]
    config.hook.pytest_deselected(items=rest)
    items[:] = chosen


def pytest_make_parametrize_id(val):
    """Names of tests are also names of folders: short ones."""
    text = str(val)
    return text[:40].encode("unicode_escape").decode() if len(text) > 40 else None


def pytest_runtest_setup(item):
    if item.get_closest_marker("kvm") and host.kvm_kind() != "native":
        pytest.skip(f"/dev/kvm is {host.kvm_kind()}: run it by tools/with-kvm")
    if item.get_closest_marker("anykvm") and host.kvm_kind() == "absent":
        pytest.skip("there is no /dev/kvm")


@contextlib.contextmanager
def _at_most(seconds):
    def ring(*_):
        raise AssertionError(f"not done after {seconds} s, and waits without a deadline")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    with _at_most(SOAK_LIMIT_S if item.get_closest_marker("soak") else LIMIT_S):
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.when == "call":
        item.failed_call = report.failed
    keep = item.config.getoption("--keep")
    if report.failed and keep and "tmp_path" in getattr(item, "funcargs", {}):
        for source in item.funcargs["tmp_path"].rglob("*"):
            # Texts only: disks are large, sockets cannot be copied.
            if source.suffix in (".txt", ".log", ".json"):
                into = Path(keep) / item.name.replace("/", "_")
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, into / source.name)


@pytest.fixture
def start_wisp(tmp_path):
    """Starts monitors, each in a folder of its own, and ends what is left of them."""
    started = []

    def start(*args, **more):
        where = tmp_path / f"vm{len(started)}"
        where.mkdir()
        started.append(Wisp(where, *args, **more))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def wisp(start_wisp):
    """A monitor that waits for its configuration."""
    return start_wisp()


@pytest.fixture
def api(wisp):
    return wisp.api


@pytest.fixture
def disk(tmp_path):
    """A root disk of the test's own."""
    path = tmp_path / "disk.ext4"
    shutil.copyfile(host.disk(), path)
    return path
