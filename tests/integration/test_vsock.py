# SPDX-License-Identifier: Apache-2.0
"""Streams between the host's programs and a Linux guest; the socket's file."""

import os
import queue
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from framework import host, payload, snapshot, vsock
from framework.guest import leave, shell
from framework.wisp import config_file

pytestmark = pytest.mark.area("vsock")

MIB = 1 << 20
CID = 3


def put(vm, path, **more):
    return vm.api.put("/vsock", {"guest_cid": CID, "uds_path": str(path), **more})


def boot(start_wisp, tmp_path, kernel="small-elf", **more):
    """A guest with vsock-peer in it, and the socket's path."""
    path = tmp_path / "v"

    def prepare(vm):
        assert put(vm, path).status == 204

    image = host.guest(kernel, add=(vsock.PEER,), modules="vmw_vsock_virtio_transport")
    return shell(start_wisp, {}, image=image, prepare=prepare, **more), path


def answer(vm, word, timeout=60):
    """What the guest's program has printed behind a word, in a line of its own."""
    return vm.expect(rf"^{word} (.*)$", timeout).group(1)


def listen(vm, *commands):
    """Programs of the guest that take connections: all of them listen, and go on."""
    vm.run("".join(f"(vsock-peer {command} &); " for command in commands))
    count = vm.listeners = getattr(vm, "listeners", 0) + len(commands)
    vm.expect(rf"\A(?:(?s:.*?)^listens$){{{count}}}")


def begin(target, *args):
    """A thread that is not waited for when the test fails."""
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread


def finish(thread, timeout=30):
    thread.join(host.deadline(timeout))
    assert not thread.is_alive()


# --- data ---

def through_socat(vm, path, tmp_path, size):
    """To the guest and its answer after the end of ours; from the guest into a file."""
    data = os.urandom(size)
    listen(vm, "sink 52")
    done = subprocess.run(["socat", "-t", str(host.deadline(30)), "-", f"UNIX-CONNECT:{path}"],
                          input=b"CONNECT 52\n" + data, stdout=subprocess.PIPE, check=True,
                          timeout=host.deadline(60))
    assert re.fullmatch(rf"OK (\d+)\n{vsock.digest(data)}\n", done.stdout.decode()), done.stdout
    listener = subprocess.Popen(["socat", "-u", f"UNIX-LISTEN:{path}_1234", "CREATE:out"],
                                cwd=tmp_path)
    try:
        end = time.monotonic() + host.deadline(10)
        while not os.path.exists(f"{path}_1234"):
            assert listener.poll() is None and time.monotonic() < end, "socat does not listen"
            time.sleep(0.01)
        sent = re.search(r"^SENT (.*)$", vm.run(f"vsock-peer send 1234 {size}"),
                         re.MULTILINE).group(1)
        assert listener.wait(host.deadline(30)) == 0
    finally:
        listener.kill()
        listener.wait()
    assert sent == vsock.digest((tmp_path / "out").read_bytes())


def both_at_once(vm, path, size):
    """Each direction on a connection of its own, at the same time."""
    data = os.urandom(size)
    listen(vm, "sink 61", f"source 62 {size}")
    sink, _ = vsock.connect(path, 61)
    source, _ = vsock.connect(path, 62)
    writer = begin(sink.sendall, data)
    got = vsock.read_all(source)
    finish(writer)
    sink.shutdown(socket.SHUT_WR)
    assert vsock.read_all(sink).decode() == f"{vsock.digest(data)}\n"
    assert answer(vm, "SOURCE") == vsock.digest(got)


@pytest.mark.kvm
@pytest.mark.parametrize("kernel, size", [
    ("small-elf", 20 * MIB), ("cloud-elf", 2 * MIB),
    pytest.param("cloud-elf", 20 * MIB, marks=pytest.mark.soak)])
