"""``fimls complete``: one completion, in the terminal, as JSON, or as a filter."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fimls.config import Config, Source, load
from fimls.errors import BadRequest
from fimls.ignoring import roots_of, why_ignored

if TYPE_CHECKING:
    from fimls.completer import Completer
    from fimls.fim import Completion
    from fimls.prompting import Cursor, Prompter

CURSOR = "█"


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "complete",
        parents=[common],
        help="complete at a place in a file, or at a █ in standard input",
        description="Complete at a place in a file, or at a █ in standard input or in a file. "
        "Lines and columns count from 1, columns in characters.",
    )
    parser.add_argument("target", metavar="FILE:LINE:COL|FILE|-", help="where to complete")
    parser.add_argument("--offset", type=int, metavar="N", help="complete after N characters")
    parser.add_argument("--language", metavar="ID", default="", help="LSP language identifier")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--text", action="store_true", help="print the completion and nothing else")
    parser.add_argument(
        "--stream", action="store_true",
        help="show each token as it is generated: with --json as a line of its own, else on "
        "stderr; what is cut off at the end is among them",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="print the exact prompt, markers included"
    )
    return parser


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    from fimls.document import Snapshot  # noqa: PLC0415 - see fimls.cli
    from fimls.prompting import Cursor  # noqa: PLC0415

    config = load(sources)
    place = locate(args.target, args.offset, config.files.max_bytes)
    full = Path(place.path).resolve()
    reason = why_ignored(str(full), config.files.ignore, roots_of(full)) if place.path else ""
    if reason:
        raise BadRequest(f"{reason}: no model may see it")
    document = Snapshot(
        uri=place.path or "stdin:", language=args.language, text=place.text, path=place.path
    )
    cursor = Cursor.at(document, place.offset)
    if args.dry_run:
        from fimls.assembly import open_prompter  # noqa: PLC0415

        _show_prompt(open_prompter(config), cursor, as_json=args.json)
        return 0
    with _opened(config, _heard(args) if args.stream else None) as completer:
        from fimls.cancel import Cancel  # noqa: PLC0415

        started_s = time.perf_counter()
        completion = completer.complete(document, place.offset, Cancel(), invoked=True)
        t_total_ms = (time.perf_counter() - started_s) * 1000
    if args.stream and not args.json:
        print(file=sys.stderr)
    if completion is None or not (completion.text or args.json):
        if args.json:
            print(json.dumps(facts(None, config, cursor, t_total_ms)))
        else:
            print("fimls: nothing to complete here", file=sys.stderr)
            _pass_on(args, place, "")
        return 0
    completion = replace(completion, t_total_ms=t_total_ms)
    if args.json:
        print(json.dumps(facts(completion, config, cursor, t_total_ms)))
    elif args.text:
        sys.stdout.write(completion.text)
    elif args.target == "-" and not sys.stdout.isatty():
        _pass_on(args, place, completion.text)
    else:
        from fimls.commands.ghost import show  # noqa: PLC0415

        show(place, completion, config.completion.n_predict)
    return 0


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a text: ``offset`` in characters; ``path`` is empty for standard input."""

    path: str
    text: str
    offset: int


def locate(target: str, offset: int | None, max_bytes: int) -> Place:
    """The place that the command line means. Raises ``BadRequest`` when there is none."""
    file, line, column = _split(target)
    text = read_file(file, max_bytes)
    path = "" if file == "-" else str(Path(file).resolve())
    if offset is not None:
        if line is not None:
            raise BadRequest("give either FILE:LINE:COL or --offset, not both")
        if not 0 <= offset <= len(text):
            raise BadRequest(f"offset {offset} is outside the text of {len(text)} characters")
        return Place(path, text, offset)
    if line is not None:
        return Place(path, text, _offset(text, line, column, file))
    if text.count(CURSOR) != 1:
        n_found = text.count(CURSOR)
        raise BadRequest(
            f"{'standard input' if file == '-' else file} has {n_found or 'no'} {CURSOR}: mark the "
            "cursor with one, or say FILE:LINE:COL"
        )
    at = text.index(CURSOR)
    return Place(path, text[:at] + text[at + 1 :], at)


def _split(target: str) -> tuple[str, int | None, int]:
    """``FILE:LINE:COL`` or ``FILE``; a file whose own name ends in numbers is found too."""
    head, _, column = target.rpartition(":")
    file, _, line = head.rpartition(":")
    if file and line.isdecimal() and column.isdecimal() and not Path(target).exists():
        return file, int(line), int(column)
    return target, None, 0


