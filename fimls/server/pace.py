"""How eagerly to complete: the pause before a request, and what battery and load ask for.

Pure functions decide; ``Pace`` remembers what they need. For the event loop only.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fimls.config import CompletionOptions
from fimls.fim import Completion
from fimls.machine import CpuMeter, CpuReading, on_battery
from fimls.server.jobs import in_thread

# People type a key every 100 to 250 ms. A first token that comes sooner than the next key is
# worth asking for at every key; one that comes later is mostly thrown away with it.
QUICK_MS, MOST_PAUSE_MS = 100.0, 250.0
# Of so many answers the lower quartile, which is what a key costs where the place is warm: one
# in a cold place must not make the keys after it wait, since what it evaluated is kept.
N_ANSWERS, N_TELLING = 9, 4
# With others using so much of the processors we spare them, until they use clearly less.
BUSY_SHARE, QUIET_SHARE = 0.4, 0.25
SPARING_PAUSE_MS = 150.0
# The machine is looked at this often while somebody types; a share is of the time between looks.
LOOK_S, STALE_S = 5.0, 60.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a look at the machine told; ``others_share`` is ``None`` until there were two."""

    on_battery: bool = False
    others_share: float | None = None


@dataclass(frozen=True, slots=True)
class Eagerness:
    """How long to wait before a request is worked on, how much to write, and why not more."""

    pause_ms: float
    n_predict: int
    reason: str = ""


def auto_pause_ms(first_token_ms: Sequence[float]) -> float:
    """The pause for an engine that took so long to its first tokens lately; 0 for a quick one.

    The first few say nothing yet: their places are cold for any engine.
    """
    if len(first_token_ms) < N_TELLING:
        return 0.0
    typical_ms = sorted(first_token_ms)[(len(first_token_ms) - 1) // 4]
    return min(MOST_PAUSE_MS, max(0.0, (typical_ms - QUICK_MS) / 2))


def why_spare(around: Surroundings, *, was_busy: bool) -> tuple[str, bool]:
    """Why to do less, empty for no reason; and whether others are busy now."""
    share = around.others_share
    is_busy = share is not None and share >= (QUIET_SHARE if was_busy else BUSY_SHARE)
    reasons = ["on battery"] * around.on_battery + ["the processors are busy"] * is_busy
    return " and ".join(reasons), is_busy


def eagerness(
    options: CompletionOptions, first_token_ms: Sequence[float], reason: str
) -> Eagerness:
    """As the settings say, with half of the tokens and a longer pause for a ``reason``."""
    is_auto = options.debounce_ms < 0
    pause_ms = auto_pause_ms(first_token_ms) if is_auto else float(options.debounce_ms)
    if not reason or not options.economy:
        return Eagerness(pause_ms, options.n_predict)
    if is_auto:
        pause_ms = max(SPARING_PAUSE_MS, 2 * pause_ms)
    return Eagerness(pause_ms, max(1, options.n_predict // 2), f"{reason}: shorter completions")


class Lookout:
    """Looks at the machine; keeps what the next look is compared with."""

    def __init__(self) -> None:
        self._meter = CpuMeter()
        self._last: CpuReading | None = None

    def __call__(self, pids: Iterable[int]) -> Surroundings:
        """Blocks for a moment: some batteries take 50 ms to answer."""
        last, now = self._last, self._meter.read(pids)
        self._last = now
        is_fresh = last is not None and now.at_s - last.at_s <= STALE_S
        share = self._meter.others_share(last, now) if last is not None and is_fresh else None
        return Surroundings(on_battery(), share)


class Pace:
    """A session's pace; ``look`` is called in a thread of its own."""

    def __init__(self, look: Callable[[Iterable[int]], Surroundings] | None = None) -> None:
        self._look = look or Lookout()
        self._looked_at_s = -LOOK_S
        self._looking: asyncio.Future[Surroundings] | None = None
        self._first_token_ms: deque[float] = deque(maxlen=N_ANSWERS)
        self._is_busy = False
        self._reason = ""

    def add(self, completion: Completion) -> None:
        """An answer was computed: how soon it began is what the pause is made from."""
        if not completion.cached and completion.n_generated:
            self._first_token_ms.append(completion.t_first_token_ms)

    def eagerness(self, options: CompletionOptions, pids: Iterable[int] = ()) -> Eagerness:
        """For a request that comes now; ``pids`` are processes that compute for us."""
        if options.economy:
            self._look_again(pids)
        return eagerness(options, self._first_token_ms, self._reason)

    def may_work_idly(self, options: CompletionOptions) -> bool:
        """Whether the machine has time for what nobody has asked for."""
        return not (options.economy and self._reason)

    def _look_again(self, pids: Iterable[int]) -> None:
        now_s = time.monotonic()
        if self._looking is not None or now_s - self._looked_at_s < LOOK_S:
            return
        self._looked_at_s = now_s
        known = tuple(pids)
        self._looking = in_thread(lambda: self._look(known))
        self._looking.add_done_callback(self._looked)

    def _looked(self, looking: asyncio.Future[Surroundings]) -> None:
        self._looking = None
        if not looking.cancelled() and looking.exception() is None:
            self._reason, self._is_busy = why_spare(looking.result(), was_busy=self._is_busy)
