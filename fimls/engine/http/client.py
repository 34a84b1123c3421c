"""Connections to one server: reuse, TLS, retries, and errors that say what to do.

Every connection is an ``httpx.Client`` of its own with room for one socket, because a
request is taken back by shutting its socket down, from another thread, whatever the
request is waiting for. httpx has no call for that; a socket has.
"""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fimls.cancel import Cancel
from fimls.engine.http import failures
from fimls.engine.http.settings import HttpSettings
from fimls.errors import EngineError, EngineFailed

if TYPE_CHECKING:
    import httpx

# More editors than this at once open further connections and close them afterwards.
MOST_IDLE_CONNECTIONS = 4
# First pause before a retry; each further one is twice as long. Nobody waits for a
# completion longer than a few seconds.
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 4.0
# An answer that is not a stream (errors, /tokenize, /props) is a few kB to a few MB.
MOST_BYTES = 32_000_000


class Taken(Exception):  # not a failure: the caller took the request back
    """The request was cancelled; there is nobody to tell."""


class Connection:
    """One connection, kept between requests."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.network: Any = None  # httpcore's stream, once connected


class Hold:
    """A request's hold on a connection; ``abort`` may be called from any thread, even late."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._aborted = False
        self._over = False

    def trace(self, event: str, facts: Mapping[str, Any]) -> None:
        """Httpcore's trace hook: the only place that shows the socket before an answer."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self.connection.network = facts["return_value"]
            if self._aborted:
                self.abort()

    def abort(self) -> None:
        """Shut the socket down: whoever reads from it wakes up, and the server sees the end."""
        with self._lock:
            self._aborted = True
            # After the end the connection serves another request.
            if self._over or self.connection.network is None:
                return
            found = self.connection.network.get_extra_info("socket")
            if found is not None:
                # Not SSLSocket.shutdown, which would pull the TLS state from under the reader.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(found, socket.SHUT_RDWR)

    def end(self) -> bool:
        """The request is over; whether the connection is still whole."""
        with self._lock:
            self._over = True
            return not self._aborted


class Answer:
    """The body of a successful answer, as it arrives. Close it, or read it to its end."""

    def __init__(self, client: Client, hold: Hold, response: httpx.Response) -> None:
        self._client = client
        self._hold = hold
        self._response = response
        self._whole = False
        self.content_type = response.headers.get("content-type", "")

    def chunks(self, cancel: Cancel) -> Iterator[bytes]:
        """Bytes as the network brings them. Raises ``EngineError``, or ``Taken``."""
        try:
            yield from self._response.iter_bytes()
        except Exception as error:
            if cancel.is_set():
                raise Taken from error
            raise failures.in_mid_answer(self._client.settings, error) from error
        self._whole = True

    def read(self, cancel: Cancel) -> bytes:
        """The whole body, which must be small."""
        parts: list[bytes] = []
        size = 0
        for chunk in self.chunks(cancel):
            size += len(chunk)
            if size > MOST_BYTES:
                raise EngineFailed(f"{self._client.who} sends an answer without end")
            parts.append(chunk)
        return b"".join(parts)

    def close(self) -> None:
        """Give the connection back, or close it when the server is still talking."""
        with contextlib.suppress(Exception):
            self._response.close()
        self._client.give_back(self._hold, reusable=self._whole)


class Client:
    """Sends JSON to one server. Thread-safe."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.who = f"engine {settings.name} ({settings.shown_url})"
        self.is_reachable = True  # as far as the last request could tell
        self._tls: ssl.SSLContext | None = None
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def send(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        cancel: Cancel,
        *,
        retries: int | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """POST ``body`` (GET without one); retried while nothing has come back.

        Raises ``EngineUnreachable``, ``EngineFailed``, or ``Taken`` when cancelled.
        """
        left = self.settings.retries if retries is None else retries
        pause_s = FIRST_PAUSE_S
        while True:
            answer = self._send_once(path, body, cancel, timeout_s)
            if not isinstance(answer, failures.Refusal):
                self.is_reachable = True
                return answer
            wait_s = answer.retry_after_s or pause_s * random.uniform(1.0, 1.5)  # noqa: S311
            if not answer.is_passing or left <= 0 or wait_s > LONGEST_PAUSE_S:
                self.is_reachable = not answer.is_down
                raise answer.error from answer.cause
            if cancel.wait(wait_s):
                raise Taken
            left, pause_s = left - 1, pause_s * 2

    def fetch(
        self, path: str, body: Mapping[str, Any] | None = None, cancel: Cancel | None = None
    ) -> Any:
        """A JSON document. Raises ``EngineError``, or ``Taken`` when cancelled."""
        cancel = cancel or Cancel()
        answer = self.send(path, body, cancel, retries=1)
        try:
            return failures.parsed(self.who, answer.read(cancel))
        finally:
            answer.close()

    def probe(self, path: str, timeout_s: float) -> None:
        """Ask for anything at all. Raises ``EngineError`` when the server is down."""
        try:
            self.send(path, None, Cancel(), retries=0, timeout_s=timeout_s).close()
        except EngineError:
            if not self.is_reachable:
                raise

    def url(self, path: str) -> str:
        """``path`` below the server's URL; "/v1" is not doubled when the URL ends with it."""
        base = self.settings.url.rstrip("/")
        first, _, rest = path.lstrip("/").partition("/")
        return (
            f"{base}/{rest}" if base.endswith(f"/{first}") else f"{base}/{first}/{rest}".rstrip("/")
        )

    def give_back(self, hold: Hold, *, reusable: bool) -> None:
        reusable = hold.end() and reusable
        with self._lock:
            if reusable and not self._closed and len(self._idle) < MOST_IDLE_CONNECTIONS:
                self._idle.append(hold.connection)
                return
        hold.connection.client.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.client.close()

    def _send_once(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        cancel: Cancel,
        timeout_s: float | None,
    ) -> Answer | failures.Refusal:
        hold = Hold(self._take())
        cancel.on_set(hold.abort)
        client = hold.connection.client
        try:
            request = client.build_request(
                "GET" if body is None else "POST",
                self.url(path),
                json=body,
                timeout=self._timeout(timeout_s or self.settings.timeout_s),
                extensions={"trace": hold.trace},
            )
            response = client.send(request, stream=True)
        except Exception as error:
            self.give_back(hold, reusable=False)
            if cancel.is_set():
                raise Taken from error
            return failures.of_exception(self.settings, error)
        answer = Answer(self, hold, response)
        if response.is_success:
            return answer
        try:
            text = answer.read(cancel).decode("utf-8", "replace")
        finally:
            answer.close()
        return failures.of_status(self.settings, response.status_code, response.headers, text)

    def _timeout(self, timeout_s: float) -> httpx.Timeout:
        import httpx  # noqa: PLC0415  # see _new_client

        return httpx.Timeout(timeout_s, connect=self.settings.connect_timeout_s)

    def _take(self) -> Connection:
        with self._lock:
            if self._closed:
                raise EngineFailed(f"{self.who} is closed")
            if self._idle:
                return self._idle.pop()
        return Connection(self._new_client())

    def _new_client(self) -> httpx.Client:
        import httpx  # noqa: PLC0415  # 0.2 s of imports that local engines never need

        settings = self.settings
        headers = {"user-agent": "fimls", **settings.headers}
        if settings.api_key:
            headers["authorization"] = f"Bearer {settings.api_key}"
        if self._tls is None:
            self._tls = _tls(settings)
        return httpx.Client(
            headers=headers,
            verify=self._tls,
            proxy=settings.proxy or None,
            # Proxies of the environment are for the world, not for this machine.
            trust_env=not settings.is_local,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )


def _tls(settings: HttpSettings) -> ssl.SSLContext:
    """The machine's own authorities, certifi's, and the configured one."""
    import certifi  # noqa: PLC0415  # comes with httpx, needed only here

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    try:
        if settings.ca_file:
            context.load_verify_locations(Path(settings.ca_file).expanduser())
        if settings.cert_file:
            key = Path(settings.key_file).expanduser() if settings.key_file else None
            context.load_cert_chain(Path(settings.cert_file).expanduser(), key)
    except (ssl.SSLError, OSError) as error:
        raise EngineFailed(
            f"engine {settings.name}: ca_file, cert_file or key_file is not usable PEM ({error})"
        ) from error
    return context
