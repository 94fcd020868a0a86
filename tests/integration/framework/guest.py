# SPDX-License-Identifier: Apache-2.0
"""A Linux guest that does what it is told on its console."""

from framework import host

ARGS = "console=ttyS0 quiet reboot=k panic=-1"


def shell(start_wisp, drives, kernel="small-elf", entropy=None):
    """A guest that waits for commands on its console. drives: name -> fields of the PUT."""
    guest = host.guest(kernel, tools=kernel.startswith("cloud"))
    vm = start_wisp(console="pty")
    vm.machine(mem=256)
    # A shell at a terminal would write prompts, and take the end of a child for the end of its
    # input; and cat's sendfile() waits for more than a line.
    vm.boot_source(guest.kernel, f"{ARGS} test=\"stty -echo; echo LISTENS; (set -f; IFS=; while "
                                 "read -r l; do echo $l; done) | sh\"", initrd=guest.initrd)
    for name, fields in drives.items():
        vm.drive(name, fields.pop("path"), **fields)
    if entropy is not None:
        assert vm.api.put("/entropy", entropy).status == 204
    vm.start()
    vm.expect("^LISTENS$", timeout=120)
    return vm


def leave(vm, timeout=60):
    """Ends the shell, and with it the machine."""
    vm.send("\x04")
    assert vm.wait(timeout) == 0, vm.log()[-1500:]