def read_file(file: str, max_bytes: int) -> str:
    """The text of a file, or of standard input for ``-``. Raises ``BadRequest``."""
    name = "standard input" if file == "-" else file
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with Path(file).open("rb") as opened:
                raw = opened.read(max_bytes + 1)
    except OSError as error:
        raise BadRequest(f"{name}: {error.strerror or error}") from None
    if len(raw) > max_bytes:
        raise BadRequest(f"{name} is larger than files.max_bytes = {max_bytes:,}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest(f"{name} is not UTF-8 text") from None
    if "\0" in text:
        raise BadRequest(f"{name} is binary, not text")
    return text


def _offset(text: str, line: int, column: int, file: str) -> int:
    """1-based line and column as an offset. Columns count characters, a tab is one."""
    from fimls.document import Encoding, Position, Snapshot  # noqa: PLC0415 - see fimls.cli

    document = Snapshot(text=text)
    # Beyond the last line and column positions are clamped, so ask what came out.
    offset = document.offset(Position(line - 1, column - 1), Encoding.UTF32)
    there = document.position(offset, Encoding.UTF32)
    if there.line != line - 1:
        raise BadRequest(f"{file} has {document.position(len(text)).line + 1} lines, not {line}")
    if there.character != column - 1:
        raise BadRequest(f"{file}:{line} has columns 1 to {there.character + 1}, not {column}")
    return offset


def _heard(args: argparse.Namespace) -> Callable[[str], None]:
    """What to do with each piece."""
    if args.json:
        return lambda piece: print(json.dumps({"piece": piece}), flush=True)
    return lambda piece: print(piece, end="", file=sys.stderr, flush=True)


@contextmanager
def _opened(config: Config, heard: Callable[[str], None] | None) -> Iterator[Completer]:
    """The completer, with a word about loading on a terminal: 14B take a while."""
    from rich.console import Console  # noqa: PLC0415 - see fimls.cli

    from fimls.assembly import open_completer  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with console.status(f"loading {config.completion.model}"):
            completer = open_completer(config, heard=heard)
    else:
        completer = open_completer(config, heard=heard)
    yield completer


def facts(
    completion: Completion | None, config: Config, cursor: Cursor, t_total_ms: float
) -> dict[str, object]:
    """The answer as JSON; ``stop_reason`` is null when there was nothing to say."""
    if completion is None:
        return {
            "text": "",
            "stop_reason": None,
            **dict.fromkeys(("n_prompt", "n_evaluated", "n_generated", "n_discarded"), 0),
            "t_first_token_ms": 0.0,
            "t_total_ms": round(t_total_ms, 1),
            "t_scope_ms": 0.0,
            "model": config.completion.runs,
            "template": "",
            "language": cursor.language,
        }
    return {
        "text": completion.text,
        "stop_reason": completion.stop_reason.value,
        "n_prompt": completion.n_prompt,
        "n_evaluated": completion.n_evaluated,
        "n_generated": completion.n_generated,
        "n_discarded": completion.n_discarded,
        "t_first_token_ms": round(completion.t_first_token_ms, 1),
        "t_total_ms": round(t_total_ms, 1),
        "t_scope_ms": round(completion.t_scope_ms, 2),
        "model": completion.model,
        "template": completion.template,
        "language": completion.language,
    }


def _pass_on(args: argparse.Namespace, place: Place, middle: str) -> None:
    """A filter hands on what it was given, completed."""
    if args.target == "-" and not args.text:
        sys.stdout.write(place.text[: place.offset] + middle + place.text[place.offset :])


def _show_prompt(prompter: Prompter, cursor: Cursor, *, as_json: bool) -> None:
    prompt = prompter.prompt(cursor)
    if as_json:
        segments = [
            {"kind": part.kind.value, "text": part.text, "tokens": list(part.tokens)}
            for part in prompt.segments
        ]
        told = {"template": prompt.template, "heal": prompt.heal, "segments": segments}
        if not segments and prompt.window is not None:  # the server fills its own template
            window = prompt.window
            told |= {"prefix": window.prefix + window.typed, "suffix": window.suffix}
        print(json.dumps(told, ensure_ascii=False))
        return
    from fimls.commands.ghost import show_prompt  # noqa: PLC0415

    show_prompt(prompt)
