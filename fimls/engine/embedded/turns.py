"""Who computes next: one context, several streams, one turn at a time."""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count


class Turns:
    """A lock whose waiters go in by urgency, then by age.

    A turn is one decoding step or one micro-batch, so a waiter that is as
    urgent as the others comes in after each of them had one turn.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tickets = count()
        self._waiting: list[tuple[int, int]] = []
        self._urgency: int | None = None  # of the holder; None when nobody computes
        self._yield_now: Callable[[], None] = _ignore

    @contextmanager
    def turn(
        self, urgency: int, give_up: Callable[[], bool], yield_now: Callable[[], None]
    ) -> Iterator[bool]:
        """Wait for a turn and hold it; false when ``give_up`` came true before.

        Lower ``urgency`` goes first. ``yield_now`` is called, from another
        thread, when a more urgent waiter comes while the turn is held.
        """
        if not self._enter(urgency, give_up, yield_now):
            yield False
            return
        try:
            yield True
        finally:
            with self._changed:
                self._urgency = None
                self._yield_now = _ignore
                self._changed.notify_all()

    def is_wanted(self, urgency: int) -> bool:
        """Whether somebody at least as urgent waits."""
        with self._changed:
            return bool(self._waiting) and self._waiting[0][0] <= urgency

    def nudge(self) -> None:
        """Make the waiters look at their ``give_up`` again."""
        with self._changed:
            self._changed.notify_all()

    def _enter(
        self, urgency: int, give_up: Callable[[], bool], yield_now: Callable[[], None]
    ) -> bool:
        with self._changed:
            ticket = (urgency, next(self._tickets))
            insort(self._waiting, ticket)
            if self._urgency is not None and urgency < self._urgency:
                self._yield_now()
            while self._urgency is not None or self._waiting[0] != ticket:
                if give_up():
                    self._waiting.remove(ticket)
                    self._changed.notify_all()
                    return False
                self._changed.wait()
            self._waiting.pop(0)
            self._urgency = urgency
            self._yield_now = yield_now
            return True


def _ignore() -> None:
    """Nobody computes, so nobody has to yield."""
