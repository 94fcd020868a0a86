# SPDX-License-Identifier: Apache-2.0
"""Networks that nobody else sees: a namespace, and taps in it."""

import array
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from pathlib import Path

from framework import host

CLONE_NEWNET = 0x40000000
TUNSETIFF, TUNSETPERSIST, TUNSETOWNER = 0x400454ca, 0x400454cb, 0x400454cc
SIOCETHTOOL, ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO = 0x8946, 0x17, 0x1f, 0x24
IFF_TAP, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x100, 0x1000, 0x4000
LIBC = ctypes.CDLL(None, use_errno=True)


def lacking():
    """Why there can be no taps here; None: there can."""
    if os.geteuid() != 0:
        return "taps and network namespaces take root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    return None


class Namespace:
    """This process and what it starts are in a network of their own, until close()."""

    def __init__(self):
        self._before = os.open("/proc/self/ns/net", os.O_RDONLY)
        if LIBC.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
        ip("link set lo up")

    def close(self):
        LIBC.setns(self._before, CLONE_NEWNET)
        os.close(self._before)


def ip(words):
    """The command of that name: its output; it succeeds."""
    done = subprocess.run(["ip", *words.split()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=host.deadline(20), check=False)
    assert done.returncode == 0, f"ip {words}: {done.stdout}"
    return done.stdout


def attach(name, flags=IFF_TAP | IFF_NO_PI | IFF_VNET_HDR):
    """A descriptor that holds an interface, as another program would have it."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    return fd


class Tap:
    """A tap that stays until close(), up, with the first address of 10.N.0.0/24."""

    numbers = iter(range(1, 250))

    def __init__(self, mtu=1500, flags=IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, owner=None):
        self.number = next(Tap.numbers)
        self.name = f"wisp{self.number}"
        self.address = f"10.{self.number}.0.1"
        self.guest = f"10.{self.number}.0.2"
        fd = attach(self.name, flags)
        fcntl.ioctl(fd, TUNSETPERSIST, 1)
        # A jail's user has no capability, and some kernels give it no tap without an owner.
        fcntl.ioctl(fd, TUNSETOWNER, os.geteuid() if owner is None else owner)
        os.close(fd)
        # What the host says by itself would be counted.
        Path(f"/proc/sys/net/ipv6/conf/{self.name}/disable_ipv6").write_text("1")
        ip(f"addr add {self.address}/24 dev {self.name}")
        ip(f"link set {self.name} mtu {mtu} up")

    def close(self):
        ip(f"link del {self.name}")

    def no_offloads(self):
        """The host cuts what it sends here into frames, and fills their checksums in."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as control:
            for what in (ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_STXCSUM):
                value = array.array("I", [what, 0])
                fcntl.ioctl(control, SIOCETHTOOL, struct.pack(
                    "16sQ16x", self.name.encode(), value.buffer_info()[0]))

    def statistic(self, name):
        """A counter of the host's side: its `rx' is what the guest has sent."""
        # /sys would show the namespace that it was mounted in.
        for line in Path("/proc/self/net/dev").read_text().splitlines():
            device, _, counters = line.partition(":")
            if device.strip() == self.name:
                numbers = [int(n) for n in counters.split()]
                return numbers[{"rx_bytes": 0, "rx_packets": 1, "tx_bytes": 8, "tx_packets": 9,
                                "tx_dropped": 11}[name]]
        raise AssertionError(f"no {self.name} in /proc/net/dev")
