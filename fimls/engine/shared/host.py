"""The host: owns an engine and serves it to whoever is let in.

Each connection has two threads: one works, one listens, so that a cancel or the end of
the client reaches a computation that runs.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from fimls.cancel import Cancel
from fimls.engine.base import Engine, Stream
from fimls.engine.shared import wire

OpenEngine = Callable[[Callable[[float], None]], Engine]

# What may be asked of a vocabulary; anything else is not for the wire.
QUESTIONS = frozenset({"tokenize", "tokenize_markup", "marker", "spelling", "is_control", "is_end"})


class Host:
    """Serves one engine. ``serve`` each accepted connection; ``is_idle`` when nobody is left."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._error: BaseException | None = None
        self._progress = 0.0
        self._changed = threading.Condition()
        self._connections: set[_Connection] = set()
        self._idle_since_s = time.monotonic()

    def load(self, open_engine: OpenEngine) -> None:
        """Open the engine; those who wait for it see the progress, or the error."""
        try:
            engine = open_engine(self._report)
        except BaseException as error:  # noqa: BLE001  # told to every client, whatever it is
            with self._changed:
                self._error = error
                self._changed.notify_all()
            return
        with self._changed:
            self._engine = engine
            self._changed.notify_all()

    @property
    def error(self) -> BaseException | None:
        """Why the engine could not be opened; ``None`` when it could, or is being opened."""
        return self._error

    def serve(self, connection: socket.socket) -> None:
        """Serve a client in threads of its own."""
        served = _Connection(self, connection)
        with self._changed:
            self._connections.add(served)
        served.start()

    @property
    def idle_s(self) -> float:
        """How long nobody has been connected; 0 while somebody is."""
        with self._changed:
            return 0.0 if self._connections else time.monotonic() - self._idle_since_s

    def close(self) -> None:
        """Take everything back and free the model."""
        with self._changed:
            connections = list(self._connections)
            engine, self._engine = self._engine, None
        for connection in connections:
            connection.hang_up()
        if engine is not None:
            engine.close()

    def wait_for_engine(self, tell: Callable[[float], None]) -> Engine:
        """The engine, once it is loaded; ``tell`` gets the progress. Raises what loading raised."""
        told = -1.0
        while True:
            with self._changed:
                self._changed.wait_for(self._has_news(told), timeout=1.0)
                if self._error is not None:
                    raise self._error
                if self._engine is not None:
                    return self._engine
                progress = self._progress
            if progress != told:
                tell(progress)
                told = progress

    def forget(self, connection: _Connection) -> None:
        with self._changed:
            self._connections.discard(connection)
            self._idle_since_s = time.monotonic()
            self._changed.notify_all()

    def _has_news(self, told: float) -> Callable[[], bool]:
        return lambda: self._engine is not None or self._error is not None or self._progress != told

    def _report(self, progress: float) -> None:
        with self._changed:
            # llama.cpp reports each tensor; a percent is enough.
            self._progress = round(progress, 2)
            self._changed.notify_all()


class _Connection:
    def __init__(self, host: Host, connection: socket.socket) -> None:
        self._host = host
        self._socket = connection
        self._orders: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cancel = Cancel()
        self._stream: Stream | None = None

    def start(self) -> None:
        threading.Thread(target=self._work, daemon=True).start()
        threading.Thread(target=self._listen, daemon=True).start()

    def hang_up(self) -> None:
        self._cancel.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        """Read orders; a cancel is carried out at once, the rest by the worker, in order."""
        message: dict[str, Any] | None = None
        while True:
            try:
                message = wire.receive(self._socket)
            except (OSError, ValueError):
                message = None
            if message is None:
                break
            if message.get("op") == "cancel":
                self._cancel.set()
            else:
                if message.get("op") == "stream":
                    # Here and not in the worker: a cancel may be the very next frame.
                    self._cancel = Cancel()
                    message["cancel"] = self._cancel
                self._orders.put(message)
        self._cancel.set()
        self._orders.put(None)

    def _work(self) -> None:
        try:
            with contextlib.suppress(OSError):
                self._serve()
        finally:
            self._end_stream()
            self._socket.close()
            self._host.forget(self)

    def _serve(self) -> None:
        try:
            engine = self._host.wait_for_engine(self._tell_progress)
            speed = engine.prompt_tokens_per_s
            ready = {"pid": os.getpid(), "prompt_tokens_per_s": speed, **_facts(engine)}
            self._send({"ready": ready})
        except OSError:
            raise
        except BaseException as error:  # noqa: BLE001  # told to the client, whatever it is
            self._send({"error": wire.from_error(error)})
            return
        while (order := self._orders.get()) is not None:
            try:
                answer = self._carry_out(engine, order)
            except Exception as error:  # noqa: BLE001  # told to the client, whatever it is
                self._end_stream()
                answer = {"error": wire.from_error(error)}
            self._send(answer)

    def _carry_out(self, engine: Engine, order: dict[str, Any]) -> dict[str, Any]:
        op = order.get("op")
        if op == "next" and self._stream is not None:
            piece = next(self._stream, None)
            usage = wire.from_usage(self._stream.usage)
            return {"usage": usage, "piece": None if piece is None else wire.from_piece(piece)}
        if op in {"stream", "close"}:
            self._end_stream()
            if op == "stream":
                self._stream = engine.stream(wire.to_request(order["request"]), order["cancel"])
            return {}
        if op == "speed":
            return {"prompt_tokens_per_s": engine.prompt_tokens_per_s}
        if op == "ask" and order["method"] in QUESTIONS and engine.vocabulary is not None:
            return {"value": getattr(engine.vocabulary, order["method"])(*order["arguments"])}
        raise ValueError(f"unknown order {op}")

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(Exception):  # it may be the very stream that failed
                stream.close()

    def _tell_progress(self, progress: float) -> None:
        self._send({"progress": progress})

    def _send(self, message: dict[str, Any]) -> None:
        wire.send(self._socket, message)


def _facts(engine: Engine) -> dict[str, Any]:
    """What a client needs to know before it asks anything."""
    vocabulary = engine.vocabulary
    if vocabulary is None:
        return {"n_ctx": engine.n_ctx, "vocabulary": None}
    info = vocabulary.info
    return {
        "n_ctx": engine.n_ctx,
        "vocabulary": {
            "bos": vocabulary.bos,
            "add_bos": vocabulary.add_bos,
            "info": {
                "name": info.name,
                "architecture": info.architecture,
                "path": info.path,
                "n_ctx_train": info.n_ctx_train,
                "metadata": dict(info.metadata),
                "chat_template": info.chat_template,
            },
        },
    }
