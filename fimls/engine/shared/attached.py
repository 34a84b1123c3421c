"""An engine in another process, used like one in this: same protocol, same errors."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from fimls.cancel import Cancel
from fimls.engine.base import Request, Usage
from fimls.engine.shared import wire
from fimls.engine.shared.links import Link
from fimls.errors import EngineFailed
from fimls.fim import Piece
from fimls.vocabulary import ModelInfo

Notify = Callable[[str], None]

# A model that crashes each time is not started for ever.
MOST_CRASHES = 3
CRASH_WINDOW_S = 120.0
# Longer texts are tokenised again each time.
MOST_KEPT_CHARS = 200


class HostGone(Exception):  # told apart from errors that the host reports
    """The host hung up."""


class AttachedEngine:
    """Implements ``fimls.engine.base.Engine`` over a ``Link``.

    Opening it waits until the host has loaded its model; raises what the host raised.
    When the host's process crashes, running streams raise ``EngineFailed``, ``notify`` is
    told once, and the next request starts it again.
    """

    prepares_ahead = True

    def __init__(
        self,
        link: Link,
        notify: Notify | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self._link = link
        self._notify = notify or _ignore
        self._progress = progress or _ignore
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._crashes: deque[float] = deque(maxlen=MOST_CRASHES)
        self._generation = 0  # of the host; a crash counts once, however many connections see it
        self._closed = False
        try:
            first, facts = self._connect()
        except BaseException:
            link.close()
            raise
        self._idle.append(first)
        self.host_pid: int = facts["pid"]
        self._n_ctx: int = facts["n_ctx"]
        # A host that was started by an older version may still run: it tells no speed.
        self._tells_speed = "prompt_tokens_per_s" in facts
        told = facts["vocabulary"]
        self._vocabulary = None if told is None else AttachedVocabulary(self, told)

    @property
    def vocabulary(self) -> AttachedVocabulary | None:
        return self._vocabulary

    @property
    def n_ctx(self) -> int:
        return self._n_ctx

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """Asked for each time (0.1 ms): the host measures while nobody types, and again."""
        if not self._tells_speed:
            return None
        found: float | None = self.ask({"op": "speed"})["prompt_tokens_per_s"]
        return found

    def stream(self, request: Request, cancel: Cancel) -> AttachedStream:
        return AttachedStream(self, request, cancel)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        self._link.close()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """One question and its answer, on a connection of its own meanwhile."""
        connection, _, answer = self.begin(message)
        self.give_back(connection)
        return answer

    def begin(self, message: dict[str, Any]) -> tuple[socket.socket, int, dict[str, Any]]:
        """Send a first message; the connection is the caller's from now on, and its answer.

        A host that died while nobody asked it anything is replaced in silence.
        """
        connection = self._take()
        if connection is not None:
            with contextlib.suppress(HostGone):
                return connection, self._generation, self._exchange(connection, message)
        connection, facts = self._connect()
        self.host_pid = facts["pid"]
        return connection, self._generation, self.call(connection, self._generation, message)

    def call(
        self,
        connection: socket.socket,
        generation: int,
        message: dict[str, Any],
        sending: contextlib.AbstractContextManager[Any] | None = None,
    ) -> dict[str, Any]:
        """Send and wait. Raises the host's error, or ``EngineFailed`` when it is gone.

        ``sending`` is held while sending, where another thread may send a cancel.
        """
        try:
            return self._exchange(connection, message, sending)
        except HostGone:
            raise self._lost(generation) from None

    def _exchange(
        self,
        connection: socket.socket,
        message: dict[str, Any],
        sending: contextlib.AbstractContextManager[Any] | None = None,
    ) -> dict[str, Any]:
        try:
            with sending or contextlib.nullcontext():
                wire.send(connection, message)
            answer = wire.receive(connection)
        except (OSError, ValueError):
            answer = None
        if answer is None:
            connection.close()
            raise HostGone
        if "error" in answer:
            self.give_back(connection)
            raise wire.to_error(answer["error"])
        return answer

    def _take(self) -> socket.socket | None:
        """An idle connection, when there is one."""
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if not _is_dead(connection):
                    return connection
                connection.close()
        return None

    def give_back(self, connection: socket.socket) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> tuple[socket.socket, dict[str, Any]]:
        """Connect, and wait until the engine is ready."""
        for _ in range(MOST_CRASHES):
            self._check()
            connection = self._link.connect()
            try:
                return connection, self._wait_until_ready(connection)
            except OSError:
                # A host that was just leaving is no crash; one that dies while loading is.
                connection.close()
                if self._link.why_it_ended():
                    self._crashes.append(time.monotonic())
            except BaseException:
                connection.close()
                raise
        how = self._link.why_it_ended() or "no reason given"
        raise EngineFailed(
            f"the engine's process ends while it loads ({how}); "
            "try another model, or fewer GPU layers (engine.n_gpu_layers)"
        )

    def _wait_until_ready(self, connection: socket.socket) -> dict[str, Any]:
        """What the host says of its engine. Raises its error, or ``OSError`` when it is gone."""
        while (message := wire.receive(connection)) is not None:
            if "error" in message:
                raise wire.to_error(message["error"])
            if "ready" in message:
                facts: dict[str, Any] = message["ready"]
                return facts
            self._progress(message["progress"])
        raise ConnectionResetError

    def _check(self) -> None:
        if self._closed:
            raise EngineFailed("the engine is closed")
        full = len(self._crashes) == MOST_CRASHES
        if full and time.monotonic() - self._crashes[0] < CRASH_WINDOW_S:
            raise EngineFailed(
                f"the engine crashed {MOST_CRASHES} times within {CRASH_WINDOW_S:g} s and is left "
                "alone for a while; try another model, or fewer GPU layers (engine.n_gpu_layers)"
            )

    def _lost(self, generation: int) -> EngineFailed:
        """The host is gone: count it, say so once."""
        how = self._link.why_it_ended()
        reason = f" ({how})" if how else ""
        with self._lock:
            first = generation == self._generation and not self._closed
            if first:
                self._generation += 1
                self._crashes.append(time.monotonic())
                dead, self._idle = self._idle, []
                for connection in dead:
                    connection.close()
        message = (
            f"the engine's process ended unexpectedly{reason}; "
            "it is started again with the next request"
        )
        if first:
            self._notify(message)
        return EngineFailed(message)


class AttachedStream:
    """Implements ``fimls.engine.base.Stream``: each piece is asked for."""

    def __init__(self, engine: AttachedEngine, request: Request, cancel: Cancel) -> None:
        self.usage = Usage(n_prompt=len(request.prompt.tokens))
        self._engine = engine
        self._cancel = cancel
        self._connection: socket.socket | None = None
        self._sending = threading.Lock()
        if cancel.is_set():
            return
        message = {"op": "stream", "request": wire.from_request(request)}
        self._connection, self._generation, _ = engine.begin(message)
        cancel.on_set(self._take_back)

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        if self._cancel.is_set():
            self.close()
        if self._connection is None:
            raise StopIteration
        answer = self._call({"op": "next"})
        wire.update_usage(self.usage, answer["usage"])
        if answer["piece"] is None:
            self.close()
            raise StopIteration
        return wire.to_piece(answer["piece"])

    def close(self) -> None:
        """Give the engine back to others."""
        with self._sending:
            connection, self._connection = self._connection, None
        if connection is not None:
            # What was generated is whole, even if the host is gone by now.
            with contextlib.suppress(EngineFailed):
                self._engine.call(connection, self._generation, {"op": "close"})
                self._engine.give_back(connection)

    def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        connection = self._connection
        assert connection is not None
        try:
            return self._engine.call(connection, self._generation, message, self._sending)
        except BaseException:
            # The engine has taken the connection back, or has closed it.
            with self._sending:
                self._connection = None
            raise

    def _take_back(self) -> None:
        with self._sending:
            if self._connection is not None:
                with contextlib.suppress(OSError):
                    wire.send(self._connection, {"op": "cancel"})


class AttachedVocabulary:
    """The vocabulary in the host; answers are kept, since each question costs a round trip."""

    def __init__(self, engine: AttachedEngine, told: dict[str, Any]) -> None:
        self._engine = engine
        self.info = ModelInfo(**told["info"])
        self.bos: int | None = told["bos"]
        self.add_bos: bool = told["add_bos"]
        self._ids = lru_cache(maxsize=20_000)(self._ask_ids)
        self.marker = lru_cache(maxsize=1_000)(self._ask_marker)
        self.spelling = lru_cache(maxsize=20_000)(self._ask_spelling)
        self.is_control = lru_cache(maxsize=20_000)(self._ask_is_control)
        self.is_end = lru_cache(maxsize=1_000)(self._ask_is_end)

    def tokenize(self, text: str) -> list[int]:
        return self._ask_ids_of("tokenize", text)

    def tokenize_markup(self, text: str) -> list[int]:
        return self._ask_ids_of("tokenize_markup", text)

    def _ask_ids_of(self, method: str, text: str) -> list[int]:
        # Lines come again at every keystroke; a window's worth of text would fill the memory.
        ask = self._ids if len(text) <= MOST_KEPT_CHARS else self._ask_ids
        return list(ask(method, text))

    def _ask(self, method: str, *arguments: Any) -> Any:
        message = {"op": "ask", "method": method, "arguments": arguments}
        return self._engine.ask(message)["value"]

    def _ask_ids(self, method: str, text: str) -> tuple[int, ...]:
        return tuple(self._ask(method, text))

    def _ask_marker(self, text: str) -> int | None:
        found: int | None = self._ask("marker", text)
        return found

    def _ask_spelling(self, token: int) -> str:
        return str(self._ask("spelling", token))

    def _ask_is_control(self, token: int) -> bool:
        return bool(self._ask("is_control", token))

    def _ask_is_end(self, token: int) -> bool:
        return bool(self._ask("is_end", token))


def _is_dead(connection: socket.socket) -> bool:
    """Whether the host has hung up on an idle connection."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _ignore(_: Any) -> None:
    """Nobody asked to be told."""
