# SPDX-License-Identifier: Apache-2.0
"""One monitor process in a folder of its own, and what it says."""

import ctypes
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

from framework import host, jail, stall
from framework.http import Api

RECORD = os.environ.get("WISP_RECORD")
BINARY = os.environ.get("WISP_BIN", str(host.TOP / "build" / "release" / "wisp"))
# All that a run leaves in a monitor's folder; the record is taken away by close().
LEFT = {"api.socket", "calls.record", "console.txt", "jail", "stderr.txt", "wisp.log"}


PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def plain_signals():
    """As from a shell: nohup and a script's `&' would leave these ignored.

    A test run that is killed takes its monitors with it.
    """
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_DFL)
    _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


class Wisp:
    """Starts a monitor; ended by `close()` at the latest, and by its own pid only.

    console: "file" (stdout to a file), "pty" (a terminal, `send()` types).
    jailed: in a jail, as root without capabilities; by default whenever it can be, and not
    where a test brings its own binary, environment or descriptors.
    prefix: the words of a program that becomes the monitor; popen: more for Popen.
    """

    def __init__(self, where, *args, api=True, console="file", binary=None, log=True, env=None,
                 jailed=None, prefix=(), **popen):
        self.where = where
        self.socket = where / "api.socket"
        self.log_path = where / "wisp.log"
        self.console_path = where / "console.txt"
        self._terminal = None
        self._seen = b""
        self._commands = 0
        self._record = None
        if jailed is None:
            jailed = jail.by_default() and jail.possible(BINARY) and not (binary or env or popen)
        argv = []
        if api:
            argv += ["--api-sock", str(self.socket)]
        if log:
            argv += ["--log-path", str(self.log_path), "--level", "Debug"]
        argv += [str(a) for a in args]
        # A run that says which lines of the policies it has used (tools/check-policies).
        if RECORD and not binary and not any("seccomp" in str(a) for a in args):
            Path(RECORD).mkdir(parents=True, exist_ok=True)
            self._record = where / "calls.record"
            argv += ["--seccomp-record", str(self._record)]
        self.jail = None
        prepare = plain_signals
        if jailed:
            name, argv = jail.take_id(argv)
            self.jail = jail.Jail(where, BINARY, name, writable=[where.parent])
            self.jail.prepare()
            argv = self.jail.words(argv)
            prepare = self._into_jail
        else:
            argv = [*prefix, binary or BINARY, *argv]
        streams = {"stdin": subprocess.DEVNULL}
        out = open(self.console_path, "wb") if console == "file" else None
        if console == "pty":
            self._terminal, slave = pty.openpty()
            streams = {"stdin": slave}
            out = os.fdopen(slave, "wb", buffering=0)
        with out, open(where / "stderr.txt", "wb") as err:
            self.process = subprocess.Popen(argv, executable=BINARY if jailed else None, cwd=where,
                                            stdout=out, stderr=err, env=env,
                                            start_new_session=True, preexec_fn=prepare,
                                            **streams, **popen)
        self.pid = self.process.pid
        self.api = Api(self.socket, timeout=host.deadline(60))
        if api:
            self._await_api()

    # --- the process ---

    def _into_jail(self):
        plain_signals()
        self.jail.enter()

    def _await_api(self):
        end = time.monotonic() + host.deadline(15)
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} before its API was "
                                     f"there: {self.stderr()}{self.log()}")
            try:
                if self.api.get("/").status == 200:
                    return
            except (FileNotFoundError, ConnectionRefusedError):
                pass
            time.sleep(0.005)
        self.close()
        raise AssertionError(f"no answer on {self.socket}: {self.log()}")

    def wait(self, timeout=60):
        """The exit status; a monitor that does not end is a failure with its last words."""
        try:
            status = self.process.wait(host.deadline(timeout))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {host.deadline(timeout)} s; console ends "
                                 f"{self.console()[-800:]!r}, log ends {self.log()[-800:]!r}\n"
                                 f"{stall.describe(self)}") from None
        self.console()
        return status

    def alive(self):
        return self.process.poll() is None

    def close(self):
        if self.alive():
            self.process.kill()
        self.process.wait()
        if self._record and self._record.exists():
            shutil.move(self._record, Path(RECORD) / f"{uuid.uuid4()}.record")
        if self._terminal is not None:
            self.console()
            os.close(self._terminal)
            self._terminal = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- what it says ---

    def console(self):
        if self._terminal is not None:
            os.set_blocking(self._terminal, False)
            try:
                while more := os.read(self._terminal, 65536):
                    self._seen += more
            except OSError:  # nothing now, or (EIO) the other side has gone
                pass
            self.console_path.write_bytes(self._seen)
        return self.console_path.read_text(errors="replace").replace("\r", "")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stderr(self):
        return (self.where / "stderr.txt").read_text(errors="replace")

    def expect(self, pattern, timeout=60, where=None):
        """Waits until the console (or what `where` returns) matches; the match."""
        read = where or self.console
        end = time.monotonic() + host.deadline(timeout)
        while True:
            ended = not self.alive()
            text = read()
            if found := re.search(pattern, text, re.MULTILINE):
                return found
            if ended or time.monotonic() > end:
                why = f"it ended with {self.process.returncode}" if ended else "time is up"
                raise AssertionError(f"no {pattern!r}: {why}; text ends {text[-1500:]!r}, "
                                     f"log ends {self.log()[-1500:]!r}\n{stall.describe(self)}")
            time.sleep(0.05)

    def send(self, text):
        """Types into the console's terminal."""
        os.write(self._terminal, text.encode())

    def run(self, command, timeout=60):
        """One command for a shell that reads the guest's console: its output; it succeeds."""
        self._commands += 1
        before = len(self.console())
        # Marks at both ends: the last newline of what came before is not output of this one.
        begin, end = f"BEGIN-{self._commands}", f"END-{self._commands}"
        self.send(f"echo {begin}\n{command}\necho {end}-$?\n")
        # The answers are not the echo, which has more in front.
        found = self.expect(rf"(?s)^{begin}\n(.*)^{end}-(\d+)\n", timeout,
                            lambda: self.console()[before:])
        assert found.group(2) == "0", f"{command}: {found.string}"
        return "\n".join(line for line in found.group(1).splitlines()
                         if command not in line and "echo END-" not in line)

    def exit_reason(self):
        """The word in the log's last line."""
        lines = self.log().strip().splitlines()
        found = re.search(r"\bexit_reason=(\S+)", lines[-1]) if lines else None
        assert found, f"no exit_reason in the last line of {lines[-5:]}"
        return found.group(1)

    # --- requests that must succeed ---

    def _ok(self, reply):
        assert reply.status == 204, reply
        return reply

    def machine(self, vcpus=1, mem=128, **more):
        self._ok(self.api.put("/machine-config",
                              {"vcpu_count": vcpus, "mem_size_mib": mem, **more}))

    def boot_source(self, kernel, args=None, initrd=None):
        body = {"kernel_image_path": str(kernel)}
        if args is not None:
            body["boot_args"] = args
        if initrd is not None:
            body["initrd_path"] = str(initrd)
        self._ok(self.api.put("/boot-source", body))

    def drive(self, name, path, root=False, read_only=False, **more):
        self._ok(self.api.put(f"/drives/{name}", {
            "drive_id": name, "path_on_host": str(path), "is_root_device": root,
            "is_read_only": read_only, **more}))

    def net(self, name, tap=None, **more):
        if tap is not None:
            more["host_dev_name"] = tap
        self._ok(self.api.put(f"/network-interfaces/{name}", {"iface_id": name, **more}))

    def entropy(self):
        self._ok(self.api.put("/entropy", {}))

    def start(self):
        self._ok(self.api.put("/actions", {"action_type": "InstanceStart"}))

    def ctrl_alt_del(self):
        self._ok(self.api.put("/actions", {"action_type": "SendCtrlAltDel"}))

    def metrics(self, name="metrics.json", **more):
        self._ok(self.api.put("/metrics", {"metrics_path": str(self.where / name), **more}))

    def flush_metrics(self, name="metrics.json"):
        """The line that a flush has written."""
        self._ok(self.api.put("/actions", {"action_type": "FlushMetrics"}))
        return json.loads((self.where / name).read_text().splitlines()[-1])

    def pause(self):
        self._to("Paused")

    def resume(self):
        self._to("Resumed")

    def _to(self, state):
        try:
            self._ok(self.api.patch("/vm", {"state": state}))
        except (ConnectionError, FileNotFoundError) as error:
            # A guest that ends on its own is the likely reason: it has said why.
            raise AssertionError(f"{state}: {error}; console ends {self.console()[-800:]!r}, "
                                 f"log ends {self.log()[-1500:]!r}, {self.stderr()}") from error


def config_file(where, kernel, args=None, initrd=None, drives=(), vcpus=1, mem=128, **more):
    """Writes a --config-file; its path."""
    boot = {"kernel_image_path": str(kernel)}
    if args is not None:
        boot["boot_args"] = args
    if initrd is not None:
        boot["initrd_path"] = str(initrd)
    path = where / "config.json"
    path.write_text(json.dumps({
        "boot-source": boot, "drives": list(drives),
        "machine-config": {"vcpu_count": vcpus, "mem_size_mib": mem}, **more}))
    return path
