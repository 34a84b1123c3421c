"""A server that streams given events, and remembers what it was sent and when it was left.

For what the wire looks like; what the models say is tested against real servers.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class TinyServer:
    """Answers every POST with ``events`` as a stream, every GET and unknown page as told."""

    def __init__(
        self, events: Sequence[Any] = (), pause_s: float = 0.0, form: str = "events"
    ) -> None:
        self.form = form  # "events" (SSE) or "lines" (a JSON document a line)
        self.events = events
        self.pause_s = pause_s
        self.documents: dict[str, Any] = {}  # path to JSON, for questions
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.ports: set[int] = set()  # of the clients' connections
        self.n_sent = 0
        self.left = threading.Event()  # the client hung up before the end
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._note(self, {})
                self._document(outer.documents.get(self.path))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer._note(self, body)
                if self.path in outer.documents:
                    self._document(outer.documents[self.path])
                else:
                    self._stream(outer.events)

            def _document(self, document: Any) -> None:
                text = json.dumps(document).encode()
                self.send_response(404 if document is None else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def _stream(self, events: Iterable[Any]) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                try:
                    for event in events:
                        text = event if isinstance(event, str) else json.dumps(event)
                        framed = f"data: {text}\n\n" if outer.form == "events" else f"{text}\n"
                        self._chunk(framed.encode())
                        outer.n_sent += 1
                        time.sleep(outer.pause_s)
                    self._chunk(b"")
                except OSError:
                    outer.left.set()
                    self.close_connection = True

            def _chunk(self, text: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
                self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """The test's own output is enough."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def _note(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self.bodies.append(body)
        self.paths.append(handler.path)
        self.headers.append({k.lower(): v for k, v in handler.headers.items()})
        self.ports.add(handler.client_address[1])

    def __enter__(self) -> TinyServer:  # noqa: PYI034 - Self is not in Python 3.10
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.01,), daemon=True).start()  # polls for shutdown
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
