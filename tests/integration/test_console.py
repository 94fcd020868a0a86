# SPDX-License-Identifier: Apache-2.0
"""The guest's console on a Unix socket: who sees what, who may type, and that nobody can hold the
guest up."""

import os
import socket
import stat

import pytest

from framework import host, payload

pytestmark = [pytest.mark.area("serial")]


class Client:
    """Reads what comes until a text is there."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(host.deadline(60))
        self.sock.connect(str(path))
        self.seen = b""

    def read_until(self, text):
        while text not in self.seen:
            more = self.sock.recv(65536)
            assert more, f"closed before {text!r}; it had {self.seen[-200:]!r}"
            self.seen += more
        return self.seen

    def ask_for_much(self, n):
        """n times 16 KiB, one after the other."""
        for _ in range(n):
            done = self.seen.count(b"DONE\n")
            self.send(b"!")
            while self.seen.count(b"DONE\n") == done:
                more = self.sock.recv(65536)
                assert more, "closed"
                self.seen += more

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        self.sock.close()


@pytest.fixture
def vm(start_wisp, tmp_path):
    machine = start_wisp()
    machine.tty = tmp_path / "tty"
    machine.machine()
    machine.boot_source(payload.image("echo"))
    reply = machine.api.put("/serial", {"socket_path": str(machine.tty)})
    assert reply.status == 204, reply
    return machine


@pytest.mark.anykvm
def test_clients_early_and_late(vm):
    early = Client(vm.tty)
    vm.start()
    early.read_until(b"READY\n")
    early.send(b"hello\n")
    early.read_until(b"hello\n")
    late = Client(vm.tty)
    assert late.read_until(b"hello\n") == early.seen
    # Only the first may type.
    late.send(b"nobody hears this\n")
    early.send(b"again\n")
    assert late.read_until(b"again\n") == early.read_until(b"again\n")
    assert b"nobody" not in early.seen
    early.close()
    third = Client(vm.tty)
    third.send(b"mine now\n")
    late.read_until(b"mine now\n")
    assert vm.console() == ""
    vm.ctrl_alt_del()
    late.read_until(b"BYE\n")
    assert vm.wait() == 0
    assert not vm.tty.exists()


@pytest.mark.kvm
@pytest.mark.soak
def test_a_reader_that_does_not_read(vm):
    """It is dropped; the guest and who reads go on, and everything arrives."""
    vm.start()
    reader, stuck = Client(vm.tty), Client(vm.tty)
    reader.read_until(b"READY\n")
    # A small piece takes as much of a socket's buffer as a large one.
    for n in range(400):
        reader.send(b"\n")
        reader.read_until(b"READY\n" + b"\n" * (n + 1))
    reader.ask_for_much(5)
    assert vm.api.get("/").json["state"] == "Running"
    got = b""
    while more := stuck.sock.recv(65536):
        got += more
    assert len(got) < len(reader.seen)
    reader.send(b"alive\n")
    reader.read_until(b"alive\n")


@pytest.mark.anykvm
def test_a_paused_guest_keeps_its_clients(vm):
    vm.start()
    first = Client(vm.tty)
    first.read_until(b"READY\n")
    vm.pause()
    first.send(b"typed in the pause\n")
    second = Client(vm.tty)
    second.read_until(b"READY\n")
    vm.resume()
    second.read_until(b"typed in the pause\n")


@pytest.mark.anykvm
def test_clients_cost_nothing_that_stays(vm):
    vm.start()
    Client(vm.tty).read_until(b"READY\n")
    before = host.usage(vm.pid).descriptors
    for _ in range(100):
        client = Client(vm.tty)
        client.read_until(b"READY\n")
        client.close()
    last = Client(vm.tty)
    last.send(b"last\n")
    last.read_until(b"last\n")
    # One client, and the descriptor that the port reads it by.
    assert host.usage(vm.pid).descriptors <= before + 2
    text = vm.api.get("/metrics").body.decode()
    assert "wisp_console_clients_total 102" in text
    assert "wisp_console_clients_dropped_total 0" in text


@pytest.mark.anykvm
def test_wrong_paths(vm, tmp_path):
    taken = tmp_path / "taken"
    taken.touch()
    for path, text in ((str(taken), f"{taken} exists; remove it"), ("", "socket_path is empty"),
                       ("/nonexistent/s", "No such file or directory"), ("x" * 108, "")):
        reply = vm.api.put("/serial", {"socket_path": path})
        assert reply.status == 400 and text in reply.fault, reply
    both = {"socket_path": str(tmp_path / "s"), "serial_out_path": str(taken)}
    reply = vm.api.put("/serial", both)
    assert reply.status == 400 and "exclude each other" in reply.fault
    assert taken.exists() and not (tmp_path / "s").exists()
    # What was configured before stands.
    vm.start()
    Client(vm.tty).read_until(b"READY\n")


@pytest.mark.anykvm
def test_put_again(vm, tmp_path):
    """The same path keeps its clients; another one removes the first."""
    client = Client(vm.tty)
    assert vm.api.put("/serial", {"socket_path": str(vm.tty)}).status == 204
    other = tmp_path / "other"
    assert stat.S_ISSOCK(os.stat(vm.tty).st_mode)
    vm.start()
    client.read_until(b"READY\n")
    vm.ctrl_alt_del()
    assert vm.wait() == 0
    assert not other.exists()


@pytest.mark.anykvm
def test_another_path_and_none(start_wisp, tmp_path):
    vm = start_wisp()
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        assert vm.api.put("/serial", {"socket_path": str(path)}).status == 204
        assert path.exists()
    assert not first.exists()
    assert vm.api.put("/serial", {}).status == 204
    assert not second.exists()
    vm.machine()
    vm.boot_source(payload.image("idle"))
    vm.start()
    vm.expect("^READY$")
