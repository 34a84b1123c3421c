"""A real TCP proxy that goes wrong on demand, between our engines and a real server.

    with FaultyProxy(server_port) as proxy:
        proxy.fault = Fault.RESET

Bytes are relayed as they are until the fault says otherwise; without a server behind
it, the proxy can still refuse, answer with a status, or babble.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from enum import Enum


class Fault(Enum):
    NONE = "relay faithfully"
    REFUSE = "accept no connection"
    RESET = "reset the connection in mid-stream"
    SILENT = "take the request and say nothing"
    SLOW = "a pause before every piece"
    UNAUTHORIZED = 401
    TOO_MANY = 429
    BROKEN = 500
    LOADING = 503
    BROKEN_JSON = "an event that is not JSON"
    ENDLESS_LINE = "a line without end"
    ENDLESS_STREAM = "events without end"


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_EVENT = b'data: {"content":"x","tokens":[87],"stop":false,"choices":[{"text":"x"}]}\n\n'


class FaultyProxy:
    """Listens on a port of this machine; ``fault`` may be changed at any time."""

    def __init__(self, upstream_port: int | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.fault = Fault.NONE
        self.after_bytes = 600  # of the answer, for RESET
        self.is_read: threading.Event | None = None  # set by who has read some of it
        self.pause_s = 0.2
        self.retry_after = ""
        self.n_connections = 0
        self.n_requests = 0
        self.requests: list[bytes] = []
        self._upstream_port = upstream_port
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._over = False

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultyProxy:  # noqa: PYI034 - Self is not in Python 3.10
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            connection.close()

    def _accept(self) -> None:
        while not self._over:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.fault is Fault.REFUSE:
                _reset(connection)
                continue
            self.n_connections += 1
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # ValueError: the proxy was closed meanwhile, and a closed socket has no number to wait on.
        with (
            contextlib.suppress(OSError, ssl.SSLError, ValueError),
            contextlib.ExitStack() as stack,
        ):
            stack.callback(connection.close)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                stack.callback(connection.close)
            while request := _read_request(connection):
                self.n_requests += 1
                self.requests.append(request)
                if not self._answer(connection, request):
                    return

    def _answer(self, connection: socket.socket, request: bytes) -> bool:
        """Answer one request; whether the connection is still good for another."""
        fault = self.fault
        if fault in {Fault.UNAUTHORIZED, Fault.TOO_MANY, Fault.BROKEN, Fault.LOADING}:
            body = b'{"error": {"message": "so says the proxy"}}'
            extra = f"Retry-After: {self.retry_after}\r\n" if self.retry_after else ""
            head = (
                f"HTTP/1.1 {fault.value} Nope\r\nContent-Type: application/json\r\n{extra}"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            return True
        if fault is Fault.REFUSE:
            _reset(connection)
        elif fault is Fault.SILENT:
            _wait_for_hang_up(connection)
        elif fault is Fault.BROKEN_JSON:
            connection.sendall(_HEAD + _EVENT + b'data: {"content": "half\n\n')
        elif fault is Fault.ENDLESS_LINE:
            connection.sendall(_HEAD + b"data: ")
            while True:
                connection.sendall(b"x" * 65536)
        elif fault is Fault.ENDLESS_STREAM:
            connection.sendall(_HEAD)
            while True:
                connection.sendall(_EVENT)
        else:
            return self._relay(connection, request)
        return False

    def _relay(self, connection: socket.socket, request: bytes) -> bool:
        """Pass a request on and its answer back, until either side hangs up."""
        with socket.create_connection(("127.0.0.1", self._upstream_port)) as upstream:
            upstream.sendall(request)
            sent = 0
            while True:
                ready, _, _ = select.select([connection, upstream], [], [])
                if upstream in ready:
                    chunk = upstream.recv(256 if self.fault is Fault.RESET else 65536)
                    if not chunk:
                        return False
                    if self.fault is Fault.SLOW:
                        time.sleep(self.pause_s)
                    connection.sendall(chunk)
                    sent += len(chunk)
                    if self.fault is Fault.RESET and sent >= self.after_bytes:
                        # A reset takes along what has not been read by then.
                        if self.is_read is not None and not self.is_read.wait(1):
                            continue
                        _reset(connection)
                        return False
                if connection in ready:
                    chunk = connection.recv(65536)  # the next request on this connection
                    if not chunk:
                        return False
                    self.n_requests += 1
                    upstream.sendall(chunk)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        0,
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def _wait_for_hang_up(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def _reset(connection: socket.socket) -> None:
    """Close with a TCP reset instead of a goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
