"""The figures of a replay: over what was computed, and over all that a person waited for."""

from __future__ import annotations

from fimls.bench.records import Record, summary


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
