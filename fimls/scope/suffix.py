"""The strongest witness: what follows the cursor.

The generated text ends where it begins to repeat the rest of the cursor's line
or the lines after it. A whole, telling line is enough; a short or common one
needs the next line to match too, or the end of the scope right behind it. Lines
further down tell less: branches resemble each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from fimls.scope.scan import Kind, Opaque, Scanner
from fimls.scope.site import LINES_AHEAD, Ahead, Site

# Shorter lines repeat by chance (measured on infilling benchmarks: "else:", "i += 1").
TELLING = 12
_COMMON = re.compile(
    r"(return|break|continue|pass|else|try|finally|end|fi|done|do|then|begin)\b[\s:;{]*"
    r"(true|false|none|null|nil|self|this|result|res|0|1|-1|err|nil, err|ok)?\s*;?$",
    re.IGNORECASE,
)

# Attributes and the like in front of a definition, which its neighbours have as well; and, where
# a type may stand alone, that.
_PRELUDE = re.compile(r"@[\w.:]+(\(.*\))?|template\s*<.*>")
_ATTRIBUTE = re.compile(r"#?\[.*\]")
_TYPE = re.compile(r"[a-z_][\w\s*&:<>]*")
_WORD = re.compile(r"\w")
_INSIDE_WORD = re.compile(r"\w\w")


def is_common(text: str) -> bool:
    """Whether a line says too little to be recognised by."""
    return len(text) < TELLING or _COMMON.match(text) is not None


@dataclass(frozen=True, slots=True)
class Run:
    """Generated lines, one after the other, that equal lines ahead one after the other."""

    start: int  # of the first of them, in the generated text
    index: int  # of the line ahead that the first of them equals
    n: int  # of them, without those of mere brackets
    telling: int  # how many of them are long enough to be recognised by
    is_left: bool = False  # they are indented less than the lines ahead, all by as much


@dataclass(slots=True)
class Repetition:
    """Follows the generated lines and compares them with those ahead."""

    ahead: tuple[Ahead, ...]
    by_indent: bool
    has_lone_types: bool = False
    has_attributes: bool = False  # in square brackets
    runs: dict[int, Run] = field(default_factory=dict)  # by the index of their last line
    _left: dict[tuple[int, int], Run] = field(default_factory=dict)  # also by how far left

    def line(self, text: str, indent: int, start: int) -> Run | None:
        """The repetition that this generated line, at ``start``, makes certain."""
        runs: dict[int, Run] = {}
        left: dict[tuple[int, int], Run] = {}
        for index, line in enumerate(self.ahead):
            if line.text != text:
                continue
            shift = line.indent - indent if self.by_indent else 0
            if shift == 0:
                runs[index] = self._run(self.runs.get(index - 1), text, start, index)
            elif shift > 0:
                run = self._run(self._left.get((index - 1, shift)), text, start, index)
                left[index, shift] = replace(run, is_left=True)
        self.runs, self._left = runs, left
        # What begins like the next line may be where it is repeated, not what has begun before.
        is_anew = bool(self.ahead) and text == self.ahead[0].text
        certain = [
            run
            for run in (*runs.values(), *left.values())
            if _is_certain(run) and not (is_anew and run.n > 1 and not run.start)
        ]
        return min(certain, key=lambda run: run.start, default=None)

    def _run(self, before: Run | None, text: str, start: int, index: int) -> Run:
        """The run that goes on, or begins, with the line ``text``."""
        is_prelude = (
            _PRELUDE.fullmatch(text)
            or (self.has_lone_types and _TYPE.fullmatch(text))
            or (self.has_attributes and _ATTRIBUTE.fullmatch(text))
        )
        says = not is_prelude and _WORD.search(text) is not None
        telling = says and not is_common(text)
        if before is None:
            return Run(start, index, int(says), int(telling))
        return Run(before.start, before.index, before.n + says, before.telling + telling)

    def from_next_line(self) -> Run | None:
        """An unconfirmed run that begins with the very next line."""
        return next((run for run in self.runs.values() if run.index == 0), None)

    def to_the_end(self, floor: int) -> Run | None:
        """A run that has come to the last line of the scope ahead, which ends at ``floor``."""
        n = len(self.ahead)
        if self.by_indent:
            n = next((i for i, line in enumerate(self.ahead) if line.indent < floor), n)
        if n == LINES_AHEAD:
            return None  # it goes on further than we look
        run = self.runs.get(n - 1)
        if run is None or not run.n:
            return None
        # What is skipped must not end the block of the line that is met: then it is another's.
        if self.by_indent:
            skipped = (line.indent for line in self.ahead[: run.index])
            return run if all(at >= self.ahead[run.index].indent for at in skipped) else None
        # A line of a block that begins further down, like a break or a return, is one of many.
        is_inner = self.ahead[n - 1].indent > self.ahead[0].indent
        return run if run.n > 1 or not is_inner else None


def _is_certain(run: Run) -> bool:
    # A branch often repeats a line or two of the branch below it (seen in if/elif chains).
    if run.index > 0:
        return False
    if run.is_left:
        # What follows would hang deeper than its own repetition: no program goes on so.
        return run.n > 2 and run.telling > 1
    # Text that begins like what follows may well be its sibling, as in lists and markup.
    return run.n > 1 or (run.telling > 0 and run.start > 0)


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


def meets_tail(text: str, site: Site, *, since: int = 0, certain: bool = False) -> int | None:
    """Where in the text, whose last line begins at ``since``, the cursor's line goes on again.

    ``certain``: the text ends in a closer that is known to stand in the rest of the line.
    """
    tail = site.tail.strip()
    bare = text.rstrip()
    if not tail or not bare:
        return None
    if certain:
        shared = overlap(bare, tail)
        # What is left must not lose a closer of its own to what follows.
        most = max(site.unopened, n_open(bare[:-1], site))
        fits = shared and n_open(bare[:-shared], site) <= most
        return len(bare) - shared if fits else None
    cuts = [len(bare) - len(tail)] if bare.endswith(tail) else []
    found = bare.find(tail, since)
    if found >= 0 and len(tail) >= 4:
        cuts.append(found)
    shared = overlap(bare, tail)
    # A letter in common is chance, and so is half a word; a shared closing bracket or end is not.
    is_half = bool(_INSIDE_WORD.match(bare, len(bare) - shared - 1)) and shared < len(bare)
    if (shared >= 4 and not is_half) or (shared and bare[-1] in ")]};,"):
        cuts.append(len(bare) - shared)
    # Inside a string or comment, brackets pair too: of code in it, or of its sentences.
    is_inside = site.opaque is not None and site.opaque.closer not in bare
    opaque = None if is_inside else site.opaque
    n_wanted = min(_n_open_and_closed(bare, site, opaque)[1], _n_lacking(site))
    for cut in cuts:
        n_opened, n_closed = _n_open_and_closed(bare[:cut], site, opaque)
        # It closes what it opens, but for what the rest of the line closes, and what that leaves.
        if n_opened == site.unopened and n_closed >= n_wanted:
            return cut
    return None


def _n_lacking(site: Site) -> int:
    """How many brackets on the cursor's line are left to the text to close."""
    line = len(site.before) - len(site.head)
    return sum(not bracket.owed for bracket in site.stack if bracket.start >= line)


def is_in_opaque(text: str, site: Site) -> bool:
    """Whether the string or comment that the cursor is in is still open behind the text."""
    if site.opaque is None:
        return False
    scanner = Scanner(site.language, text, opaque=site.opaque)
    return scanner.next_mark(final=True) is None and scanner.opaque is not None


def n_open(text: str, site: Site) -> int:
    """How many brackets the text opens and does not close."""
    return _n_open_and_closed(text, site, site.opaque)[0]


def _n_open_and_closed(text: str, site: Site, opaque: Opaque | None) -> tuple[int, int]:
    """How many brackets the text opens and leaves open, and closes without having opened them."""
    n_opened = n_closed = 0
    for mark in Scanner(site.language, text, opaque=opaque).marks():
        if mark.kind is Kind.OPEN:
            n_opened += 1
        elif mark.kind is Kind.CLOSE and n_opened:
            n_opened -= 1
        elif mark.kind is Kind.CLOSE:
            n_closed += 1
    return n_opened, n_closed
