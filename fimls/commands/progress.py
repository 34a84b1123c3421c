"""Progress of a download on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from fimls.models import Progress, Report

# Without a terminal, a log wants few lines.
_LINE_EVERY_S = 5.0


@contextmanager
def showing(what: str) -> Iterator[Report]:
    """A ``report`` for ``fimls.models.pull`` that shows ``what`` is going on."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with _bar(console, what) as report:
            yield report
    else:
        yield _lines(console, what)


@contextmanager
def _bar(console: Console, what: str) -> Iterator[Report]:
    from rich import progress as parts  # noqa: PLC0415 - only on terminals

    columns = (
        parts.TextColumn("{task.description}"),
        parts.BarColumn(),
        parts.DownloadColumn(),
        parts.TransferSpeedColumn(),
        parts.TimeRemainingColumn(),
    )
    with parts.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def report(now: Progress) -> None:
            if now.note:
                console.print(f"{what}: {now.note}", style="dim", markup=False)
            if now.phase:
                bar.update(
                    task,
                    description=f"{what}: {now.phase}",
                    completed=now.done,
                    total=now.total,
                )

        yield report


def _lines(console: Console, what: str) -> Report:
    said = 0.0

    def report(now: Progress) -> None:
        nonlocal said
        if now.note:
            console.print(f"{what}: {now.note}", markup=False, soft_wrap=True)
        moment = time.monotonic()
        if not now.phase or moment - said < _LINE_EVERY_S:
            return
        said = moment
        of = f" of {now.total / 1e6:,.0f}" if now.total else ""
        console.print(f"{what}: {now.phase}, {now.done / 1e6:,.0f}{of} MB", soft_wrap=True)

    return report
