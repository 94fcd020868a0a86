# SPDX-License-Identifier: Apache-2.0
"""Lines of metrics: schema, deltas, when they are written, FIFOs, and that they count."""

import json
import os
import signal
import stat
import time

import pytest

from framework import host, metrics, payload
from framework.wisp import config_file

pytestmark = pytest.mark.area("metrics")

ONCE = ("Metrics error: Cannot initialize the metrics system due to bad user input: "
        "Reinitialization of metrics not allowed.")


def lines(vm, name="metrics.json"):
    return metrics.parse((vm.where / name).read_text())


def put(vm, **more):
    vm.metrics(**more)


def flush(vm):
    return vm.flush_metrics()


def boot(vm, name="idle", **more):
    vm.machine()
    vm.boot_source(payload.image(name), **more)
    vm.start()


# --- PUT /metrics ---

def test_put_once(wisp):
    put(wisp)
    again = wisp.api.put("/metrics", {"metrics_path": str(wisp.where / "other.json")})
    assert (again.status, again.fault) == (400, ONCE)
    assert not (wisp.where / "other.json").exists()


BAD = [
    ({"metrics_path": "/nowhere/m"},
     "Metrics error: Cannot initialize the metrics system due to bad user input: No such file or "
     "directory (os error 2)"),
    ({"metrics_path": ""},
     "Metrics error: Cannot initialize the metrics system due to bad user input: No such file or "
     "directory (os error 2)"),
    ({"emit_id": True}, "missing field `metrics_path`"),
    ({"metrics_path": "m", "emit_id": "yes"}, "expected a boolean"),
    ({"metrics_path": 1}, "expected a string"),
    ({"metrics_path": "m", "properties": ["a"]},
     "invalid type of `properties`, expected a map of strings"),
    ({"metrics_path": "m", "properties": {"a": 1}}, "expected a string"),
    ({"metrics_path": "m", "properties": {"a": "x" * 1000, "b": "y" * 1000, "c": "z" * 1000,
                                          "d": "w" * 1000, "e": "v" * 100}},
     "The properties are too long: their JSON may have 4096 bytes"),
]


@pytest.mark.parametrize("body, fault", BAD)
def test_put_refused(wisp, body, fault):
    reply = wisp.api.put("/metrics", body)
    assert reply.status == 400 and fault in reply.fault, reply
    put(wisp)  # a refusal is no first time


def test_duplicate_property(wisp):
    body = '{"metrics_path":"m","properties":{"a":"1","a":"2"}}'
    reply = wisp.api.put("/metrics", body)
    assert reply.status == 400 and "duplicate field `a`" in reply.fault, reply


def test_unknown_keys_are_ignored(wisp):
    put(wisp, something={"else": 1})


# --- when lines are written, and what is in them ---

@pytest.mark.anykvm
def test_schema(start_wisp):
    vm = start_wisp("--id", "vm-7")
    properties = {"zone": "a", "quote\"d": "back\\slash\n"}
    put(vm, emit_id=True, properties=properties)
    vm.drive("rootfs", payload.make_disk(vm.where / "a.img"), root=True)
    vm.drive("data_1", payload.make_disk(vm.where / "b.img"))
    vm.entropy()
    assert lines(vm) == []
    boot(vm)
    first = lines(vm)  # written when the machine starts
    assert len(first) == 1
    second = flush(vm)
    assert metrics.is_fresh(second)
    assert len(lines(vm)) == 2
    for line in (*first, second):
        metrics.check(line, drives=("rootfs", "data_1"), emit_id=True, properties=True)
        assert line["id"] == "vm-7" and line["properties"] == properties


