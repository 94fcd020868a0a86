# SPDX-License-Identifier: Apache-2.0
"""sockets between a Linux guest and programs on the host: bytes per second, and one round

A guest's program sends, receives, or sends eight bytes to and fro; the host's is a few lines
of Python. Processor time is the monitor's without its vCPU thread, for each MiB. There is no
column of a peer: QEMU has its sockets from the host's kernel (vhost-vsock), so nothing of
them is in a process of its own.
"""

import os
import re
import socket
import statistics
import time

from framework import host, vsock
from framework.guest import ARGS
from framework.wisp import Wisp
from measure import cpu_beside_vcpus

MIB = 1 << 20
SIZE = (256 if host.SLOW == 1 else 16) * MIB
ROUNDS = 2000 // host.SLOW
REPEATS = 3


class Meter:
    """Times what one connection moves, and what it costs the monitor."""

    def __init__(self, pid):
        self.pid = pid
        self.rates, self.costs = [], []

    def _take(self, move):
        began, before = time.monotonic(), cpu_beside_vcpus(self.pid)
        move()
        self.rates.append(SIZE / MIB / (time.monotonic() - began))
        self.costs.append((cpu_beside_vcpus(self.pid) - before) * 1e6 / (SIZE / MIB))

    def receive(self, sock):
        buffer = bytearray(MIB)

        def move():
            left = SIZE
            while left > 0 and (n := sock.recv_into(buffer)):
                left -= n
            assert left == 0

        self._take(move)

    def send(self, sock):
        block = os.urandom(MIB)

        def move():
            for _ in range(SIZE // MIB):
                sock.sendall(block)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""  # the guest has read it all

        self._take(move)

    def figure(self):
        return f"{max(self.rates):.0f} MiB/s, {min(self.costs):.0f} us/MiB"


def rows(bench):
    if host.kvm_kind() != "native":
        yield bench.note("not measured: Linux guests need a /dev/kvm that runs kernels")
        return
    guest = host.guest("small-elf", add=(vsock.PEER,))
    path = bench.where / "v"
    again = " ".join(["x"] * REPEATS)
    work = (f"for x in {again}; do vsock-peer ping 1 {ROUNDS}; vsock-peer send 2 {SIZE}; "
            "vsock-peer recv 3; done")
    folder = bench.where / "vm"
    folder.mkdir()
    with Wisp(folder) as vm:
        vm.machine(mem=256)
        vm.boot_source(guest.kernel, f'{ARGS} test="{work}"', initrd=guest.initrd)
        assert vm.api.put("/vsock", {"guest_cid": 3, "uds_path": str(path)}).status == 204
        to_host, to_guest = Meter(vm.pid), Meter(vm.pid)
        with vsock.Server(path, 1, vsock.echo) as echo, \
                vsock.Server(path, 2, to_host.receive) as receiver, \
                vsock.Server(path, 3, to_guest.send) as sender:
            vm.start()
            assert vm.wait(60) == 0
            for server in (echo, receiver, sender):
                assert server.accepted == REPEATS and not server.failures, server.failures
        rounds = [int(ns) / 1000 for ns in re.findall(r"^PING (\d+)$", vm.console(), re.MULTILINE)]
    yield bench.row("a round of 8 bytes, guest and host", "us",
                    wisp=f"{min(rounds):.0f} (median {statistics.median(rounds):.0f})")
    yield bench.row("guest to host", "", wisp=to_host.figure())
    yield bench.row("host to guest", "", wisp=to_guest.figure())
