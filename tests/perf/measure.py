# SPDX-License-Identifier: Apache-2.0
"""What the rows of bench are made of: monitors and peers, started and timed alike."""

import contextlib
import os
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

from framework import host, wisp

QEMU = ("qemu-system-x86_64", "-name", "debug-threads=on")  # or its vCPUs have no names
POLL_S = 0.0002
LIMIT_S = 30 * host.SLOW


class Row(NamedTuple):
    """One line: figures by the name of whom they belong to, in one unit."""

    name: str
    unit: str
    figures: dict


def quartiles(name, taken):
    """The figures of one that was measured many times."""
    p25, median, p75 = statistics.quantiles(taken, n=4)
    return {name: f"{median:.2f} ({p25:.2f} to {p75:.2f})"}


def answers(path, request, wanted):
    """Whether the socket is there and its first words are the wanted ones."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(LIMIT_S)
        try:
            sock.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        sock.sendall(request)
        return sock.recv(4096).startswith(wanted)


def cpu_beside_vcpus(pid):
    """Seconds of all threads that are or were, without those that run guest code."""
    proc = Path("/proc") / str(pid)
    words = (proc / "stat").read_text().rpartition(")")[2].split()
    total = sum(int(w) for w in words[11:13]) / os.sysconf("SC_CLK_TCK")
    vcpus = [task for task in (proc / "task").iterdir()
             if (task / "comm").read_text().startswith(("fc_vcpu", "CPU "))]
    if not vcpus:
        raise RuntimeError(f"process {pid} has no thread with the name of a vCPU")
    return total - sum(int((t / "schedstat").read_text().split()[0]) for t in vcpus) / 1e9


class Lines:
    """A monitor whose guest says on its console how far it is; ended when it takes too long."""

    def __init__(self, argv, takes_s):
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._late = threading.Timer(LIMIT_S + takes_s, self.process.kill)
        self._late.start()

    def next(self, word):
        """What follows the word on the next line that begins with it."""
        said = ""
        for line in self.process.stdout:
            said = line.decode(errors="replace").strip()
            if said.split(" ")[0] == word:
                return said.removeprefix(word).strip()
        raise RuntimeError(f"{self.process.args[0]} ended: {said!r}")

    def close(self):
        self._late.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Started:
    """A process of ours or a peer's that has answered on its socket."""

    def __init__(self, argv, path, request, wanted):
        self.path = path
        start = time.monotonic()
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)
        try:
            while not answers(path, request, wanted):
                if self.process.poll() is not None or time.monotonic() - start > LIMIT_S:
                    raise RuntimeError(f"{argv[0]} does not answer ({self.process.poll()})")
                time.sleep(POLL_S)
        except BaseException:
            self.end()
            raise
        self.ready_ms = (time.monotonic() - start) * 1000

    @property
    def pid(self):
        return self.process.pid

    def end(self):
        self.process.kill()
        self.process.wait()


class Bench:
    """What an area's rows() is given: how often to measure, a folder, monitors and peers."""

    def __init__(self, runs, where):
        self.runs = runs
        self.where = where

    row = staticmethod(lambda name, unit, **figures: Row(name, unit, figures))
    note = staticmethod(lambda text: Row(text, "", {}))

    def _socket(self, name):
        return self.where / f"{name}{time.monotonic_ns()}"

    @contextlib.contextmanager
    def wisp(self, *args):
        """A monitor whose API answers; `call()` gives it orders."""
        path = self._socket("wisp")
        started = Started([wisp.BINARY, "--api-sock", path, "--level", "Error", *args], path,
                          b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 ")
        try:
            yield started
        finally:
            started.end()

    @contextlib.contextmanager
    def qemu(self, *args, mem=128, stopped=True):
        """QEMU's microvm machine with a QMP socket in the API's place."""
        path = self._socket("qemu")
        accel = "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"
        started = Started([*QEMU, "-M", "microvm", "-accel", accel, "-m", mem, "-nodefaults",
                           "-no-user-config", "-display", "none", "-serial", "null",
                           "-qmp", f"unix:{path},server=on,wait=off",
                           *(("-S",) if stopped else ()), *args], path, b"", b"{\"QMP\"")
        try:
            yield started
        finally:
            started.end()

    @staticmethod
    def call(started, method, what, body):
        """A request that must succeed."""
        reply = wisp.Api(started.path, timeout=LIMIT_S).request(method, what, body)
        if reply.status not in (200, 204):
            raise RuntimeError(f"{method} {what}: {reply}")
        return reply
