"""An engine that pauses while somebody types at another one.

Two models on one machine share its processors, and an engine's priorities end at its own
context. So a review's engine waits at a ``Gate`` before each token, and a prompt evaluation
is interrupted: what it has done stays in its cache, and it goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from fimls.cancel import Cancel
from fimls.engine.around import AroundEngine, AroundStream
from fimls.engine.base import Engine, Request, Stream
from fimls.fim import Piece


class Gate:
    """Shut while at least one ``hold`` has not been followed by a ``free``. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_holding = 0
        self._interrupt: Callable[[], None] | None = None

    def hold(self) -> None:
        with self._changed:
            self._n_holding += 1
            interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            interrupt()

    def free(self) -> None:
        with self._changed:
            self._n_holding -= 1
            self._changed.notify_all()

    def pass_through(self, cancel: Cancel, interrupt: Callable[[], None] | None) -> None:
        """Wait until it is open or ``cancel`` is set; ``interrupt`` is called when it shuts."""
        with self._changed:
            while self._n_holding and not cancel.is_set():
                self._changed.wait()
            self._interrupt = interrupt

    def wake(self) -> None:
        """Make those who wait look at their ``cancel`` again."""
        with self._changed:
            self._changed.notify_all()


class YieldingEngine(AroundEngine):
    """``engine``, behind a gate; implements ``fimls.engine.base.Engine``. One stream at a time."""

    def __init__(self, engine: Engine, gate: Gate) -> None:
        super().__init__(engine)
        self._gate = gate

    def stream(self, request: Request, cancel: Cancel) -> Stream:
        return _YieldingStream(self._engine, self._gate, request, cancel)


class _YieldingStream(AroundStream):
    def __init__(self, engine: Engine, gate: Gate, request: Request, cancel: Cancel) -> None:
        self._engine = engine
        self._gate = gate
        self._request = request
        self._cancel = cancel
        self._attempt = Cancel()
        super().__init__(engine.stream(request, self._attempt))
        self._n_told = self._n_known = 0
        cancel.on_set(self._stop)

    def __next__(self) -> Piece:
        while True:
            # A token is over soon. Given ones come in batches, which are not.
            is_short = self._stream.usage.n_generated > 0 and not self._request.given
            self._gate.pass_through(self._cancel, None if is_short else self._attempt.set)
            try:
                piece = next(self._stream)
            except StopIteration:
                if not self._attempt.is_set() or self._cancel.is_set():
                    raise
                # Interrupted in a batch: begin again, which the cache makes short.
                self._stream.close()
                self._n_known = self._n_told
                self._attempt = Cancel()
                self._stream = self._engine.stream(self._request, self._attempt)
                continue
            if self._n_known:  # told before it was interrupted
                self._n_known -= 1
                continue
            self._n_told += 1
            return piece

    def close(self) -> None:
        self._gate.pass_through(_GONE, None)
        self._stream.close()

    def _stop(self) -> None:
        self._attempt.set()
        self._gate.wake()


_GONE = Cancel()
_GONE.set()
