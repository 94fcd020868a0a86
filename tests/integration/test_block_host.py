# SPDX-License-Identifier: Apache-2.0
"""Hosts that fail a drive under Linux: the guest gets an error and not a hang, the log says which
drive and what, nothing else of the machine notices, and what is mended works again."""

import contextlib
import os
import re
import subprocess

import pytest

from framework.guest import leave, shell
from framework.mapper import Mapped

pytestmark = [pytest.mark.area("block"), pytest.mark.kvm]

MIB = 1 << 20
SECTOR = 512
SIZE = 4 * MIB
GOOD, BAD = 2048, 1024  # sectors: good from the start, bad behind them, good again


@contextlib.contextmanager
def small_file_system(where, size):
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)


def image(path, size=SIZE):
    path.write_bytes(os.urandom(size))
    return path


def one_block(device, sector, write=False):
    """A command that moves 4 KiB there, and fails if the device does."""
    ends = f"if=/dev/zero of=/dev/{device} seek" if write else f"if=/dev/{device} of=/dev/null skip"
    flag = "oflag" if write else "iflag"
    return f"dd {ends}={sector // 8} bs=4k count=1 {flag}=direct 2>/dev/null"


def fails(vm, command):
    vm.run(f"! {command}")


def log_says(vm, drive, what):
    found = re.search(rf"block `{drive}': {what} of \d+ bytes at \d+ failed: (.*)", vm.log())
    assert found, vm.log()[-2000:]
    return found.group(1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make devices and mount")
@pytest.mark.parametrize("engine", ["Sync", "Async"])
def test_drives_that_fail(start_wisp, tmp_path, engine):
    with contextlib.ExitStack() as stack:
        mapped = stack.enter_context(contextlib.closing(
            Mapped(tmp_path / "mapped", image(tmp_path / "behind"), [
                (GOOD, "linear"), (BAD, "error"), (SIZE // SECTOR - GOOD - BAD, "linear")])))
        little = stack.enter_context(small_file_system(tmp_path / "little", "1m"))
        (little / "disk").touch()
        os.truncate(little / "disk", SIZE)
        cut = image(tmp_path / "cut")
        well = image(tmp_path / "well")
        vm = shell(start_wisp, {
            name: {"path": path, "io_engine": engine, "cache_type": "Writeback"}
            for name, path in (("mapped", mapped.path), ("full", little / "disk"), ("cut", cut),
                               ("well", well))})
        before = vm.run("md5sum </dev/vdd")

        # Bad sectors, between good ones.
        vm.run(one_block("vda", 0))
        vm.run(one_block("vda", GOOD + BAD, write=True))
        fails(vm, one_block("vda", GOOD))
        assert log_says(vm, "mapped", "read") == "Input/output error"
        # The host's page cache takes a write; the flush is where it comes to light, and what was
        # lost stays lost until somebody has seen to the disk.
        sync = "dd if=/dev/zero of=/dev/vda bs=4k count=1 seek={} conv=fsync 2>/dev/null"
        vm.run(sync.format(0))
        fails(vm, sync.format(GOOD // 8))
        assert log_says(vm, "mapped", "flush") == "Input/output error"
        mapped.change([(SIZE // SECTOR, "linear")])
        fails(vm, sync.format(0))
        assert vm.api.patch("/drives/mapped", {"drive_id": "mapped",
                                               "path_on_host": str(mapped.path)}).status == 204
        vm.run(sync.format(GOOD // 8))
        vm.run(one_block("vda", GOOD))

        # No room left, and then some.
        vm.run(one_block("vdb", 0, write=True))
        fails(vm, "dd if=/dev/zero of=/dev/vdb bs=64k count=32 oflag=direct 2>/dev/null")
        assert log_says(vm, "full", "write") == "No space left on device"
        subprocess.run(["mount", "-o", "remount,size=8m", little], check=True)
        vm.run("dd if=/dev/zero of=/dev/vdb bs=64k count=32 oflag=direct 2>/dev/null")

        # A file that somebody cut short.
        os.truncate(cut, MIB)
        vm.run(one_block("vdc", 0))
        fails(vm, one_block("vdc", 2 * MIB // SECTOR))
        assert log_says(vm, "cut", "read") == "Input/output error"
        os.truncate(cut, SIZE)
        vm.run(one_block("vdc", 2 * MIB // SECTOR))

        # Nobody else has noticed.
        assert vm.api.get("/").json["state"] == "Running"
        vm.run("echo 3 >/proc/sys/vm/drop_caches")
        assert vm.run("md5sum </dev/vdd") == before
        assert "needs a reset" not in vm.log()
        leave(vm)
