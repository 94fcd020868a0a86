# SPDX-License-Identifier: Apache-2.0
"""Clients that mean harm, beside a guest that runs: everybody is answered, nothing is kept."""

import ctypes
import os
import random
import re
import socket
import threading
import time

import pytest

from framework import host, payload

pytestmark = [pytest.mark.area("api"), pytest.mark.anykvm]

CLIENTS = 10
PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000


def request(method, path, body=b"", more=b""):
    return b"%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s" % (
        method, path, more, len(body), body)


class Hostile:
    """One client: sends what it likes, and counts what it got for what deserves an answer."""

    def __init__(self, path, seed, count):
        self.path, self.random, self.left = str(path), random.Random(seed), count
        self.asked = self.answered = self.turned_away = 0
        self.wrong = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(host.deadline(60))
        sock.connect(self.path)
        return sock

    def hear(self, sock, n, allowed):
        """Reads n answers; a 503 is one too, and the last."""
        got = b""
        while got.count(b"HTTP/1.1 ") < n or not self.whole(got):
            more = sock.recv(65536)
            if not more:
                break
            got += more
            if got.startswith(b"HTTP/1.1 503 "):
                self.turned_away += n
                return
        words = re.findall(rb"HTTP/1\.1 (\d+) ", got)
        self.answered += len(words)
        if len(words) != n or not set(words) <= allowed:
            self.wrong.append((n, words, got[:80], got[-300:]))

    @staticmethod
    def whole(got):
        head, end, body = got[got.rfind(b"HTTP/1.1 "):].partition(b"\r\n\r\n")
        length = [int(line.split(b":")[1]) for line in head.split(b"\r\n")
                  if line.lower().startswith(b"content-length:")]
        return bool(end) and len(body) >= sum(length)

    # --- what it does; each returns nothing and leaves no connection ---

    def refusals(self):
        bodies = (b"{", b"[]", b"\xff\xfe", b'{"a":' * 300, b"1" * 5000, b'{"x":1}',
                  b'{"vcpu_count":999999999999999999999999}')
        with self.connect() as sock:
            for _ in range(4):
                path = self.random.choice((b"/drives/x", b"/machine-config", b"/boot-source",
                                           b"/vsock", b"/nothing", b"/" + b"a" * 900))
                self.asked += 1
                sock.sendall(request(self.random.choice((b"PUT", b"PATCH")), path,
                                     self.random.choice(bodies)))
                before = self.turned_away
                self.hear(sock, 1, {b"400"})
                if self.turned_away > before:
                    return

    def pipeline(self):
        with self.connect() as sock:
            self.asked += 8
            sock.sendall(request(b"GET", b"/") * 7 + request(b"PUT", b"/entropy", b"{}"))
            self.hear(sock, 8, {b"200", b"400"})

    def other_methods(self):
        with self.connect() as sock:
            self.asked += 1
            sock.sendall(request(self.random.choice((b"POST", b"OPTIONS", b"BREW")), b"/"))
            self.hear(sock, 1, {b"400"})

    def too_large(self):
        with self.connect() as sock:
            self.asked += 1
            sock.sendall(request(b"PUT", b"/machine-config", b" " * 60000))
            self.hear(sock, 1, {b"400"})

    def two_lengths(self):
        with self.connect() as sock:
            self.asked += 1
            sock.sendall(request(b"PUT", b"/entropy", b"{}", b"Content-Length: 200\r\n"))
            self.hear(sock, 1, {b"400"})

    def half_and_away(self):
        with self.connect() as sock:
            sock.sendall(request(b"PUT", b"/machine-config", b"{" * 3000)[:-1000])

    def asks_and_leaves(self):
        with self.connect() as sock:
            sock.sendall(request(b"PATCH", b"/vm", b'{"state":"Resumed"}') * 3)

    def noise(self):
        with self.connect() as sock:
            try:
                sock.sendall(self.random.randbytes(2000))
            except (BrokenPipeError, ConnectionResetError):
                pass

    def never_reads(self):
        with self.connect() as sock:
            sock.setblocking(False)
            try:
                for _ in range(200):
                    sock.send(request(b"GET", b"/vm/config"))
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass

    def silent(self):
        with self.connect() as sock:
            sock.sendall(b"GET / HT")
            time.sleep(0.02)

    def run(self):
        ways = [self.refusals, self.pipeline, self.other_methods, self.too_large,
                self.two_lengths, self.half_and_away, self.asks_and_leaves, self.noise,
                self.never_reads, self.silent]
        while self.asked < self.left:
            way, before = self.random.choice(ways), self.asked
            done = self.answered + self.turned_away
            try:
                way()
            except (BrokenPipeError, ConnectionResetError):
                # A 503 and the end came while it was still sending.
                self.turned_away += self.asked - before - (self.answered + self.turned_away - done)
            except Exception as error:  # pylint: disable=broad-except
                self.wrong.append((way.__name__, repr(error)))
                return


