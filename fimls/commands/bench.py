"""``fimls bench``: how fast, measured through the protocol that editors speak."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fimls.arguments import at_least
from fimls.bench import endurance
from fimls.bench import load as load_test
from fimls.bench.sessions import PACES, Pace
from fimls.cancel import Cancel
from fimls.commands.results import make_room
from fimls.config import Config, Source, load

if TYPE_CHECKING:
    from fimls.bench.replay import Outcome, Plan
    from fimls.bench.sessions import Session

INTERRUPTED = 130  # as shells count it: 128 and the signal


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "bench",
        help="measure speed through LSP, against any server",
        description="Measure speed through LSP, against any server.",
    )
    kinds = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", required=True)
    replay = kinds.add_parser(
        "replay",
        parents=[common],
        help="recorded typing, replayed through LSP and, in the same run, against a peer",
        description=(
            "Replay recorded typing through LSP against a language server and, in the same "
            "run and alternating, against llama-server as llama.vim drives it."
        ),
    )
    replay.add_argument(
        "--sessions", metavar="DIR", type=Path, help="typing sessions (default: the shipped ones)"
    )
    replay.add_argument("--only", metavar="TEXT", default="", help="sessions with TEXT in the name")
    replay.add_argument(
        "--limit",
        metavar="N",
        type=at_least(0),
        default=0,
        help="events a session (0: all of them)",
    )
    replay.add_argument(
        "--server", metavar="COMMAND", default="",
        help="any language server on stdio (default: this fimls with its settings)",
    )  # fmt: skip
    replay.add_argument(
        "--peer",
        metavar="PROGRAM",
        default="",
        help="path or name of llama-server; none if left out",
    )
    replay.add_argument(
        "--peer-ctx", metavar="N", type=at_least(256), default=8192, help="its context"
    )
    replay.add_argument(
        "--pace", type=Pace, choices=list(Pace), default=Pace.FULL, help=PACES,
    )  # fmt: skip
    replay.add_argument(
        "--check-text", action="store_true",
        help="measure nothing: compute every prompt again without what was warm, and compare",
    )  # fmt: skip
    replay.add_argument("--each", action="store_true", help="print a row for each request")
    replay.add_argument("--json", metavar="OUT", type=Path, help="every record, and the figures")
    replay.set_defaults(bench=_replay)
    load_test.add_parser(kinds, common)
    endurance.add_parser(kinds, common)
    engine = kinds.add_parser(
        "engine",
        parents=[common],
        help="what of a token's time is ours, and how soon the engine lets go",
        description=(
            "Measure the embedded engine in one run: our loop against a bare one, the delay of "
            "cancelling, the watcher on a long file, and a server's answers meanwhile."
        ),
    )
    engine.add_argument("--short", action="store_true", help="few repetitions: only to see it run")
    engine.add_argument("--json", metavar="OUT", type=Path, help="the figures")
    engine.set_defaults(bench=_engine)
    speculation = kinds.add_parser(
        "speculation",
        parents=[common],
        help="whether drafts looked up in the prompt would pay on this machine",
        description=(
            "Measure what batches of several tokens cost, complete lines of real code, and "
            "compute what drafts looked up in the prompt would have saved."
        ),
    )
    speculation.add_argument(
        "--places", metavar="N", type=at_least(1), default=36, help="completions (default: 36)"
    )
    speculation.add_argument("--json", metavar="OUT", type=Path, help="the figures")
    speculation.set_defaults(bench=_speculation)
    return parser


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    make_room(args.json)
    try:
        status: int = args.bench(args, sources)
    except KeyboardInterrupt:
        print("broken off", file=sys.stderr)
        return INTERRUPTED
    return status


def _replay(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    from fimls import models  # noqa: PLC0415 - see fimls.cli
    from fimls.bench import report, sessions  # noqa: PLC0415
    from fimls.bench.replay import Outcome, Plan  # noqa: PLC0415

    config = load(sources)
    found = sessions.load_all(args.sessions or sessions.SHIPPED)
    chosen = [session.first(args.limit) for session in found if args.only in session.name]
    if args.check_text:
        return _check_text(config, chosen)
    n_threads = config.engine.n_threads or min(os.cpu_count() or 1, 8)
    # A process of its own: one that is shared would be nobody's in the account of CPU seconds.
    ours = [sys.executable, "-m", "fimls", "--stdio", *load_test.passed_on(args),
            "--set", f"engine.n_threads={n_threads}",
            "--set", f"engine.n_threads_batch={n_threads}",
            "--set", "engine.process=own", "--set", "completion.economy=false"]  # fmt: skip
    theirs = load_test.words(args.server)
    if not theirs:
        _calibrate(config, n_threads)
    plan = Plan(
        sessions=chosen,
        command=theirs or ours,
        peer=args.peer,
        model=models.resolve(config.completion.model, models.models_dir(config.models)),
        n_threads=n_threads,
        n_ctx=args.peer_ctx,
        pace=args.pace,
    )

    outcome, n_printed = Outcome(), 0
    if args.each:
        print(report.head(), flush=True)

    def tell() -> None:
        nonlocal n_printed
        if args.json is not None:
            text = json.dumps(report.facts(outcome, plan), indent=1) + "\n"
            args.json.write_text(text, encoding="utf-8")
        if args.each:
            print("\n".join(map(report.row, outcome.records[n_printed:])), flush=True)
            n_printed = len(outcome.records)

    try:
        asyncio.run(_follow(plan, outcome, tell))
    finally:  # broken off, by hand or by a server that ends: what there is counts
        if outcome.costs:
            report.show(outcome, plan)
            if not args.each:
                print("each request: --each prints them, --json keeps them")
    return 0


def _calibrate(config: Config, n_threads: int) -> None:
    """Measure the machine before, or the server would do so while the peer has its turn."""
    from fimls import assembly, models  # noqa: PLC0415 - see fimls.cli
    from fimls.engine.embedded import calibration, open_embedded  # noqa: PLC0415
    from fimls.engine.embedded.measuring import Calibrator  # noqa: PLC0415

    path = models.resolve(config.completion.model, models.models_dir(config.models))
    chosen = assembly.embedded_settings(config.engine)
    settings = replace(chosen, n_threads=n_threads, n_threads_batch=n_threads)
    folder = assembly.calibrations_dir()
    known = calibration.load(folder, path, settings)
    if known is None or known.was_busy:
        with contextlib.closing(open_embedded(path, settings)) as engine:
            Calibrator(engine, path, settings, folder).measure(Cancel())


def _check_text(config: Config, sessions: Sequence[Session]) -> int:
    from fimls import assembly, models  # noqa: PLC0415 - see fimls.cli
    from fimls.bench import exact  # noqa: PLC0415
    from fimls.engine.embedded import open_embedded  # noqa: PLC0415

    completion = replace(config.completion, temperature=0.0)
    path = models.resolve(completion.model, models.models_dir(config.models))
    settings = assembly.embedded_settings(config.engine)
    choose = partial(assembly.choose_template, completion.template, completion.model)
    with contextlib.closing(open_embedded(path, settings)) as engine:
        takes = []
        for take in exact.record(engine, completion, choose, sessions):
            takes.append(take)
            print(f"{take.session}: {len(takes)} prompts", file=sys.stderr, flush=True)
    n_warm = sum(take.usage.n_prompt - take.usage.n_evaluated for take in takes)
    n_different = 0
    cold = replace(settings, n_sequences=1, memory_mb=0)
    with contextlib.closing(open_embedded(path, cold)) as engine:
        for number, (take, is_same) in enumerate(exact.computed_cold(takes, engine), start=1):
            n_different += not is_same
            told = "the same" if is_same else "DIFFERENT"
            print(f"{number} of {len(takes)}: {told}", file=sys.stderr, flush=True)
            if not is_same:
                print(f"{take.session}: another text, or other probabilities, for this prompt:")
                print(take.request.prompt.text)
    n_all = sum(take.usage.n_prompt for take in takes)
    print(
        f"{len(sessions)} sessions, {len(takes)} prompts of {n_all:,} tokens, {n_warm:,} of them "
        f"warm: {n_different or 'none'} computed otherwise without what was warm"
    )
    return int(n_different > 0)


def _engine(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    from fimls import assembly, models  # noqa: PLC0415
    from fimls.bench.engine import measure  # noqa: PLC0415
    from fimls.bench.records import NOT_MEASURED  # noqa: PLC0415
    from fimls.engine.embedded import open_embedded  # noqa: PLC0415

    config = load(sources)
    name = config.completion.model
    path = models.resolve(name, models.models_dir(config.models))
    figures = []
    settings = assembly.embedded_settings(config.engine)
    with contextlib.closing(open_embedded(path, settings)) as engine:
        print(f"{path.name}, {engine.settings.n_threads} threads", flush=True)
        for figure in measure(engine, str(path), short=args.short):
            figures.append(figure)
            value = NOT_MEASURED if figure.value is None else f"{figure.value:,.2f} {figure.unit}"
            target = "" if figure.target is None else f"  (at most {figure.target:g})"
            mark = {True: "ok", False: "!!", None: "--"}[figure.is_met]
            print(f"{mark} {figure.name}: {value}{target} {figure.why}".rstrip(), flush=True)
    if args.json is not None:
        facts = [asdict(figure) for figure in figures]
        args.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


def _speculation(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    from fimls import assembly, models  # noqa: PLC0415
    from fimls.bench import speculation  # noqa: PLC0415
    from fimls.bench.engine import code_tokens  # noqa: PLC0415
    from fimls.engine.embedded import open_embedded  # noqa: PLC0415

    config = load(sources)
    options = config.completion
    path = models.resolve(options.model, models.models_dir(config.models))
    with contextlib.closing(
        open_embedded(path, assembly.embedded_settings(config.engine))
    ) as engine:
        costs = speculation.batch_costs(engine, code_tokens(engine), 25)
        print(f"{path.name}, {engine.settings.n_threads} threads: what a batch costs")
        print("\n".join(f"  {n} tokens: {cost:.2f} single tokens" for n, cost in costs.items()))
        choose = partial(assembly.choose_template, options.template, options.model)
        found = []
        for sample in speculation.samples(engine, choose, options, args.places):
            found.append(sample)
            print(f"\r{len(found)} of {args.places} places", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    gains = speculation.gains(found, costs)
    print("n-gram, draft: drafted tokens that were right; speed-up, with texts unchanged for sure")
    for gain in gains:
        print(
            f"  {gain.shortest} to {gain.longest}, {gain.n_draft}: {gain.accepted:.0%}; "
            f"{gain.speedup:.2f}, {gain.exact_speedup:.2f}"
        )
    if args.json is not None:
        facts = {"batch_costs": costs, "gains": [asdict(gain) for gain in gains]}
        args.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


async def _follow(plan: Plan, outcome: Outcome, told: Callable[[], None]) -> None:
    """Replay; what was ``told`` of each session stays where a run is broken off."""
    from fimls.bench.replay import replay  # noqa: PLC0415

    n_done = 0
    async for name in replay(plan, outcome):
        n_done += 1
        print(f"{n_done} of {len(plan.sessions)}: {name}", file=sys.stderr, flush=True)
        told()
