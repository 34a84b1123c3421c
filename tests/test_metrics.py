"""What a session adds up: answers, reasons, tokens, times."""

from __future__ import annotations

import json

from fimls.fim import Completion, StopReason
from fimls.metrics import MOST_TIMES, Metrics


def answer(
    text: str = "x", why: StopReason = StopReason.SCOPE, **facts: float | bool
) -> Completion:
    return Completion(text, why, **facts)  # type: ignore[arg-type]  # counts and times alike


def test_nothing_yet() -> None:
    told = Metrics().facts()
    assert told["n_answers"] == 0
    assert told["t_total_ms"] is None
    assert str(Metrics()) == "0 answers (0 from memory, 0 empty), 0 of 0 accepted"


def test_answers_are_counted_by_what_became_of_them() -> None:
    """Computed, cached, empty, offered, accepted in whole or in part."""
    metrics = Metrics()
    for completion in (
        answer(n_generated=12, n_discarded=1, n_prompt=200, n_evaluated=20),
        answer(why=StopReason.SUFFIX, n_generated=8, n_discarded=3, n_prompt=200, n_evaluated=2),
        answer("", StopReason.END, n_generated=1, n_discarded=1),
        answer(cached=True, n_generated=12, n_discarded=1),
    ):
        metrics.add(completion)
    metrics.accept(0)
    metrics.accept(2)
    told = metrics.facts()
    assert (told["n_answers"], told["n_cached"], told["n_empty"], told["n_offered"]) == (4, 1, 1, 3)
    assert (told["n_accepted"], told["n_accepted_parts"]) == (2, 1)
    assert told["stops"] == {"scope": 1, "suffix": 1, "end": 1}
    # What is cached was computed before, and is not counted twice.
    assert (told["n_generated"], told["n_discarded"]) == (21, 5)
    assert (told["n_prompt"], told["n_evaluated"]) == (400, 22)
    assert json.loads(json.dumps(told)) == told


def test_times_are_medians_and_observed_worst_cases() -> None:
    metrics = Metrics()
    for ms in range(1, 101):
        metrics.add(answer(t_first_token_ms=ms, t_total_ms=10 * ms, t_scope_ms=ms / 100))
    told = metrics.facts()
    assert told["t_first_token_ms"] == {"median": 50, "p95": 95, "p99": 99}
    assert told["t_total_ms"] == {"median": 500, "p95": 950, "p99": 990}
    assert told["t_scope_ms"] == {"median": 0.5, "p95": 0.95, "p99": 0.99}
    assert "first token 50 ms (p95 95)" in str(metrics)


def test_old_times_are_forgotten_and_counts_are_not() -> None:
    metrics = Metrics()
    for ms in (1_000.0,) * 5 + (1.0,) * MOST_TIMES:
        metrics.add(answer(t_total_ms=ms))
    assert metrics.facts()["t_total_ms"] == {"median": 1, "p95": 1, "p99": 1}
    assert metrics.facts()["n_answers"] == MOST_TIMES + 5
