# SPDX-License-Identifier: Apache-2.0
"""Code of an attacker's in a jailed, filtered thread: each way out is shut.

A test build lets a thread of the chosen kind try one thing right after it was confined
(src/jail/attack.h). docs/threat-model.md has the table that these tests prove.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from framework import host, payload
from framework.http import Api
from framework.jail import Jail

pytestmark = [pytest.mark.area("jail"), pytest.mark.anykvm,
              pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

DEBUG = host.TOP / "build" / "debug" / "wisp"
USER = 30124
BY_FILTER, REFUSED, SUCCEEDED, FILE_SIZE = 148, 42, 43, 151
MEMORY = 24 << 20  # above what such a monitor needs, and soon full

# attack -> the call that the filter of every kind of thread denies
DENIED = {
    "make-device": "mknodat", "make-ring": "io_uring_setup", "widen-ring": "io_uring_register",
    "new-handler": "rt_sigaction", "new-filter": "seccomp", "trace-parent": "ptrace",
    "read-parent": "process_vm_readv", "signal-parent": "kill", "abort-parent": "tgkill",
    "mount": "mount", "change-root": "chroot", "new-namespace": "unshare", "keyring": "keyctl",
    "executable-memory": "mmap", "executable-later": "mprotect", "execute": "execve",
    "network": "socket", "raw-network": "socket", "more-processes": "clone",
    "regain-root": "setuid",
}
# The main thread may open files, and rename a snapshot's: the jail has none of these, and
# Landlock lets nothing move between folders.
NOT_THERE = ["host-files", "proc-files", "cgroup-files", "host-devices", "join-namespace",
             "rename-files"]
# With the filters off, what root, ids, capabilities and Landlock refuse by themselves.
WITHOUT_FILTER = [*NOT_THERE, "make-device", "trace-parent", "read-parent", "signal-parent",
                  "abort-parent", "mount", "change-root", "new-namespace", "execute",
                  "regain-root"]


def furnished(where, name, options=()):
    """A jail with the configuration /c.json of a guest that does nothing."""
    assert DEBUG.exists(), f"{DEBUG} is not built: make MODE=debug"
    place = Jail(where, DEBUG, name, USER, USER, options)
    place.readable = []
    place.root.mkdir(parents=True, exist_ok=True)
    shutil.copy(payload.image("idle"), place.root / "idle")
    shutil.copy("/bin/busybox", place.root / "program")
    for each in ("idle", "program"):
        os.chmod(place.root / each, 0o755)
    (place.root / "c.json").write_text(json.dumps({
        "boot-source": {"kernel_image_path": "/idle"}, "drives": [],
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}}))
    return place


def attack(where, kind, name, *args, options=()):
    """Exit status and all that was said."""
    place = furnished(where, "a", options)
    words = place.words(["--config-file", "/c.json", "--attack", f"{kind}:{name}", *args])
    try:
        done = subprocess.run(words, executable=DEBUG, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=host.deadline(30))
    finally:
        shutil.rmtree(place.base)
    return done.returncode, done.stdout.decode(errors="replace")


def names(kind, fast):
    """The main thread tries everything; the others in the long run only."""
    return [pytest.param(kind, name, call, marks=() if name in fast else pytest.mark.soak)
            for name, call in DENIED.items()]


@pytest.mark.parametrize("kind,name,call", [
    *names("vmm", DENIED), *names("api", ("network", "new-handler", "abort-parent")),
    *names("vcpu", ("executable-memory", "make-ring", "abort-parent"))])
def test_denied_by_the_filter(tmp_path, kind, name, call):
    status, said = attack(tmp_path, kind, name)
    assert status == BY_FILTER, said
    assert f"`{call}' by thread" in said


@pytest.mark.parametrize("kind", ["api", "vcpu"])
@pytest.mark.parametrize("name,call", [("host-files", "openat"), ("rename-files", "renameat2")])
def test_no_file_is_opened_by_these(tmp_path, kind, name, call):
    status, said = attack(tmp_path, kind, name)
    assert status == BY_FILTER and f"`{call}' by thread" in said


@pytest.mark.parametrize("name", NOT_THERE)
def test_nothing_of_the_host_is_there(tmp_path, name):
    status, said = attack(tmp_path, "vmm", name)
    assert status == REFUSED, said
    # ENOENT, EACCES, EXDEV
    assert any(f"error {number}\n" in said for number in (2, 13, 18)), said


@pytest.mark.parametrize("name", WITHOUT_FILTER)
def test_refused_by_the_layers_below(tmp_path, name):
    status, said = attack(tmp_path, "vmm", name, "--no-seccomp")
    assert status == REFUSED, said


def test_descriptors_are_bounded(tmp_path):
    status, said = attack(tmp_path, "vmm", "fill-descriptors")
    assert status == REFUSED and "error 24\n" in said, said  # EMFILE


def test_a_file_is_bounded(tmp_path):
    status, said = attack(tmp_path, "vmm", "fill-disk", options=["--resource-limit",
                                                                  "fsize=1048576"])
    assert status == FILE_SIZE, said


ABOVE = Path("/sys/fs/cgroup/wisp-attack")


def remove_cgroups(*names):
    for path in (*[ABOVE / name for name in names], ABOVE):
        if path.exists():
            path.rmdir()


def in_a_cgroup(tmp_path, name, value, *args):
    try:
        return attack(tmp_path, "vmm", name, *args,
                      options=["--cgroup", value, "--parent-cgroup", ABOVE.name])
    finally:
        remove_cgroups("a")


def killed_for_memory(cgroup):
    """How many processes the kernel has ended because this cgroup was full."""
    lines = (cgroup / "memory.events").read_text().splitlines()
    return int(dict(line.split() for line in lines)["oom_kill"])


CGROUPS = pytest.mark.skipif(not Path("/sys/fs/cgroup/cgroup.controllers").exists(),
                             reason="no cgroups of version 2 at /sys/fs/cgroup here")


@CGROUPS
def test_memory_is_bounded(tmp_path):
    """Who takes all memory is ended, and nobody else: a second microVM goes on."""
    options = ["--parent-cgroup", ABOVE.name, "--cgroup", f"memory.max={MEMORY}"]
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    place = furnished(tmp_path / "second", "b", options)
    neighbour = subprocess.Popen(place.words(["--config-file", "/c.json"]), executable=DEBUG,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
    try:
        api = Api(place.root / "run" / "firecracker.socket")
        end = time.monotonic() + host.deadline(15)
        while api.state() != "Running" and time.monotonic() < end and neighbour.poll() is None:
            time.sleep(0.02)
        assert api.state() == "Running"
        status, said = attack(tmp_path / "first", "vmm", "fill-memory", options=options)
        assert status == -9, said
        assert killed_for_memory(ABOVE / "a") == 1
        assert killed_for_memory(ABOVE / "b") == 0
        assert neighbour.poll() is None
        for state in ("Paused", "Resumed"):
            assert api.patch("/vm", {"state": state}).status == 204
        assert api.state() == "Running"
    finally:
        neighbour.kill()
        neighbour.wait()
        remove_cgroups("a", "b")


@CGROUPS
def test_processes_are_bounded(tmp_path):
    """The fewest that a machine starts with: three threads, and what KVM adds of its own."""
    for most in range(3, 8):
        where = tmp_path / str(most)
        where.mkdir()
        status, said = in_a_cgroup(where, "more-processes", f"pids.max={most}", "--no-seccomp")
        if "cannot be started: Resource temporarily unavailable" not in said:
            break
    assert status == REFUSED, said


def test_no_release_makes_attacks():
    done = subprocess.run([host.TOP / "build" / "release" / "wisp", "--attack", "vmm:mount"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=host.deadline(10))
    assert done.returncode == 153 and "--attack" in done.stdout
