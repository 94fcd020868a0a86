# SPDX-License-Identifier: Apache-2.0
"""What a guest was told is on the disk is there after a power cut of the host.

The host is a test host of the test's own with one more disk, whose writes go past the page
cache outside (cache=none). It dies by SIGKILL of its QEMU after a random number of flushes:
with it goes all that its kernel has not yet given to the disk. The guest writes numbered
blocks and says each number when its fsync has returned; the image, read from outside, must
hold every number that was said.
"""

import json
import os
import random
import re
import signal
import subprocess
import time

import pytest

from framework import host
from framework.wisp import BINARY

pytestmark = [
    pytest.mark.area("block"),
    pytest.mark.skipif("TESTHOST" in os.environ, reason="a test host cannot start another"),
]

BLOCK = 4096
PER_FLUSH = 4   # blocks
SLOTS = 64      # places on the disk, each of PER_FLUSH blocks, used in turn
SIZE = 8 << 20  # of the guest's disk
MOST_FLUSHES = 100

# Each block is full of its number, so that one that is torn or misplaced is seen.
GUEST = ("n=0; while [ $n -lt 10000 ]; do n=$((n+1)); yes $(printf %015d $n) | head -c 16384 | "
         f"dd of=/dev/vda bs=16384 seek=$((n%{SLOTS})) conv=notrunc,fsync 2>/dev/null "
         "&& echo FLUSHED $n; done")

PREPARE = {
    "device": "modprobe virtio_blk; disk=/dev/vda",
    "ext4": "modprobe virtio_blk; mkdir -p /tmp/fs; mount -t ext4 /dev/vda /tmp/fs; "
            f"truncate -s {SIZE} /tmp/fs/disk.img; sync",
}
DISK = {"device": "/dev/vda", "ext4": "/tmp/fs/disk.img"}


class DoomedHost:
    """A test host with a disk that outlives it."""

    def __init__(self, where, command, image):
        self.pid_path = where / "qemu.pid"
        self.output_path = where / "output.txt"
        env = {**os.environ, "TESTHOST_QEMU":
               f"-pidfile {self.pid_path} "
               f"-drive file={image},if=none,id=cut,cache=none,format=raw "
               "-device virtio-blk-pci,drive=cut"}
        with open(self.output_path, "wb") as out:
            self.process = subprocess.Popen(
                [host.TOOLS / "testhost", "--mem", "1024", "--timeout", "600", "--",
                 "sh", "-ec", command],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env)

    def output(self):
        return self.output_path.read_text(errors="replace")

    def flushed(self):
        """The last number of which the whole line has come."""
        numbers = re.findall(r"^FLUSHED (\d+)\r?$(?=\n)", self.output(), re.MULTILINE)
        return int(numbers[-1]) if numbers else 0

    def run_until(self, flushes, seconds=500):
        end = time.monotonic() + seconds
        while self.flushed() < flushes:
            assert self.process.poll() is None, self.output()[-3000:]
            assert time.monotonic() < end, self.output()[-3000:]
            time.sleep(0.02)

    def cut(self):
        """Returns the last number that was said before the end."""
        os.kill(int(self.pid_path.read_text()), signal.SIGKILL)
        self.process.wait(30)
        return self.flushed()

    def close(self):
        self.process.terminate()
        self.process.wait(30)


def run_to_the_cut(where, engine, place, cache_type, flushes, delay, binary=None):
    """Returns the image and the last number that was acknowledged."""
    guest = host.guest("small-elf")
    image = where / "cut.img"
    with open(image, "wb") as file:
        file.truncate(SIZE if place == "device" else 4 * SIZE)
    if place == "ext4":
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True,
                       env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
    config = where / "config.json"
    config.write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(guest.kernel), "initrd_path": str(guest.initrd),
                        "boot_args": "console=ttyS0 quiet reboot=k panic=-1 "
                                     f"test=\"{GUEST}\""},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 128},
        "drives": [{"drive_id": "d", "is_root_device": False, "path_on_host": DISK[place],
                    "cache_type": cache_type, "io_engine": engine}]}))
    doomed = DoomedHost(where, f"{PREPARE[place]}; exec {binary or BINARY} --no-api --config-file {config}",
                        image)
    try:
        doomed.run_until(flushes)
        time.sleep(delay)
        return image, doomed.cut()
    finally:
        doomed.close()


def disk_after(where, image, place):
    """The guest's disk as the next one would find it."""
    if place == "device":
        return image.read_bytes()
    tools = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    # 0: clean. 1: mended, as after any crash.
    done = subprocess.run(["e2fsck", "-fy", image], env=tools, stdout=subprocess.PIPE, check=False)
    assert done.returncode in (0, 1), done.stdout
    subprocess.run(["debugfs", "-R", f"dump /disk.img {where / 'disk.img'}", image], env=tools,
                   check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return (where / "disk.img").read_bytes()


def lost(disk, said):
    """The acknowledged numbers that are not in their places, nor newer ones."""
    missing = []
    for number in range(max(1, said - SLOTS + 1), said + 1):
        at = number % SLOTS * PER_FLUSH * BLOCK
        there = disk[at:at + PER_FLUSH * BLOCK]
        # One that was not acknowledged may have begun to take its place.
        newer = number + SLOTS > said and there[:15].isdigit() and int(there[:15]) > number
        if there != b"%015d\n" % number * (PER_FLUSH * BLOCK // 16) and not newer:
            missing.append(number)
    return missing


def cut_once(where, engine, place, seed):
    chance = random.Random(seed)
    flushes, delay = chance.randint(1, MOST_FLUSHES), chance.random() / 2
    image, said = run_to_the_cut(where, engine, place, "Writeback", flushes, delay)
    assert said >= flushes
    missing = lost(disk_after(where, image, place), said)
    assert not missing, f"{said} flushes were acknowledged; lost: {missing}"


CUTS = [("Sync", "device"), ("Async", "ext4"), ("Sync", "ext4")]


@pytest.mark.parametrize("engine, place", CUTS)
def test_flushed_data_survive(tmp_path, engine, place):
    cut_once(tmp_path, engine, place, time.time_ns())


@pytest.mark.soak
@pytest.mark.parametrize("number", range(50))
def test_flushed_data_survive_often(tmp_path, number):
    engine, place = [*CUTS, ("Async", "device")][number % 4]
    cut_once(tmp_path, engine, place, time.time_ns())


@pytest.mark.soak
def test_without_flushes_data_are_lost(tmp_path):
    """With cache_type Unsafe no flush is offered, so the guest's fsync returns without one, and
    the cut shows it."""
    image, said = run_to_the_cut(tmp_path, "Sync", "device", "Unsafe", 10, 0)
    assert lost(disk_after(tmp_path, image, "device"), said)


@pytest.mark.parametrize("engine", ["Sync", pytest.param("Async", marks=pytest.mark.soak)])
def test_a_flush_that_syncs_nothing_is_noticed(tmp_path, engine):
    """That the test can fail: a build that answers FLUSH with OK and does nothing else."""
    tree = host.TOP / "build" / "mutants-of-tests"
    subprocess.run([host.TOP / "tools" / "mutants", "--build", "flush-without-sync", tree],
                   check=True)
    image, said = run_to_the_cut(tmp_path, engine, "device", "Writeback", 10, 0,
                                 tree / "build" / "release" / "wisp")
    assert lost(disk_after(tmp_path, image, "device"), said)
