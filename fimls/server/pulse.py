"""How late the event loop is while something is computed. For the event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Often enough to meet a delay that a person could notice, seldom enough to cost nothing.
BEAT_S = 0.02


class Pulse:
    """Tells ``late`` of each beat by how many milliseconds it came too late."""

    def __init__(self, late: Callable[[float], None]) -> None:
        self._late = late
        self._timer: asyncio.TimerHandle | None = None

    def beats(self, *, is_on: bool) -> None:
        """Start or stop; starting twice is starting once."""
        if is_on and self._timer is None:
            self._next(asyncio.get_running_loop())
        elif not is_on and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        due_s = loop.time() + BEAT_S
        self._timer = loop.call_at(due_s, self._beat, loop, due_s)

    def _beat(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        self._late((loop.time() - due_s) * 1000)
        self._next(loop)
