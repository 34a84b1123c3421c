"""Two engines as one: a remote one, and a local one that answers while it is away.

A remote engine that fails is left alone for a while and then asked for a sign of life
beside the typing, never in its way: no keystroke waits for a server that is down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from fimls.cancel import Cancel
from fimls.engine.around import AroundStream
from fimls.engine.base import Engine, Request, Stream, Vocabulary
from fimls.errors import BadRequest, EngineError, FimlsError
from fimls.fim import Piece, Prompt

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0

Notify = Callable[[str], None]
Render = Callable[[Vocabulary | None, Prompt], Prompt]


class RemoteEngine(Engine, Protocol):
    """An engine that can be away."""

    @property
    def is_reachable(self) -> bool: ...

    def probe(self) -> None:
        """Ask for a sign of life. Raises ``EngineError``."""


class FallbackEngine:
    """Implements ``fimls.engine.base.Engine``.

    ``open_local`` is called when the local engine is first needed. ``render`` makes the
    same prompt again for another engine's vocabulary. ``notify`` hears once that the
    local engine takes over, with the reason, and once that the remote one is back.
    """

    def __init__(
        self,
        remote: RemoteEngine,
        open_local: Callable[[], Engine],
        render: Render,
        notify: Notify | None = None,
        pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._remote = remote
        self._open_local = open_local
        self._render = render
        self._notify = notify or _ignore
        self._first_pause_s = pause_s
        self._lock = threading.Lock()
        self._opening = threading.Lock()  # of its own: loading a model takes seconds
        self._local: Engine | None = None
        self._is_down, self._reason = False, ""
        self._was_asked = False
        self._pause_s = pause_s
        self._retry_at_s = 0.0
        self._probing = False
        self._closed = False
        # Whose vocabulary prompts are made with at the moment.
        self._shown: Engine = remote

    @property
    def condition(self) -> str:
        """What a status line should say: why the local engine answers; empty while it need not."""
        return f"the local model answers: {self._reason}" if self._is_down else ""

    @property
    def vocabulary(self) -> Vocabulary | None:
        self._shown = self._active()
        return self._shown.vocabulary

    @property
    def n_ctx(self) -> int:
        return self._active().n_ctx

    @property
    def prompt_tokens_per_s(self) -> float | None:
        return self._active().prompt_tokens_per_s

    @property
    def prepares_ahead(self) -> bool:
        return self._active().prepares_ahead

    def stream(self, request: Request, cancel: Cancel) -> Stream:
        """Ask whoever is there; before the first piece, the local engine can still take over."""
        if self._active() is self._remote:
            try:
                prepared = self._prepared(request, self._remote)
                stream = self._remote.stream(prepared, cancel)
            except EngineError as error:
                self.take_down(error)
            else:
                return FallbackStream(self, stream, request, cancel)
        return self.local_stream(request, cancel)

    def local_stream(self, request: Request, cancel: Cancel) -> Stream:
        """The local engine's, with the prompt in its own ids."""
        local = self._get_local()
        return local.stream(self._prepared(request, local), cancel)

    def take_down(self, error: EngineError) -> None:
        """The remote engine failed: leave it alone for a while."""
        with self._lock:
            first = not self._is_down
            self._is_down, self._reason = True, str(error)
            self._retry_at_s = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        if first:
            self._notify(self.condition)

    def close(self) -> None:
        self._closed = True
        self._remote.close()
        with self._opening:
            local, self._local = self._local, None
        if local is not None:
            local.close()

    def _active(self) -> Engine:
        """Who answers now. The first time of all, the remote engine is asked whether it lives."""
        if not self._was_asked:
            self._was_asked = True
            self._probe()
        elif not self._is_down and not self._remote.is_reachable:
            self._probe()  # it failed elsewhere, at its tokenizer perhaps
        if not self._is_down:
            return self._remote
        with self._lock:
            due = not self._probing and time.monotonic() >= self._retry_at_s
            self._probing |= due
        if due:
            threading.Thread(target=self._probe_beside, daemon=True).start()
        return self._get_local()

    def _probe_beside(self) -> None:
        try:
            self._probe()
        finally:
            self._probing = False

    def _probe(self) -> None:
        try:
            self._remote.probe()
        except EngineError as error:
            self.take_down(error)
            return
        if self._is_down and not self._closed:
            self._notify("the remote engine is back")  # before anybody is answered by it
        with self._lock:
            self._is_down = False
            self._pause_s = self._first_pause_s

    def _get_local(self) -> Engine:
        with self._opening:
            if self._local is None:
                self._local = self._open_local()
            return self._local

    def _prepared(self, request: Request, engine: Engine) -> Request:
        """The request with a prompt that ``engine`` understands."""
        if engine is self._shown:
            return request
        if request.prompt.window is None:
            raise BadRequest("the engine has just changed; ask again")
        return replace(request, prompt=self._render(engine.vocabulary, request.prompt))


class FallbackStream(AroundStream):
    """A remote stream that becomes a local one when it fails before its first piece."""

    def __init__(
        self, engine: FallbackEngine, stream: Stream, request: Request, cancel: Cancel
    ) -> None:
        super().__init__(stream)
        self._engine = engine
        self._request = request
        self._cancel = cancel
        self._is_replaceable = True

    def __next__(self) -> Piece:
        try:
            piece = next(self._stream)
        except EngineError as error:
            self._engine.take_down(error)
            if not self._is_replaceable:
                raise
            self._is_replaceable = False
            self._stream.close()
            try:
                self._stream = self._engine.local_stream(self._request, self._cancel)
            except FimlsError as local:
                raise local from error
            return next(self._stream)
        self._is_replaceable = False
        return piece


def _ignore(_: str) -> None:
    """Nobody asked to be told."""
