# SPDX-License-Identifier: Apache-2.0
"""Network devices under Linux, on taps of a network namespace of our own."""

import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from framework import host, network
from framework.guest import leave, shell

pytestmark = [pytest.mark.area("net"), pytest.mark.kvm]

MIB = 1 << 20
FOREVER = 10**10  # ms: not one token comes back while a test runs


@pytest.fixture(scope="module", autouse=True)
def own_network():
    if why := network.lacking():
        pytest.skip(why)
    namespace = network.Namespace()
    yield
    namespace.close()


@pytest.fixture
def make_tap():
    made = []

    def make(**more):
        made.append(network.Tap(**more))
        return made[-1]

    yield make
    for tap in made:
        tap.close()


@pytest.fixture
def tap(make_tap):
    return make_tap()


def configure(vm, tap, device="eth0"):
    vm.run(f"ip addr add {tap.guest}/24 dev {device} && ip link set {device} up")


def linux(start_wisp, tap, drives=None, fields=None, **more):
    vm = shell(start_wisp, drives or {}, nets={"eth0": {"tap": None if "host_dev_fd" in (fields or {}) else tap.name,
                                **(fields or {})}},
               prepare=lambda vm: vm.api.put("/metrics", {
                   "metrics_path": str(vm.where / "metrics.json")}), **more)
    configure(vm, tap)
    return vm


def metrics(vm, group="net_eth0"):
    """The sums of all lines so far."""
    assert vm.api.put("/actions", {"action_type": "FlushMetrics"}).status == 204
    total = {}
    for line in (vm.where / "metrics.json").read_text().splitlines():
        for key, value in json.loads(line).get(group, {}).items():
            if isinstance(value, int):
                total[key] = total.get(key, 0) + value
    return total


@pytest.mark.parametrize("kernel", ["small-elf", "cloud-elf"])
def test_addresses_and_the_smallest_mtu(start_wisp, make_tap, kernel):
    tap = make_tap(mtu=68)
    vm = linux(start_wisp, tap, fields={"guest_mac": "06:00:00:00:00:01", "mtu": 68},
               kernel=kernel)
    assert vm.run("cat /sys/class/net/eth0/address").strip() == "06:00:00:00:00:01"
    assert vm.run("cat /sys/class/net/eth0/mtu").strip() == "68"
    assert "5 packets received" in vm.run(f"ping -c 5 -i 0.2 -s 40 {tap.address}")
    # Fragments of 48 bytes: many small frames for one ping.
    assert "2 packets received" in vm.run(f"ping -c 2 -s 1000 {tap.address}")
    assert metrics(vm)["tx_spoofed_mac_count"] == 0
    before = metrics(vm)["tx_packets_count"]
    vm.run("ip link set eth0 down && ip link set eth0 address 06:00:00:00:00:02 && "
           "ip link set eth0 up")
    assert "3 packets received" in vm.run(f"ping -c 3 -i 0.2 -s 40 {tap.address}")
    counted = metrics(vm)
    assert 0 < counted["tx_spoofed_mac_count"] <= counted["tx_packets_count"] - before
    assert counted["tx_packets_count"] == counted["tx_count"] and counted["tx_fails"] == 0
    leave(vm)


# --- data ---

class Server:
    """Takes or gives so many bytes of one connection, in a thread; digest() waits for its end."""

    def __init__(self, address, data=None):
        self._data = data
        self._digest = hashlib.md5()
        self._listen = socket.create_server((address, 0))
        self.port = self._listen.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with self._listen, self._listen.accept()[0] as connection:
            connection.settimeout(host.deadline(300))
            if self._data is not None:
                self._digest.update(self._data)
                connection.sendall(self._data)
                return
            while got := connection.recv(1 << 16):
                self._digest.update(got)

    def digest(self, timeout=60):
        self._thread.join(host.deadline(timeout))
        assert not self._thread.is_alive(), "the connection has not ended"
        return self._digest.hexdigest()


def begin_transfer(vm, tap, size):
    """Both ways at once; the servers."""
    giver, taker = Server(tap.address, os.urandom(size)), Server(tap.address)
    vm.run(f"dd if=/dev/urandom of=/tmp/data bs=64k count={size >> 16} 2>/dev/null")
    vm.run(f"(nc {tap.address} {giver.port} </dev/null | md5sum >/tmp/sum; echo >/tmp/got) & "
           f"(nc {tap.address} {taker.port} </tmp/data >/dev/null; echo >/tmp/sent) &")
    return giver, taker


