# SPDX-License-Identifier: Apache-2.0
"""A block device that fails where it is told to: dmsetup over a loop device. Needs root."""

import os
import stat
import subprocess


class Mapped:
    """A device of ranges [(sectors, "linear" or "error")] in front of a file; its node is `path'."""

    def __init__(self, path, image, ranges):
        self.path = path
        self.name = f"wisp-{os.getpid()}-{path.name}"
        self._loop = subprocess.run(["losetup", "--show", "-f", image], stdout=subprocess.PIPE,
                                    text=True, check=True).stdout.strip()
        self._dmsetup("create", ranges)
        # A node of our own: there may be no udev to make one.
        numbers = subprocess.run(
            ["dmsetup", "info", "-c", "--noheadings", "--separator", " ", "-o", "major,minor",
             self.name], stdout=subprocess.PIPE, text=True, check=True).stdout
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(*map(int, numbers.split())))

    def _dmsetup(self, verb, ranges=None):
        start, lines = 0, []
        for sectors, kind in ranges or ():
            lines.append(f"{start} {sectors} {kind}" +
                         (f" {self._loop} {start}" if kind == "linear" else ""))
            start += sectors
        subprocess.run(["dmsetup", verb, "--noudevsync", self.name], input="\n".join(lines),
                       text=True, check=True)

    def change(self, ranges):
        self._dmsetup("reload", ranges)
        self._dmsetup("resume")

    def close(self):
        """Whoever has it open still may let go of it later."""
        subprocess.run(["dmsetup", "remove", "--noudevsync", "--deferred", self.name], check=True)
        subprocess.run(["losetup", "-d", self._loop], check=True)
