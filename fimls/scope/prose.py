"""Prose: a paragraph or a list item ends at an empty line, a new block, or what follows."""

from __future__ import annotations

import re

from fimls.fim import Cut, StopReason
from fimls.scope.choice import Choice
from fimls.scope.site import Line

_BLOCK = re.compile(r"#{1,6} |[-*+] |\d+[.)] |```|~~~|\||>")


def prose_line(line: str, start: int, choice: Choice, *, has_text: bool) -> Cut | None:
    """Judge one generated line of prose, which begins at ``start``.

    ``has_text``: the paragraph has begun, before the cursor or after it.
    """
    site = choice.site
    bare = line.strip()
    if start and has_text and (not bare or _BLOCK.match(bare)):
        return Cut(start, StopReason.SCOPE)
    if bare and (site.is_fresh or start):
        run = choice.add(Line(start, 0, bare))
        if run is not None:
            return Cut(run.start, StopReason.SUFFIX)
    return None
