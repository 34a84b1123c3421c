"""``fimls models``: list, pull, path, rm."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fimls.config import Config, Source, load
from fimls.errors import DownloadFailed

if TYPE_CHECKING:
    from fimls.models import Model


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "models",
        parents=[common],
        help="list, fetch, find and remove models",
        description="Models: which there are, which are here, and how to get one.",
    )
    actions = parser.add_subparsers(
        title="actions", metavar="list|pull|path|rm", required=True, dest="action"
    )
    listing = actions.add_parser("list", parents=[common], help="the catalogue, and what is here")
    listing.add_argument("--verify", action="store_true", help="compute missing hashes")
    form = listing.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print the catalogue as a table")
    pull = actions.add_parser("pull", parents=[common], help="fetch models, resuming")
    pull.add_argument("names", nargs="*", metavar="NAME", help="default: the configured models")
    path = actions.add_parser("path", parents=[common], help="print where a model's file is")
    path.add_argument("names", nargs="*", metavar="NAME", help="default: the configured model")
    remove = actions.add_parser("rm", parents=[common], help="delete models' files")
    remove.add_argument("names", nargs="+", metavar="NAME")
    return parser


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    from fimls.models import models_dir  # noqa: PLC0415 - see fimls.cli

    config = load(sources)
    directory = models_dir(config.models)
    if args.action == "list" and args.markdown:
        print(markdown())
    elif args.action == "list":
        _list(directory, config, verify=args.verify, as_json=args.json)
    elif args.action == "pull":
        _pull(args.names or _configured(config), directory)
    elif args.action == "path":
        _path(args.names or [config.completion.model], directory)
    else:
        _remove(args.names, directory)
    return 0


def _configured(config: Config) -> list[str]:
    """The models that the settings ask for, as far as they are the catalogue's."""
    from fimls.models import catalogue  # noqa: PLC0415

    names = dict.fromkeys((config.completion.model, config.review.model or config.completion.model))
    found = [name for name in names if name in catalogue()]
    if not found:
        raise DownloadFailed(f"{config.completion.model} is a file of yours; nothing to fetch")
    return found


def _list(directory: Path, config: Config, *, verify: bool, as_json: bool) -> None:
    from fimls.models import catalogue, state  # noqa: PLC0415

    states = {model.name: state(model, directory, verify=verify) for model in catalogue().values()}
    if as_json:
        entries = [
            {**facts(model), "state": states[model.name].value} for model in catalogue().values()
        ]
        print(json.dumps({"directory": str(directory), "models": entries}, indent=2))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    used = {config.completion.model, config.review.model}
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"Models in {directory}\n"))
    console.print(Text(f"  {'Name':<29}{'Here':<15}{'File':>8}{'Memory':>9}   Licence", "bold"))
    for model in catalogue().values():
        mark = "*" if model.name in used else " "
        size = _gigabytes(model.size) if model.size else "?"
        memory = _gigabytes(model.memory_mb * 1_000_000)
        line = f"{model.name:<29}{_HERE[states[model.name].value]:<15}{size:>8}{memory:>9}"
        console.print(Text.assemble(f"{mark} ", line, "   ", model.licence))
        console.print(Text(f"    {model.verdict}", "dim"))
    console.print(Text("\n* in use. Fetch one: fimls models pull NAME; use one: --model NAME"))


def markdown() -> str:
    """The table of docs/models.md."""
    from fimls.models import catalogue  # noqa: PLC0415

    rows = ["| Model | Memory | File | Kind | Licence | Verdict |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    rows += [
        f"| `{model.name}` | {_gigabytes(model.memory_mb * 1_000_000)} "
        f"| {_gigabytes(model.size) if model.size else '?'} | {model.kind} | {model.licence} "
        f"| {model.verdict} |"
        for model in sorted(catalogue().values(), key=lambda model: model.memory_mb)
    ]
    return "\n".join(rows)


_HERE = {
    "absent": "-",
    "partial": "partly",
    "unverified": "yes",
    "verified": "yes, verified",
    "wrong": "WRONG FILE",
}


def facts(model: Model) -> dict[str, object]:
    """A catalogue entry as JSON."""
    return {
        "name": model.name,
        "family": model.family,
        "kind": model.kind,
        "file": model.file,
        "bytes": model.size,
        "sha256": model.sha256,
        "hash_from": "catalogue" if model.sha256 else "hub",
        "licence": model.licence,
        "memory_mb": model.memory_mb,
        "verdict": model.verdict,
        "sources": [
            getattr(source, "repo", None) or f"{source.package} {source.version}"  # type: ignore[union-attr]
            for source in model.sources
        ],
    }


def _pull(names: Sequence[str], directory: Path) -> None:
    from fimls.commands.progress import showing  # noqa: PLC0415
    from fimls.models import find, pull  # noqa: PLC0415

    for model in [find(name) for name in names]:
        with showing(model.name) as report:
            path = pull(model, directory, report)
        print(path)


def _path(names: Sequence[str], directory: Path) -> None:
    from fimls.models import resolve  # noqa: PLC0415

    for name in names:
        print(resolve(name, directory))


def _remove(names: Sequence[str], directory: Path) -> None:
    from fimls.models import find, remove  # noqa: PLC0415

    for model in [find(name) for name in names]:
        freed = remove(model, directory)
        print(f"{model.name}: {_gigabytes(freed)} freed" if freed else f"{model.name}: not here")


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
