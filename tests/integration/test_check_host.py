# SPDX-License-Identifier: Apache-2.0
"""wisp --check-host: what it says of hosts that lack something."""

import errno
import os
import re
import shlex
import subprocess

import pytest

from framework import host
from framework.wisp import BINARY

pytestmark = [pytest.mark.area("check-host")]


def check(prepare=None, deny=None):
    """Status and lines by object. `prepare' is shell run before, in a mount namespace; `deny' a
    system call's number and the error that it is to give."""
    argv = [BINARY, "--check-host"]
    if deny:
        argv = ["/usr/bin/python3", "-c", DENY, *map(str, deny), *argv]
    if prepare:
        if os.geteuid() != 0:
            pytest.skip("needs root, to hide parts of the host")
        argv = ["unshare", "-m", "sh", "-ec", f"{prepare}\nexec {shlex.join(argv)}"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, timeout=host.deadline(30))
    assert done.stderr == ""
    *lines, verdict = done.stdout.splitlines()
    found = {}
    for line in lines:
        match = re.fullmatch(r"(ok|warn|FAIL) +([^:]+): (.+)", line)
        assert match, line
        word, thing, text = match.groups()
        assert thing not in found
        found[thing] = (word, text)
        # What is wrong; why it matters; what to do.
        assert word == "ok" or text.count("; ") >= 2, line
    failed = any(word == "FAIL" for word, _ in found.values())
    assert done.returncode == (1 if failed else 0)
    assert verdict == ("No microVM can run on this host." if failed
                       else "MicroVMs can run on this host.")
    return done.returncode, found


def file_over(path, text):
    """Shell that puts a file with this text over another."""
    return (f"f=$(mktemp /dev/shm/check.XXXXXX); printf '%s' '{text}' >$f; "
            f"mount --bind $f {path}; rm $f")


def test_this_host():
    status, found = check()
    kind = host.kvm_kind()
    assert status == (0 if kind == "native" else 1)
    word, text = found["/dev/kvm"]
    if kind == "native":
        assert (word, text) == ("ok", "a guest ran in 64-bit kernel mode")
    elif kind == "interpreted":
        assert word == "FAIL" and "is interpreted" in text
    else:
        assert word == "FAIL"
    assert found["seccomp"][0] == "ok"


def test_no_kvm():
    status, found = check("mount -t tmpfs none /dev")
    assert status == 1
    word, text = found["/dev/kvm"]
    assert word == "FAIL"
    assert "No such file or directory" in text and "load kvm_intel or kvm_amd" in text
    assert found["/dev/net/tun"][0] == "warn" and "modprobe tun" in found["/dev/net/tun"][1]


def test_something_else_in_its_place():
    status, found = check("mount --bind /dev/null /dev/kvm" if os.path.exists("/dev/kvm") else
                          "mount -t tmpfs none /dev; mknod /dev/kvm c 1 3")
    assert status == 1
    assert found["/dev/kvm"][0] == "FAIL" and "not Linux's KVM" in found["/dev/kvm"][1]


@pytest.mark.anykvm
def test_no_permission(tmp_path):
    """As a user who may not open it; the binary is where that user can reach it."""
    status, found = check("cp " + BINARY + " /dev/shm/wisp.$$; chmod 755 /dev/shm/wisp.$$\n"
                          "mount -t tmpfs none /mnt; cp -a /dev/kvm /mnt/kvm; chmod 600 /mnt/kvm; "
                          "mount --bind /mnt/kvm /dev/kvm\n"
                          "status=0; setpriv --reuid 65534 --regid 65534 --clear-groups "
                          "/dev/shm/wisp.$$ --check-host || status=$?\n"
                          "rm /dev/shm/wisp.$$; exit $status")
    assert status == 1
    word, text = found["/dev/kvm"]
    assert word == "FAIL" and "Permission denied" in text and "group" in text