def test_transfers(start_wisp, tmp_path, kernel, size):
    """Both ways; drivers of 6.12 and of 6.1 lay packets out differently."""
    vm, path = boot(start_wisp, tmp_path, kernel)
    through_socat(vm, path, tmp_path, size)
    both_at_once(vm, path, size // 5)
    assert vm.alive()
    leave(vm)
    assert not path.exists()


# --- connections ---

def connect_often(vm, path, count):
    listen(vm, "echo 7")
    ports = []
    for number in range(count):
        sock, port = vsock.connect(path, 7)
        ports.append(port)
        with sock:
            sock.sendall(b"%08d" % number)
            assert sock.recv(8) == b"%08d" % number
    assert ports == list(range(ports[0], ports[0] + count))
    with vsock.Server(path, 1234, vsock.echo) as server:
        assert f"MANY {count}" in vm.run(f"vsock-peer many 1234 {count}", timeout=60 + count)
        assert server.accepted == count and not server.failures


def descriptors(vm):
    """Sockets that are open."""
    return sum(name.startswith("socket:") for name in host.open_files(vm.pid).values())


def expect_descriptors(vm, count):
    """When what was closed has had its time."""
    end = time.monotonic() + host.deadline(10)
    while (now := descriptors(vm)) > count:
        assert time.monotonic() < end, f"{now} sockets are open, not {count}"
        time.sleep(0.1)


@pytest.mark.kvm
def test_connections_in_quick_succession(start_wisp, tmp_path):
    vm, path = boot(start_wisp, tmp_path)
    before = descriptors(vm)
    connect_often(vm, path, 100)
    expect_descriptors(vm, before)
    leave(vm)


@pytest.mark.kvm
@pytest.mark.soak
def test_a_thousand_connections_in_quick_succession(start_wisp, tmp_path):
    vm, path = boot(start_wisp, tmp_path)
    before = descriptors(vm)
    connect_often(vm, path, 1000)
    expect_descriptors(vm, before)
    leave(vm)


def kill_client(connects):
    """A process of its own that is killed when it has connected."""
    done, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            held = connects()
            os.write(say, b"x")
            signal.pause()
            held.close()
        finally:
            os._exit(1)
    try:
        os.close(say)
        assert select.select([done], [], [], host.deadline(20))[0] and os.read(done, 1) == b"x"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(done)


@pytest.mark.kvm
def test_killed_clients_leave_no_descriptor(start_wisp, tmp_path):
    """They had said nothing; or read nothing of what came back."""
    vm, path = boot(start_wisp, tmp_path)
    listen(vm, "echo 7")
    before = descriptors(vm)

    def write_and_write():
        sock, _ = vsock.connect(path, 7)
        sock.setblocking(False)
        try:
            while True:
                sock.send(bytes(65536))
        except BlockingIOError:
            return sock

    for number in range(1, 21):
        kill_client(lambda: vsock.stream(path))
        kill_client(lambda: vsock.connect(path, 7)[0])
        kill_client(write_and_write)
        if number in (2, 20):
            expect_descriptors(vm, before)
    leave(vm)


@pytest.mark.kvm
def test_a_guest_leaves_descriptors_to_the_api(start_wisp, tmp_path):
    """A limit of 128 allows 64 connections, and the API and a snapshot find theirs."""
    vm, path = boot(start_wisp, tmp_path, jailed=False, prefix=("prlimit", "--nofile=128"))
    before = descriptors(vm)
    with vsock.Server(path, 1234, vsock.echo):
        vm.run("(vsock-peer crowd 1234 200 & echo $! >/tmp/pid)")
        assert answer(vm, "CROWD") == "64"
        with pytest.raises(vsock.Refused):
            vsock.connect(path, 7)
        vm.pause()
        snapshot.create(vm, snapshot.in_folder(tmp_path))
        vm.resume()
        vm.run("kill $(cat /tmp/pid)")
        expect_descriptors(vm, before)
        assert "connected" in vm.run("vsock-peer try 1234")
    leave(vm)


@pytest.mark.kvm
def test_refusals_and_ends(start_wisp, tmp_path):
    vm, path = boot(start_wisp, tmp_path)
    # Nobody on the host; a file that nobody listens on.
    assert "ECONNRESET" in vm.run("vsock-peer try 999; true")
    with vsock.Server(path, 999, vsock.echo):
        assert "connected" in vm.run("vsock-peer try 999")
    abandoned = socket.socket(socket.AF_UNIX)
    abandoned.bind(f"{path}_998")
    abandoned.close()
    assert "ECONNRESET" in vm.run("vsock-peer try 998; true")
    # Nobody in the guest; no such line.
    for port in (4444, 0, 2**32 - 1):
        with pytest.raises(vsock.Refused):
            vsock.connect(path, port)
    for line in (b"GET / HTTP/1.1\r\n", b"CONNECT\n", b"CONNECT x\n", b"CONNECT 4294967296\n",
                 b"CONNECT 7" + b" " * 40 + b"\n", b"\n"):
        with vsock.stream(path) as sock:
            sock.sendall(line)
            try:
                assert sock.recv(64) == b"", line
            except ConnectionResetError:  # of what it said something was not read
                pass
    # The keyword in any case; several words of one line.
    listen(vm, "echo 7")
    vsock.connect(path, 7, "connect")[0].close()
    # The host ends its half, and the guest's program still answers.
    sock, _ = vsock.connect(path, 7, "CoNNect")
    sock.sendall(b"question")
    sock.shutdown(socket.SHUT_WR)
    assert vsock.read_all(sock) == b"question"
    # The guest ends its half, and the host still answers.
    with vsock.Server(path, 1235, lambda s: s.sendall(vsock.digest(vsock.read_all(s)).encode())):
        lines = vm.run("vsock-peer send 1235 100000").split("\n")
    sent = next(line[5:] for line in lines if line.startswith("SENT "))
    assert f"ANSWER {vsock.digest(sent.encode())}" in lines
    # The host closes; the guest's program is killed.
    with vsock.Server(path, 1236, lambda s: s.sendall(b"x" * 10)):
        assert "HELD end" in vm.run("vsock-peer hold 1236")
    held = threading.Event()

    def hold(sock):
        held.set()
        assert sock.recv(1) == b""

    with vsock.Server(path, 1237, hold) as server:
        vm.run("(vsock-peer hold 1237 & echo $! >/tmp/pid; sleep 0.5)")
        assert held.wait(host.deadline(20))
        vm.run("kill -9 $(cat /tmp/pid)")
        time.sleep(host.seconds(0.5))
        assert server.accepted == 1 and not server.failures
    leave(vm)


# --- pause ---

@pytest.mark.kvm
def test_pauses_in_the_middle(start_wisp, tmp_path):
    """Bytes go on where they stopped, and a long pause costs no connection."""
    size = 2 * MIB
    data = os.urandom(size)
    vm, path = boot(start_wisp, tmp_path)
    listen(vm, "sink 61", f"source 62 {size}", "echo 7")
    idle, _ = vsock.connect(path, 7)
    sink, _ = vsock.connect(path, 61)
    source, _ = vsock.connect(path, 62)
    got = []
    threads = [begin(sink.sendall, data), begin(lambda: got.append(vsock.read_all(source)))]
    for number in range(8):
        vm.pause()
        time.sleep(0.05 * (number % 3))
        if number == 3:
            # Longer than any timeout, and somebody asks meanwhile.
            early = vsock.stream(path)
            early.sendall(b"CONNECT 7\n")
            time.sleep(2.5)
        vm.resume()
        time.sleep(0.1)
    for thread in threads:
        finish(thread, 60)
    sink.shutdown(socket.SHUT_WR)
    assert vsock.read_all(sink).decode() == f"{vsock.digest(data)}\n"
    assert answer(vm, "SOURCE") == vsock.digest(got[0])
    assert vsock.read_line(early).startswith(b"OK ")
    for sock in (early, idle):
        sock.sendall(b"12345678")
        assert sock.recv(8) == b"12345678"
    leave(vm)


# --- snapshot ---

@pytest.mark.kvm
@pytest.mark.parametrize("kernel", [
    "small-elf", pytest.param("cloud-elf", marks=pytest.mark.soak)])
def test_a_snapshot_ends_connections_and_keeps_listeners(start_wisp, tmp_path, kernel):
    """Both sides are told, and new connections find the guest's programs at another path."""
    vm, path = boot(start_wisp, tmp_path, kernel)
    listen(vm, "echo 7", "keep 8", "sink 61")
    ends = queue.Queue()

    def hold(sock):
        sock.sendall(b"1234567")
        ends.put(sock.recv(1))

    with vsock.Server(path, 1234, hold) as server:
        vm.run("(vsock-peer hold 1234 &)")
        kept, port = vsock.connect(path, 8)
        kept.sendall(b"12345678")
        vm.expect("^HELD 7 bytes$")
        vm.expect("^KEPT 8 bytes$")
        elsewhere = tmp_path / "w"
        vm = snapshot.move(vm, start_wisp, snapshot.in_folder(tmp_path), console="pty",
                           vsock_override={"uds_path": str(elsewhere)})
        assert kept.recv(1) == b""
        assert ends.get(timeout=host.deadline(20)) == b""
        assert server.accepted == 1 and not server.failures
    # At once, and whatever the guest has heard of the old ones by now.
    sock, other_port = vsock.connect(elsewhere, 7)
    assert other_port > port
    assert answer(vm, "HELD") == "ECONNRESET"
    assert answer(vm, "KEPT") == "ECONNRESET"
    sock.sendall(b"12345678")
    assert sock.recv(8) == b"12345678"
    # A program that listened before takes its first connection now.
    data = os.urandom(300000)
    sink, _ = vsock.connect(elsewhere, 61)
    sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)
    assert vsock.read_all(sink).decode() == f"{vsock.digest(data)}\n"
    with vsock.Server(elsewhere, 1234, vsock.echo) as server:
        assert "MANY 3" in vm.run("vsock-peer many 1234 3")
        assert server.accepted == 3 and not server.failures
    sock.sendall(b"still me")
    assert sock.recv(8) == b"still me"
    with pytest.raises(ConnectionRefusedError):  # left by who was killed
        vsock.stream(path)
    leave(vm)
    assert not elsewhere.exists()


