"""Answers in Markdown: models that were taught to chat put code between fences.

The code is watched as if it had come alone; the opening line, and the lines before the
cursor where they are said again, are passed over. Post-processing takes them away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

FENCE = "```"
_OPENING = re.compile(r"[ \t]*```[\w+#.-]*[ \t]*\n")
_HALF_OPENING = re.compile(r"[ \t]*(`{0,2}|```[\w+#.-]*[ \t]*)")
# Deeper indentation, or a longer name of a language, is none.
_LONGEST = 80
# What is looked through for lines that the answer says again.
_LOOKS_BACK = 2_000


def opening(text: str, before: str, *, final: bool) -> int | None:
    """How many characters open a fence at the start of ``text``; ``None``: not known yet.

    The lines before the cursor, down to the cursor itself, often open the code again.
    """
    found = _OPENING.match(text, 0, _LONGEST)
    if found is None:
        is_open = len(text) < _LONGEST and _HALF_OPENING.fullmatch(text) is not None
        return None if is_open and not final else 0
    code = text[found.end() :]
    n_said_again = 0
    for lines in _last_lines(before):
        if not final and len(code) < len(lines) and lines.startswith(code):
            return None
        if code.startswith(lines):
            n_said_again = len(lines)
    return found.end() + n_said_again


def _last_lines(before: str) -> Iterator[str]:
    """The last line, the last two, and so on."""
    start = len(before)
    while start > 0 and len(before) - start < _LOOKS_BACK:
        start = before.rfind("\n", 0, start - 1) + 1
        yield before[start:]
