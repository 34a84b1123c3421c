"""``fimls eval review``: faults found and faults made up, on functions with one seeded fault."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fimls.arguments import at_least
from fimls.commands.results import make_room
from fimls.config import Config, Source, load

if TYPE_CHECKING:
    from fimls.engine.base import Engine


def add_parser(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    parser = kinds.add_parser(
        "review",
        parents=[common],
        help="find seeded faults in real functions, and none in the originals",
        description=(
            "Review 72 real functions in six languages, each with one seeded fault and as it "
            "was written. A run that was interrupted goes on when started again with the same "
            "--json."
        ),
    )
    parser.add_argument(
        "--json", metavar="OUT", type=Path, default=Path("review.json"),
        help="where the result goes; the records go beside it (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--data", metavar="FILE", type=Path, help="another set of such pairs")
    parser.add_argument("--limit", metavar="N", type=at_least(1), help="pairs (all)")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="which pairs (0)")
    parser.set_defaults(run_benchmark=run)


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    from fimls.assembly import (  # noqa: PLC0415 - see fimls.cli
        open_engine,
        review_names,
        reviewer_on,
        slip_confidence,
        unshared,
    )
    from fimls.evaluation import review, review_faults  # noqa: PLC0415
    from fimls.evaluation.records import Journal  # noqa: PLC0415

    make_room(args.json)
    config = unshared(load(sources))
    if hasattr(args, "model"):
        config = replace(config, review=replace(config.review, model=args.model))
    data = args.data or Path(review_faults.__file__).with_suffix(".jsonl")
    pairs = review_faults.load(data)
    random.Random(args.seed).shuffle(pairs)  # noqa: S311 - a draw that can be repeated
    pairs = pairs[: args.limit]
    # Everything is looked at, so that any threshold can be read from the records.
    low = replace(
        config.review, min_confidence=0.0, slip_confidence=0.0, second_look="on", categories_off=()
    )
    ways = {"asked": replace(low, slips=False), "slips": replace(low, ask=False)}
    records: dict[str, list[review.Record]] = {way: [] for way in ways}
    engine, model = review_names(config)
    with closing(open_engine(config, engine, model)) as opened:
        setup = _settings(config, opened) | {"data": data.name}
        journals = {
            way: Journal(args.json.with_suffix(f".{way}.jsonl"), {**asdict(options), **setup})
            for way, options in ways.items()
            if options.ask or options.slips
        }
        for way, journal in journals.items():
            reviewer = reviewer_on(opened, replace(config, review=ways[way]))
            for record in review.run(pairs, reviewer, journal):
                records[way].append(record)
                if len(records[way]) % 10 == 0:
                    print(f"{way}: {len(records[way])} of {2 * len(pairs)}", file=sys.stderr)
    found = review.figures(
        pairs, **records, min_confidence=config.review.min_confidence,
        slip_confidence=slip_confidence(config),
    )  # fmt: skip
    found |= {"model": model, "engine": engine, "seed": args.seed, "limit": args.limit}
    args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(review.table(found))
    print(f"written to {args.json}")
    return 0


def _settings(config: Config, engine: Engine) -> dict[str, Any]:
    """What a record depends on beside the options for reviews; one engine's are no other's."""
    from fimls.assembly import review_names  # noqa: PLC0415 - see fimls.cli
    from fimls.review import prompts  # noqa: PLC0415

    name, model = review_names(config)
    vocabulary = engine.vocabulary
    return {
        "engine": name,
        "model": model,
        "model_name": "" if vocabulary is None else vocabulary.info.name,
        "kv_type": config.engine.kv_type,
        "prompts": prompts.VERSION,
    }
