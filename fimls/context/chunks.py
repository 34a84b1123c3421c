"""What other files show of themselves: signatures, a few files, and seldom other ones.

Chunks stand first in a prompt, so a change of one has the whole prompt evaluated again.
They are chosen when a person comes to a document and kept until the person has been
elsewhere; their order is that of their names, which no visit changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from fimls.fim import Chunk

# Signatures of more files dilute what a small model reads.
MOST_FILES = 4


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another open file: its name, and its signatures, one a line."""

    path: str
    signatures: str


def choose(
    text: str,
    neighbours: Sequence[Neighbour],
    n_tokens: int,
    count_tokens: Callable[[str], int],
) -> tuple[Chunk, ...]:
    """Chunks of at most ``n_tokens`` for a document that reads ``text``.

    ``neighbours`` are in the order of their last use, the latest first. Those that ``text``
    names (an import, an include) come before the others, and a file that does not fit as a
    whole is cut at a line.
    """
    words = set(re.findall(r"\w+", text))
    ranked = sorted(
        (one for one in neighbours if one.signatures.strip()),
        key=lambda one: PurePath(one.path).stem not in words,  # sorted keeps the order of use
    )
    chosen = []
    for one in ranked[:MOST_FILES]:
        lines = []
        for line in one.signatures.splitlines():
            n_line = count_tokens(f"{line}\n")
            if n_line > n_tokens:
                break
            lines.append(line)
            n_tokens -= n_line
        if lines:
            chosen.append(Chunk(one.path, "\n".join(lines) + "\n"))
    return tuple(sorted(chosen, key=lambda chunk: chunk.path))