def finish_transfer(vm, giver, taker):
    """The sums are right at both ends."""
    assert vm.run("while [ ! -e /tmp/got ]; do usleep 50000; done; cut -d' ' -f1 /tmp/sum",
                  timeout=300).strip() == giver.digest()
    assert vm.run("md5sum </tmp/data | cut -d' ' -f1").strip() == taker.digest(300)
    vm.run("rm /tmp/got /tmp/sent /tmp/sum /tmp/data; wait")


def seen_by(tap):
    """Frames of the guest, as the host counts them."""
    return {"sent": tap.statistic("rx_packets"),
            "received": tap.statistic("tx_packets") - tap.statistic("tx_dropped")}


def pauses(vm, n):
    for number in range(n):
        time.sleep(0.05 + number % 5 / 10)
        vm.pause()
        vm.resume()


def through_a_snapshot(vm, start_wisp):
    """The machine goes on in another process."""
    vm.pause()
    paths = [str(vm.where / name) for name in ("state", "memory")]
    reply = vm.api.put("/snapshot/create", {"snapshot_path": paths[0], "mem_file_path": paths[1]})
    assert reply.status == 204, reply
    vm.close()
    vm = start_wisp(console="pty")
    reply = vm.api.put("/snapshot/load", {
        "snapshot_path": paths[0], "resume_vm": True,
        "mem_backend": {"backend_type": "File", "backend_path": paths[1]}})
    assert reply.status == 204, reply
    return vm


@pytest.mark.parametrize("kernel", [
    "small-elf", pytest.param("cloud-elf", marks=pytest.mark.soak)])
def test_transfer_through_pauses_and_a_snapshot(start_wisp, tap, kernel):
    vm = linux(start_wisp, tap, kernel=kernel)
    servers = begin_transfer(vm, tap, 2 * MIB)
    pauses(vm, 5)
    finish_transfer(vm, *servers)
    before, counted, after = seen_by(tap), metrics(vm), seen_by(tap)
    assert counted["rx_bytes_count"] > 2 * MIB and counted["tx_bytes_count"] > 2 * MIB
    # The host saw what the device says, and no frame was lost on the way. Debian's kernel says
    # something of its own now and then.
    for ours, theirs in (("tx_count", "sent"), ("rx_count", "received")):
        assert before[theirs] <= counted[ours] <= after[theirs], (ours, before, counted, after)
    assert counted["rx_fails"] == counted["tx_fails"] == counted["tx_malformed_frames"] == 0
    # Connections live on, and so do the offloads that their segments rely on.
    servers = begin_transfer(vm, tap, 2 * MIB)
    vm = through_a_snapshot(vm, start_wisp)
    finish_transfer(vm, *servers)
    # That frames go to the tap in batches is a matter of the host's kernel alone.
    assert ("frames are sent one by one" in vm.log()) == (host.kernel() < (6, 4))
    leave(vm)


@pytest.mark.soak
def test_a_gibibyte_through_fifty_pauses_and_a_snapshot(start_wisp, tap):
    vm = linux(start_wisp, tap)
    for number in range(50):
        servers = begin_transfer(vm, tap, 21 * MIB)
        pauses(vm, 1)
        if number == 25:
            vm = through_a_snapshot(vm, start_wisp)
        finish_transfer(vm, *servers)
    leave(vm)


