"""What a replay found out, for people and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from fimls.bench.records import NOT_MEASURED, Record, ratio, summary
from fimls.bench.replay import OURS, PEER, Outcome, Plan

UNKNOWN = "–"


def facts(outcome: Outcome, plan: Plan) -> dict[str, Any]:
    """All of it."""
    return {
        "command": list(plan.command),
        "model": plan.model.name,
        "n_threads": plan.n_threads,
        "pace": plan.pace.value,
        "figures": {name: summary(*outcome.of(name)) for name in (OURS, PEER)},
        "records": [asdict(record) for record in outcome.records],
        "costs": [asdict(cost) for cost in outcome.costs],
    }


def _how(record: Record) -> str:
    ways = {"cached": record.cached, "part": record.part, "taken back": record.cancelled}
    return ", ".join(way for way, is_so in ways.items() if is_so)


# Of each request: head, width (negative: flush left), cell. Fixed widths, since rows are printed
# as they come.
COLUMNS: tuple[tuple[str, int, Callable[[Record], object]], ...] = (
    ("session", -22, lambda record: record.session),
    ("", -6, lambda record: record.server),
    ("what", -9, lambda record: record.kind),
    ("prompt", 6, lambda record: record.n_prompt),
    ("evaluated", 9, lambda record: record.n_evaluated),
    ("generated", 9, lambda record: record.n_generated),
    ("first ms", 8, lambda record: record.t_first_token_ms),
    ("line ms", 8, lambda record: record.t_line_ms),
    ("answer ms", 9, lambda record: record.t_answer_ms),
    ("CPU ms", 7, lambda record: None if record.cpu_s is None else record.cpu_s * 1000),
    ("", -10, _how),
)


def head() -> str:
    """Above the rows: tokens, then times."""
    return _line([name for name, _, _ in COLUMNS])


def row(record: Record) -> str:
    return _line([_cell(cell(record)) for _, _, cell in COLUMNS])


def _line(cells: list[str]) -> str:
    widths = [width for _, width, _ in COLUMNS]
    padded = (
        cell.ljust(-width) if width < 0 else cell.rjust(width)
        for cell, width in zip(cells, widths, strict=True)
    )
    return " ".join(padded).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)


def show(outcome: Outcome, plan: Plan) -> None:
    """The figures side by side."""
    console = Console()
    console.print(_table(outcome, plan))
    figures = summary(*outcome.of(OURS))
    missing = [n for n, figure in figures.items() if all(v is None for v in figure.values())]
    if missing:
        console.print(f"{NOT_MEASURED}: the server does not tell {', '.join(missing)}")
    if not plan.peer:
        console.print(
            f"peer: {NOT_MEASURED}; give --peer llama-server to measure it in the same run"
        )


def _table(outcome: Outcome, plan: Plan) -> Table:
    n_done, n_all = len(outcome.of(OURS)[1]), len(plan.sessions)
    table = Table(
        title=f"{n_done} of {n_all} sessions, pace {plan.pace}, {plan.model.name}, "
        f"{plan.n_threads} threads"
    )
    table.add_column("per request")
    for name in ("server", "peer", "ratio"):
        table.add_column(name, justify="right")
    ours, theirs = (summary(*outcome.of(name)) for name in (OURS, PEER))
    for name, figure in ours.items():
        for cells in _rows(name, figure, theirs[name] if plan.peer else None):
            table.add_row(*cells)
    return table


def _rows(
    name: str, ours: Mapping[str, float | None], theirs: Mapping[str, float | None] | None
) -> list[list[str]]:
    rows = []
    for part, value in ours.items():
        label = name if part == "total" else f"{name} ({part})"
        other = None if theirs is None else theirs[part]
        share = ratio(value, other)
        peer = "" if theirs is None else _figure(other)
        rows.append([label, _figure(value), peer, "" if share is None else f"{share:.3f}"])
    return rows


def _figure(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.1f}"
