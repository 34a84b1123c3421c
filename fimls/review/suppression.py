"""Comments that silence findings, whatever the language's comment sign.

fimls: ignore              on a line, or on the line above it: every finding there
fimls: ignore[bug, clarity]    the same, for these categories only
fimls: ignore-file         in the first twenty lines: the whole file (or categories of it)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fimls.review.findings import Category

_COMMENT = re.compile(r"fimls:\s*ignore(-file)?(?:\[([\w\s,-]*)\])?(?![\w-])")
_FILE_LINES = 20
EVERY = frozenset(Category)


@dataclass(frozen=True, slots=True)
class Silence:
    """Where ``text`` asks for it: categories in the whole file, and by line (counted from 0)."""

    text: str
    whole: frozenset[Category]
    lines: Mapping[int, frozenset[Category]]

    @classmethod
    def of(cls, text: str) -> Silence:
        whole: frozenset[Category] = frozenset()
        lines: dict[int, frozenset[Category]] = {}
        if "fimls:" not in text:
            return cls(text, whole, lines)
        for number, line, found in _comments(text):
            categories = _categories(found[2])
            if found[1]:
                whole |= categories if number < _FILE_LINES else frozenset()
                continue
            # A comment that has its line to itself speaks of the next one.
            alone = not any(map(str.isalnum, line[: found.start()]))
            for at in (number, number + 1) if alone else (number,):
                lines[at] = lines.get(at, frozenset()) | categories
        return cls(text, whole, lines)

    def covers(self, category: Category, start: int, end: int) -> bool:
        """Whether a finding at ``text[start:end]`` is silenced."""
        if category in self.whole or not self.lines:
            return category in self.whole
        first = self.text.count("\n", 0, start)
        last = first + self.text.count("\n", start, end)
        return any(category in self.lines.get(at, ()) for at in range(first, last + 1))


def comment(line_comment: str, category: Category) -> str:
    """What to write at the end of a line to silence a finding on it."""
    close = {"/*": " */", "<!--": " -->"}.get(line_comment, "")
    return f"  {line_comment} fimls: ignore[{category}]{close}"


def _comments(text: str) -> Iterator[tuple[int, str, re.Match[str]]]:
    for number, line in enumerate(text.split("\n")):
        if "fimls:" in line:
            found = _COMMENT.search(line)
            if found is not None:
                yield number, line, found


def _categories(named: str | None) -> frozenset[Category]:
    """The categories in brackets; unknown names silence nothing."""
    if named is None:
        return EVERY
    known = {category.value: category for category in Category}
    return frozenset(known[name.strip()] for name in named.split(",") if name.strip() in known)
