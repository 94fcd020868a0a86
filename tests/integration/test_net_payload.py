# SPDX-License-Identifier: Apache-2.0
"""A polling driver against a network that the test is: any KVM will do, and no root."""

import os
import socket
import struct
import threading

import pytest

from framework import host, payload
from framework.events import Events

pytestmark = [pytest.mark.area("net"), pytest.mark.anykvm]

ADDRESSES = bytes.fromhex("020000000001" "020000000002" "88b5")


class Stream:
    """The other side of socket_path."""

    def __init__(self, path):
        self._listen = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listen.bind(str(path))
        self._listen.listen(1)
        self.connection = None

    def accept(self):
        self._listen.settimeout(host.deadline(30))
        self.connection, _ = self._listen.accept()
        self.connection.settimeout(host.deadline(60))

    def send(self, order, data=b""):
        frame = ADDRESSES + order + data
        self.connection.sendall(struct.pack(">I", len(frame)) + frame)

    def _take(self, length):
        got = b""
        while len(got) < length:
            more = self.connection.recv(length - len(got))
            assert more, "the connection has ended"
            got += more
        return got

    def receive(self):
        """A frame without its addresses."""
        frame = self._take(struct.unpack(">I", self._take(4))[0])
        assert frame[:14] == ADDRESSES
        return frame[14:]

    def close(self):
        self.connection.close()
        self._listen.close()


@pytest.fixture
def peer(tmp_path, start_wisp):
    stream = Stream(tmp_path / "stream")
    vm = start_wisp()
    vm.machine()
    vm.boot_source(payload.image("net-peer"))
    vm.net("eth0", socket_path=str(tmp_path / "stream"))
    stream.accept()
    vm.start()
    vm.expect("^READY$")
    yield vm, stream
    stream.close()


def echoed(stream, length):
    data = os.urandom(length)
    stream.send(b"E", data)
    assert stream.receive() == b"E" + data


def end(vm, stream):
    stream.send(b"Q")
    assert vm.wait() == 0
    assert "PASS" in vm.console()


def test_frames_come_back(peer):
    """Of every length about that of one buffer and of two, and of many."""
    vm, stream = peer
    for length in (0, 1, *range(570, 577), *range(1170, 1177), 5000, 8900):
        echoed(stream, length)
    end(vm, stream)


def test_a_frozen_driver_wakes_up(peer):
    """More frames than both sides hold, then room again: none is lost (CVE-2020-16843)."""
    vm, stream = peer
    stream.send(b"F")
    vm.expect("^FROZEN$")
    frames = [os.urandom(500) for _ in range(300)]
    # They are more than all buffers on the way hold, so this waits for the driver too.
    sender = threading.Thread(target=lambda: [stream.send(b"E", data) for data in frames])
    sender.start()
    for _ in range(5):  # the monitor sleeps, and answers
        assert vm.api.get("/").json["state"] == "Running"
    vm.ctrl_alt_del()
    for data in frames:
        assert stream.receive() == b"E" + data
    sender.join()
    end(vm, stream)


def test_a_driver_that_breaks_its_rings(peer):
    vm, stream = peer
    for _ in range(3):
        stream.send(b"A")
        assert stream.receive() == b"A"
        echoed(stream, 3000)
    assert "needs a reset" in vm.log()
    end(vm, stream)


def test_the_other_side_goes_and_comes_back(peer):
    """The monitor connects again, under its filter."""
    vm, stream = peer
    with Events(vm) as events:
        for _ in range(3):
            echoed(stream, 100)
            stream.connection.close()
            assert events.expect("backend-lost")["device"] == "net `eth0'"
            stream.accept()
            assert events.expect("backend-returned")["device"] == "net `eth0'"
            echoed(stream, 100)
        assert vm.log().count("connected again") == 3
        end(vm, stream)
        assert events.rest()[-1] == "guest-reset"


def test_a_pause_is_one_for_frames_too(peer):
    vm, stream = peer
    vm.pause()
    for number in range(20):
        stream.send(b"E", bytes([number]))
    stream.connection.settimeout(host.seconds(0.3))
    with pytest.raises(socket.timeout):
        stream.receive()
    stream.connection.settimeout(host.deadline(60))
    vm.resume()
    assert [stream.receive() for _ in range(20)] == [b"E" + bytes([n]) for n in range(20)]
    end(vm, stream)