@pytest.mark.anykvm
def test_requests_are_counted_as_deltas(wisp):
    put(wisp)
    for _ in range(3):
        assert wisp.api.get("/version").status == 200
    assert wisp.api.get("/machine-config").status == 200
    assert wisp.api.put("/machine-config", {"vcpu_count": 0, "mem_size_mib": 1}).status == 400
    assert wisp.api.put("/logger", {"level": "Loud"}).status == 400
    assert wisp.api.put("/cpu-config", {}).status == 204
    assert wisp.api.put("/boot-source", {"kernel_image_path": "none"}).status == 400
    assert wisp.api.put("/network-interfaces/a", {"iface_id": "a"}).status == 400
    assert wisp.api.patch("/machine-config", {"cpu_template": "None"}).status == 204
    boot(wisp)
    got = lines(wisp)[0]
    gets, puts, patches = (got[f"{kind}_api_requests"] for kind in ("get", "put", "patch"))
    assert (gets["vmm_version_count"], gets["machine_cfg_count"]) == (3, 1)
    assert gets["instance_info_count"] >= 1
    assert (puts["machine_cfg_count"], puts["machine_cfg_fails"]) == (2, 1)
    assert (puts["boot_source_count"], puts["boot_source_fails"]) == (2, 1)
    assert (puts["logger_count"], puts["logger_fails"]) == (1, 1)
    assert (puts["cpu_cfg_count"], puts["cpu_cfg_fails"]) == (1, 0)
    assert (puts["network_count"], puts["network_fails"]) == (1, 1)
    assert (puts["metrics_count"], puts["actions_count"]) == (1, 1)
    assert (patches["machine_cfg_count"], patches["machine_cfg_fails"]) == (1, 0)
    assert got["deprecated_api"]["deprecated_http_api_calls"] == 1
    again = flush(wisp)
    assert again["put_api_requests"]["machine_cfg_count"] == 0
    assert again["put_api_requests"]["actions_count"] == 1
    assert sum(again["get_api_requests"].values()) == 0
    assert again["deprecated_api"]["deprecated_http_api_calls"] == 0


@pytest.mark.anykvm
def test_pause_is_a_latency_that_stays(wisp):
    put(wisp)
    boot(wisp)
    assert all(value == 0 for value in lines(wisp)[0]["latencies_us"].values())
    wisp.pause()
    wisp.resume()
    first, second = flush(wisp), flush(wisp)
    for name in ("pause_vm", "vmm_pause_vm", "resume_vm"):
        assert 0 < first["latencies_us"][name] == second["latencies_us"][name]
    latencies = first["latencies_us"]
    assert latencies["vmm_pause_vm"] <= latencies["pause_vm"]


def test_flush_needs_a_machine(wisp):
    put(wisp)
    reply = wisp.api.put("/actions", {"action_type": "FlushMetrics"})
    assert reply.status == 400
    assert lines(wisp) == []


@pytest.mark.anykvm
def test_flush_without_a_file_is_fine(wisp):
    boot(wisp)
    assert wisp.api.put("/actions", {"action_type": "FlushMetrics"}).status == 204


@pytest.mark.anykvm
@pytest.mark.parametrize("how", ["option", "section"])
def test_without_api(start_wisp, tmp_path, how):
    path = tmp_path / "m.json"
    more = {"metrics": {"metrics_path": str(path), "emit_id": True}} if how == "section" else {}
    options = ["--metrics-path", path] if how == "option" else []
    file = config_file(tmp_path, payload.image("i8042-reset"), **more)
    vm = start_wisp("--no-api", "--config-file", file, *options, api=False)
    assert vm.wait() == 0
    got = metrics.parse(path.read_text())
    assert len(got) == 2  # the start's and the end's
    for line in got:
        metrics.check(line, emit_id=how == "section")
    assert sum(line["i8042"]["reset_count"] for line in got) == 1
    assert sum(line["put_api_requests"]["actions_count"] for line in got) == 0


def test_the_option_is_the_one_time(start_wisp):
    vm = start_wisp("--metrics-path", "m.json")
    reply = vm.api.put("/metrics", {"metrics_path": "other.json"})
    assert (reply.status, reply.fault) == (400, ONCE)


def test_bad_option(start_wisp):
    vm = start_wisp("--metrics-path", "/nowhere/m", "--no-api", "--config-file", "x", api=False)
    assert vm.wait() == 1
    assert "Metrics error: Cannot initialize the metrics system" in vm.log()


@pytest.mark.anykvm
def test_startup_times(start_wisp):
    before = time.monotonic_ns() // 1000
    vm = start_wisp("--start-time-us", before, "--start-time-cpu-us", 0,
                    "--parent-cpu-time-us", 7000000, jailed=False)
    put(vm)
    boot(vm)
    got = lines(vm)[0]["api_server"]
    assert 0 < got["process_startup_time_us"] < time.monotonic_ns() // 1000 - before
    assert 7000000 <= got["process_startup_time_cpu_us"] < 7000000 + 10 ** 6 * host.deadline(1)
    assert flush(vm)["api_server"] == got


