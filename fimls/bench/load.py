"""``fimls bench load``: N people typing at once, each with a server, against one engine.

Every simulated person is a real ``fimls --stdio`` process, driven through LSP by an
editor without a screen that plays a recorded session at a person's pace: a request is
taken back when the next key comes before its answer, as editors do it. They differ in
what they type and in when they begin. Reported per N is what a person waits.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import shlex
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fimls.arguments import at_least
from fimls.bench.sessions import PACES, Pace
from fimls.config import Source, load
from fimls.errors import ConfigError

# Beginning together would make everybody's prompt cold at the same moment, and only then.
STAGGER_S = 0.7
DEFAULT_PEOPLE = "1,2,4,8"


@dataclass(frozen=True, slots=True)
class Crowd:
    """What ``n_people`` people saw. Times in milliseconds, from request to answer.

    ``n_superseded`` requests were taken back by the person's next key; ``n_empty`` were
    answered with nothing to say, or not at all.
    """

    n_people: int
    n_requests: int
    n_superseded: int
    n_empty: int
    t_p50_ms: float | None
    t_p90_ms: float | None
    t_p99_ms: float | None
    t_first_token_p50_ms: float | None
    n_tokens_per_s: float
    t_total_s: float


async def crowds(
    command: Sequence[str], sizes: Sequence[int], n_events: int, pace: Pace
) -> AsyncIterator[Crowd]:
    """One ``Crowd`` for each of ``sizes``; ``command`` starts a person's server."""
    for size in sizes:
        yield await _crowd(command, size, n_events, pace)


async def _crowd(command: Sequence[str], n_people: int, n_events: int, pace: Pace) -> Crowd:
    from fimls.bench import sessions  # noqa: PLC0415 - see fimls.cli
    from fimls.bench.editor import Editor  # noqa: PLC0415
    from fimls.bench.records import Record  # noqa: PLC0415

    shipped = sessions.load_all(sessions.SHIPPED)
    async with contextlib.AsyncExitStack() as stack:
        editors = [
            await stack.enter_async_context(Editor.start(command, Path.cwd()))
            for _ in range(n_people)
        ]

        async def type_along(number: int, editor: Editor) -> list[Record]:
            await asyncio.sleep(number * STAGGER_S if pace is Pace.HUMAN else 0)
            session = shipped[number % len(shipped)].first(n_events)
            return await editor.play(session, "", pace)

        started_s = time.perf_counter()
        played = await asyncio.gather(*map(type_along, range(n_people), editors))
        t_total_s = time.perf_counter() - started_s
    records = [record for person in played for record in person]
    answered = [record for record in records if not record.cancelled]
    said = [record for record in answered if record.text]
    # What was answered from what is known already waits for nobody.
    computed = [record.t_answer_ms for record in said if not record.cached]
    first = [r.t_first_token_ms for r in said if r.t_first_token_ms is not None]
    return Crowd(
        n_people=n_people,
        n_requests=len(records),
        n_superseded=len(records) - len(answered),
        n_empty=len(answered) - len(said),
        t_p50_ms=percentile(computed, 50),
        t_p90_ms=percentile(computed, 90),
        t_p99_ms=percentile(computed, 99),
        t_first_token_p50_ms=percentile(first, 50),
        n_tokens_per_s=sum(record.n_generated or 0 for record in answered) / t_total_s,
        t_total_s=t_total_s,
    )


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile: an observed value, not an interpolated one."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def add_parser(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    parser = kinds.add_parser(
        "load",
        parents=[common],
        help="N people typing at once, against one engine",
        description=(
            "Simulate people who type at once, each with a language server of their own, "
            "against the one engine that the settings name; report what they wait, per N."
        ),
    )
    parser.add_argument(
        "--people", metavar="N,N,…", default=DEFAULT_PEOPLE, help=f"default: {DEFAULT_PEOPLE}"
    )
    parser.add_argument(
        "--events", metavar="N", type=at_least(1), default=60, help="keys a person (default: 60)"
    )
    parser.add_argument(
        "--server", metavar="COMMAND", default="",
        help="any language server on stdio (default: this fimls with its settings)",
    )  # fmt: skip
    parser.add_argument(
        "--pace", type=Pace, choices=list(Pace), default=Pace.HUMAN, help=PACES,
    )  # fmt: skip
    parser.add_argument("--json", metavar="OUT", type=Path, help="the figures")
    parser.set_defaults(bench=run)


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    command = words(args.server)
    if not command:
        _check_engine(sources)
        command = [sys.executable, "-m", "fimls", "--stdio", *passed_on(args)]
    try:
        sizes = [int(size) for size in args.people.split(",")]
    except ValueError:
        raise ConfigError(f"--people {args.people}: write it as {DEFAULT_PEOPLE}") from None
    if min(sizes) < 1:
        raise ConfigError("--people: at least one must type")
    # pygls complains of each answer to a request that was taken back.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    found = asyncio.run(_follow(command, sizes, args.events, args.pace))
    if args.json is not None:
        facts = [asdict(crowd) for crowd in found]
        args.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


def _check_engine(sources: Sequence[Source]) -> None:
    """Raise ``ConfigError`` when each person would load a model of their own."""
    config = load(sources)
    if config.completion.engine == "embedded" and config.engine.process != "shared":
        raise ConfigError(
            "completion.engine is embedded: every simulated person would load the model; name "
            'an engine (completion.engine) or share one (engine.process = "shared")'
        )


def words(command: str) -> list[str]:
    """A ``--server`` as a shell would split it; raises ``ConfigError``. None of it: ours."""
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"--server {command}: {error}; quote it as for a shell") from error


def passed_on(args: argparse.Namespace) -> list[str]:
    """The settings of our own command line, for the servers we start."""
    passed = ["--config", args.config] if hasattr(args, "config") else []
    passed += [word for name in getattr(args, "profile", []) for word in ("--profile", name)]
    passed += ["--model", args.model] if hasattr(args, "model") else []
    return passed + [word for setting in getattr(args, "set", []) for word in ("--set", setting)]


async def _follow(
    command: Sequence[str], sizes: Sequence[int], n_events: int, pace: Pace
) -> list[Crowd]:
    heads = ("people", "requests", "superseded", "empty", "p50 ms", "p90 ms", "p99 ms",
             "first token p50 ms", "tokens/s")  # fmt: skip
    print(" | ".join(heads), flush=True)
    found = []
    async for crowd in crowds(command, sizes, n_events, pace):
        found.append(crowd)
        figures = (crowd.t_p50_ms, crowd.t_p90_ms, crowd.t_p99_ms, crowd.t_first_token_p50_ms)
        counts = (crowd.n_people, crowd.n_requests, crowd.n_superseded, crowd.n_empty)
        cells = [str(count) for count in counts]
        cells += ["–" if value is None else f"{value:,.0f}" for value in figures]
        cells.append(f"{crowd.n_tokens_per_s:,.1f}")
        widths = map(len, heads)
        print(" | ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)),
              flush=True)  # fmt: skip
    return found
