"""``fimls eval``: published benchmarks, run on the product as it is set up here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fimls.arguments import at_least
from fimls.commands.results import make_room
from fimls.config import Config, Source, load

if TYPE_CHECKING:
    from fimls.engine.base import Engine
    from fimls.evaluation.datasets import Hole
    from fimls.evaluation.records import HoleScore

MODES = ("raw", "first-line", "fimls", "oracle")
# Without a terminal, a log wants few lines.
LOG_EVERY = 10


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "eval",
        help="run a published benchmark on your engine and model",
        description="Run a published benchmark on your engine and model.",
    )
    kinds = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", required=True)
    infilling = kinds.add_parser(
        "infilling",
        parents=[common],
        help="fill holes in real programs, and execute them",
        description=(
            "Fill holes in real programs and execute the result in a sandbox. Each hole is "
            "generated once; all modes are computed from that generation. A run that was "
            "interrupted goes on when started again with the same --json."
        ),
    )
    infilling.add_argument(
        "--data", metavar="FILE", nargs="+", type=Path, required=True,
        help="HumanEval-Infilling or SAFIM files, .jsonl or .jsonl.gz, as published",
    )  # fmt: skip
    infilling.add_argument(
        "--json", metavar="OUT", type=Path, default=Path("infilling.json"),
        help="where the result goes; the records of each hole go beside it (%(default)s)",
    )  # fmt: skip
    infilling.add_argument(
        "--mode", metavar="MODE,…", type=_modes, default=MODES,
        help=f"ways to stop, side by side ({','.join(MODES)})",
    )  # fmt: skip
    infilling.add_argument(
        "--limit", metavar="N", type=at_least(1), help="holes a file (all); a larger N adds to them"
    )
    infilling.add_argument("--seed", metavar="S", type=int, default=0, help="which holes (0)")
    infilling.add_argument(
        "--n-predict", metavar="N", type=at_least(1), help="the cap (completion.n_predict)"
    )
    infilling.add_argument(
        "--timeout", metavar="S", type=at_least(1), default=4,
        help="processor seconds of one execution (%(default)s)",
    )  # fmt: skip
    infilling.add_argument(
        "--live", metavar="N", type=at_least(0), default=2,
        help="holes that are computed again by the product itself, to verify that sharing "
        "one generation changes nothing (%(default)s)",
    )  # fmt: skip
    infilling.add_argument(
        "--rescore", action="store_true",
        help="score recorded generations again, without computing any (after a change of fimls "
        "this is done anyway)",
    )  # fmt: skip
    _add_review(kinds, common)
    return parser


def _add_review(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    from fimls.commands import eval_review  # noqa: PLC0415 - beside this one

    eval_review.add_parser(kinds, common)


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    if hasattr(args, "run_benchmark"):
        status: int = args.run_benchmark(args, sources)
        return status
    from rich.console import Console  # noqa: PLC0415 - the server starts without it

    from fimls import assembly  # noqa: PLC0415 - llama.cpp is loaded only here
    from fimls.evaluation import report  # noqa: PLC0415
    from fimls.evaluation.infilling import Infilling  # noqa: PLC0415
    from fimls.evaluation.records import Store, rule  # noqa: PLC0415
    from fimls.evaluation.sandbox import Limits, Sandbox  # noqa: PLC0415

    make_room(args.json)
    config = assembly.unshared(load(sources))
    options = replace(config.completion, n_predict=args.n_predict or config.completion.n_predict)
    holes = _holes(args.data, args.limit, args.seed)
    sandbox = Sandbox(Limits(cpu_s=args.timeout))
    engine = assembly.open_engine(config, options.engine, options.model)
    try:
        settings = _settings(config, options.n_predict, engine)
        scoring = {"rule": rule(), "timeout": args.timeout}
        store = Store(args.json, settings, scoring, rescore=args.rescore)
        choose_template = partial(assembly.choose_template, options.template, options.model)
        infilling = Infilling(engine, options, choose_template, sandbox, args.mode)
        scores = list(_with_progress(infilling.run(holes, store), len(holes)))
        live = []
        if "fimls" in args.mode:
            by_key = {score.key: score for score in scores}
            live = [infilling.verify(hole, by_key[hole.key]) for hole in holes[: args.live]]
    finally:
        engine.close()
    sampled = {"data": [path.name for path in args.data], "limit": args.limit, "seed": args.seed}
    result = report.to_json({**settings, **scoring, **sampled}, sandbox.isolation, scores, live)
    args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console = Console(highlight=False)
    # Narrower, it would lose the names of sets and modes; a narrow terminal may wrap the lines.
    console.width = max(console.width, report.TABLE_WIDTH)
    console.print(report.table(scores))
    for line in report.notes(sandbox.isolation, scores, live):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"written to {args.json}", markup=False, soft_wrap=True)
    return 0


def _holes(paths: Sequence[Path], limit: int | None, seed: int) -> list[Hole]:
    from fimls.evaluation.datasets import interleave, load_all, sample  # noqa: PLC0415

    return interleave([sample(holes, limit, seed) for holes in load_all(paths)])


def _settings(config: Config, n_predict: int, engine: Engine) -> dict[str, Any]:
    """What a generation depends on; a later run with others must not go on from it."""
    options = config.completion
    vocabulary = engine.vocabulary
    return {
        "model": options.model,
        "model_name": "" if vocabulary is None else vocabulary.info.name,
        "engine": options.engine,
        "template": options.template,
        "n_predict": n_predict,
        "n_prefix": options.n_prefix,
        "n_suffix": options.n_suffix,
        "anchor_lines": options.anchor_lines,
        "kv_type": config.engine.kv_type,
    }


def _with_progress(scores: Iterator[HoleScore], n: int) -> Iterator[HoleScore]:
    """A bar on stderr, with how many of those done so far pass."""
    from rich import progress as parts  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    columns = (
        parts.TextColumn("{task.description}"),
        parts.BarColumn(),
        parts.MofNCompleteColumn(),
        parts.TimeRemainingColumn(),
    )
    n_passed = 0
    console = Console(stderr=True, highlight=False)
    with parts.Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("holes", total=n)
        for number, score in enumerate(scores, 1):
            ours = score.modes.get("fimls")
            n_passed += ours is not None and bool(ours.passed)
            bar.update(task, completed=number, description=f"holes ({n_passed} pass)")
            if not console.is_terminal and (number % LOG_EVERY == 0 or number == n):
                console.print(f"{number} of {n} holes, {n_passed} pass")
            yield score


def _modes(text: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [mode for mode in chosen if mode not in MODES]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(
            f"no such mode: {', '.join(unknown) or text}; choose from {', '.join(MODES)}"
        )
    return chosen
