# SPDX-License-Identifier: Apache-2.0
"""Options of the command line and the configuration file: no KVM needed to be refused."""

import json
import subprocess
import time

import pytest

from framework import host, payload, wisp as wisp_module
from framework.wisp import config_file

pytestmark = pytest.mark.area("config")

BAD_CONFIGURATION, BAD_ARGUMENTS = 152, 153


def run(tmp_path, *args):
    done = subprocess.run([wisp_module.BINARY, *[str(a) for a in args]], cwd=tmp_path,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=host.deadline(20), check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def test_version(tmp_path):
    status, text = run(tmp_path, "--version")
    first = text.splitlines()[0].split()
    assert status == 0
    # The second word is what clients read: a version with a `v'.
    assert first[0] == "Firecracker" and first[1] == "v1.17.0"
    assert first[2] == "(wisp"


def test_version_for_programs(tmp_path):
    status, text = run(tmp_path, "--version", "--json")
    version = json.loads(text)  # one object, and no line of the log behind it
    assert status == 0 and text.count("\n") == 1
    assert version["firecracker_version"] == "1.17.0" and version["wisp_version"]
    assert version["advisories"] == []
    assert run(tmp_path, "--json")[0] == BAD_ARGUMENTS


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(tmp_path, option):
    status, text = run(tmp_path, option)
    assert status == 0
    for name in ("--api-sock", "--id", "--config-file", "--no-api", "--no-seccomp", "--log-path",
                 "--level", "--boot-timer", "--version", "--help"):
        assert name in text


@pytest.mark.parametrize("args, text", [
    (["--nonsense"], "--nonsense"), (["stray"], "stray"), (["--api-sock"], "--api-sock"),
    (["--id"], "--id"), (["--id", "a", "--id", "b"], "--id"), (["--id", ""], ""),
    (["--id", "a_b"], ""), (["--id", "a b"], ""), (["--id", "x" * 65], ""),
    (["--no-api"], "--config-file"), (["--level", "Loud"], "Loud"), (["-x"], "-x"),
    (["--id=a"], "--id=a"), (["--no-seccomp", "--no-seccomp"], "--no-seccomp"),
    (["--version", "--version"], "--version"), (["--poll-max-us", "-1"], "--poll-max-us"),
    (["--poll-max-us", "1001"], "it must be 0 to 1000"),
])
def test_bad_arguments(tmp_path, args, text):
    status, output = run(tmp_path, *args)
    assert status == BAD_ARGUMENTS, output
    assert text in output


def test_longest_id(start_wisp):
    name = "x" * 64
    assert start_wisp("--id", name).api.get("/").json["id"] == name


def test_socket_exists(tmp_path, wisp):
    status, output = run(tmp_path, "--api-sock", wisp.socket)
    assert status not in (0, BAD_ARGUMENTS)
    assert f"Failed to open the API socket at: {wisp.socket}." in output
    assert "Check that it is not already used." in output
    assert wisp.api.get("/version").status == 200


@pytest.mark.parametrize("length, fits", [(107, True), (108, False)])
def test_longest_socket_path(tmp_path, length, fits):
    folder = tmp_path / "s"
    folder.mkdir()
    room = length - len(str(folder)) - 1
    if room < 1:
        pytest.skip(f"{folder} is too long already")
    path = folder / ("x" * room)
    process = subprocess.Popen([wisp_module.BINARY, "--api-sock", str(path)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and not path.exists():
            time.sleep(0.01)
        assert path.exists() == fits
        assert fits or process.wait(host.deadline(5)) != 0
    finally:
        process.kill()
        process.wait()


def test_log_begins_with_the_version(wisp):
    assert "Running Firecracker v1.17.0" in wisp.log().splitlines()[0]


def test_log_path_that_cannot_be_opened(tmp_path):
    status, output = run(tmp_path, "--log-path", tmp_path / "none" / "x", "--api-sock",
                         tmp_path / "s")
    assert status not in (0, None)
    assert "none/x" in output


# --- the options of Firecracker ---

def test_every_option_of_firecracker_is_taken(start_wisp, tmp_path):
    """All that do not exclude each other, in one start."""
    # The jailer would give the times itself.
    vm = start_wisp("--id", "all-1", "--no-seccomp", "--start-time-us", "1",
                    "--start-time-cpu-us", "2", "--parent-cpu-time-us", "3", "--module", "x",
                    "--show-level", "--show-log-origin", "--metrics-path", tmp_path / "m",
                    "--boot-timer", "--http-api-max-payload-size", "100",
                    "--mmds-size-limit", "1000", "--enable-pci", jailed=False)
    assert vm.api.get("/").json["id"] == "all-1"
    assert vm.api.put("/entropy", "{}" + " " * 98).status == 204
    assert vm.api.put("/entropy", "{}" + " " * 99).status == 400


@pytest.mark.parametrize("option", [
    "--api-sock", "--id", "--seccomp-filter", "--start-time-us", "--start-time-cpu-us",
    "--parent-cpu-time-us", "--config-file", "--metadata", "--log-path", "--level", "--module",
    "--metrics-path", "--describe-snapshot", "--http-api-max-payload-size", "--mmds-size-limit",
    "--poll-max-us"])
def test_options_that_take_a_value(tmp_path, option):
    status, output = run(tmp_path, option)
    assert status == BAD_ARGUMENTS
    assert f"The argument '{option}' requires a value, but none was supplied" in output
    assert run(tmp_path, f"{option}=1")[0] == BAD_ARGUMENTS
    assert run(tmp_path, option, "1", option, "1")[0] == BAD_ARGUMENTS


def test_the_last_line_says_how_it_ended(tmp_path):
    status, output = run(tmp_path, "--snapshot-version")
    assert status == 0 and output.startswith("v")
    assert "Firecracker exiting successfully. exit_code=0" in output.splitlines()[-1]
    status, output = run(tmp_path, "--nonsense")
    assert "For more information try --help." in output
    assert "Firecracker exiting with error. exit_code=153" in output.splitlines()[-1]


def test_metadata_from_a_file(start_wisp, tmp_path):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"latest": {"id": 7}}))
    assert start_wisp("--metadata", path).api.get("/mmds").json == {"latest": {"id": 7}}
    status, output = run(tmp_path, "--api-sock", tmp_path / "s", "--metadata", path,
                         "--mmds-size-limit", "10")
    assert status not in (0, BAD_ARGUMENTS)
    assert "Populating MMDS from file failed: The MMDS patch request doesn't fit." in output
    path.write_text("{")
    assert run(tmp_path, "--api-sock", tmp_path / "s", "--metadata", path)[0] != 0
    assert run(tmp_path, "--api-sock", tmp_path / "s", "--metadata", tmp_path / "none")[0] != 0


