"""Work while nobody types: after a pause, one piece at a time, given up at once."""

from __future__ import annotations

import asyncio
import threading

from fimls.cancel import Cancel
from fimls.errors import EngineFailed
from fimls.server.idle import Idle


class Work:
    """Runs until it is taken back."""

    def __init__(self) -> None:
        self.began, self.ended = threading.Event(), threading.Event()

    def __call__(self, cancel: Cancel) -> None:
        self.began.set()
        assert cancel.wait(30), "nobody took it back"
        self.ended.set()


async def reached(event: threading.Event) -> bool:
    return await asyncio.to_thread(event.wait, 30)


async def test_it_begins_after_the_pause_and_ends_with_a_keystroke() -> None:
    idle, work = Idle(), Work()
    idle.after(0.01, work)
    assert await reached(work.began)
    idle.stir()
    assert await reached(work.ended)


async def test_only_the_last_one_asked_for_is_done() -> None:
    idle, older, newer = Idle(), Work(), Work()
    idle.after(0, older)
    idle.after(0, newer)
    assert await reached(newer.began)
    assert not older.began.is_set()
    idle.stir()
    assert await reached(newer.ended)


async def test_nothing_where_it_is_not_wanted() -> None:
    """On battery, say: it is asked when the time has come, not before."""
    asked = asyncio.Event()

    def may_work() -> bool:
        asked.set()
        return False

    idle, work = Idle(may_work), Work()
    idle.after(0, work)
    await asyncio.wait_for(asked.wait(), 30)
    await asyncio.sleep(0)
    assert not work.began.is_set()


async def test_failures_are_the_next_requests_to_tell() -> None:
    idle, failed = Idle(), threading.Event()

    def fail(_: Cancel) -> None:
        failed.set()
        raise EngineFailed("gone")

    idle.after(0, fail)
    assert await reached(failed)
    work = Work()
    idle.after(0, work)
    assert await reached(work.began)
    idle.stir()
    assert await reached(work.ended)
