"""Short measurements of a loaded model, made while nobody types; they choose the threads.

What is not measured, because measuring could not change it: micro-batches (128 tokens
run at full speed, larger ones only cancel later), flash attention (it would change texts
with what is cached, see ``slots``), and how threads wait (set before the library is
loaded, see ``waiting``).
"""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import count
from pathlib import Path

from fimls.cancel import Cancel
from fimls.engine.base import Priority, Request
from fimls.engine.embedded import calibration
from fimls.engine.embedded.calibration import Calibration
from fimls.engine.embedded.engine import EmbeddedEngine
from fimls.engine.embedded.settings import EmbeddedSettings
from fimls.engine.embedded.waiting import n_cores
from fimls.errors import EngineError
from fimls.fim import Prompt, Segment, SegmentKind
from fimls.machine import CpuMeter

# Nobody has asked for anything for so long before something is measured.
_QUIET_S = 1.0
_LOOK_S = 0.5
# On a busy machine it is looked for a quiet moment, ever more rarely.
_AGAIN_S, _AGAIN_MOST_S = 10.0, 120.0
_N_PROMPT, _N_PREDICT = 64, 6
# A second round is made within this time; one round takes 1 s (0.5B) to 3 s (1.5B) on two cores.
_ENOUGH_S = 4.0
# Fewer threads leave processors to others, so they are taken when they cost less than this.
_AS_GOOD = 1.05


class Calibrator:
    """Applies what is known of a model, and finds out what is not, once, in the background."""

    def __init__(
        self, engine: EmbeddedEngine, path: Path, settings: EmbeddedSettings, folder: Path
    ) -> None:
        self._engine = engine
        self._path = path
        self._settings = settings
        self._folder = folder

    def start(self) -> None:
        known = calibration.load(self._folder, self._path, self._settings)
        if known is not None and known.was_busy:
            # Its speeds are better than nothing. Its threads were right beside what others did
            # then: half as many make a quiet machine half as fast, one too many costs a tenth.
            self._engine.calibration = known
        elif known is not None:
            apply(self._engine, known)
        if known is None or known.was_busy:
            threading.Thread(
                target=self._measure, args=(known,), name="fimls-calibration", daemon=True
            ).start()

    def measure(self, cancel: Cancel) -> Calibration | None:
        """Measure now, apply and keep it; ``None`` when taken back. Blocks for some seconds."""
        found = measure(self._engine, self._settings, cancel)
        if found is not None:
            calibration.store(self._folder, self._path, self._settings, found)
            apply(self._engine, found)
        return found

    def _measure(self, known: Calibration | None) -> None:
        """What others disturbed is better than nothing, and replaced when they leave us alone."""
        closing, meter = self._engine.closing, CpuMeter()
        pause_s = _AGAIN_S
        with contextlib.suppress(EngineError):  # closed meanwhile
            if known is None:
                known = self.measure(closing)
                closing.wait(pause_s)
            while (known is None or known.was_busy) and not closing.is_set():
                before = meter.read()
                closing.wait(_QUIET_S)
                if meter.others_share(before, meter.read()) < calibration.BUSY_SHARE:
                    known = self.measure(closing)
                closing.wait(pause_s)
                pause_s = min(2 * pause_s, _AGAIN_MOST_S)


def apply(engine: EmbeddedEngine, known: Calibration) -> None:
    """Compute as ``known`` says from now on."""
    engine.use_threads(known.n_threads, known.n_threads_batch)
    engine.calibration = known