@pytest.mark.anykvm
def test_startup_times_of_a_jail(start_wisp):
    """The jailer is the same process, and says for itself since when."""
    vm = start_wisp()
    if not vm.jail:
        pytest.skip("needs root, to make a jail")
    put(vm)
    boot(vm)
    got = lines(vm)[0]["api_server"]
    assert 0 < got["process_startup_time_us"] < 10 ** 6 * host.deadline(10)
    assert 0 < got["process_startup_time_cpu_us"] < 10 ** 6 * host.deadline(10)


# --- ends ---

@pytest.mark.anykvm
@pytest.mark.parametrize("name, status", [("i8042-reset", 0), ("triple-fault", 1)])
def test_the_last_line_has_what_came_after_the_others(wisp, name, status):
    put(wisp)
    boot(wisp, name)
    assert wisp.wait() == status
    got = lines(wisp)
    assert len(got) == 2
    assert sum(line["vcpu"]["failures"] for line in got) == status


@pytest.mark.anykvm
@pytest.mark.parametrize("number, status, field", [
    (signal.SIGSEGV, 150, "sigsegv"), (signal.SIGHUP, 156, "sighup"),
    (signal.SIGBUS, 149, "sigbus"), (signal.SIGILL, 157, "sigill"),
    (signal.SIGXCPU, 154, "sigxcpu"), (signal.SIGXFSZ, 151, "sigxfsz")])
def test_fatal_signals_write_a_line(wisp, number, status, field):
    put(wisp)
    boot(wisp)
    os.kill(wisp.pid, number)
    assert wisp.wait() == status
    got = lines(wisp)
    metrics.check(got[-1])
    assert [line["signals"][field] for line in got] == [0, 1]


@pytest.mark.anykvm
def test_abort_is_counted_and_stays_an_abort(wisp):
    put(wisp)
    boot(wisp)
    os.kill(wisp.pid, signal.SIGABRT)
    assert wisp.wait() == -signal.SIGABRT
    assert [line["vmm"]["panic_count"] for line in lines(wisp)] == [0, 1]


@pytest.mark.anykvm
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_term_and_kill_write_nothing(wisp, number):
    put(wisp)
    boot(wisp)
    os.kill(wisp.pid, number)
    assert wisp.wait() == -number
    assert len(lines(wisp)) == 1


def test_sigpipe_is_counted(wisp):
    put(wisp)
    os.kill(wisp.pid, signal.SIGPIPE)
    wisp.expect("Received signal 13", where=wisp.log)
    os.kill(wisp.pid, signal.SIGHUP)
    assert wisp.wait() == 156
    assert lines(wisp)[0]["signals"] == dict.fromkeys(metrics.GROUPS["signals"], 0) | {
        "sigpipe": 1, "sighup": 1}


# --- FIFOs ---