@pytest.mark.parametrize("path, text, thing, word, says", [
    ("/sys/kernel/mm/ksm/run", "1", "KSM", "warn", "is on"),
    ("/sys/kernel/mm/ksm/run", "0", "KSM", "ok", "off"),
    ("/sys/kernel/mm/ksm/run", "2", "KSM", "ok", "off"),
    ("/sys/devices/system/cpu/smt/active", "1", "SMT", "warn", "--core-sched"),
    ("/sys/devices/system/cpu/smt/active", "0", "SMT", "ok", "off"),
    ("/proc/swaps", "Filename\tType\n/dev/sda2\tpartition\n", "swap", "warn", "swapoff"),
    ("/proc/swaps", "Filename\tType\n", "swap", "ok", "off"),
    ("/sys/module/kvm/parameters/nx_huge_pages", "never\n", "kvm.nx_huge_pages", "ok", "never"),
    ("/sys/module/kvm/parameters/nx_huge_pages", "Y\n", "kvm.nx_huge_pages", "warn", "it is Y"),
    ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n", "clock", "warn",
     "`hpet'"),
    ("/sys/devices/system/cpu/vulnerabilities/l1tf", "Vulnerable\n", "processor faults", "warn",
     " l1tf"),
    ("/sys/devices/system/cpu/vulnerabilities/l1tf", "Mitigation: PTE Inversion; VMX: vulnerable\n",
     "processor faults", "warn", " l1tf"),
    ("/sys/devices/system/cpu/vulnerabilities/itlb_multihit", "KVM: Vulnerable\n",
     "processor faults", "warn", " itlb_multihit"),
    ("/sys/devices/system/cpu/vulnerabilities/spectre_v2",
     "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; RSB filling; "
     "PBRSB-eIBRS: SW sequence; STIBP: disabled; BHI: Vulnerable, KVM: SW loop\n",
     "processor faults", "warn", " spectre_v2"),
    ("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n", "huge pages", "ok",
     "of 8 pages"),
    ("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n", "huge pages", "warn",
     "is empty"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n",
     "transparent huge pages", "warn", "never"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n",
     "transparent huge pages", "ok", "always [madvise] never"),
])
def test_setting(path, text, thing, word, says):
    if not os.path.exists(path):
        pytest.skip(f"there is no {path}")
    _, found = check(file_over(path, text))
    if text == "Y\n" and host.kernel() >= (6, 13):
        word, says = "ok", "Y, which costs nothing since Linux 6.13"
    elif text == "Y\n" and "favordynmods" in open("/proc/mounts").read():
        word, says = "ok", "Y, and cgroups are mounted with favordynmods"
    assert found[thing][0] == word, found[thing]
    assert says in found[thing][1]


DENY = """
import ctypes, os, struct, sys
number, error = int(sys.argv[1]), int(sys.argv[2])
# Load the call's number; this one: the error; any other: allowed.
code = struct.pack("<" + "HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 0x06, 0, 0, 0x50000 | error,
                   0x06, 0, 0, 0x7fff0000)
class Prog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Prog(4, code))) == 0
os.execv(sys.argv[3], sys.argv[3:])
"""
IO_URING_SETUP, SECCOMP, USERFAULTFD = 425, 317, 323


@pytest.mark.parametrize("call, error, thing, word, says", [
    (IO_URING_SETUP, errno.EPERM, "io_uring", "warn", "a policy around this process forbids it"),
    (IO_URING_SETUP, errno.ENOSYS, "io_uring", "warn", "CONFIG_IO_URING"),
    (SECCOMP, errno.ENOSYS, "seccomp", "FAIL", "CONFIG_SECCOMP_FILTER"),
])
def test_denied_call(call, error, thing, word, says):
    """As a container's filter would have it."""
    _, found = check(deny=(call, error))
    assert found[thing][0] == word and says in found[thing][1]


@pytest.mark.parametrize("value, says", [("2", "nobody may use it"), ("1", "io_uring_group")])
def test_io_uring_switched_off(value, says):
    path = "/proc/sys/kernel/io_uring_disabled"
    if not os.path.exists(path):
        pytest.skip("this kernel cannot switch io_uring off")
    _, found = check(file_over(path, value), deny=(IO_URING_SETUP, errno.EPERM))
    assert found["io_uring"][0] == "warn" and says in found["io_uring"][1]


def test_userfaultfd_by_its_device():
    if not os.path.exists("/dev/userfaultfd"):
        pytest.skip("there is no /dev/userfaultfd")
    _, found = check(deny=(USERFAULTFD, errno.EPERM))
    assert found["userfaultfd"] == ("ok", "page faults can be served by a program, by way of "
                                          "/dev/userfaultfd")
    _, found = check("mount -t tmpfs none /dev", deny=(USERFAULTFD, errno.EPERM))
    assert found["userfaultfd"][0] == "warn"


def test_other_options_do_not_matter():
    done = subprocess.run([BINARY, "--check-host", "--no-api"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    assert done.returncode == 153
