"""``#if`` and ``#endif``: blocks of the preprocessor, which no bracket tells."""

from __future__ import annotations

import re

from fimls.scope.site import Line, Site

_OPENS = re.compile(r"#\s*if")
_BRANCHES = re.compile(r"#\s*el(se|if)")
_ENDS = re.compile(r"#\s*endif\b")
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(if|endif)", re.MULTILINE)


def n_open(lines: list[Line], *, branches: bool = False) -> int:
    """How many conditions the generated text has open.

    With ``branches``, an ``#else`` counts as well: of a condition from before the cursor.
    """
    n = 0
    for line in lines:
        if _OPENS.match(line.text) or (branches and not n and _BRANCHES.match(line.text)):
            n += 1
        elif _ENDS.match(line.text) and n:
            n -= 1
    return n


def is_owed_end(line: str, lines: list[Line], site: Site) -> bool:
    """An ``#endif`` that stands after the cursor already, or that closes nothing."""
    if not site.language.conditionals or not _ENDS.match(line.strip()) or n_open(lines):
        return False
    return _n_unclosed(site.before) <= _n_unopened(site.after)


def _n_unclosed(text: str) -> int:
    n = 0
    for found in _DIRECTIVE.finditer(text):
        n = n + 1 if found.group(1) == "if" else max(0, n - 1)
    return n


def _n_unopened(text: str) -> int:
    depth = n = 0
    for found in _DIRECTIVE.finditer(text):
        if found.group(1) == "if":
            depth += 1
        elif depth:
            depth -= 1
        else:
            n += 1
    return n
