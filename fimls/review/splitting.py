"""Scopes that are too long to be read at once, in parts that fit."""

from __future__ import annotations

import re
from collections.abc import Callable

from fimls.scope import Outline, Scope

# What a small model reads with attention. Longer functions are read in parts.
MOST_PART_TOKENS = 1_200
# Signatures of what the code calls, so that swapped arguments can be seen.
MOST_SIGNATURES = 6

_NAME = re.compile(r"[A-Za-z_]\w*(?=\s*[(<])")


def parts(
    text: str, scope: Scope, n_tokens: int, count_tokens: Callable[[str], int]
) -> tuple[list[tuple[int, int]], int]:
    """Ranges of ``text`` that make up ``scope``, whole lines of at most ``n_tokens`` each.

    They end where the indentation is least, in the second half of what fits. A single line
    that is too long is left out: it is data, or minified. How many were is told too.
    """
    if count_tokens(text[scope.start : scope.end]) <= n_tokens:
        return [(scope.start, scope.end)], 0
    lines: list[tuple[int, int, int]] = []  # start, end, tokens
    at = scope.start
    for line in text[scope.start : scope.end].splitlines(keepends=True):
        lines.append((at, at + len(line), count_tokens(line)))
        at += len(line)
    found: list[tuple[int, int]] = []
    first = n_left_out = 0
    while first < len(lines):
        n, last = 0, first
        while last < len(lines) and n + lines[last][2] <= n_tokens:
            n += lines[last][2]
            last += 1
        if last == first:
            first += 1
            n_left_out += 1
            continue
        if last < len(lines):
            middle = first + (last - first) // 2
            # The last of the least indented: a blank line counts as least.
            last = min(range(last, middle, -1), key=lambda at: _depth(text, lines[at]))
        found.append((lines[first][0], min(lines[last - 1][1], scope.end)))
        first = last
    return found, n_left_out


def context(text: str, scope: Scope, outline: Outline, *, with_header: bool) -> str:
    """The headers around a scope, and those of the functions here that it calls."""
    lines = list(scope.within)
    if with_header:
        lines.append(header(text, scope) + "  (its beginning or middle is left out)")
    called = dict.fromkeys(_NAME.findall(text[scope.start : scope.end]))
    by_name = {s.name: s for s in outline.scopes if s.kind == "function" and s != scope}
    signatures = [header(text, by_name[name]) for name in called if name in by_name]
    return "\n".join([*lines, *signatures[:MOST_SIGNATURES]])


def header(text: str, scope: Scope) -> str:
    """A definition's first lines on one line, without what stands in front of its name."""
    return " ".join(text[scope.start : scope.body].split())[:200].rstrip("{ ")


def _depth(text: str, line: tuple[int, int, int]) -> int:
    shown = text[line[0] : line[1]]
    return len(shown) - len(shown.lstrip()) if shown.strip() else 0
