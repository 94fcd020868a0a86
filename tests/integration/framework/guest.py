# SPDX-License-Identifier: Apache-2.0
"""A Linux guest that does what it is told on its console."""

from framework import host

ARGS = "console=ttyS0 quiet reboot=k panic=-1"


def shell(start_wisp, drives, kernel="small-elf", entropy=None, nets=None, prepare=None,
          tools=None, image=None, args="", **more):
    """A guest that waits for commands on its console. drives, nets: name -> fields of the PUT.

    prepare(vm) is called before the start; `more` is for start_wisp. image: of host.guest(),
    if not the usual one; tools: as of host.guest(), if not given for cloud kernels."""
    guest = image or host.guest(kernel, tools=kernel.startswith("cloud") if tools is None else tools)
    vm = start_wisp(console="pty", **more)
    vm.machine(mem=256)
    # A shell at a terminal would write prompts, and take the end of a child for the end of its
    # input; and cat's sendfile() waits for more than a line.
    vm.boot_source(guest.kernel, f"{ARGS} {args} test=\"stty -echo; echo LISTENS; (set -f; IFS=; while "
                                 "read -r l; do echo $l; done) | sh\"", initrd=guest.initrd)
    for name, fields in drives.items():
        vm.drive(name, fields.pop("path"), **fields)
    for name, fields in (nets or {}).items():
        vm.net(name, **fields)
    if prepare is not None:
        prepare(vm)
    if entropy is not None:
        assert vm.api.put("/entropy", entropy).status == 204
    vm.start()
    vm.expect("^LISTENS$", timeout=120)
    return vm


def leave(vm, timeout=60):
    """Ends the shell, and with it the machine."""
    vm.send("\x04")
    assert vm.wait(timeout) == 0, vm.log()[-1500:]
