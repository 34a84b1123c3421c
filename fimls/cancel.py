"""A request's right to be taken back, from any thread, at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Cancel:
    """Set once, seen by everybody who works for the request.

    Callbacks run at once in the thread that calls ``set`` (or in the one that
    registers them, when it is already set); they must be short and must not
    raise. An engine uses one to abort a prompt evaluation or to close a socket.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Sleep until cancelled or until ``timeout_s`` is over; true when cancelled."""
        return self._event.wait(timeout_s)

    def on_set(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()
