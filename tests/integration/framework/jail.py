# SPDX-License-Identifier: Apache-2.0
"""How the tests start monitors inside a jail, and look at one from outside.

The paths that tests name are the host's. So that they mean the same inside, the folders
they lie in are mounted at the same place below the jail's root, in a mount namespace that
nobody else sees: there is nothing to unmount, whatever becomes of the test.
"""

import ctypes
import os
import subprocess
from pathlib import Path

from framework import host

CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
SANITIZED = ("/asan/", "/tsan/")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong,
                        ctypes.c_char_p]


def possible(binary):
    """Root is needed for the mounts; a sanitizer's runtime needs /proc and more calls."""
    return os.geteuid() == 0 and not any(word in str(binary) for word in SANITIZED)


def by_default():
    return os.environ.get("WISP_JAILED", "1") != "0"


def _mount(source, target, flags):
    if _libc.mount(os.fsencode(source) if source else None, os.fsencode(target), None, flags,
                   None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}")


class Jail:
    """One jail's folder, and the words that start a monitor in it."""

    def __init__(self, where, binary, name="test", uid=0, gid=0, options=(), writable=()):
        self.base = where / "jail"
        self.binary = str(binary)
        self.name = name
        self.uid, self.gid = uid, gid
        self.options = [str(o) for o in options]
        self.root = self.base / Path(binary).name / name / "root"
        # The test's own folder, and what all of them read.
        self.writable = [Path(w) for w in writable]
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "testhost"
        self.readable = [p for p in (host.TOP, cache) if p.is_dir()]

    def prepare(self):
        for path in (*self.writable, *self.readable):
            (self.root / path.relative_to("/")).mkdir(parents=True, exist_ok=True)

    def enter(self):
        """Between fork and exec: the mounts."""
        if _libc.unshare(CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        _mount(None, "/", MS_REC | MS_PRIVATE)
        for path in (*self.writable, *self.readable):
            inside = self.root / path.relative_to("/")
            _mount(path, inside, MS_BIND | MS_REC)
            if path in self.readable:
                _mount(None, inside, MS_REMOUNT | MS_BIND | MS_RDONLY)

    def words(self, args=()):
        """argv; the program is the monitor's."""
        return ["jailer", "--id", self.name, "--exec-file", self.binary, "--uid", str(self.uid),
                "--gid", str(self.gid), "--chroot-base-dir", str(self.base), *self.options,
                "--", *[str(a) for a in args]]

    def pid(self):
        return int((self.root / f"{Path(self.binary).name}.pid").read_text())

    def cleanup(self):
        return run(self.binary, "--cleanup", "--id", self.name, "--exec-file", self.binary,
                   "--chroot-base-dir", self.base)


def run(binary, *args, **more):
    """The jailer to its end: status and output of it all."""
    return subprocess.run(["jailer", *[str(a) for a in args]], executable=binary,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=host.deadline(30), **more)


def take_id(args):
    """`--id NAME` is the jailer's to say: it, and the other words."""
    args = [str(a) for a in args]
    if "--id" in args:
        at = args.index("--id")
        return args[at + 1], args[:at] + args[at + 2:]
    return "anonymous-instance", args
