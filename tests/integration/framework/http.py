# SPDX-License-Identifier: Apache-2.0
"""HTTP over a Unix socket, as a client of the monitor speaks it."""

import http.client
import json
import socket


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Reply:
    """Status, headers and body of an answer."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def fault(self):
        """The text of a refusal, whichever of its two keys it stands under."""
        reply = self.json
        return reply.get("fault_message", reply.get("error", ""))

    def __repr__(self):
        return f"<{self.status} {self.body!r}>"


class Api:
    """One request, one connection; `connection()` for more on the same."""

    def __init__(self, path, timeout=240):
        self.path = path
        self.timeout = timeout

    def connection(self):
        return _Connection(self.path, self.timeout)

    def request(self, method, path, body=None, headers=None, connection=None):
        conn = connection or self.connection()
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        try:
            conn.request(method, path, body=body, headers=headers or {})
            answer = conn.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            if connection is None:
                conn.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def state(self):
        """Of the microVM; None: nobody listens yet. The socket is there a moment before that."""
        try:
            return self.get("/").json["state"]
        except (FileNotFoundError, ConnectionRefusedError):
            return None

    def put(self, path, body=None, **more):
        return self.request("PUT", path, body, **more)

    def patch(self, path, body=None, **more):
        return self.request("PATCH", path, body, **more)

    def raw(self, data, until=b"\r\n\r\n", timeout=30):
        """Sends bytes as they are; what came back until `until` or the end of the stream."""
        got = b""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(str(self.path))
            sock.sendall(data)
            while until not in got:
                try:
                    more = sock.recv(65536)
                except socket.timeout:
                    break
                if not more:
                    break
                got += more
        return got
