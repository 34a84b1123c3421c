"""Work off the event loop: one job a document, and the newest wins."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fimls.cancel import Cancel

T = TypeVar("T")


@dataclass(slots=True)
class _Lane:
    """The jobs of one key: their threads take turns, and only the newest matters."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    newest: Cancel = field(default_factory=Cancel)


class Jobs:
    """Runs blocking work in threads, each under a key. For the event loop only."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}

    def claim(self, key: str) -> Cancel:
        """The right to run a job of ``key``; older ones lose theirs at once."""
        lane = self._lanes.setdefault(key, _Lane())
        lane.newest.set()
        lane.newest = Cancel()
        return lane.newest

    async def run(self, key: str, cancel: Cancel, work: Callable[[Cancel], T]) -> T | None:
        """The result of ``work(cancel)``, or ``None`` when the claim is lost.

        When the caller itself is cancelled it need not wait for its work to notice.
        """
        lane = self._lanes.setdefault(key, _Lane())
        await lane.turn.acquire()
        if cancel.is_set():
            lane.turn.release()
            return None
        done = in_thread(lambda: work(cancel), then=lane.turn.release)
        try:
            result = await done
        except asyncio.CancelledError:
            cancel.set()
            raise
        return None if cancel.is_set() else result

    def take_back(self, key: str) -> None:
        """The document changed or was closed: what runs for it is of no more use."""
        lane = self._lanes.get(key)
        if lane is not None:
            lane.newest.set()
            if not lane.turn.locked():
                del self._lanes[key]

    def take_back_all(self) -> None:
        for key in list(self._lanes):
            self.take_back(key)


def in_thread(work: Callable[[], T], then: Callable[[], None] | None = None) -> asyncio.Future[T]:
    """Start ``work`` in a thread; ``then`` runs on the event loop when the thread is done.

    The thread is a daemon: one that is deep in llama.cpp must not keep the process alive,
    as those of ``concurrent.futures`` would.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        if then is not None:
            then()
        if not done.done():
            settle()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            failure = error
            settle = lambda: done.set_exception(failure)  # noqa: E731 - a pair with the next
        else:
            settle = lambda: done.set_result(result)  # noqa: E731
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(tell, settle)

    threading.Thread(target=run, name="fimls-job", daemon=True).start()
    return done
