"""How late the event loop is, told while it is asked for."""

from __future__ import annotations

import asyncio
import time

from fimls.server.pulse import BEAT_S, Pulse

BLOCKED_S = 0.2


def test_a_loop_that_is_held_up_is_late() -> None:
    """By what it was held up for, less what was left of the beat."""

    async def hold_up() -> list[float]:
        told: asyncio.Queue[float] = asyncio.Queue()
        pulse = Pulse(told.put_nowait)
        pulse.beats(is_on=True)
        time.sleep(BLOCKED_S)  # noqa: ASYNC251 - holding the loop up is the point
        late = await told.get()
        pulse.beats(is_on=False)
        return [late]

    [late_ms] = asyncio.run(hold_up())
    assert late_ms >= (BLOCKED_S - BEAT_S) * 1000


def test_no_beat_when_nothing_is_computed() -> None:
    async def stopped() -> int:
        told: list[float] = []
        pulse = Pulse(told.append)
        pulse.beats(is_on=True)
        pulse.beats(is_on=True)
        pulse.beats(is_on=False)
        pulse.beats(is_on=False)
        await asyncio.sleep(3 * BEAT_S)
        return len(told)

    assert asyncio.run(stopped()) == 0