# --- the socket's file and the API ---

def test_the_socket_is_there_at_once(wisp, tmp_path):
    path = tmp_path / "v"
    reply = put(wisp, path)
    assert reply.status == 204 and "Deprecation" not in reply.headers
    assert path.is_socket()
    inode = path.stat().st_ino
    reply = put(wisp, path, vsock_id="root")
    assert reply.status == 204 and reply.headers["Deprecation"] == "true"
    assert path.stat().st_ino == inode
    assert wisp.api.get("/vm/config").json["vsock"] == {"guest_cid": CID, "uds_path": str(path)}
    other = tmp_path / "w"
    assert put(wisp, other).status == 204
    assert other.is_socket() and not path.exists()


def test_paths_that_cannot_be_bound(start_wisp, tmp_path):
    wisp = start_wisp(jailed=False)  # a relative path is then seen from here
    prefix = "Vsock config error: Cannot create backend for vsock device: "
    here = tmp_path / "here"
    here.write_text("")
    left = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(left))
    for path, words in ((here, "Address already in use (os error 98); the file exists: choose "
                               "another path"),
                        (left, "Address already in use (os error 98); nobody listens on it: "
                               "remove the file"),
                        (tmp_path / "none" / "v", "No such file or directory (os error 2)")):
        reply = put(wisp, path)
        assert (reply.status, reply.fault) == (400, f"{prefix}{path}: {words}")
    assert wisp.api.get("/vm/config").json["vsock"] is None
    assert put(wisp, "v").status == 204
    assert (wisp.where / "v").is_socket()
    assert put(wisp, "x" * 108).fault == \
        "Vsock config error: The uds_path has more than 107 characters."
    assert put(wisp, "").fault == "Vsock config error: The uds_path is empty."
    assert wisp.api.put("/vsock", {"guest_cid": 2, "uds_path": "y", "vsock_id": "z"}).headers[
        "Deprecation"] == "true"
    assert left.is_socket() and here.is_file()


