"""``fimls review``: findings in the terminal, for hooks and for CI."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fimls.config import Config, Source, load
from fimls.errors import BadRequest, FimlsError
from fimls.ignoring import roots_of, why_ignored

if TYPE_CHECKING:
    from fimls.review.findings import Rejected
    from fimls.review.report import FileReview
    from fimls.review.reviewer import Reviewer

CLEAN, FAILED, FOUND = 0, 1, 3  # 2 is a mistake of the command line
MOST_TOLD = 4  # of files that are left alone
_LINE_EVERY = 10  # parts; each takes seconds

# How many parts are done, of how many, and what is read now.
Report = Callable[[int, int, str], None]
FAIL_ON = ("error", "warning", "info", "hint", "never")


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "review",
        parents=[common],
        help="review files, or what has changed in them",
        description="Review functions with an instruct model. Each finding quotes code that is "
        f"there. Exit status: {CLEAN} when nothing of the --fail-on severity was found, {FOUND} "
        f"when something was, {FAILED} when something could not be reviewed.",
    )
    parser.add_argument("paths", metavar="PATH", nargs="*", help="files or folders")
    parser.add_argument(
        "--diff", metavar="REV", nargs="?", const="HEAD",
        help="only functions that have changed since REV (%(const)s), new files included",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("text", "json", "sarif"), default="text", help="(%(default)s)"
    )
    parser.add_argument(
        "--fail-on", choices=FAIL_ON, default="warning",
        help=f"the mildest severity that makes the exit status {FOUND} (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--verbose", action="store_true", help="also show what was dropped, and why (text)"
    )
    return parser


@dataclass(frozen=True, slots=True)
class _File:
    """A file to review; ``old`` is its text before the changes, ``None`` to review it all."""

    path: Path
    shown: str
    old: str | None = None


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    config = load(sources)
    if hasattr(args, "model"):  # the command line's model is meant for what it runs
        config = replace(config, review=replace(config.review, model=args.model))
    files = _changed(args.paths, args.diff) if args.diff is not None else _named(args.paths)
    files = _allowed(files, config)
    if not files:
        print("fimls: nothing to review", file=sys.stderr)
    from fimls.review.report import as_json, as_sarif, as_text  # noqa: PLC0415 - see fimls.cli

    reviews: list[FileReview] = []
    model = ""
    if files:
        from fimls.assembly import open_reviewer  # noqa: PLC0415

        with _progress() as report:
            reviewer = open_reviewer(config)
            model = reviewer.talk.name
            for review in _reviewed(reviewer, files, config, report):
                reviews.append(review)
                if args.format == "text":  # as they come: a review takes its time
                    for line in as_text(review, verbose=args.verbose):
                        print(line, flush=True)
    if args.format == "json":
        print(json.dumps(as_json(reviews, model), indent=2, ensure_ascii=False))
    elif args.format == "sarif":
        print(json.dumps(as_sarif(reviews), indent=2, ensure_ascii=False))
    return _status(reviews, args.fail_on)


def _reviewed(
    reviewer: Reviewer, files: Sequence[_File], config: Config, report: Report
) -> Iterator[FileReview]:
    from fimls.cancel import Cancel  # noqa: PLC0415 - see fimls.cli
    from fimls.commands.complete import read_file  # noqa: PLC0415
    from fimls.document import Snapshot  # noqa: PLC0415
    from fimls.review.changes import Difference, difference  # noqa: PLC0415
    from fimls.review.findings import NAMELESS, not_reviewed  # noqa: PLC0415
    from fimls.review.report import FileReview  # noqa: PLC0415
    from fimls.review.reviewer import Source as Code  # noqa: PLC0415
    from fimls.review.store import Findings  # noqa: PLC0415

    work: list[tuple[_File, Code, Difference]] = []
    for file in files:
        try:
            text = read_file(str(file.path), config.files.max_bytes)
        except BadRequest as error:
            yield FileReview(file.shown, "", notes=(f"not reviewed: {error}",), is_failed=True)
            continue
        source = Code.of(Snapshot(file.shown, text=text, path=str(file.path)))
        new = Difference(source.outline.scopes)
        work.append((file, source, new if file.old is None else difference(source, file.old)))
    n_done, n_all = 0, sum(len(new.scopes) for _, _, new in work)
    for file, source, new in work:
        notes = [] if source.outline.is_sound else ["has syntax errors; the review is partial"]
        notes += new.notes
        found, t_ms = Findings(), 0.0
        rejected: list[Rejected] = []
        failed: dict[str, list[str]] = {}
        for scope in new.scopes:
            report(n_done, n_all, f"{file.shown}: {scope.name or scope.kind}")
            n_done += 1
            try:
                seen = reviewer.review(source, scope, Cancel())
            except FimlsError as error:  # what was found so far is shown, and the others are read
                failed.setdefault(str(error), []).append(scope.name or NAMELESS)
                continue
            assert seen is not None, "nobody takes it back"
            found.put(file.shown, seen, source.text)
            rejected += seen.rejected
            t_ms += seen.t_total_ms
            notes += seen.notes
        text = _text_now(file, config)
        shown = found.shown(file.shown, source.text)
        rejected += found.silenced(file.shown)
        if text != source.text:
            n_found, shown = len(shown), found.shown(file.shown, text)
            notes.append(
                "changed during the review; "
                f"{len(shown)} of {n_found} findings are about code that is still there"
            )
        yield FileReview(
            path=file.shown,
            text=text,
            shown=tuple(shown),
            rejected=tuple(rejected),
            notes=(*notes, *not_reviewed(failed)),
            n_scopes=len(new.scopes),
            t_total_ms=t_ms,
            is_failed=bool(failed),
        )


def _text_now(file: _File, config: Config) -> str:
    """What the file holds now; nothing when it is gone."""
    from fimls.commands.complete import read_file  # noqa: PLC0415 - see fimls.cli

    try:
        return read_file(str(file.path), config.files.max_bytes)
    except BadRequest:
        return ""


def _status(reviews: Sequence[FileReview], fail_on: str) -> int:
    from fimls.review import Severity  # noqa: PLC0415 - see fimls.cli

    worst = -1 if fail_on == "never" else Severity(fail_on).rank
    if any(one.finding.severity.rank <= worst for review in reviews for one in review.shown):
        return FOUND
    return FAILED if any(review.is_failed for review in reviews) else CLEAN


def _named(paths: Sequence[str]) -> list[_File]:
    """The files on the command line; folders stand for the code files in them."""
    if not paths:
        raise BadRequest("say which files to review, or --diff for what has changed")
    found: dict[Path, _File] = {}
    for named in paths:
        path = Path(named)
        if not path.exists():
            raise BadRequest(f"{named}: no such file or folder")
        for file in _code_below(path) if path.is_dir() else [path]:
            found.setdefault(file.resolve(), _File(file, str(file)))
    return list(found.values())


def _code_below(folder: Path) -> list[Path]:
    """Code files in a folder: git's own list where there is one, which leaves out what is built."""
    from fimls.review.changes import listed_files  # noqa: PLC0415 - see fimls.cli
    from fimls.scope import is_code  # noqa: PLC0415

    listed = listed_files(folder)
    if listed is None:
        listed = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        listed = [
            path
            for path in listed
            if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]
    return [path for path in listed if is_code(path.name)]


