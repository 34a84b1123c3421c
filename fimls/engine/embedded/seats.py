"""Which streams may compute at all, when there are more of them than sequences.

Streams take turns token by token. One that has to put another out of its sequence would be
put out itself a token later, and each token would cost a prompt. So whoever finds all
sequences taken waits until a stream is over; in the order of urgency, then of age.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

# Whoever does not ask for its next token within this time has to stand up for those who wait.
PAUSED_S = 0.5


@dataclass(slots=True)
class _Sitting:
    urgency: int
    left_at_s: float | None = None  # since when nothing is asked of it; None: at work


class Seats:
    """``n_seats`` of them, one for each sequence. Streams are numbered in order of age."""

    def __init__(self, n_seats: int) -> None:
        self._n_seats = n_seats
        self._changed = threading.Condition()
        self._sitting: dict[int, _Sitting] = {}
        self._waiting: list[tuple[int, int]] = []

    def take(self, urgency: int, number: int, give_up: Callable[[], bool]) -> list[int]:
        """Sit down, or wait for a seat until ``give_up``; returns who had to stand up for it."""
        with self._changed:
            mine = self._sitting.get(number)
            if mine is not None:
                mine.left_at_s = None
                return []
            ticket = (urgency, number)
            self._waiting.append(ticket)
            while not (give_up() or (min(self._waiting) == ticket and self._may_sit(urgency))):
                self._changed.wait(PAUSED_S)
            self._waiting.remove(ticket)
            self._changed.notify_all()
            if give_up():
                return []
            standing = self._make_room()
            self._sitting[number] = _Sitting(urgency)
            return standing

    def rest(self, number: int) -> None:
        """Its token is computed; the next one is asked for soon, or not."""
        with self._changed:
            if number in self._sitting:
                self._sitting[number].left_at_s = time.monotonic()

    def leave(self, number: int) -> None:
        """The stream is over."""
        with self._changed:
            if self._sitting.pop(number, None) is not None:
                self._changed.notify_all()

    def nudge(self) -> None:
        """Make those who wait look at their ``give_up`` again."""
        with self._changed:
            self._changed.notify_all()

    def _may_sit(self, urgency: int) -> bool:
        """Whether fewer than all seats are held by streams that must not be disturbed."""
        firm = [
            one for one in list(self._sitting.values()) if one.urgency <= urgency and _is_busy(one)
        ]
        return len(firm) < self._n_seats

    def _make_room(self) -> list[int]:
        """The least urgent gets up, and of these who was not asked for longest."""
        if len(self._sitting) < self._n_seats:
            return []

        def claim(number: int) -> tuple[int, float]:
            one = self._sitting[number]
            return (-one.urgency, time.monotonic() if one.left_at_s is None else one.left_at_s)

        # A paused stream gets up before a busy one of less urgency would have to.
        paused = [number for number, one in self._sitting.items() if not _is_busy(one)]
        number = min(paused or self._sitting, key=claim)
        del self._sitting[number]
        return [number]


def _is_busy(one: _Sitting) -> bool:
    return one.left_at_s is None or time.monotonic() - one.left_at_s < PAUSED_S
