"""``fimls eval review``: faults found and faults made up, on functions with one seeded fault."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fimls.config import Source, load


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
    parser.add_argument("--limit", metavar="N", type=int, help="pairs (all)")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="which pairs (0)")
    parser.set_defaults(run_benchmark=run)


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    from fimls.assembly import (  # noqa: PLC0415 - see fimls.cli
        open_engine,
        review_names,
        reviewer_on,
        unshared,
    )
    from fimls.evaluation import review, review_faults  # noqa: PLC0415

    config = unshared(load(sources))
    if hasattr(args, "model"):
        config = replace(config, review=replace(config.review, model=args.model))
    pairs = review_faults.load(args.data or Path(review_faults.__file__).with_suffix(".jsonl"))
    random.Random(args.seed).shuffle(pairs)  # noqa: S311 - a draw that can be repeated
    pairs = pairs[: args.limit]
    # Everything is looked at, so that any threshold can be read from the records.
    low = replace(
        config.review, min_confidence=0.0, slip_confidence=0.5, second_look="on", categories_off=()
    )
    ways = {
        "asked": replace(low, slips=False) if low.ask else None,
        "slips": replace(low, ask=False) if low.slips else None,
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    opened = open_engine(config, *review_names(config))
    records: dict[str, list[review.Record]] = {}
    for way, options in ways.items():
        records[way] = []
        if options is None:
            continue
        reviewer = reviewer_on(opened, replace(config, review=options))
        store = args.json.with_suffix(f".{way}.jsonl")
        for record in review.run(pairs, reviewer, store):
            records[way].append(record)
            if len(records[way]) % 10 == 0:
                print(f"{way}: {len(records[way])} of {2 * len(pairs)}", file=sys.stderr)
    opened.close()
    found = review.figures(
        pairs, **records, min_confidence=config.review.min_confidence,
        slip_confidence=config.review.slip_confidence,
    )  # fmt: skip
    engine, model = review_names(config)
    found |= {"model": model, "engine": engine, "seed": args.seed, "limit": args.limit}
    args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(review.table(found))
    print(f"written to {args.json}")
    return 0
