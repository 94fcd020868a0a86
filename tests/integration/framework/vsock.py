# SPDX-License-Identifier: Apache-2.0
"""Programs on the host's side of the guest's sockets."""

import os
import socket
import threading
import zlib
from pathlib import Path

from framework import host

PEER = host.TOP / "build" / "guest" / "linux" / "vsock-peer"


class Refused(Exception):
    """The connection was closed without an OK."""


def stream(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(host.deadline(60))
    sock.connect(str(path))
    return sock


def read_line(sock):
    """Up to the end of a line, and not a byte more."""
    line = b""
    while not line.endswith(b"\n"):
        more = sock.recv(1)
        if not more:
            raise Refused(line)
        line += more
    return line


def connect(path, port, word="CONNECT"):
    """A stream to the guest's port, and the host's port of it."""
    sock = stream(path)
    try:
        sock.sendall(f"{word} {port}\n".encode())
        answer = read_line(sock).split()
    except (Refused, ConnectionResetError, BrokenPipeError):
        sock.close()
        raise Refused from None
    assert answer[0] == b"OK", answer
    return sock, int(answer[1])


def read_all(sock):
    got = bytearray()
    while more := sock.recv(1 << 20):
        got += more
    return bytes(got)


def digest(data):
    """As the program in the guest prints it."""
    return f"{len(data)} {zlib.crc32(data)}"


class Server:
    """Listens for one of the guest's ports; handle(sock) runs once for each connection."""

    def __init__(self, path, port, handle):
        self.path = Path(f"{path}_{port}")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.path))
        self.listener.listen(128)
        self.handle = handle
        self.accepted = 0
        self.failures = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            sock.settimeout(host.deadline(60))
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock:
            try:
                self.handle(sock)
            except (AssertionError, OSError) as error:
                self.failures.append(error)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)
        self.thread.join(host.deadline(20))
        assert not self.thread.is_alive(), f"{self.path}: still accepts"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def echo(sock):
    while more := sock.recv(65536):
        sock.sendall(more)
