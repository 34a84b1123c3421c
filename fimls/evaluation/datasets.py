"""Published infilling benchmarks, read as they are: JSON lines, gzipped or not.

HumanEval-Infilling (single line, multi line, random span) by its fields ``prompt``,
``suffix``, ``canonical_solution``, ``test``, ``entry_point``; SAFIM (block, control,
API completion) by ``eval_prompt``, ``ground_truth``, ``lang`` and, where its tasks
are executed, ``unit_tests``. Sources: github.com/openai/human-eval-infilling and
github.com/gonglinyuan/safim.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, TypeVar

from fimls.document import unix
from fimls.errors import BadRequest

T = TypeVar("T")

# SAFIM marks the hole so in `eval_prompt`.
SAFIM_HOLE = "{{completion}}"
# File names by LSP language identifier: what the editor would have open.
FILE_NAMES = {
    "python": "main.py",
    "java": "Main.java",
    "cpp": "main.cpp",
    "csharp": "Program.cs",
}


@dataclass(frozen=True, slots=True)
class Check:
    """Passes when ``program`` runs to its end: the asserts of HumanEval's ``check``."""

    epilogue: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """One unit test: what is typed in, and the outputs that count as right."""

    given: str
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputOutput:
    """Passes when the program answers every exchange."""

    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """Not executed: passes when the text means the same as the ground truth."""


Proof = Check | InputOutput | Match


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a real program from which text was taken.

    ``set`` is the file's name without endings; ``truth`` is the text that stood
    there; ``proof`` tells how another text is judged. Line ends are LF.
    """

    set: str
    task_id: str
    language: str
    before: str
    after: str
    truth: str
    proof: Proof

    @property
    def key(self) -> str:
        """Task ids repeat between the files of a benchmark."""
        return f"{self.set}:{self.task_id}"

    @property
    def file_name(self) -> str:
        return FILE_NAMES.get(self.language, "main.txt")

    def program(self, text: str) -> str:
        """The whole source with ``text`` in the hole."""
        epilogue = self.proof.epilogue if isinstance(self.proof, Check) else ""
        return self.before + text + self.after + epilogue


def load(path: Path) -> list[Hole]:
    """All holes of one file. Raises ``BadRequest`` naming the line that is at fault."""
    name = set_of(path)
    return read(path, partial(_hole, name), "neither HumanEval-Infilling nor SAFIM")


def load_all(paths: Sequence[Path]) -> list[list[Hole]]:
    """The holes of each file. Raises ``BadRequest``, also where two are of one name.

    What is recorded of a hole goes by the name of its set.
    """
    by_name: dict[str, Path] = {}
    for path in paths:
        other = by_name.setdefault(set_of(path), path)
        if other is not path:
            raise BadRequest(
                f"{other} and {path} have one name, by which holes are told apart: rename one"
            )
    return [load(path) for path in paths]


def set_of(path: Path) -> str:
    """The name of a file's set: its own, without endings."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def read(path: Path, parse: Callable[[Any], T], otherwise: str) -> list[T]:
    """What ``parse`` makes of each line of a .jsonl or .jsonl.gz file.

    Raises ``BadRequest``: the file cannot be read or is empty, or, naming the line, that it is
    ``otherwise``.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise BadRequest(f"cannot read {path}: {error}; give a .jsonl or .jsonl.gz file") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(parse(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRequest(
                f"{path}, line {number}: {otherwise} ({error!r}); "
                "see docs/evaluation.md for the fields that are read"
            ) from error
    if not found:
        raise BadRequest(f"{path} holds no tasks")
    return found


def sample(holes: Sequence[Hole], n: int | None, seed: int) -> list[Hole]:
    """``n`` holes drawn with ``seed``; a larger ``n`` draws the same ones and more."""
    order = list(holes)
    random.Random(seed).shuffle(order)  # noqa: S311 - a sample, not a secret
    return order if n is None else order[:n]


def interleave(samples: Sequence[Sequence[Hole]]) -> list[Hole]:
    """One of each set in turn, so that an interrupted run has seen all of them."""
    rounds = chain.from_iterable(zip_longest(*samples))
    return [hole for hole in rounds if hole is not None]


def _hole(name: str, row: Mapping[str, Any]) -> Hole:
    if "eval_prompt" in row:
        return _safim(name, row)
    entry_point = row["entry_point"]
    return Hole(
        set=name,
        task_id=row["task_id"],
        language="python",
        before=unix(row["prompt"]),
        after=unix(row["suffix"]),
        truth=unix(row["canonical_solution"]),
        proof=Check(f"\n{unix(row['test'])}\ncheck({entry_point})\n"),
    )


def _safim(name: str, row: Mapping[str, Any]) -> Hole:
    before, mark, after = row["eval_prompt"].partition(SAFIM_HOLE)
    if not mark:
        raise ValueError(f"eval_prompt has no {SAFIM_HOLE}")
    tests = row.get("unit_tests") or ()
    exchanges = tuple(Exchange(test["input"], tuple(test["output"])) for test in tests)
    return Hole(
        set=name,
        task_id=row["task_id"],
        language=row["lang"],
        before=unix(before),
        after=unix(after),
        truth=unix(row["ground_truth"]),
        proof=InputOutput(exchanges) if exchanges else Match(),
    )
