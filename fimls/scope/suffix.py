"""The strongest witness: what follows the cursor.

The generated text ends where it begins to repeat the rest of the cursor's line
or the lines after it. A whole, telling line is enough; a short or common one
needs the next line to match too, or the end of the scope right behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fimls.scope.site import Ahead, Site

# Shorter lines repeat by chance (measured on infilling benchmarks: "else:", "i += 1").
TELLING = 12
# A line that is not the very next one has to be longer to be telling.
TELLING_FURTHER = 24
_COMMON = re.compile(
    r"(return|break|continue|pass|else|try|finally|end|fi|done|do|then|begin)\b[\s:;{]*"
    r"(true|false|none|null|nil|self|this|result|res|0|1|-1|err|nil, err|ok)?\s*;?$",
    re.IGNORECASE,
)


def is_common(text: str) -> bool:
    """Whether a line says too little to be recognised by."""
    return len(text) < TELLING or _COMMON.match(text) is not None


@dataclass(slots=True)
class Repetition:
    """Follows the generated lines and compares them with those ahead."""

    ahead: tuple[Ahead, ...]
    by_indent: bool
    _runs: dict[int, int] = field(default_factory=dict)  # next index expected: start of the run

    def line(self, text: str, indent: int, start: int) -> int | None:
        """The start of a repetition that this generated line makes certain."""
        certain: int | None = None
        runs: dict[int, int] = {}
        for index, line in enumerate(self.ahead):
            if line.text != text or (self.by_indent and line.indent != indent):
                continue
            run = self._runs.get(index, start)
            runs[index + 1] = run
            if index in self._runs and (len(text) > 2 or index + 1 == len(self.ahead)):
                certain = run if certain is None else min(certain, run)
            elif not is_common(text) and (index == 0 or len(text) >= TELLING_FURTHER):
                certain = start if certain is None else min(certain, start)
        self._runs = runs
        return certain

    def run_to_end(self) -> int | None:
        """The start of a run of lines that has come to the last line of the scope ahead."""
        return self._runs.get(len(self.ahead))

    def run_from_first(self) -> int | None:
        """The start of a run, still unconfirmed, that began with the very next line."""
        return self._runs.get(1)


def overlap(text: str, tail: str) -> int:
    """How many of the last characters of ``text`` begin ``tail``. Linear."""
    longest = min(len(text), len(tail))
    if not longest:
        return 0
    # Knuth-Morris-Pratt over the tail, run through the end of the text.
    fallback = [0] * (longest + 1)
    k = 0
    for i in range(1, longest):
        while k and tail[i] != tail[k]:
            k = fallback[k]
        k += tail[i] == tail[k]
        fallback[i + 1] = k
    k = 0
    for character in text[-longest:]:
        while k and (k == longest or tail[k] != character):
            k = fallback[k]
        k += tail[k] == character
    return k


def meets_tail(line: str, site: Site) -> int | None:
    """Where in the first generated line the rest of the cursor's line begins again."""
    tail = site.tail.strip()
    if not tail:
        return None
    bare = line.rstrip()
    if bare.endswith(tail):
        return len(bare) - len(tail)
    found = bare.find(tail)
    if found >= 0 and len(tail) >= 4:
        return found
    shared = overlap(bare, tail)
    # A letter in common is chance; a shared closing bracket is not.
    return len(bare) - shared if shared >= 4 or (shared and bare[-1] in ")]}") else None
