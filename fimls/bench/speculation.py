"""``fimls bench speculation``: whether drafts that are looked up in the prompt would pay here.

Text repeats itself: what followed the last few tokens earlier on can be drafted, and all
of the draft be evaluated in one batch. Measured: what a batch of several tokens costs
against a single one. Simulated on what the model really wrote: which drafts would have
been right. The engine does not do it; see docs/benchmarks.md for why.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fimls.bench.sessions import SHIPPED
from fimls.bench.sessions import load_all as load_sessions
from fimls.cancel import Cancel
from fimls.document import Snapshot

if TYPE_CHECKING:
    from fimls.config import CompletionOptions
    from fimls.engine.embedded.engine import EmbeddedEngine
    from fimls.prompting import ChooseTemplate

BATCHES = (1, 2, 3, 4, 6, 8)
N_CONTEXT = 1024
# The lengths that are tried: (longest n-gram looked up, shortest), tokens drafted.
NGRAMS = ((2, 2), (3, 2), (3, 3), (4, 2), (4, 3), (4, 4))
DRAFTS = (2, 3, 5, 7)
# Batches of 2 to 8 tokens move the largest logits by 0.3 to 0.5 (see engine/embedded/slots.py):
# the first two keep their order where their distance is above twice that, so from a probability
# of 0.75 on, where it is at least ln 3.
SURE = math.log(0.75)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the model wrote behind a prompt, and the logarithms of its probabilities."""

    prompt: Sequence[int]
    written: Sequence[int]
    logprobs: Sequence[float]


@dataclass(frozen=True, slots=True)
class Gain:
    """How many times as fast, for texts that may differ and for texts that may not.

    ``accepted`` is the share of drafted tokens that were right.
    """

    longest: int
    shortest: int
    n_draft: int
    accepted: float
    speedup: float
    exact_speedup: float


def batch_costs(engine: EmbeddedEngine, tokens: Sequence[int], n_rounds: int) -> dict[int, float]:
    """What a batch costs, in single tokens: the median over rounds in which they take turns."""
    bare = engine.bare(2 * N_CONTEXT)
    ratios: dict[int, list[float]] = {n: [] for n in BATCHES}
    try:
        bare.begin(tokens[:N_CONTEXT])
        for _ in range(n_rounds):
            times_ms = {n: bare.batch_ms(tokens[N_CONTEXT : N_CONTEXT + n]) for n in BATCHES}
            for n, time_ms in times_ms.items():
                ratios[n].append(time_ms / times_ms[1])
    finally:
        bare.close()
    return {n: statistics.median(values) for n, values in ratios.items()}


def samples(
    engine: EmbeddedEngine, choose: ChooseTemplate, options: CompletionOptions, n_places: int
) -> Iterator[Sample]:
    """Completions of lines taken out of the shipped sessions' texts, as a person would get them."""
    from fimls.bench.exact import Recorder  # noqa: PLC0415
    from fimls.completer import Completer  # noqa: PLC0415

    recorder = Recorder(engine)
    completer = Completer(recorder, options, choose)
    chance = random.Random(1)  # noqa: S311 - places are no secret
    sessions = load_sessions(SHIPPED)
    for number in range(n_places):
        session = sessions[number % len(sessions)]
        lines = session.text.splitlines(keepends=True)
        full = [n for n, line in enumerate(lines) if n > 10 and len(line.strip()) > 8]
        line = chance.choice(full)
        before = "".join(lines[:line])
        before += lines[line][: len(lines[line]) - len(lines[line].lstrip())]
        after = "\n" + "".join(lines[line + 1 :])
        uri = f"file:///bench/{number}/{session.path}"
        document = Snapshot(uri, session.language, 0, before + after, session.path)
        completer.complete(document, len(before), Cancel(), invoked=True)
        *_, stream = recorder.streams
        pieces = [piece for piece in stream.pieces if piece.logprob is not None]
        yield Sample(
            stream.request.prompt.tokens,
            [piece.token for piece in pieces],
            [piece.logprob for piece in pieces if piece.logprob is not None],
        )


def draft(tokens: Sequence[int], longest: int, shortest: int, n_draft: int) -> Sequence[int]:
    """What followed the last tokens where they stood before, the latest place first."""
    for n in range(min(longest, len(tokens) - 1), shortest - 1, -1):
        tail = tokens[-n:]
        for start in range(len(tokens) - n - 1, -1, -1):
            if tokens[start : start + n] == tail:
                return tokens[start + n : start + n + n_draft]
    return ()


def gain(
    found: Sequence[Sample],
    costs: Mapping[int, float],
    longest: int,
    shortest: int,
    n_draft: int,
) -> Gain:
    """What drafts of up to ``n_draft`` tokens would have given on what was written.

    Exact: a token that is less than ``SURE`` may be another one after what was computed in a
    batch, so all since the first draft is computed again token by token before it.
    """
    single_cost = spent = again = 0.0
    n_drafted = n_right = 0
    for sample in found:
        seen, at, n_inexact = list(sample.prompt), 0, 0
        while at < len(sample.written):
            guess = draft(seen, longest, shortest, n_draft)
            n_ok = 0
            for guessed, written in zip(guess, sample.written[at:], strict=False):
                if guessed != written:
                    break
                n_ok += 1
            step = min(n_ok + 1, len(sample.written) - at)
            spent += _cost(costs, 1 + len(guess))
            n_drafted, n_right = n_drafted + len(guess), n_right + n_ok
            for logprob in sample.logprobs[at : at + step]:
                n_inexact += bool(guess) or n_inexact > 0
                if logprob < SURE:
                    again += n_inexact
                    n_inexact = 0
            seen += sample.written[at : at + step]
            at += step
        single_cost += len(sample.written)
    return Gain(
        longest,
        shortest,
        n_draft,
        accepted=n_right / n_drafted if n_drafted else 0.0,
        speedup=single_cost / spent if spent else 1.0,
        exact_speedup=single_cost / (spent + again) if spent else 1.0,
    )


def gains(found: Sequence[Sample], costs: Mapping[int, float]) -> list[Gain]:
    """Every combination that is tried, the best first."""
    all_of_them = [
        gain(found, costs, longest, shortest, n_draft)
        for longest, shortest in NGRAMS
        for n_draft in DRAFTS
    ]
    return sorted(all_of_them, key=lambda one: -one.speedup)


def _cost(costs: Mapping[int, float], n: int) -> float:
    """Between two sizes that were measured, on the line between them."""
    below = max(size for size in costs if size <= n)
    above = min(size for size in costs if size >= n)
    if above == below:
        return costs[n]
    return costs[below] + (costs[above] - costs[below]) * (n - below) / (above - below)
