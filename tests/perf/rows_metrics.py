# SPDX-License-Identifier: Apache-2.0
"""watching: what a scrape, a line of metrics and an event take

Through the API of a machine that runs, one client, one request after the other. Each
includes the request itself, which the first row measures alone.
"""

import http.client
import json
import socket
import time

from framework import host, payload
from measure import quartiles

ROUNDS = 200


class Client(http.client.HTTPConnection):
    """One connection for all requests."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None):
        self.request(method, path, body=json.dumps(body) if body else None)
        answer = self.getresponse()
        return answer.read()


def took_us(client, *request):
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        client.ask(*request)
        taken.append((time.perf_counter() - begun) * 1e6)
    return quartiles("wisp", taken)


def event_us(vm, client):
    """From the request that pauses or resumes to the line of the event at the other client."""
    watcher = Client(vm.path)
    watcher.request("GET", "/events")
    stream = watcher.getresponse()
    taken = []
    for _ in range(ROUNDS // 2):
        for state in ("Paused", "Resumed"):
            begun = time.perf_counter()
            client.request("PATCH", "/vm", body=json.dumps({"state": state}))
            stream.readline()
            taken.append((time.perf_counter() - begun) * 1e6)
            client.getresponse().read()
    return quartiles("wisp", taken)


def rows(bench):
    if host.kvm_kind() == "absent":
        yield bench.note("watching: there is no /dev/kvm")
        return
    with bench.wisp() as vm:
        client = Client(vm.path)
        client.ask("PUT", "/metrics", {"metrics_path": "/dev/null"})
        client.ask("PUT", "/boot-source", {"kernel_image_path": str(payload.image("idle"))})
        client.ask("PUT", "/actions", {"action_type": "InstanceStart"})
        yield bench.row("GET /version", "us", **took_us(client, "GET", "/version"))
        yield bench.row("GET /metrics", "us", **took_us(client, "GET", "/metrics"))
        yield bench.row("FlushMetrics to /dev/null", "us",
                        **took_us(client, "PUT", "/actions", {"action_type": "FlushMetrics"}))
        yield bench.row("pause or resume to its event", "us", **event_us(vm, client))