def _changed(paths: Sequence[str], revision: str) -> list[_File]:
    from fimls.review.changes import changed_files  # noqa: PLC0415 - see fimls.cli

    wanted = [Path(path).resolve() for path in paths]
    folder = wanted[0] if wanted else Path.cwd()
    folder = folder if folder.is_dir() else folder.parent
    files = []
    for changed in changed_files(folder, revision):
        resolved = changed.path.resolve()
        if wanted and not any(resolved == w or w in resolved.parents for w in wanted):
            continue
        if changed.path.is_file():
            files.append(_File(changed.path, _relative(changed.path), changed.old))
    return files


def _relative(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)


def _allowed(files: Sequence[_File], config: Config) -> list[_File]:
    """Those that a model may see; the others are told."""
    kept, told = [], []
    for file in files:
        path = file.path.resolve()
        reason = why_ignored(str(path), config.files.ignore, roots_of(path))
        if reason:
            told.append(f"{file.shown} is left alone: {reason}")
        else:
            kept.append(file)
    if len(told) > MOST_TOLD:
        told[MOST_TOLD - 1 :] = [f"and {len(told) - MOST_TOLD + 1} more files"]
    for line in told:
        print(f"fimls: {line}", file=sys.stderr)
    return kept


@contextmanager
def _progress() -> Iterator[Report]:
    """Progress on stderr: a bar on terminals, a line now and then in the log of a hook or of CI."""
    from rich import progress as parts  # noqa: PLC0415 - see fimls.cli
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _line
        return
    columns = (
        parts.SpinnerColumn(),
        parts.TextColumn("{task.description}", markup=False),
        parts.BarColumn(),
        parts.MofNCompleteColumn(),
        parts.TimeElapsedColumn(),
    )
    # What is printed goes above the bar, unless it goes to a file or into a pipe.
    above = sys.stdout.isatty()
    with parts.Progress(*columns, console=console, transient=True, redirect_stdout=above) as bar:
        task = bar.add_task("loading the model", total=None)
        yield lambda n_done, n_all, now: bar.update(
            task, completed=n_done, total=n_all, description=now
        )


def _line(n_done: int, n_all: int, now: str) -> None:
    if n_done and n_done % _LINE_EVERY == 0:
        print(f"fimls: {n_done} of {n_all} parts reviewed, now {now}", file=sys.stderr, flush=True)