def measure(
    engine: EmbeddedEngine, settings: EmbeddedSettings, cancel: Cancel
) -> Calibration | None:
    """Try what ``settings`` leave open. Waits while others use the engine; leaves it as it was.

    ``None`` when ``cancel`` was set, or the model says nothing. Raises ``EngineError``.
    """
    usual = engine.settings.n_threads, engine.settings.n_threads_batch or engine.settings.n_threads
    bench = _Bench(engine, cancel)
    meter = CpuMeter()
    try:
        bench.trial(*usual)  # touches the weights: what is read from disk says nothing of speed
        bench.forget()
        started_s, before = time.monotonic(), meter.read()
        pairs = _pairs(settings)
        # The second round in reverse: a machine that slows down meanwhile is fair to all.
        for order in (pairs, pairs[::-1]):
            for pair in order:
                bench.trial(*pair)
            if time.monotonic() - started_s > _ENOUGH_S:
                break
        share = meter.others_share(before, meter.read())
    finally:
        with contextlib.suppress(EngineError):
            engine.use_threads(*usual)
    if cancel.is_set() or not bench.decode_ms or not bench.prompt_rates:
        return None
    decode_ms = {n: statistics.median(values) for n, values in bench.decode_ms.items()}
    rates = {n: statistics.mean(values) for n, values in bench.prompt_rates.items()}
    n_threads = fewest(decode_ms)
    n_threads_batch = fewest({n: 1 / rate for n, rate in rates.items()})
    return Calibration(
        n_threads=n_threads,
        n_threads_batch=n_threads_batch,
        prompt_tokens_per_s=round(rates[n_threads_batch], 1),
        ms_per_token=round(decode_ms[n_threads], 2),
        others_share=round(share, 3),
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        decode_ms={n: round(value, 2) for n, value in sorted(decode_ms.items())},
        prompt_rates={n: round(value, 1) for n, value in sorted(rates.items())},
    )


def candidates(n_cores: int) -> list[int]:
    """Numbers of threads worth a try: all cores, one left to others, half of them."""
    return sorted({n_cores, max(1, n_cores - 1), max(1, n_cores // 2)}, reverse=True)


def fewest(costs: dict[int, float]) -> int:
    """The fewest threads that are as good as the best number of them."""
    least = min(costs.values())
    return min(n for n, cost in costs.items() if cost <= least * _AS_GOOD)


def prompt_rate(first_s: float, token_s: float) -> float:
    """Prompt tokens per second, where the first token came after ``first_s``.

    The last token of a prompt is evaluated by itself. On a busy machine that one can have
    been quicker than the others: it does not count for more than half of the time.
    """
    return _N_PROMPT / max(first_s - token_s, first_s / 2)


def _pairs(settings: EmbeddedSettings) -> Sequence[tuple[int, int]]:
    """Threads for single tokens and for batches, tried together; what is set stays set."""
    tried = candidates(n_cores())
    pairs = {(settings.n_threads or n, settings.n_threads_batch or n): None for n in tried}
    return list(pairs)


class _Bench:
    """Trials on an engine, and what they gave by number of threads."""

    def __init__(self, engine: EmbeddedEngine, cancel: Cancel) -> None:
        self._engine = engine
        self._cancel = cancel
        self._text = engine.vocabulary.tokenize(Path(__file__).read_text(encoding="utf-8"))
        self._numbers = count()
        self.decode_ms: dict[int, list[float]] = {}
        self.prompt_rates: dict[int, list[float]] = {}

    def forget(self) -> None:
        self.decode_ms.clear()
        self.prompt_rates.clear()

    def trial(self, n_threads: int, n_threads_batch: int) -> None:
        """A prompt and a few tokens, undisturbed; again from the start when somebody comes."""
        while not self._cancel.is_set():
            work = self._engine.idle_work(_QUIET_S)
            if work is None:
                self._cancel.wait(_LOOK_S)
                continue
            self._cancel.on_set(work.set)
            self._engine.use_threads(n_threads, n_threads_batch)
            times_s = self._times(work)
            if not work.is_set():
                break
        else:
            return
        if len(times_s) < 2:
            return  # the model ended at once; another prompt may do better
        token_s = statistics.median(times_s[1:])
        self.decode_ms.setdefault(n_threads, []).extend(1000 * t for t in times_s[1:])
        rate = prompt_rate(times_s[0], token_s)
        self.prompt_rates.setdefault(n_threads_batch, []).append(rate)

    def _times(self, work: Cancel) -> list[float]:
        # Each prompt begins elsewhere in the text: nothing of it is in the cache.
        start = next(self._numbers) * 17 % (len(self._text) - _N_PROMPT)
        tokens = tuple(self._text[start : start + _N_PROMPT + 1])
        prompt = Prompt((Segment(SegmentKind.SOURCE, "", tokens),))
        stream = self._engine.stream(Request(prompt, _N_PREDICT, priority=Priority.IDLE), work)
        times_s = []
        started_s = time.perf_counter()
        try:
            for _ in stream:
                now_s = time.perf_counter()
                times_s.append(now_s - started_s)
                started_s = now_s
        finally:
            stream.close()
        return times_s
