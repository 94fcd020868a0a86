# SPDX-License-Identifier: Apache-2.0
"""The freestanding guests of tests/guest: what they need and how they end."""

import re
import shlex
import struct
from pathlib import Path

from framework import host

SOURCES = host.TOP / "tests" / "guest"
BUILT = host.TOP / "build" / "guest"
DISK_SECTORS = 2048


class Payload:
    """A payload and the `payload:' line at its top (tests/README.md has the words)."""

    def __init__(self, name):
        self.name = name
        text = (SOURCES / f"{name}.c").read_text()
        found = re.search(r"/\* payload:(.*) \*/", text)
        assert found, f"{name}.c has no payload: line"
        words = {"needs": "any", "exit": "0", "reason": "guest-reset", "area": "", "devices": "",
                 "mem": "128", "vcpus": "1", "args": "", "log": "", "timeout": "20"}
        for word in shlex.split(found.group(1)):
            key, _, value = word.partition("=")
            assert key in words, f"{name}.c: unknown word `{key}'"
            words[key] = value
        self.area = words["area"]
        self.needs = words["needs"]
        self.exit = int(words["exit"])
        self.reason = words["reason"]
        self.devices = [d for d in words["devices"].split(",") if d]
        self.mem = [int(m) for m in words["mem"].split(",")]
        self.vcpus = int(words["vcpus"])
        self.args = words["args"].split(",") if words["args"] else []
        self.log = words["log"]
        self.timeout = int(words["timeout"])

    @property
    def image(self):
        path = BUILT / self.name
        assert path.exists(), f"{path} is not built: make payloads"
        return path


def every():
    """Payloads that are tests; those of area=none are guests for other tests."""
    found = [Payload(path.stem) for path in sorted(Path(SOURCES).glob("*.c"))]
    return [p for p in found if p.area != "none"]


def image(name):
    return Payload(name).image


def make_disk(path, sectors=DISK_SECTORS):
    """Every sector begins with its own number."""
    path.write_bytes(b"".join(struct.pack("<I", n).ljust(512, b"\xa5") for n in range(sectors)))
    return path


def devices(names, where):
    """Drives, sockets and entropy of a configuration file for the words of `devices='."""
    drives, more = [], {}
    for n, name in enumerate(names):
        if name == "rng":
            more["entropy"] = {}
            continue
        if name == "vsock":
            more["vsock"] = {"guest_cid": 3, "uds_path": str(where / "v.sock")}
            continue
        assert name.startswith("block"), f"unknown device `{name}'"
        drive = {"drive_id": f"disk{n}", "is_root_device": False,
                 "path_on_host": str(make_disk(where / f"disk{n}.img"))}
        if name == "block-writeback":
            drive["cache_type"] = "Writeback"
        if name == "block-readonly":
            drive["is_read_only"] = True
        drives.append(drive)
    return drives, more
