# SPDX-License-Identifier: Apache-2.0
"""A subscriber of GET /events."""

import json
import time

from framework import host


class Events:
    """Reads whole lines as they come; what came before `next()` was called is kept."""

    def __init__(self, vm):
        self.connection = vm.api.connection()
        self.connection.request("GET", "/events")
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["Content-Type"] == "application/x-ndjson"
        self.seen = []

    def next(self):
        """The next event; None at the end of the stream."""
        line = self.answer.readline()
        if not line:
            return None
        event = json.loads(line)
        if "event" in event:
            assert abs(time.time() * 1000 - event["utc_timestamp_ms"]) < 10000 * host.deadline(1)
        self.seen.append(event)
        return event

    def expect(self, name):
        """The next event, which must be this one."""
        event = self.next()
        assert event and event.get("event") == name, (name, self.seen)
        return event

    def rest(self):
        """The names of all that is still to come, up to the end of the stream."""
        names = []
        while event := self.next():
            names.append(event.get("event", "lost"))
        return names

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
