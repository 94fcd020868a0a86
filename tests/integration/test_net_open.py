# SPDX-License-Identifier: Apache-2.0
"""What a network interface is configured with, and what is wrong with it. No guest runs."""

import array
import fcntl
import os
import socket

import pytest

from framework import network

pytestmark = pytest.mark.area("net")

CANNOT = "Network config error: Could not create the network device: "


@pytest.fixture(scope="module")
def taps():
    if why := network.lacking():
        pytest.skip(why)
    namespace = network.Namespace()
    yield network
    namespace.close()


@pytest.fixture
def names(taps):
    """Of taps that are there: a jailed monitor cannot make any."""
    made = [taps.Tap() for _ in range(4)]
    yield [tap.name for tap in made]
    for tap in made:
        tap.close()


def put(api, name, **fields):
    return api.put(f"/network-interfaces/{name}", {"iface_id": name, **fields})


def refused(reply, *words):
    assert reply.status == 400, reply
    assert all(word in reply.fault for word in words), reply.fault


def test_taps_by_name(api, taps, names):
    t0, t1, t2, t3 = names
    assert put(api, "eth0", host_dev_name=t0, guest_mac="06:00:00:00:00:01").status == 204
    # Again, and with another tap; the first is closed before.
    assert put(api, "eth0", host_dev_name=t0, guest_mac="06:00:00:00:00:01").status == 204
    assert put(api, "eth0", host_dev_name=t1, guest_mac="06:00:00:00:00:01").status == 204
    os.close(taps.attach(t0))
    reply = put(api, "eth1", host_dev_name=t2, guest_mac="06:00:00:00:00:01")
    assert reply.fault == ("Network config error: The MAC address is already in use: "
                           "06:00:00:00:00:01")
    refused(put(api, "eth1", host_dev_name=t1), "already in use by interface `eth0`")
    held = taps.attach(t3)
    refused(put(api, "eth1", host_dev_name=t3), CANNOT, f"tap `{t3}'", "busy", "another process")
    os.close(held)
    refused(put(api, "eth1", host_dev_name="lo"), CANNOT, "tap `lo'", "not a tap")
    assert put(api, "eth1", host_dev_name=t3, mtu=68).status == 204
    refused(put(api, "eth1", host_dev_name=t2, mtu=67), "68 to 65535")
    config = api.get("/vm/config").json["network-interfaces"]
    assert config == [
        {"iface_id": "eth0", "host_dev_name": t1, "guest_mac": "06:00:00:00:00:01",
         "mtu": None, "rx_rate_limiter": None, "tx_rate_limiter": None},
        {"iface_id": "eth1", "host_dev_name": t3, "guest_mac": None, "mtu": 68,
         "rx_rate_limiter": None, "tx_rate_limiter": None}]
    # What cannot have its new tap is no more: the old one is closed by then.
    refused(put(api, "eth1", host_dev_name="lo"), CANNOT)
    assert len(api.get("/vm/config").json["network-interfaces"]) == 1


def test_a_tap_for_several_queues(api, taps):
    fd = taps.attach("mq", taps.IFF_TAP | taps.IFF_NO_PI | taps.IFF_VNET_HDR |
                     taps.IFF_MULTI_QUEUE)
    fcntl.ioctl(fd, taps.TUNSETPERSIST, 1)
    os.close(fd)
    assert put(api, "eth0", host_dev_name="mq").status == 204
    taps.ip("link del mq")


def test_a_tap_that_nobody_may_make(start_wisp, taps):
    assert put(start_wisp(jailed=False).api, "eth0", host_dev_name="new").status == 204
    vm = start_wisp(jailed=False, prefix=("setpriv", "--bounding-set=-all", "--inh-caps=-all",
                                          "--securebits=+noroot"))
    refused(put(vm.api, "eth0", host_dev_name="other"), CANNOT, "tap `other'", "ip tuntap add")


def test_taps_by_descriptor(start_wisp, taps):
    good = taps.attach("t0")
    bare = taps.attach("t1", taps.IFF_TAP | taps.IFF_NO_PI)
    other = os.open("/dev/null", os.O_RDWR)
    vm = start_wisp("--fd", f"good={good}", "--fd", f"bare={bare}", "--fd", f"other={other}",
                    pass_fds=(good, bare, other))
    for fd in (good, bare, other):
        os.close(fd)
    refused(put(vm.api, "eth0", host_dev_fd="nosuch"), CANNOT, "no descriptor `nosuch'", "--fd")
    refused(put(vm.api, "eth0", host_dev_fd="other"), CANNOT, "`other'", "/dev/net/tun")
    refused(put(vm.api, "eth0", host_dev_fd="bare"), CANNOT, "t1", "IFF_VNET_HDR")
    assert put(vm.api, "eth0", host_dev_fd="good").status == 204
    assert put(vm.api, "eth0", host_dev_fd="good").status == 204
    refused(put(vm.api, "eth1", host_dev_fd="good"), "already in use by interface `eth0`")


def test_taps_by_socket(start_wisp, taps, tmp_path):
    path = tmp_path / "fds"
    vm = start_wisp("--fd-sock", path)
    tap = taps.attach("t0")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(str(path))
        for name, fds, answer in ((b"net0", [tap], b"OK"), (b"net0", [], b"a message must"),
                                  (b"net0", [tap, tap], b"a message must"),
                                  (b"a/b", [tap], b"API Resource IDs")):
            sock.sendmsg([name], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                         if fds else [])
            assert sock.recv(1000).startswith(answer)
    os.close(tap)
    assert put(vm.api, "eth0", host_dev_fd="net0").status == 204


@pytest.mark.parametrize("args,words", [
    (["--fd", "x=99"], "descriptor 99"), (["--fd", "x"], "NAME=NUMBER"),
    (["--fd", "x=1"], "console"), (["--fd", "a-b=9"], ""),
    (["--fd-sock", "/nonexistent/s"], "/nonexistent/s")])
def test_bad_options(start_wisp, args, words):
    vm = start_wisp(*args, api=False)
    assert vm.wait() in (1, 153)
    assert words in vm.stderr() + vm.log() + vm.console()


def test_sockets(api, tmp_path):
    refused(put(api, "eth0", socket_path="/nonexistent"), CANNOT, "/nonexistent",
            "No such file", "passt")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "s"))
        refused(put(api, "eth0", socket_path=str(tmp_path / "s")), "Connection refused")
        server.listen(1)
        assert put(api, "eth0", socket_path=str(tmp_path / "s")).status == 204
        refused(put(api, "eth1", socket_path=str(tmp_path / "s")), "already in use")
        config = api.get("/vm/config").json["network-interfaces"][0]
        assert config["socket_path"] == str(tmp_path / "s") and config["host_dev_name"] == ""
