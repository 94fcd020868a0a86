# SPDX-License-Identifier: Apache-2.0
"""Network without root: Debian's passt, and the monitor as an ordinary user."""

import functools
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from framework import host, network, wisp as wisp_module
from framework.guest import ARGS, leave
from framework.wisp import Wisp

pytestmark = [pytest.mark.area("net"), pytest.mark.kvm]

USER = 1000
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs")
# What udhcpc calls with what it was given.
SCRIPT = ("[ $1 = bound ] && ip addr add $ip/$mask dev $interface && "
          "ip route add default via $router dev $interface")


@pytest.fixture
def place():
    """A folder of the user's, with what it needs: other folders are closed to it."""
    if why := network.lacking():
        pytest.skip(why)
    if not shutil.which("passt"):
        pytest.skip("there is no passt (`make deps' installs it)")
    where = Path(tempfile.mkdtemp(prefix="wisp-passt.", dir="/tmp"))
    guest = host.guest("small-elf")
    for source, name in ((wisp_module.BINARY, "wisp"), (guest.kernel, "kernel"),
                         (guest.initrd, "initrd")):
        shutil.copy(source, where / name)
    os.chown(where, USER, USER)
    namespace = network.Namespace()
    # A way out, whose addresses passt gives to the guest.
    network.ip("link add wan type dummy")
    network.ip("addr add 192.0.2.1/24 dev wan")
    network.ip("link set wan up")
    network.ip("route add default via 192.0.2.254 dev wan")
    yield where
    namespace.close()
    shutil.rmtree(where)


def listens(path):
    """Without a trial: passt serves one connection."""
    accepts = "00010000"  # __SO_ACCEPTCON
    sockets = (line.split() for line in Path("/proc/thread-self/net/unix").read_text().splitlines())
    return any(fields[3] == accepts and fields[7:] == [str(path)] for fields in sockets)


class Passt:
    def __init__(self, where):
        self.socket = where / "passt.socket"
        self.socket.unlink(missing_ok=True)
        self._log = open(where / "passt.txt", "ab")
        self._process = subprocess.Popen(
            [*AS_USER, "passt", "--foreground", "--socket", str(self.socket)],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT)
        end = time.monotonic() + host.deadline(20)
        while not listens(self.socket):
            assert self._process.poll() is None and time.monotonic() < end, \
                (where / "passt.txt").read_text()
            time.sleep(0.05)

    def close(self):
        self._process.kill()
        self._process.wait()
        self._log.close()


def serve(folder):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def carrier(vm, want):
    vm.run(f"while [ $(cat /sys/class/net/eth0/carrier) != {want} ]; do usleep 50000; done")


def test_an_address_and_a_file(place):
    files = place / "files"
    files.mkdir()
    content = os.urandom(3 << 20)
    (files / "file").write_bytes(content)
    server = serve(files)
    passt = Passt(place)
    where = place / "vm"
    where.mkdir()
    os.chown(where, USER, USER)
    with Wisp(where, binary=str(place / "wisp"), prefix=AS_USER, console="pty") as vm:
        status = Path(f"/proc/{vm.pid}/status").read_text()
        assert re.search(rf"^Uid:\t{USER}\t{USER}\t{USER}", status, re.MULTILINE), status
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE), status
        vm.machine(mem=256)
        vm.boot_source(place / "kernel", f"{ARGS} test=\"stty -echo; echo LISTENS; (set -f; IFS=; "
                                         "while read -r l; do echo $l; done) | sh\"",
                       initrd=place / "initrd")
        vm.net("eth0", socket_path=str(passt.socket))
        vm.start()
        vm.expect("^LISTENS$", timeout=120)
        vm.run(f"(echo '#!/bin/busybox sh'; echo '{SCRIPT}; true') >/tmp/dhcp && chmod +x /tmp/dhcp")
        vm.run("ip link set eth0 up && udhcpc -i eth0 -n -q -s /tmp/dhcp 2>&1")
        assert "192.0.2.1/24" in vm.run("ip addr show dev eth0")
        fetch = f"wget -q -O - http://192.0.2.254:{server.server_port}/file | md5sum | cut -d' ' -f1"
        assert vm.run(fetch, timeout=120).strip() == hashlib.md5(content).hexdigest()
        # The process behind the socket ends, and another one takes its place.
        passt.close()
        carrier(vm, 0)
        passt = Passt(place)
        carrier(vm, 1)
        assert vm.run(fetch, timeout=120).strip() == hashlib.md5(content).hexdigest()
        leave(vm)
        assert "connected again" in vm.log()
    passt.close()
    server.shutdown()