class Fifo:
    """A FIFO that was there before the monitor, as clients make it."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.reader = None

    def open(self):
        self.reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self):
        got = b""
        while True:
            try:
                more = os.read(self.reader, 65536)
            except BlockingIOError:
                return got.decode()
            if not more:
                return got.decode()
            got += more


@pytest.mark.anykvm
def test_fifo_without_reader_never_blocks(wisp):
    fifo = Fifo(wisp.where / "metrics.json")
    put(wisp)
    assert stat.S_ISFIFO(os.stat(fifo.path).st_mode)
    boot(wisp)
    full = 0
    for _ in range(30):  # a pipe holds about eight lines
        reply = wisp.api.put("/actions", {"action_type": "FlushMetrics"})
        assert reply.status in (204, 400)
        if reply.status == 400:
            assert "its reader is too slow or gone" in reply.fault
            full += 1
    assert full > 0
    fifo.open()
    fifo.read()
    assert wisp.api.put("/actions", {"action_type": "FlushMetrics"}).status == 204
    # Lines are whole, the cut one's rest included, and nothing that was counted is lost.
    time.sleep(0.1)
    last = json.loads(fifo.read().splitlines()[-1])
    assert last["logger"]["missed_metrics_count"] == full
    assert last["put_api_requests"]["actions_count"] >= full


@pytest.mark.anykvm
def test_a_full_fifo_does_not_keep_the_process(wisp):
    """The last line waits for room, shortly and under the filter, and then is given up."""
    fifo = os.open(Fifo(wisp.where / "metrics.json").path, os.O_RDWR | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while os.write(fifo, b"x" * 4096):
            pass
    put(wisp)
    boot(wisp, "i8042-reset")
    assert wisp.wait() == 0
    assert "Failed to write metrics: Resource temporarily unavailable" in wisp.log()
    assert set(os.read(fifo, 1 << 20)) == {ord("x")}
    os.close(fifo)


@pytest.mark.anykvm
def test_fifo_with_slow_reader_gets_whole_lines(wisp):
    fifo = Fifo(wisp.where / "metrics.json")
    fifo.open()
    put(wisp, properties={f"p{n}": "x" * 100 for n in range(30)})
    boot(wisp)
    got = ""
    answered = 0
    for n in range(60):
        reply = wisp.api.put("/actions", {"action_type": "FlushMetrics"})
        answered += reply.status == 204
        if n % 20 == 19:
            got += fifo.read()
    end = time.monotonic() + host.deadline(10)
    while got.count("\n") < answered + 1 and time.monotonic() < end:
        got += fifo.read()
        time.sleep(0.01)
    all_lines = metrics.parse(got)
    assert len(all_lines) == answered + 1
    assert answered < 60  # it was too slow at least once
    counted = sum(line["put_api_requests"]["actions_count"] for line in all_lines)
    assert counted <= 61 and counted >= answered


# --- that they count ---

def by_counted(start_wisp, tmp_path, engine):
    """The lines of a guest that does tests/guest/counted.c, and the ids of its drives."""
    path = tmp_path / "m.json"
    words = payload.Payload("counted")
    drives, more = payload.devices(["block", *words.devices], tmp_path)
    for drive in drives:
        drive["io_engine"] = engine
    # The payload takes the first disk that it finds.
    drives = drives[1:] + drives[:1]
    file = config_file(tmp_path, words.image, "kvm=interpreted", drives=drives,
                       metrics={"metrics_path": str(path)}, **more)
    vm = start_wisp("--no-api", "--config-file", file, api=False)
    assert vm.wait() == 0, vm.console()
    return vm, metrics.parse(path.read_text()), [drive["drive_id"] for drive in drives]


@pytest.mark.anykvm
@pytest.mark.parametrize("engine", ["Sync", "Async"])
def test_devices_count_what_the_guest_did(start_wisp, tmp_path, engine):
    vm, got, names = by_counted(start_wisp, tmp_path, engine)

    def total(group, field):
        return sum(line[group][field] for line in got)

    for line in got:
        metrics.check(line, drives=names)
        for field, value in line["block"].items():  # sums are the sums of what is beside them
            each = [line[f"block_{name}"][field] for name in names]
            if field.endswith("_agg"):
                assert value["sum_us"] == sum(v["sum_us"] for v in each)
                assert value["max_us"] == max(v["max_us"] for v in each)
            else:
                assert value == sum(each), field
    used, idle = (f"block_{name}" for name in names)
    assert {field: total(used, field) for field in metrics.GROUPS["block"]
            if not field.endswith("_agg") and not field.startswith("queue_event")} == {
        **dict.fromkeys((f for f in metrics.GROUPS["block"] if not f.endswith("_agg")
                         and not f.startswith("queue_event")), 0),
        "read_count": 5, "read_bytes": 5 * 1024, "write_count": 3, "write_bytes": 3 * 4096,
        "flush_count": 2, "invalid_reqs_count": 4}
    # A kick may come after the look that has found its request.
    assert 0 < total(used, "queue_event_count") <= 2 * (5 + 3 + 2 + 4)
    assert all(total(idle, field) == 0 for field in metrics.GROUPS["block"]
               if not field.endswith("_agg"))
    assert total("entropy", "entropy_bytes") == 7 * 256
    assert 0 < total("entropy", "entropy_event_count") <= 2 * 7
    assert total("uart", "write_count") == len((vm.where / "console.txt").read_bytes())
    # One interrupt for each of 14 and 7 requests: polling drivers do not suppress them.
    assert total("interrupts", "triggers") == 14 + 7
    assert total("i8042", "reset_count") == 1
    assert total("i8042", "write_count") >= 1
    assert total("vcpu", "exit_io_out") >= total("uart", "write_count")
    assert total("vcpu", "exit_mmio_read") > 0 and total("vcpu", "exit_mmio_write") > 0


# --- GET /metrics ---

def scrape(vm):
    """The text as Debian's Prometheus client reads it: name and labels -> value."""
    parser = pytest.importorskip("prometheus_client.openmetrics.parser",
                                 reason="python3-prometheus-client is not installed")
    reply = vm.api.get("/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == (
        "application/openmetrics-text; version=1.0.0; charset=utf-8")
    found = {}
    for family in parser.text_string_to_metric_families(reply.body.decode()):
        assert family.type in ("counter", "gauge"), family
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def test_openmetrics_before_the_start(wisp):
    found = scrape(wisp)
    assert found[("wisp_get_api_requests_instance_info_count_total",)] >= 1
    stages = {key[1][1] for key in found if key[0] == "wisp_boot_stage_seconds"}
    assert stages == {"process_start", "api_ready"}
    assert not any(key[0].startswith("wisp_block") for key in found)


