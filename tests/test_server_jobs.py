"""Work off the event loop: one job a document, the newest wins."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from fimls.cancel import Cancel
from fimls.errors import EngineFailed
from fimls.server.jobs import Jobs


def until_cancelled(cancel: Cancel) -> str:
    """Work that only ends when it is taken back."""
    assert cancel.wait(10), "nobody took it back"
    return "late"


async def test_a_newer_claim_ends_the_older_work() -> None:
    """The older caller gets nothing, the newer one its result."""
    jobs = Jobs()
    older = asyncio.ensure_future(jobs.run("a", jobs.claim("a"), until_cancelled))
    await asyncio.sleep(0.05)
    newer = await jobs.run("a", jobs.claim("a"), lambda _: "new")
    assert (await older, newer) == (None, "new")


async def test_only_the_newest_of_many_runs() -> None:
    """Claims lost while waiting are not worked on at all."""
    jobs, ran = Jobs(), []
    first = asyncio.ensure_future(jobs.run("a", jobs.claim("a"), until_cancelled))
    await asyncio.sleep(0.05)

    def work(n: int) -> int:
        ran.append(n)
        return n

    waiting = [jobs.run("a", jobs.claim("a"), lambda _, n=n: work(n)) for n in range(5)]
    assert await asyncio.gather(first, *waiting) == [None, None, None, None, None, 4]
    assert ran == [4]


async def test_threads_of_one_document_take_turns() -> None:
    """Even when the caller of the first has given up waiting."""
    jobs, inside, most = Jobs(), 0, 0
    lock = threading.Lock()

    def slow_to_notice(cancel: Cancel) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        cancel.wait(10)
        time.sleep(0.1)
        with lock:
            inside -= 1

    for _ in range(3):
        caller = asyncio.ensure_future(jobs.run("a", jobs.claim("a"), slow_to_notice))
        await asyncio.sleep(0.05)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    await jobs.run("a", jobs.claim("a"), lambda _: None)
    assert most == 1


async def test_documents_do_not_wait_for_each_other() -> None:
    """Two of them are worked on at the same time."""
    jobs, both = Jobs(), threading.Barrier(2)
    works = [jobs.run(key, jobs.claim(key), lambda _: both.wait(5)) for key in "ab"]
    await asyncio.gather(*works)


async def test_a_cancelled_caller_cancels_its_work() -> None:
    """And need not wait for the work to notice."""
    jobs, seen = Jobs(), threading.Event()

    def work(cancel: Cancel) -> None:
        if cancel.wait(10):
            seen.set()

    caller = asyncio.ensure_future(jobs.run("a", jobs.claim("a"), work))
    await asyncio.sleep(0.05)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await asyncio.to_thread(seen.wait, 5)


async def test_a_change_takes_work_back() -> None:
    """What is generated for the text of a moment ago is of no more use."""
    jobs = Jobs()
    running = asyncio.ensure_future(jobs.run("a", jobs.claim("a"), until_cancelled))
    await asyncio.sleep(0.05)
    jobs.take_back("a")
    jobs.take_back("never opened")
    assert await running is None
    assert await jobs.run("a", jobs.claim("a"), lambda _: 1) == 1


async def test_errors_reach_the_caller() -> None:
    """And leave the document free for the next job."""
    jobs = Jobs()

    def fail(_: Cancel) -> None:
        raise EngineFailed("broken")

    with pytest.raises(EngineFailed):
        await jobs.run("a", jobs.claim("a"), fail)
    assert await jobs.run("a", jobs.claim("a"), lambda _: 1) == 1