# --- configuration file ---

@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(b"kernel")
    return str(path)


def refuse(tmp_path, text, *words):
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    status, output = run(tmp_path, "--no-api", "--config-file", path)
    assert status == BAD_CONFIGURATION, output
    for word in words:
        assert word in output


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "{\"drives\": []}", "[1,2", "\0"])
def test_files_that_are_no_configuration(tmp_path, text):
    refuse(tmp_path, text, "Configuration for VMM from one single json failed: ")


def test_file_that_is_not_there(tmp_path):
    refuse(tmp_path, None, "config.json", "No such file or directory")


@pytest.mark.parametrize("more, words", [
    ({"machine-config": {"vcpu_count": 0, "mem_size_mib": 128}}, ["number of vCPUs"]),
    ({"machine-config": {"vcpu_count": 1}}, ["missing field `mem_size_mib`"]),
    ({"machine-config": {"vcpu_count": 1, "mem_size_mib": 128, "x": 1}}, ["unknown field `x`"]),
    ({"boot-source": {"boot_args": "x"}}, ["missing field `kernel_image_path`"]),
    ({"boot-source": {"kernel_image_path": "/nonexistent"}}, ["kernel file cannot be opened"]),
    ({"drives": {}}, []), ({"drives": [1]}, []), ({"drives": [{}]}, ["missing field"]),
    ({"drives": [{"drive_id": "a", "is_root_device": False, "path_on_host": "/nonexistent"}]}, []),
    ({"drives": [{"drive_id": "a-b", "is_root_device": False, "path_on_host": "/x"}]}, []),
    ({"entropy": {"x": 1}}, ["unknown field `x`"]),
    ({"logger": {"level": "Loud"}}, []),
    ({"vsock": {"guest_cid": 2, "uds_path": "x"}}, ["Vsock device error: The guest_cid is 2"]),
    ({"vsock": {"guest_cid": 3, "uds_path": "/nonexistent/x"}},
     ["Vsock config error", "/nonexistent/x: No such file or directory (os error 2)"]),
    ({"network-interfaces": [{"iface_id": "a"}]}, ["missing field `host_dev_name`"]),
    ({"network-interfaces": [{"iface_id": "a", "socket_path": "/nonexistent"}]},
     ["Network config error", "socket_path", "No such file"]),
])
def test_bad_sections(tmp_path, kernel, more, words):
    good = {"boot-source": {"kernel_image_path": kernel}, "drives": []}
    refuse(tmp_path, {**good, **more}, "Configuration for VMM from one single json failed: ",
           *words)


