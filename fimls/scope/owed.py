"""Which of the open brackets the text after the cursor closes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

from fimls.scope.languages import Language
from fimls.scope.scan import CLOSERS, matches
from fimls.scope.site import Ahead, Bracket

# What stands before a brace that holds values or types.
BEFORE_VALUES = ("(", ":", ",", "=", "[", "return")


@dataclass(frozen=True, slots=True)
class Closer:
    """A closing bracket after the cursor that nothing there opened."""

    name: str
    indent: int  # of its line
    is_first: bool  # on its line
    is_on_line: bool  # on the cursor's line


def values_between(
    stack: list[Bracket], ahead: tuple[Ahead, ...], language: Language
) -> frozenset[int]:
    """The braces, by their starts, around values or types between the parentheses of a header.

    They are told by a statement that follows the cursor and can stand in none of them:
    nothing after the cursor closes them.
    """
    code = (line.text for line in ahead if not line.text.startswith(("//", "/*")))
    if not language.statement or not re.match(language.statement, next(code, "")):
        return frozenset()
    return frozenset(
        inner.start
        for outer, inner in pairwise(stack)
        if outer.name == "(" and inner.name == "{" and inner.header.endswith(BEFORE_VALUES)
    )


def owe(
    stack: list[Bracket], closers: tuple[Closer, ...], values: frozenset[int], line: int
) -> tuple[Bracket, ...]:
    """Match the closers after the cursor, whose line starts at ``line``, with the open brackets."""
    marked = list(stack)
    index = len(marked) - 1
    for closer in closers:
        found = _matching(marked, index, closer, values)
        if found is None:
            continue
        marked[found] = replace(marked[found], owed=True)
        index = found - 1
    return tuple(_outermost_first(marked, line))


def _outermost_first(marked: list[Bracket], line: int) -> list[Bracket]:
    """Of brackets of a kind on the cursor's line, the inner ones are those that lack a closer.

    Of ``f(g(█)``, the text closes the inner one, and what follows the other.
    """
    for kind in {bracket.name for bracket in marked if bracket.start >= line}:
        own = [i for i, b in enumerate(marked) if b.start >= line and b.name == kind]
        n_owed = sum(marked[i].owed for i in own)
        for n, i in enumerate(own):
            marked[i] = replace(marked[i], owed=n < n_owed)
    return marked


def n_unopened(stack: list[Bracket], closers: tuple[Closer, ...]) -> int:
    """Closers on the cursor's line that the text still to come has to open."""
    kinds = [bracket.name for bracket in stack]
    n = 0
    for closer in closers:
        if not closer.is_on_line:
            break
        match = next(
            (i for i in range(len(kinds) - 1, -1, -1) if matches(kinds[i], closer.name)), -1
        )
        if match < 0:
            n += 1
        else:
            del kinds[match:]
    return n


def _is_block(bracket: Bracket) -> bool:
    return bracket.ends_line and bracket.name in "{:"


def lacking(
    stack: list[Bracket],
    closers: tuple[Closer, ...],
    values: frozenset[int],
    level: int | None,
    *,
    is_header: bool,
) -> Counter[str]:
    """The brackets and tags that close after the cursor more often than they are open.

    Where not all of them have been read, those count that are not left of ``level``; where
    a header may have begun there, not the blocks that it is in, which need not be indented.
    """
    own = [bracket for bracket in stack if bracket.start not in values]
    if level is not None:
        closers = tuple(c for c in closers if c.is_on_line or c.indent >= level)
        own = [b for b in own if b.indent >= level + (is_header and _is_block(b))]
    n_closed = Counter(CLOSERS.get(closer.name, closer.name) for closer in closers)
    n_closed.subtract(bracket.name for bracket in own)
    return +n_closed


def _matching(
    stack: list[Bracket], index: int, closer: Closer, values: frozenset[int]
) -> int | None:
    """The innermost bracket of its kind; by the column, where the closer begins a line."""
    kinds = [
        i
        for i in range(index, -1, -1)
        if matches(stack[i].name, closer.name) and stack[i].start not in values
    ]
    if closer.is_first:
        # The last line of a longer header stands anywhere: then no other bracket fits.
        kinds = [i for i in kinds if stack[i].indent == closer.indent] or kinds
        # Of those on one column, it is the one whose contents stand on lines of their own.
        kinds = [i for i in kinds if stack[i].ends_line] or kinds
    elif not closer.is_on_line:
        # Nothing that was opened further right is closed left of there.
        kinds = [i for i in kinds if stack[i].indent <= closer.indent] or kinds
    return kinds[0] if kinds else None