def iperf(vm, tap, seconds, *words):
    """Mbit/s of one stream between guest and host, as the receiver counts them."""
    port = 5201
    with subprocess.Popen(["iperf3", "-s", "-1", "-B", tap.address, "-p", str(port)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            wait_for_port(tap.address, port)
            got = vm.run(f"iperf3 -c {tap.address} -p {port} -t {seconds} -f m {' '.join(words)}",
                         timeout=60 + 5 * seconds)
            server.wait(host.deadline(60))
        finally:
            server.kill()  # it would wait for a client for ever
    rate = re.search(r"([\d.]+) Mbits/sec +receiver", got)
    assert rate and float(rate.group(1)) > 0, got
    return float(rate.group(1))


def wait_for_port(address, port):
    end = time.monotonic() + host.deadline(20)
    # Listening: what has ended stays in the table for a while.
    want = f"{int.from_bytes(socket.inet_aton(address), 'little'):08X}:{port:04X} 00000000:0000 0A"
    while want not in Path("/proc/self/net/tcp").read_text():
        assert time.monotonic() < end, f"nobody listens at {address}:{port}"
        time.sleep(0.05)


NO_OFFLOADS = "virtio_net.csum=0 virtio_net.gso=0"


@pytest.mark.parametrize("mtu,offloads", [(1500, True)] + [
    pytest.param(mtu, offloads, marks=pytest.mark.soak)
    for mtu, offloads in ((1500, False), (9000, True), (9000, False))])
def test_iperf3(start_wisp, make_tap, mtu, offloads):
    tap = make_tap(mtu=mtu)
    vm = linux(start_wisp, tap, tools=True, args="" if offloads else NO_OFFLOADS,
               fields={"mtu": mtu})
    if not offloads:
        tap.no_offloads()
    before = metrics(vm)
    rates = iperf(vm, tap, 1), iperf(vm, tap, 1, "-R")
    counted = {key: value - before[key] for key, value in metrics(vm).items()}
    largest = max(counted["rx_bytes_count"] / counted["rx_packets_count"],
                  counted["tx_bytes_count"] / counted["tx_packets_count"])
    print(f"mtu {mtu}, offloads {offloads}: {rates} Mbit/s, frames of {largest:.0f} bytes")
    # Segments larger than a frame are what an offload is.
    assert largest > mtu + 14 if offloads else largest <= mtu + 14
    assert counted["tx_fails"] == counted["rx_fails"] == 0
    leave(vm)


# --- limits ---

def handed_over(start_wisp, tap):
    """A guest on the tap's descriptor, beside one that nobody claims."""
    fd, spare = network.attach(tap.name), os.open("/dev/zero", os.O_RDWR)
    try:
        vm = linux(lambda **more: start_wisp("--fd", f"net={fd}", "--fd", f"spare={spare}",
                                             pass_fds=(fd, spare), jailed=True, **more),
                   tap, fields={"host_dev_fd": "net"})
    finally:
        os.close(fd)
        os.close(spare)
    open_files = host.open_files(vm.pid).values()
    assert "/dev/net/tun" in open_files and "/dev/zero" not in open_files
    assert vm.api.get("/vm/config").json["network-interfaces"][0]["host_dev_fd"] == "net"
    return vm


def test_limits_on_a_tap_that_was_handed_over(start_wisp, tap):
    """Tokens that never come back are counted exactly; without a limit all goes on."""
    vm = handed_over(start_wisp, tap)
    vm.run(f"ping -c 1 {tap.address}")

    def patch(direction, limit):
        reply = vm.api.patch("/network-interfaces/eth0", {
            "iface_id": "eth0", f"{direction}_rate_limiter": {"ops": limit}})
        assert reply.status == 204, reply

    def limited(direction, counter):
        patch(direction, {"size": 5, "refill_time": FOREVER})
        before = metrics(vm)[counter]
        vm.run(f"ping -c 10 -i 0.1 -W 1 {tap.address} >/tmp/ping; true", timeout=60)
        assert metrics(vm)[counter] == before + 5
        assert metrics(vm)[f"{direction}_rate_limiter_throttled"] > 0
        patch(direction, {"size": 0, "refill_time": 0})
        assert "3 packets received" in vm.run(f"ping -c 3 -i 0.2 {tap.address} | tail -3")

    limited("tx", "tx_packets_count")
    limited("rx", "rx_packets_count")
    config = vm.api.get("/vm/config").json["network-interfaces"][0]
    assert config["rx_rate_limiter"] is None and config["tx_rate_limiter"] is None
    reply = vm.api.patch("/network-interfaces/eth1", {"iface_id": "eth1"})
    assert reply.status == 400 and "Device not found" in reply.fault
    leave(vm)


# --- floods ---

class Flood:
    """Small datagrams to the guest, as fast as they go, until close()."""

    def __init__(self, tap):
        self.sent = 0
        self._ends = False
        self._to = (tap.guest, 9)
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not self._ends:
                with contextlib.suppress(OSError):  # the tap's queue is full, or "refused"
                    sock.sendto(b"x" * 18, self._to)
                    self.sent += 1

    def close(self):
        self._ends = True
        self._thread.join()


def test_a_flood_starves_nobody(start_wisp, tap, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(os.urandom(2 * MIB))
    vm = linux(start_wisp, tap, drives={"d": {"path": disk}})
    with contextlib.closing(Flood(tap)) as flood:
        before = metrics(vm)["rx_packets_count"]
        got = vm.run("dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | md5sum | cut -d' ' -f1",
                     timeout=120)
        assert got.strip() == hashlib.md5(disk.read_bytes()).hexdigest()
        for _ in range(50):
            assert vm.api.get("/").json["state"] == "Running"
            assert vm.api.patch("/network-interfaces/eth0", {"iface_id": "eth0"}).status == 204
        assert metrics(vm)["rx_packets_count"] > before + 100 and flood.sent > 100
    # A guest that stops and goes on under it has not lost its wake-up (CVE-2020-16843).
    with contextlib.closing(Flood(tap)) as flood:
        vm.pause()
        full = flood.sent + 2000
        while flood.sent < full:
            time.sleep(0.01)
        vm.resume()
    assert "3 packets received" in vm.run(f"ping -c 3 -i 0.2 {tap.address} | tail -3")
    leave(vm)
