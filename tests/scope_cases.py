"""Reads the case files of the scope watcher: ``tests/cases/<language>.txt``.

A case is a title, the code with the cursor, what a model generates there, and
what should be left of it:

    === what it shows [broken]
    before █ after
    --- generated
    the text of a model, which often runs on
    --- expected
    what belongs here

Titles name where the code is from, and which texts a real model wrote.

``--- kept`` in place of the two: all of it belongs here. ``[broken]`` marks code
that does not parse around the cursor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fimls import postprocess, scope
from fimls.fim import Cut, StopReason

CASES = Path(__file__).parent / "cases"
CURSOR = "█"
_CASE = re.compile(r"^=== (?P<title>.*)\n", re.MULTILINE)
_PART = re.compile(r"^--- (generated|expected|kept)\n", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    language: str
    title: str
    before: str
    after: str
    generated: str
    expected: str

    @property
    def is_kept(self) -> bool:
        return self.generated == self.expected

    @property
    def is_derived(self) -> bool:
        """Made of another piece of code by rule, and not judged by a person."""
        return self.title.startswith(("whole: ", "another definition after: ", "nothing after"))

    @property
    def is_broken(self) -> bool:
        return "[broken]" in self.title


def read(path: Path) -> list[Case]:
    text = path.read_text(encoding="utf-8")
    heads = list(_CASE.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    language = path.stem if path.stem != "jsx" else "javascript"
    return [
        _case(language, head["title"], text[head.end() : end])
        for head, end in zip(heads, ends, strict=True)
    ]


def _case(language: str, title: str, body: str) -> Case:
    code, *parts = _PART.split(body)
    named = {name: part.rstrip("\n") for name, part in zip(parts[::2], parts[1::2], strict=True)}
    before, cursor, after = code.rstrip("\n").partition(CURSOR)
    assert cursor, f"{language}: {title}: no cursor"
    generated = named.get("kept", named.get("generated", ""))
    return Case(
        language, title, before, after, generated, named.get("kept", named.get("expected", ""))
    )


def all_cases() -> list[Case]:
    return [case for path in sorted(CASES.glob("*.txt")) for case in read(path)]


def complete(
    before: str, after: str, generated: str, language: str, n_characters: int = 3
) -> tuple[str, Cut, int]:
    """What is left of ``generated``, the cut, and how many characters had been fed by then."""
    watcher = scope.watch(before, after, language)
    n_fed = 0
    cut: Cut | None = None
    while cut is None and n_fed < len(generated):
        piece = generated[n_fed : n_fed + n_characters]
        n_fed += len(piece)
        cut = watcher.feed(piece)
    cut = cut or watcher.finish(StopReason.END)
    text = watcher.indented(generated[: cut.at])
    text = postprocess.apply(text, before, after, language)
    return text, cut, n_fed