@pytest.mark.anykvm
def test_the_file_goes_with_the_monitor_and_stays_when_it_is_killed(start_wisp, tmp_path):
    path = tmp_path / "v"
    ending = start_wisp()
    assert put(ending, path).status == 204
    ending.machine()
    ending.boot_source(payload.image("i8042-reset"))
    ending.start()
    assert ending.wait() == 0
    assert not path.exists()
    killed = start_wisp()
    assert put(killed, path).status == 204
    os.kill(killed.pid, signal.SIGTERM)
    killed.wait()
    assert path.is_socket()
    after = start_wisp()
    assert "remove the file" in put(after, path).fault
    path.unlink()
    assert put(after, path).status == 204


@pytest.mark.anykvm
def test_from_a_configuration_file(start_wisp, tmp_path):
    """As Kata has it: the socket is there when the machine runs."""
    path = tmp_path / "v"
    file = config_file(tmp_path, payload.image("idle"),
                       vsock={"vsock_id": "root", "guest_cid": CID, "uds_path": str(path)})
    vm = start_wisp("--config-file", file)
    end = time.monotonic() + host.deadline(20)
    while vm.api.get("/").json["state"] != "Running":
        assert time.monotonic() < end
    assert path.is_socket()
    reply = put(vm, tmp_path / "w")
    assert (reply.status, reply.fault) == (
        400, "The requested operation is not supported after starting the microVM.")
    # A guest without a driver: whoever connects waits.
    with vsock.stream(path) as sock:
        sock.sendall(b"CONNECT 1\n")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
