"""What a replay measures, and the figures made of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fimls.bench.sessions import Event

# Reads CPU seconds.
Meter = Callable[[], float]

# A figure that a server does not tell stays empty and is printed as what it is: not measured.
NOT_MEASURED = "not measured"


def kind_of(event: Event) -> str:
    """What the person did, in the words of the report."""
    if event.insert.startswith("\n"):
        return "newline"
    if len(event.insert) > 1:
        return "accept"
    if event.insert:
        return "key"
    return "backspace" if event.delete else "jump"


@dataclass(frozen=True, slots=True)
class Record:
    """One request of a replay. Times in milliseconds from the request on, counts in tokens.

    ``t_line_ms`` is when the first complete line could be shown; ``t_answer_ms`` when the
    answer arrived; ``cpu_s`` what the server used from the event that asked until then. Of a
    *part*, the beginning of a suggestion whose rest nobody waited for, all figures are those of
    the beginning; of one that was *cancelled*, the times are those until then. ``None`` where
    the server does not tell.
    """

    session: str
    server: str
    kind: str
    text: str
    t_answer_ms: float
    n_prompt: int | None = None
    n_evaluated: int | None = None
    n_generated: int | None = None
    t_first_token_ms: float | None = None
    t_line_ms: float | None = None
    cpu_s: float | None = None
    cached: bool = False
    part: bool = False
    cancelled: bool = False

    @property
    def t_first_ms(self) -> float:
        """What a person waits for: the first token, or an answer that needed none."""
        return self.t_answer_ms if self.t_first_token_ms is None else self.t_first_token_ms


@dataclass(frozen=True, slots=True)
class Cost:
    """What one session cost a server's processes.

    The tokens are all that its engine evaluated and generated, be it for what was taken back or
    for nobody yet; ``None`` where the server does not tell.
    """

    session: str
    server: str
    cpu_s: float
    rss_mb: float
    n_evaluated: int | None = None
    n_generated: int | None = None


def median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def percentile_95(values: Iterable[float | None]) -> float | None:
    """The nearest-rank percentile: an observed value, not an interpolated one."""
    known = sorted(value for value in values if value is not None)
    return known[max(0, -(-len(known) * 95 // 100) - 1)] if known else None


FIGURES: tuple[tuple[str, Callable[[Record], float | None]], ...] = (
    ("tokens evaluated", lambda record: record.n_evaluated),
    ("first token, ms", lambda record: record.t_first_token_ms),
    ("first token or answer, ms", lambda record: record.t_first_ms),
    ("first complete line, ms", lambda record: record.t_line_ms),
    ("answer, ms", lambda record: record.t_answer_ms),
    ("CPU until the answer, s", lambda record: record.cpu_s),
)


def summary(records: Sequence[Record], costs: Sequence[Cost]) -> dict[str, dict[str, float | None]]:
    """Medians and 95th percentiles over all answered requests.

    A first token there is only where something was computed; the first token *or answer*
    is over all of them, those from a cache included.
    """
    done = [record for record in records if not record.cancelled]
    rows: dict[str, dict[str, float | None]] = {}
    for name, figure in FIGURES:
        values = [figure(record) for record in done]
        rows[name] = {"median": median(values), "p95": percentile_95(values)}
    rows["requests"] = {"total": float(len(records))}
    rows["answered from a cache"] = {"total": float(sum(record.cached for record in done))}
    rows["answered by a part"] = {"total": float(sum(record.part for record in done))}
    rows["cancelled"] = {"total": float(len(records) - len(done))}
    for verb in ("evaluated", "generated"):
        rows[f"tokens {verb} a session"] = _in_all(f"n_{verb}", done, costs)
    rows["CPU, s per session"] = {
        "median": median(cost.cpu_s for cost in costs),
        "mean": _mean([cost.cpu_s for cost in costs]),
    }
    rows["memory, MB"] = {"total": max((cost.rss_mb for cost in costs), default=None)}
    per_token = [
        (record.t_answer_ms - record.t_first_token_ms) / (record.n_generated - 1)
        for record in done
        if record.t_first_token_ms is not None and record.n_generated and record.n_generated > 4
    ]
    rows["generation, ms per token"] = {"median": median(per_token)}
    return rows


def _in_all(name: str, done: Sequence[Record], costs: Sequence[Cost]) -> dict[str, float | None]:
    """The mean of a session; of that, what was for no answer: taken back, or prepared ahead."""
    in_all = _mean([getattr(cost, name) for cost in costs])
    answered = sum(getattr(record, name) or 0 for record in done)
    rest = None if in_all is None else in_all - answered / len(costs)
    return {"mean": in_all, "in no answer": rest}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def ratio(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or not theirs else ours / theirs
