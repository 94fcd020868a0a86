# SPDX-License-Identifier: Apache-2.0
"""Lines of metrics: the contract's schema (4.3), exactly, and how to read them."""

import json
import time

from framework import host


def _pairs(names):
    return [f"{name}_{what}" for name in names.split() for what in ("count", "fails")]


_BLOCK = """activate_fails cfg_fails no_avail_buffer event_fails execute_fails invalid_reqs_count
    flush_count queue_event_count rate_limiter_event_count update_count update_fails read_bytes
    write_bytes read_count write_count rate_limiter_throttled_events io_engine_throttled_events
    remaining_reqs_count read_agg write_agg""".split()

_NET = """activate_fails cfg_fails no_rx_avail_buffer no_tx_avail_buffer event_fails
    rx_queue_event_count rx_event_rate_limiter_count rx_rate_limiter_throttled rx_tap_event_count
    rx_bytes_count rx_packets_count rx_fails rx_count tap_read_fails tap_write_fails
    tx_bytes_count tx_malformed_frames tx_fails tx_count tx_packets_count tx_queue_event_count
    tx_rate_limiter_event_count tx_rate_limiter_throttled tx_spoofed_mac_count
    tx_remaining_reqs_count tap_write_agg""".split()

_LATENCIES = "full_create_snapshot diff_create_snapshot load_snapshot pause_vm resume_vm".split()

GROUPS = {
    "api_server": ["process_startup_time_us", "process_startup_time_cpu_us"],
    "balloon": """activate_fails inflate_count stats_updates_count stats_update_fails
        deflate_count event_fails free_page_report_count free_page_report_freed
        free_page_report_fails free_page_hint_count free_page_hint_freed
        free_page_hint_fails""".split(),
    "block": _BLOCK,
    "deprecated_api": ["deprecated_http_api_calls"],
    "get_api_requests": """instance_info_count machine_cfg_count mmds_count vmm_version_count
        hotplug_memory_count""".split(),
    "i8042": """error_count missed_read_count missed_write_count read_count reset_count
        write_count""".split(),
    "latencies_us": _LATENCIES + [f"vmm_{name}" for name in _LATENCIES],
    "logger": """missed_metrics_count metrics_fails missed_log_count
        rate_limited_log_count""".split(),
    "mmds": """rx_accepted rx_accepted_err rx_accepted_unusual rx_bad_eth rx_invalid_token
        rx_no_token rx_count tx_bytes tx_count tx_errors tx_frames connections_created
        connections_destroyed""".split(),
    "net": _NET,
    "patch_api_requests": _pairs("drive network machine_cfg mmds hotplug_memory pmem"),
    "put_api_requests": _pairs("actions boot_source drive logger machine_cfg cpu_cfg metrics "
                               "network mmds vsock pmem serial hotplug_memory"),
    "seccomp": ["num_faults"],
    "vcpu": """exit_io_in exit_io_out exit_mmio_read exit_mmio_write failures kvmclock_ctrl_fails
        exit_io_in_agg exit_io_out_agg exit_mmio_read_agg exit_mmio_write_agg""".split(),
    "vmm": ["panic_count"],
    "uart": """error_count flush_count missed_read_count missed_write_count read_count
        write_count rate_limiter_dropped_bytes""".split(),
    "signals": "sigbus sigsegv sigxfsz sigxcpu sigpipe sighup sigill".split(),
    "vsock": """activate_fails cfg_fails rx_queue_event_fails tx_queue_event_fails
        ev_queue_event_fails muxer_event_fails conn_event_fails rx_queue_event_count
        tx_queue_event_count rx_bytes_count tx_bytes_count rx_packets_count tx_packets_count
        conns_added conns_killed conns_removed killq_resync tx_flush_fails tx_write_fails
        rx_read_fails""".split(),
    "entropy": """activate_fails entropy_event_fails entropy_event_count entropy_bytes
        host_rng_fails entropy_rate_limiter_throttled rate_limiter_event_count""".split(),
    "pmem": """activate_fails cfg_fails event_fails queue_event_count
        rate_limiter_throttled_events rate_limiter_event_count""".split(),
    "interrupts": ["triggers", "config_updates"],
    "memory_hotplug": """activate_fails queue_event_fails queue_event_count plug_count plug_bytes
        plug_fails plug_agg unplug_count unplug_bytes unplug_fails unplug_discard_fails
        unplug_agg state_count state_fails state_agg unplug_all_count unplug_all_fails
        unplug_all_agg""".split(),
}


def _check_fields(name, group, fields):
    assert sorted(group) == sorted(fields), name
    for field, value in group.items():
        numbers = [value]
        if field.endswith("_agg"):
            assert sorted(value) == ["max_us", "min_us", "sum_us"], (name, field)
            numbers = list(value.values())
        assert all(type(n) is int and 0 <= n < 1 << 64 for n in numbers), (name, field, value)


def check(line, drives=(), nets=(), emit_id=False, properties=False):
    """The line has the contract's keys and no other, and the time is now."""
    groups = dict(GROUPS)
    groups.update({f"block_{drive}": _BLOCK for drive in drives})
    groups.update({f"net_{net}": _NET for net in nets})
    more = ["utc_timestamp_ms"] + ["id"] * emit_id + ["properties"] * properties
    assert sorted(line) == sorted([*groups, *more])
    for name, fields in groups.items():
        _check_fields(name, line[name], fields)


def is_fresh(line):
    return abs(time.time() * 1000 - line["utc_timestamp_ms"]) < 1000 * host.deadline(1)


def parse(text):
    """Every line of a file; each is whole."""
    assert not text or text.endswith("\n"), text[-200:]
    return [json.loads(line) for line in text.splitlines()]
