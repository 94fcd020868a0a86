# SPDX-License-Identifier: Apache-2.0
"""Every line of docs/api.md works as it stands there."""

import re
import shlex

import pytest

from framework import host, network, openapi, payload

pytestmark = [pytest.mark.area("docs"), pytest.mark.anykvm]

TEXT = (host.TOP / "docs" / "api.md").read_text()
STREAMS = ("/events",)  # has no end: test_events.py reads it


def sections():
    """Heading -> (method, path, body or None) of each line below it."""
    found, heading = {}, ""
    for line in TEXT.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("api ") and "{ " not in line[:8]:
            words = shlex.split(line)[1:]
            if words[1] not in STREAMS:
                found.setdefault(heading, []).append((*words, None)[:3])
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files that the lines name."""
    for name in ("rootfs.ext4", "data.img", "other.img"):
        payload.make_disk(tmp_path / name)
    (tmp_path / "initrd.img").write_bytes(bytes(4096))
    (tmp_path / "vmlinux").write_bytes(payload.image("echo").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def placed(body, folder):
    """The line with its files in the test's folder."""
    if body is None:
        return None
    body = body.replace("/tmp/", f"{folder}/")
    return re.sub(r'"(vmlinux|initrd.img|[a-z]+\.(?:ext4|img))"', rf'"{folder}/\1"', body)


def send(api, folder, method, path, body):
    reply = api.request(method, path, placed(body, folder))
    if path.startswith(("/network-interfaces/", "/mmds/config")) and network.lacking():
        assert reply.status == 400, reply  # no tap, so no interface either
    else:
        assert reply.status in (200, 204), (method, path, body, reply)


def prepare(vm, folder, heading, lines):
    """The moment that the heading names."""
    if heading == "A machine in five calls" or "snapshot/load" in heading:
        return
    if "after the start" in heading or "paused" in heading or "InstanceStart" in str(lines):
        vm.machine()
        vm.boot_source(folder / "vmlinux")
    if "/mmds/config" in heading:
        vm.api.put("/network-interfaces/eth0", {"iface_id": "eth0", "host_dev_name": "tap0"})
    if "after the start" in heading or "paused" in heading:
        vm.drive("data", folder / "data.img")
        if "network" in heading:
            vm.api.put("/network-interfaces/eth0", {"iface_id": "eth0", "host_dev_name": "tap0"})
        vm.start()
        vm.expect("^READY$")


def test_every_line_works(start_wisp, folder):
    count = 0
    for heading, lines in sections().items():
        vm = start_wisp(jailed=False)  # which could make no taps
        prepare(vm, folder, heading, lines)
        for line in lines:
            send(vm.api, folder, *line)
            count += 1
        assert vm.alive()
        vm.close()
    assert count >= 25


def test_every_resource_has_a_line(api):
    """But for those that are refused, and the stream."""
    named = {(method, re.sub(r"/(data|eth0|rootfs)$", "/{id}", path))
             for lines in sections().values() for method, path, _ in lines}
    wanted = {(o.method, re.sub(r"{\w+}", "{id}", o.path)) for o in openapi.operations()
              if not o.refused and not o.fields.get("x-stream")}
    for method, path in sorted(wanted - named):
        reply = api.request(method, path, None if method == "GET" else {})
        assert "is not part of this version" in reply.fault, (method, path)
