"""What completions cost and how they ended, in this session and on this machine.

Counts and times alone: nothing of the code, nothing that is kept or sent.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from fimls.fim import Completion

# Times are of the last so many computed answers: what it is like now, not since the morning.
MOST_TIMES = 1_000

_TOKENS = ("n_prompt", "n_evaluated", "n_generated", "n_discarded")
_TIMES = ("t_first_token_ms", "t_total_ms", "t_scope_ms")
_LAG = "t_lag_ms"


@dataclass(slots=True)
class Metrics:
    """Adds up the answers of one session.

    An answer was *cached* when nothing was computed for it, *empty* when there was nothing
    to show; the others were *offered*, and some of them, or parts of them, *accepted*.
    """

    n_cached: int = 0
    n_empty: int = 0
    n_offered: int = 0
    n_accepted: int = 0
    n_accepted_parts: int = 0  # the first line, the statement: not the whole
    stops: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    _times: dict[str, deque[float]] = field(
        default_factory=lambda: {name: deque(maxlen=MOST_TIMES) for name in (*_TIMES, _LAG)}
    )

    def add(self, completion: Completion) -> None:
        """Count an answer."""
        self.n_offered += bool(completion.text)
        self.n_empty += not completion.text
        if completion.cached:
            self.n_cached += 1
            return
        self.stops[completion.stop_reason.value] += 1
        for name in _TOKENS:
            self.tokens[name] += getattr(completion, name)
        for name in _TIMES:
            self._times[name].append(getattr(completion, name))

    def late(self, lag_ms: float) -> None:
        """A look at the event loop while something was computed: it came so late."""
        self._times[_LAG].append(lag_ms)

    def accept(self, grade: object = 0) -> None:
        """Count an item that was taken; the whole is grade 0."""
        self.n_accepted += 1
        self.n_accepted_parts += grade not in (0, "0")

    def facts(self) -> dict[str, Any]:
        """All of it, as JSON. Times in milliseconds; ``None`` where nothing was computed yet."""
        return {
            "n_answers": self.n_offered + self.n_empty,
            "n_cached": self.n_cached,
            "n_empty": self.n_empty,
            "n_offered": self.n_offered,
            "n_accepted": self.n_accepted,
            "n_accepted_parts": self.n_accepted_parts,
            "stops": dict(self.stops.most_common()),
            **{name: self.tokens[name] for name in _TOKENS},
            **{name: _middle_and_worst(times) for name, times in self._times.items()},
        }

    def __str__(self) -> str:
        """The same in a sentence, for people."""
        told = self.facts()
        answers = f"{told['n_answers']} answers ({self.n_cached} from memory, {self.n_empty} empty)"
        parts = [f"{answers}, {self.n_accepted} of {self.n_offered} accepted"]
        if self.stops:
            stops = ", ".join(f"{why} {n}" for why, n in self.stops.most_common())
            first, whole = told["t_first_token_ms"], told["t_total_ms"]
            parts += [
                f"stopped by {stops}",
                f"{told['n_generated']} tokens, {told['n_discarded']} of them not shown",
                f"first token {first['median']:.0f} ms (p95 {first['p95']:.0f})",
                f"in all {whole['median']:.0f} ms (p95 {whole['p95']:.0f})",
            ]
        return "; ".join(parts)


def _middle_and_worst(values: Collection[float]) -> dict[str, float] | None:
    """Median, 95th and 99th percentile, by nearest rank."""
    if not values:
        return None
    ordered = sorted(values)
    return {
        name: round(ordered[ceil(share * len(ordered)) - 1], 2)
        for name, share in (("median", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
