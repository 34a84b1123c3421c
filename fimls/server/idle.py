"""Work for the time when nobody types, given up at the next keystroke. For the event loop only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from fimls.cancel import Cancel
from fimls.errors import FimlsError
from fimls.server.jobs import in_thread

logger = logging.getLogger(__name__)


class Idle:
    """One piece of work at a time, the last one asked for.

    ``may_work`` is asked when the time has come: not on battery, say.
    """

    def __init__(self, may_work: Callable[[], bool] = lambda: True) -> None:
        self.may_work = may_work
        self._timer: asyncio.TimerHandle | None = None
        self._cancel = Cancel()

    def after(self, pause_s: float, work: Callable[[Cancel], None]) -> None:
        """Do ``work`` in a thread, unless somebody stirs within ``pause_s``."""
        self.stir()
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._start, work)

    def stir(self) -> None:
        """Somebody does something: what is planned is dropped, what runs is taken back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._cancel.set()

    def _start(self, work: Callable[[Cancel], None]) -> None:
        self._timer = None
        if not self.may_work():
            return
        cancel = self._cancel = Cancel()

        def guarded() -> None:
            try:
                work(cancel)
            except FimlsError as error:  # the next request will tell, if it lasts
                logger.debug("nothing prepared: %s", error)
            except Exception:  # nobody waits for this thread: it would end without a word
                logger.exception("nothing prepared")

        in_thread(guarded)
