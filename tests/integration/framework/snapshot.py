# SPDX-License-Identifier: Apache-2.0
"""Snapshots: taking one, and going on from it in another monitor."""

from pathlib import Path
from typing import NamedTuple


class Snapshot(NamedTuple):
    """The two files."""

    state: Path
    memory: Path

    def load_body(self, **more):
        return {"snapshot_path": str(self.state),
                "mem_backend": {"backend_type": "File", "backend_path": str(self.memory)}, **more}


def in_folder(where):
    return Snapshot(where / "state", where / "memory")


def create(vm, snapshot):
    """Of a paused machine."""
    reply = vm.api.put("/snapshot/create", {"snapshot_path": str(snapshot.state),
                                            "mem_file_path": str(snapshot.memory)})
    assert reply.status == 204, (reply, vm.log()[-1500:])


def load(vm, snapshot, **more):
    reply = vm.api.put("/snapshot/load", snapshot.load_body(**more))
    assert reply.status == 204, (reply, vm.log()[-1500:])


def kill(vm):
    """As a power cut would: nothing is said, nothing is flushed."""
    vm.process.kill()
    vm.process.wait()
    vm.console()


def move(vm, start_wisp, snapshot, console="file", **more):
    """Pauses, saves, kills; the machine goes on in a monitor of its own, which is returned."""
    vm.pause()
    create(vm, snapshot)
    kill(vm)
    other = start_wisp(console=console)
    load(other, snapshot, resume_vm=True, **more)
    return other