@pytest.mark.anykvm
def test_openmetrics_are_totals_of_the_lines(wisp):
    """Sums of all lines are what the text says; drives are labels."""
    put(wisp)
    wisp.drive("rootfs", payload.make_disk(wisp.where / "a.img"), root=True)
    boot(wisp)
    for _ in range(3):
        assert wisp.api.get("/version").status == 200
        flush(wisp)
    flush(wisp)
    found = scrape(wisp)
    total = sum(line["get_api_requests"]["vmm_version_count"] for line in lines(wisp))
    assert total == found[("wisp_get_api_requests_vmm_version_count_total",)] == 3
    assert ("wisp_block_read_bytes_total", ("id", "rootfs")) in found
    latency = lines(wisp)[-1]["latencies_us"]["pause_vm"]
    assert found[("wisp_latencies_us_pause_vm",)] == latency
    # Every field of every group that exists, and no group of a device that does not.
    for name in ("uart", "i8042", "vcpu", "logger", "seccomp", "signals", "put_api_requests"):
        for field in metrics.GROUPS[name]:
            whole = f"wisp_{name}_{field}"
            keys = [(f"{whole}_sum_us_total",), (f"{whole}_min_us",), (f"{whole}_max_us",)]
            for key in keys if field.endswith("_agg") else [(f"{whole}_total",)]:
                assert key in found
    assert not any(key[0].startswith("wisp_balloon") for key in found)


@pytest.mark.anykvm
def test_boot_stages_come_in_order(start_wisp):
    vm = start_wisp("--boot-timer")
    boot(vm, "stages")
    vm.expect("TIMED")
    order = ("process_start", "api_ready", "vm_created", "memory", "kernel_loaded",
             "first_vcpu_run", "first_device", "boot_timer")
    end = time.monotonic() + host.deadline(10)
    while True:
        found = scrape(vm)
        stages = {key[1][1]: value for key, value in found.items()
                  if key[0] == "wisp_boot_stage_seconds"}
        if "boot_timer" in stages or time.monotonic() > end:
            break
    assert set(stages) == set(order)
    assert [stages[name] for name in order] == sorted(stages.values())
    assert stages["process_start"] == 0


@pytest.mark.anykvm
def test_a_failed_start_leaves_no_stages_behind(wisp):
    wisp.machine()
    wisp.boot_source(payload.make_disk(wisp.where / "no-kernel"))
    assert wisp.api.put("/actions", {"action_type": "InstanceStart"}).status == 400
    boot(wisp)
    names = [("wisp_boot_stage_seconds", ("stage", name))
             for name in ("api_ready", "vm_created", "memory", "kernel_loaded", "first_vcpu_run")]
    end = time.monotonic() + host.deadline(10)
    found = scrape(wisp)
    while names[-1] not in found and time.monotonic() < end:  # the vCPU's thread is on its way
        found = scrape(wisp)
    stages = [found[name] for name in names]
    assert stages == sorted(stages)
