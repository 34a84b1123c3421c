"""Runs streams on one context: in turns, interruptible, with exact bookkeeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from fimls.engine.base import Priority
from fimls.engine.embedded.context import Context
from fimls.engine.embedded.seats import Seats
from fimls.engine.embedded.slots import GRAIN, Slot, next_batch_end
from fimls.engine.embedded.turns import Turns
from fimls.errors import EngineFailed

T = TypeVar("T")

# Smaller batches say little of the speed at which prompts are evaluated.
_TELLING_BATCH = 64
# What is evaluated when a key takes it back is lost with its batch. Keys follow one another in
# 100 to 250 ms: a cold prompt that is taken back goes on in batches that fit between them. They
# are slower (16 tokens at 60% of the speed of 128, 0.5B on two cores), so only then.
_BETWEEN_KEYS_S = 0.1


@dataclass(slots=True)
class Job:
    """What a stream wants evaluated: all of ``tokens``, wherever they lie.

    The last ``n_read`` of them are evaluated in one batch, which fits, for the logits of all.
    """

    number: int
    urgency: int
    tokens: list[int]
    n_batched: int  # see slots
    is_gone: Callable[[], bool]  # cancelled or closed
    n_read: int = 1
    n_evaluated: int = 0
    slot: Slot | None = field(default=None, repr=False)


class Runner:
    """The context's only user. Safe to call from several threads."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._n_ubatch = context.n_ubatch
        self._turns = Turns()
        self._seats = Seats(len(context.slots))
        self._numbers = count(1)
        self._closed = False
        # Guards the abort flag together with whom it would hit.
        self._guard = threading.Lock()
        self._running = 0
        self._may_yield = False
        self._is_hurried = False  # the last batch was taken back
        self._n_measured, self._measured_s = 0, 0.0

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """The speed of all prompts so far; ``None`` while there was none of any length."""
        return self._n_measured / self._measured_s if self._n_measured else None

    def job(
        self, urgency: int, tokens: list[int], n_batched: int, is_gone: Callable[[], bool]
    ) -> Job:
        self.check_open()
        return Job(next(self._numbers), urgency, tokens, n_batched, is_gone)

    def run(self, job: Job, then: Callable[[Context], T]) -> T | None:
        """Evaluate ``job.tokens`` and call ``then`` while their logits are valid.

        ``None`` when the job is gone before that. A more urgent job interrupts
        the evaluation, which goes on afterwards where it was.
        """
        while True:
            for number in self._seats.take(
                job.urgency, job.number, lambda: job.is_gone() or self._closed
            ):
                self._give_up_sequence(number)
            try:
                with self._turns.turn(job.urgency, job.is_gone, self._yield_now) as is_ours:
                    self.check_open()
                    if not is_ours or job.is_gone():
                        return None
                    if self._evaluate(job):
                        return then(self._context)
            finally:
                self._seats.rest(job.number)

    def interrupt(self, number: int) -> None:
        """Stop what job ``number`` computes now, because it is gone."""
        with self._guard:
            if self._running == number:
                self._context.abort.set(True)
        self._turns.nudge()
        self._seats.nudge()

    def release(self, number: int) -> None:
        """Let others have the sequence of job ``number``; its tokens stay warm."""
        self._give_up_sequence(number)
        self._seats.leave(number)

    def alter(self, change: Callable[[Context], None]) -> None:
        """Change the context between two turns, before all who wait."""
        with self._turns.turn(-1, lambda: False, lambda: None):
            self.check_open()
            change(self._context)

    def check_open(self) -> None:
        if self._closed:
            raise EngineFailed("the engine is closed; start it again to complete more")

    def close(self) -> None:
        """End what runs and free the context. Safe while streams run, and twice."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._context.abort.set(True)
        with self._turns.turn(-1, lambda: False, lambda: None):
            self._context.close()

    def _give_up_sequence(self, number: int) -> None:
        for slot in self._context.slots:
            if slot.owner == number:
                slot.owner = 0

    def _evaluate(self, job: Job) -> bool:
        """Evaluate what is missing; false when interrupted."""
        slot, unread = job.slot, len(job.tokens) - job.n_read
        if slot is None or slot.owner != job.number:  # at the start, or taken by another
            slot = job.slot = self._context.place(
                job.tokens,
                job.n_batched,
                job.number,
                comes_back=job.urgency != Priority.REVIEW,
            )
            self._context.cut(slot, unread)
        while True:
            n_done = len(slot.tokens)
            end = next_batch_end(n_done, job.n_batched, self._n_most(job))
            batch = job.tokens[n_done : min(end, unread) if n_done < unread else end]
            if not self._decode(job, slot, batch):
                return False
            job.n_evaluated += len(batch)
            self._is_hurried &= len(slot.tokens) < job.n_batched
            if len(slot.tokens) == len(job.tokens):
                return True
            if self._turns.is_wanted(job.urgency):
                return False

    def _n_most(self, job: Job) -> int:
        """Tokens in a batch; any multiple of the grain gives the same bits."""
        if not self._is_hurried or job.n_read > 1:
            return self._n_ubatch
        n_fitting = int((self.prompt_tokens_per_s or 0) * _BETWEEN_KEYS_S)
        return min(self._n_ubatch, max(GRAIN, n_fitting // GRAIN * GRAIN))

    def _decode(self, job: Job, slot: Slot, batch: list[int]) -> bool:
        with self._guard:
            self._running = job.number
            # A single token is over sooner than giving way to others would pay.
            self._may_yield = len(batch) > 1
            self._context.abort.set(self._closed or job.is_gone())
        try:
            if self._may_yield and self._turns.is_wanted(job.urgency - 1):
                return False
            is_last = len(slot.tokens) + len(batch) == len(job.tokens)
            started_s = time.perf_counter()
            is_done = self._context.evaluate(slot, batch, n_logits=job.n_read if is_last else 0)
            self._is_hurried |= not is_done and len(batch) > 1
            if is_done and len(batch) >= _TELLING_BATCH:
                self._n_measured += len(batch)
                self._measured_s += time.perf_counter() - started_s
            return is_done
        finally:
            with self._guard:
                self._running = 0

    def _yield_now(self) -> None:
        with self._guard:
            if self._may_yield:
                self._context.abort.set(True)