def attack(path, requests):
    hostile = [Hostile(path, n, requests // CLIENTS) for n in range(CLIENTS)]
    for each in hostile:
        each.thread.join(host.deadline(600))
        assert not each.thread.is_alive(), "a client waits for ever"
    return hostile


def polite(api):
    """Who asks properly and comes again when there was no room: answered."""
    for _ in range(2000):
        try:
            reply = api.get("/")
            if reply.status == 200:
                return reply.json["state"]
            assert reply.status == 503, reply
        except (BrokenPipeError, ConnectionResetError):
            pass
        time.sleep(0.01)
    raise AssertionError("never any room")


@pytest.mark.parametrize("requests", [
    1000, pytest.param(10000, marks=pytest.mark.soak)])
def test_ten_hostile_clients(start_wisp, capsys, requests):
    vm = start_wisp("--level", "Off", log=False)
    vm.machine()
    vm.boot_source(payload.image("echo"))
    vm.start()
    vm.expect("^READY$")
    attack(vm.socket, 200)  # what is allocated once
    time.sleep(1.5)         # refused connections are read to their end for a second
    before = host.usage(vm.pid)
    stop, states = threading.Event(), []

    def ask():
        while not stop.is_set():
            states.append(polite(vm.api))

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    hostile = attack(vm.socket, requests)
    stop.set()
    asker.join(host.deadline(60))
    wrong = [w for each in hostile for w in each.wrong]
    asked, answered = sum(h.asked for h in hostile), sum(h.answered for h in hostile)
    with capsys.disabled():
        print(f" {asked} requests, {answered} answers, {sum(h.turned_away for h in hostile)} turned "
              f"away, {len(states)} polite ones ", end="")
    assert not wrong, "\n".join(map(repr, wrong[:20]))
    assert asked >= requests and asked == answered + sum(h.turned_away for h in hostile)
    assert answered >= requests // 3  # the rest met a 503
    assert states and set(states) == {"Running"}
    time.sleep(1.5)
    after = host.usage(vm.pid)
    assert after.descriptors == before.descriptors and after.tasks == before.tasks
    assert after.rss_kib - before.rss_kib < 1024, (before, after)
    # The guest has not noticed.
    vm.ctrl_alt_del()
    vm.expect("^BYE$")
    assert vm.wait() == 0


def test_gets_are_answered_while_main_is_stuck(start_wisp):
    """An action that takes five seconds: main stands still, and GETs come from the last view."""
    vm = start_wisp()
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    waiting.connect(str(vm.socket))
    waiting.settimeout(0.1)
    assert vm.api.get("/").status == 200
    assert ptrace(PTRACE_ATTACH, vm.pid, 0, 0) == 0, os.strerror(ctypes.get_errno())
    try:
        os.waitpid(vm.pid, WALL)
        waiting.sendall(request(b"PUT", b"/machine-config",
                                b'{"vcpu_count":3,"mem_size_mib":64}'))
        end, answers = time.monotonic() + 5, 0
        while time.monotonic() < end:
            for path in ("/", "/version", "/machine-config", "/vm/config"):
                reply = vm.api.get(path)
                assert reply.status == 200
                answers += 1
            assert vm.api.get("/machine-config").json["vcpu_count"] == 1
        with pytest.raises(socket.timeout):
            waiting.recv(1)
    finally:
        ptrace(PTRACE_DETACH, vm.pid, 0, 0)
    waiting.settimeout(host.deadline(60))
    assert waiting.recv(4096).startswith(b"HTTP/1.1 204 ")
    assert vm.api.get("/machine-config").json["vcpu_count"] == 3
    assert answers >= 4
    waiting.close()
