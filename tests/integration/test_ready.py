# SPDX-License-Identifier: Apache-2.0
"""Who starts wisp is told when it is ready, and may end it by ending."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from framework import host, payload, wisp as wisp_module
from framework.http import Api
from framework.wisp import config_file

pytestmark = pytest.mark.area("metrics")


class Pipe:
    def __init__(self):
        self.reader, self.writer = os.pipe()
        os.set_inheritable(self.writer, True)

    def await_end(self):
        """All that came until the other side closed."""
        os.close(self.writer)
        self.writer = -1
        with os.fdopen(self.reader, "rb") as reader:
            return reader.read()


@pytest.fixture
def start(tmp_path):
    """Starts a monitor as it stands, and ends it."""
    started = []

    def run(*args, env=None, fds=()):
        argv = [wisp_module.BINARY, *[str(a) for a in args]]
        with open(tmp_path / "console.txt", "wb") as out, \
                open(tmp_path / "stderr.txt", "wb") as err:
            started.append(subprocess.Popen(argv, cwd=tmp_path, stdin=subprocess.DEVNULL,
                                            pass_fds=fds, stdout=out, stderr=err, env=env))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def await_true(what):
    until = time.monotonic() + host.deadline(20)
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_ready_fd(start, tmp_path):
    """The line means that the API serves; then the descriptor is closed."""
    pipe = Pipe()
    start("--api-sock", tmp_path / "a", "--ready-fd", pipe.writer, fds=[pipe.writer])
    assert pipe.await_end() == b"READY=1\n"
    assert Api(tmp_path / "a").get("/").status == 200


def test_ready_fd_of_a_start_that_fails(start, tmp_path):
    pipe = Pipe()
    process = start("--api-sock", tmp_path / "nowhere" / "a", "--ready-fd", pipe.writer,
                    fds=[pipe.writer])
    assert pipe.await_end() == b""
    assert process.wait() == 1


@pytest.mark.anykvm
def test_ready_fd_without_api(start, tmp_path):
    """Ready is a guest that runs."""
    pipe = Pipe()
    file = config_file(tmp_path, payload.image("idle"))
    start("--no-api", "--config-file", file, "--ready-fd", pipe.writer, fds=[pipe.writer])
    assert pipe.await_end() == b"READY=1\n"
    assert "Successfully started microvm" in (tmp_path / "console.txt").read_text()


def test_ready_fd_that_is_full_blocks_nothing(start, tmp_path):
    pipe = Pipe()
    os.set_blocking(pipe.writer, False)
    try:
        while os.write(pipe.writer, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(pipe.writer, True)
    start("--api-sock", tmp_path / "a", "--ready-fd", pipe.writer, fds=[pipe.writer])
    await_true(lambda: "--ready-fd: Resource temporarily unavailable" in
               (tmp_path / "console.txt").read_text())
    assert Api(tmp_path / "a").get("/").status == 200
    assert set(pipe.await_end()) == {ord("x")}


@pytest.mark.parametrize("value, why", [
    ("1", "1 is a standard stream"), ("0", "0 is a standard stream"),
    ("99", "descriptor 99 is not open for writing"), ("4294967299", "is not open for writing"),
    ("x", "is no number"), ("-1", "is no number"), ("", "it is empty")])
def test_ready_fd_refused(start, tmp_path, value, why):
    process = start("--api-sock", tmp_path / "a", "--ready-fd", value)
    assert process.wait() == 153
    assert why in (tmp_path / "stderr.txt").read_text()


def test_ready_fd_for_reading_is_refused(start, tmp_path):
    pipe = Pipe()
    process = start("--api-sock", tmp_path / "a", "--ready-fd", pipe.reader,
                    fds=[pipe.reader])
    assert process.wait() == 153
    assert "is not open for writing" in (tmp_path / "stderr.txt").read_text()


def test_ready_fd_that_is_handed_over_too_is_refused(start, tmp_path):
    pipe = Pipe()
    process = start("--api-sock", tmp_path / "a", "--ready-fd", pipe.writer,
                    "--fd", f"tap={pipe.writer}", fds=[pipe.writer])
    assert process.wait() == 153
    assert "is one of '--fd' already" in (tmp_path / "stderr.txt").read_text()


# --- sd_notify ---

@pytest.mark.parametrize("abstract", [False, True])
def test_notify_socket(start, tmp_path, abstract):
    name = f"\0wisp-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name)
        sock.settimeout(host.deadline(20))
        env = {**os.environ, "NOTIFY_SOCKET": name.replace("\0", "@")}
        start("--api-sock", tmp_path / "a", env=env)
        assert sock.recv(100) == b"READY=1"
        assert Api(tmp_path / "a").get("/").status == 200
        sock.settimeout(0.2)
        with pytest.raises(socket.timeout):
            sock.recv(100)


@pytest.mark.anykvm
def test_notify_socket_without_api(start, tmp_path):
    """The filter is on by then: the socket was opened before."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(host.deadline(20))
        file = config_file(tmp_path, payload.image("idle"))
        process = start("--no-api", "--config-file", file,
                        env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert sock.recv(100) == b"READY=1"
        assert process.poll() is None


@pytest.mark.parametrize("name, why", [
    ("/nowhere/at/all", "No such file or directory"), ("relative", "not supported"),
    ("/" + "x" * 200, "File name too long"), ("@", "not supported"), ("", "not supported")])
def test_a_notify_socket_that_is_none_is_a_warning(start, tmp_path, name, why):
    start("--api-sock", tmp_path / "a", env={**os.environ, "NOTIFY_SOCKET": name})
    log = tmp_path / "console.txt"
    await_true(lambda: "NOTIFY_SOCKET" in log.read_text())
    assert why in log.read_text()
    assert Api(tmp_path / "a").get("/").status == 200


# --- the parent's death ---

PARENT = """
import os, subprocess, sys, time
p = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print(p.pid, flush=True)
time.sleep(1000)
"""


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def family(tmp_path):
    """A parent that has started a monitor: the parent, and the child's number."""
    parents, children = [], []

    def run(*args):
        parent = subprocess.Popen([sys.executable, "-c", PARENT, wisp_module.BINARY, "--api-sock",
                                   str(tmp_path / "a"), *args], stdout=subprocess.PIPE, text=True)
        parents.append(parent)
        children.append(int(parent.stdout.readline()))
        await_true((tmp_path / "a").exists)
        await_true(lambda: Api(tmp_path / "a").get("/").status == 200)
        return parent, children[-1]

    yield run
    for parent in parents:
        parent.kill()
        parent.wait()
    for child in children:
        if not gone(child):
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("name", ["TERM", "SIGKILL"])
def test_parent_death_signal(family, name):
    parent, child = family("--parent-death-signal", name)
    assert not gone(child)
    parent.kill()
    parent.wait()
    await_true(lambda: gone(child))


def test_without_it_the_child_stays(family, tmp_path):
    parent, child = family()
    parent.kill()
    parent.wait()
    time.sleep(0.3)
    assert Api(tmp_path / "a").get("/").status == 200
    assert not gone(child)


@pytest.mark.parametrize("name", ["", "USR1", "SIG", "term", "9"])
def test_parent_death_signal_refused(start, tmp_path, name):
    process = start("--api-sock", tmp_path / "a", "--parent-death-signal", name)
    assert process.wait() != 0
    assert "--parent-death-signal" in (tmp_path / "console.txt").read_text() + \
        (tmp_path / "stderr.txt").read_text()
