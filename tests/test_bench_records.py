"""The figures of a replay: over what was computed, and over all that a person waited for."""

from __future__ import annotations

import pytest

from fimls.bench.records import Cost, Record, summary


def test_a_cached_answer_counts_as_its_own_time() -> None:
    """First tokens there are only where something was computed; the other figure is of all."""
    computed = Record("s", "server", "key", "x", 900.0, n_generated=5, t_first_token_ms=300.0)
    cached = Record("s", "server", "key", "x", 4.0, n_generated=0, cached=True)
    nothing = Record("s", "server", "key", "", 50.0, n_generated=0)
    gone = Record("s", "server", "key", "", 9_000.0, cancelled=True)
    figures = summary([computed, cached, nothing, gone], [])
    assert figures["first token, ms"] == {"median": 300.0, "p95": 300.0}
    assert figures["first token or answer, ms"] == {"median": 50.0, "p95": 300.0}
    assert figures["answered from a cache"] == {"total": 1.0}
    assert figures["cancelled"] == {"total": 1.0}


@pytest.mark.parametrize(
    ("costs", "mean", "in_no_answer"),
    [
        ([Cost("s", "server", 1.0, 1.0, 30, 12), Cost("t", "server", 1.0, 1.0, 10, 8)], 20.0, 15.0),
        ([Cost("s", "server", 1.0, 1.0, 30, 12), Cost("t", "server", 1.0, 1.0)], None, None),
        ([], None, None),
    ],
    ids=["told", "not told of one", "broken off in the first"],
)
def test_what_is_in_no_answer_is_counted(
    costs: list[Cost], mean: float | None, in_no_answer: float | None
) -> None:
    """What was taken back tells no figures of its own: all that was computed less the answers."""
    records = [
        Record("s", "server", "key", "x", 9.0, n_evaluated=7, n_generated=4),
        Record("s", "server", "key", "x", 9.0, n_evaluated=3, n_generated=4, part=True),
        Record("t", "server", "key", "x", 1.0, n_evaluated=0, n_generated=0, cached=True),
        Record("t", "server", "key", "", 9.0, cancelled=True),
    ]
    figures = summary(records, costs)
    told = figures["tokens evaluated a session"]
    assert told == {"mean": mean, "in no answer": in_no_answer}
    assert figures["answered by a part"] == {"total": 1.0}
