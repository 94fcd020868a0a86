# SPDX-License-Identifier: Apache-2.0
"""the network: frames per second through a tap, and what a frame costs of the processor

The guest is a payload that polls, the same one under wisp and under QEMU's microvm machine with
vhost=off (and vhost=on, where the host has it). Out: a ring that is always full, of frames of
64 bytes on the wire or of TCP segments of 64 KB that the host cuts. In: as many frames as a
program of the host can send. Of all rounds of a run the best counts; processor time is the
monitor's without its vCPU thread.

Two machines at once, each with a tap of its own, share nothing but the host: what they move
together is the most that a second queue pair with a thread of its own could.
"""

import concurrent.futures
import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import NamedTuple

from framework import host, network, payload, wisp
from framework.http import Api
from measure import QEMU, Lines, cpu_beside_vcpus
from rows_block import QEMU_WINDOWS, WISP_WINDOWS, Figures, ticks_per_second

RUN_S = 1.5 * host.SLOW


class Work(NamedTuple):
    """What goes through the device."""

    name: str
    count: int  # frames of a round: a tenth of a second
    length: int = 60
    rx: bool = False
    tso: bool = False

    def words(self):
        return (f"rx={self.rx:d} tso={self.tso:d} len={self.length} "
                f"count={self.count // host.SLOW} user={host.kvm_kind() == 'interpreted':d}")


WORKS = [Work("64-byte frames out", 20000), Work("TCP segments of 64 KB out", 2000, 65226, tso=True),
         Work("64-byte frames in", 10000, rx=True)]


class Flood:
    """Small frames into the tap from several threads, until close()."""

    def __init__(self, tap):
        self._ends = False
        frame = bytes.fromhex("020202020202" "0202020202f2" "88b5") + bytes(46)
        self._threads = [threading.Thread(target=self._send, args=(tap, frame), daemon=True)
                         for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _send(self, tap, frame):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind((tap, 0))
            frames = [frame] * 64
            while not self._ends:
                with contextlib.suppress(OSError):
                    for each in frames:
                        sock.send(each)

    def close(self):
        self._ends = True
        for thread in self._threads:
            thread.join()


def start_wisp(where, tap, work):
    config = where / "net.json"
    config.write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(payload.image("bench-net")),
                        "boot_args": f"{WISP_WINDOWS} {work.words()}"},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 128,
                           "huge_pages": "Transparent"}, "drives": [],
        "metrics": {"metrics_path": str(where / "net.metrics")},
        "network-interfaces": [{"iface_id": "eth0", "host_dev_name": tap}]}))
    (where / "net.metrics").unlink(missing_ok=True)
    (where / "net.sock").unlink(missing_ok=True)
    return [wisp.BINARY, "--api-sock", where / "net.sock", "--config-file", config, "--level",
            "Error", "--log-path", where / "net.log"]


def start_qemu(vhost):
    def argv(_, tap, work):
        return [*QEMU, "-M", "microvm,rtc=off,pit=off,isa-serial=on", "-accel", "kvm", "-m", 128,
                "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
                "-no-reboot", "-global", "virtio-mmio.force-legacy=false", "-netdev",
                f"tap,id=n,ifname={tap},script=no,downscript=no,vhost={vhost}", "-device",
                "virtio-net-device,netdev=n", "-kernel", payload.image("bench-net"), "-append",
                f"{QEMU_WINDOWS} {work.words()}"]
    return argv


def calls(pid):
    """Calls of read and write, of all kinds, that the main thread has made."""
    text = (Path("/proc") / str(pid) / "task" / str(pid) / "io").read_text()
    words = dict(line.split(": ") for line in text.splitlines())
    return int(words["syscr"]) + int(words["syscw"])


def events(where):
    """How often its loop has been told of frames or kicks: more than it has had turns."""
    Api(where / "net.sock").put("/actions", {"action_type": "FlushMetrics"})
    lines = [json.loads(line)["net"] for line in (where / "net.metrics").read_text().splitlines()]
    return sum(line["rx_tap_event_count"] + line["rx_queue_event_count"] for line in lines), \
        sum(line["rx_packets_count"] for line in lines)


def measure(argv, where, tap, work):
    """The best round of a run, the processor time, and for ours the calls a received frame."""
    with contextlib.ExitStack() as stack:
        rounds = stack.enter_context(contextlib.closing(Lines(argv, RUN_S)))
        pid = rounds.process.pid
        if work.rx:
            time.sleep(0.5)
            stack.enter_context(contextlib.closing(Flood(tap)))
        rounds.next("ROUND")
        ours = work.rx and argv[0] == wisp.BINARY
        at = (calls(pid), *events(where)) if ours else None
        before, best, taken = cpu_beside_vcpus(pid), None, 0
        end = time.monotonic() + RUN_S
        while taken < 3 or time.monotonic() < end:
            ticks = int(rounds.next("ROUND"), 16)
            best = min(best or ticks, ticks)
            taken += 1
        count = work.count // host.SLOW
        spent = cpu_beside_vcpus(pid) - before
        a_frame = None
        if ours:
            told, frames = events(where)
            a_frame = (calls(pid) - at[0] + told - at[1]) / (frames - at[2])
        return Figures(count / best * ticks_per_second(), spent * 1e6 / (count * taken)), a_frame


def text(figures):
    return f"{figures.rate / 1000:.1f}k {figures.cpu_us:.2f}us"


def row_of(bench, tap, work):
    ours, a_frame = measure(start_wisp(bench.where, tap, work), bench.where, tap, work)
    figures = {"wisp": text(ours)}
    for vhost in ("off", *(("on",) if os.path.exists("/dev/vhost-net") else ())):
        peer, _ = measure(start_qemu(vhost)(bench.where, tap, work), bench.where, tap, work)
        figures[f"QEMU(vhost={vhost})"] = text(peer)
        if vhost == "off":
            figures["wisp/QEMU"] = f"{ours.rate / peer.rate:.2f}"
    if a_frame is not None:
        figures["calls a frame"] = f"{a_frame:.2f}"
    return bench.row(work.name, "", **figures)


def whole_run(where, tap, work):
    """Rounds per second over a whole run, after one round that does not count."""
    where.mkdir(exist_ok=True)
    with contextlib.closing(Lines(start_wisp(where, tap, work), RUN_S)) as rounds:
        rounds.next("ROUND")
        began, taken = time.monotonic(), 0
        while taken < 3 or time.monotonic() - began < RUN_S:
            rounds.next("ROUND")
            taken += 1
        return taken / (time.monotonic() - began)


def two_at_once(bench, taps, work):
    """Of whole runs, not of best rounds: those of two machines would not be the same moment."""
    def run(tap):
        return whole_run(bench.where / tap.name, tap.name, work)

    alone = run(taps[0])
    with concurrent.futures.ThreadPoolExecutor(len(taps)) as pool:
        together = sum(pool.map(run, taps))
    frames = work.count // host.SLOW / 1000
    return bench.row(f"{work.name}, two machines", "", one=f"{alone * frames:.1f}k",
                     both=f"{together * frames:.1f}k", **{"both/one": f"{together / alone:.2f}"})


def rows(bench):
    why = network.lacking() or ("there is no /dev/kvm" if host.kvm_kind() == "absent" else None)
    if why:
        yield bench.note(why)
        return
    with contextlib.closing(network.Namespace()):
        taps = [network.Tap(mtu=1500), network.Tap(mtu=1500)]
        for work in WORKS:
            yield row_of(bench, taps[0].name, work)
        for work in WORKS[:2]:
            yield two_at_once(bench, taps, work)
        for tap in taps:
            tap.close()
