"""``fimls bench endurance``: whether a server grows with what is typed.

The shipped sessions are typed over and over, each time as files that were never seen before:
opened, edited key by key with a request behind each, closed. The engine is scripted, so that
a million keys are a matter of hours and not of weeks; what a model keeps is bounded by its
context and by ``engine.memory_mb``. Reported is the memory of the server's processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fimls.arguments import at_least
from fimls.bench.load import words
from fimls.bench.sessions import Pace
from fimls.config import Source

N_REPORTS = 10
SCRIPTED = """\
[completion]
engine = "script"
template = "qwen2.5-coder"
economy = false
[engines.script]
kind = "scripted"
answer = "value = other.value\\nmore(value)\\n"
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """After so many keys the server's processes hold so much memory (resident)."""

    n_keys: int
    rss_mb: float


async def endure(command: Sequence[str], n_keys: int) -> AsyncIterator[Mark]:
    """Type ``n_keys`` keys into the server that ``command`` starts."""
    from fimls.bench import sessions  # noqa: PLC0415 - see fimls.cli
    from fimls.bench.editor import Editor  # noqa: PLC0415
    from fimls.bench.family import rss_mb  # noqa: PLC0415

    shipped = sessions.load_all(sessions.SHIPPED)
    n_typed = n_told = 0
    async with Editor.start(command, Path.cwd(), asks_costs=False) as editor:
        while n_typed < n_keys:
            for session in shipped:
                fresh = replace(session, name=f"{session.name}-{n_typed}")
                await editor.play(fresh, "server", Pace.FULL)
                n_typed += len(session.events)
            if n_typed * N_REPORTS >= (n_told + 1) * n_keys or not n_told:
                n_told += 1
                yield Mark(n_typed, rss_mb(editor.pid))


def growth_kb(marks: Sequence[Mark]) -> float | None:
    """Kilobytes a thousand keys, over the second half of a run; ``None`` for a short one."""
    later = marks[len(marks) // 2 :]
    if len(later) < 2:
        return None
    n_keys = later[-1].n_keys - later[0].n_keys
    return 1_000 * (later[-1].rss_mb - later[0].rss_mb) * 1024 / n_keys


def add_parser(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    parser = kinds.add_parser(
        "endurance",
        parents=[common],
        help="whether a server's memory grows with what is typed",
        description=(
            "Type the shipped sessions over and over, as ever new files, into a server whose "
            "engine is scripted; report its memory."
        ),
    )
    parser.add_argument(
        "--keys", metavar="N", type=at_least(1), default=20_000, help="default: 20000, some minutes"
    )
    parser.add_argument(
        "--server", metavar="COMMAND", default="", help="any language server on stdio"
    )
    parser.add_argument("--json", metavar="OUT", type=Path, help="the figures")
    parser.set_defaults(bench=run)


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    del sources  # the engine is ours
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.toml"
        config.write_text(SCRIPTED, encoding="utf-8")
        ours = [sys.executable, "-m", "fimls", "--stdio", "--config", str(config)]
        marks = asyncio.run(_follow(words(args.server) or ours, args.keys))
    grown = growth_kb(marks)
    told = "not measured: too few keys" if grown is None else f"{grown:,.1f} kB a thousand keys"
    print(f"growth over the second half: {told}")
    if args.json is not None:
        facts = {"marks": [asdict(mark) for mark in marks], "growth_kb_per_1000_keys": grown}
        args.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


async def _follow(command: Sequence[str], n_keys: int) -> list[Mark]:
    marks = []
    async for mark in endure(command, n_keys):
        marks.append(mark)
        print(f"{mark.n_keys:>9,} keys  {mark.rss_mb:,.1f} MB", flush=True)
    return marks