@pytest.mark.anykvm
def test_what_is_configured_is_a_configuration_file(start_wisp, tmp_path):
    """GET /vm/config, put into a file, makes the same machine."""
    kernel, disk = payload.image("idle"), tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    vm = start_wisp()
    bucket = {"size": (1 << 64) - 1, "refill_time": 7, "one_time_burst": 9}
    for method, path, body in (
            ("PUT", "/machine-config", {"vcpu_count": 2, "mem_size_mib": 64, "smt": True,
                                        "huge_pages": "Transparent", "track_dirty_pages": True,
                                        "shared_memory": True}),
            ("PUT", "/boot-source", {"kernel_image_path": str(kernel), "initrd_path": str(disk),
                                     "boot_args": "a=\"b\\c\" -- d"}),
            ("PUT", "/drives/one", {"drive_id": "one", "is_root_device": False, "discard": True,
                                    "path_on_host": str(disk), "cache_type": "Writeback",
                                    "rate_limiter": {"ops": bucket}}),
            ("PUT", "/drives/two", {"drive_id": "two", "is_root_device": True, "partuuid": "1-2",
                                    "path_on_host": str(disk), "is_read_only": True}),
            ("PUT", "/vsock", {"guest_cid": 3, "uds_path": str(tmp_path / "v.sock")}),
            ("PUT", "/entropy", {"rate_limiter": {"bandwidth": bucket}})):
        reply = vm.api.request(method, path, body)
        assert reply.status == 204, reply
    said = vm.api.get("/vm/config")
    vm.close()
    (tmp_path / "v.sock").unlink(missing_ok=True)
    (tmp_path / "again.json").write_bytes(said.body)
    again = start_wisp("--config-file", tmp_path / "again.json")
    again.expect("^READY$")
    assert again.api.get("/vm/config").json == said.json


def test_two_roots_in_a_file(tmp_path, kernel):
    drives = [{"drive_id": n, "is_root_device": True, "path_on_host": kernel} for n in "ab"]
    refuse(tmp_path, {"boot-source": {"kernel_image_path": kernel}, "drives": drives},
           "A root block device already exists!")


def test_kernel_that_is_none(tmp_path, kernel):
    """Well configured, but the machine cannot be made of it."""
    path = config_file(tmp_path, kernel)
    status, output = run(tmp_path, "--no-api", "--config-file", path)
    assert status not in (0, BAD_ARGUMENTS), output
