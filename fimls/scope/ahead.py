"""Reads what follows a cursor: its lines, and the closers in it that nothing there opened."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from fimls.scope.brackets import MOST_OPEN, is_loose
from fimls.scope.languages import Language
from fimls.scope.owed import Closer
from fimls.scope.scan import CLOSERS, Kind, Mark, Opaque, Scanner, matches
from fimls.scope.site import LINES_AHEAD, Ahead, width

MOST_AFTER = 16_000
HEADER_ENDS = r"[^\n]*[:,(]\n"


_KEY_OR_ITEM = re.compile(r"\n[ \t]*(?:- |[\w.-]+:\s)")


@lru_cache(maxsize=16)
def look_ahead(
    text: str, language: Language, opaque: Opaque | None
) -> tuple[bool, tuple[Closer, ...], tuple[Ahead, ...]]:
    """Whether the open string is closed, the closers nobody opened, the lines before them."""
    opaque_owed = opaque is not None and _is_closed(text, opaque, language)
    inside = opaque if opaque_owed else None
    below = _Below(text, language).read(inside)
    if (below.depth or below.is_broken) and len(text) < MOST_AFTER:
        # Something below is not closed either: columns tell what the closers belong to.
        below = _Below(text, language, by_layout=True).read(inside)
    return opaque_owed, tuple(below.closers), tuple(below.ahead)


@dataclass(slots=True)
class _Below:
    """What is found in a text. ``by_layout``: what begins a line closes nothing further right."""

    text: str
    language: Language
    by_layout: bool = False
    closers: list[Closer] = field(default_factory=list)
    ahead: list[Ahead] = field(default_factory=list)
    depth: list[tuple[str, int]] = field(default_factory=list)  # and how their lines are indented
    is_broken: bool = False  # something was closed that had opened inside
    _line: int = 0
    _begins_line: bool = True  # the line began outside brackets, before any closer that is owed

    def read(self, opaque: Opaque | None) -> _Below:
        for mark in Scanner(self.language, self.text, opaque=opaque).marks():
            if mark.kind is Kind.OPEN:
                self.depth.append((mark.name, width(self.text, self._line)))
            elif mark.kind is Kind.CLOSE:
                self._close(mark)
            elif mark.kind is Kind.NEWLINE:
                self._end_line(mark.start)
                self._line = mark.end
                is_outside = not self.depth and not self.closers
                self._begins_line = is_outside and len(self.ahead) < LINES_AHEAD
        self._end_line(len(self.text))
        return self

    def _close(self, mark: Mark) -> None:
        before = self.text[self._line : mark.start]
        is_first = not before.strip()
        while is_first and self.by_layout and self.depth and self.depth[-1][1] > width(before):
            self.depth.pop()
        if mark.name[0] == "<" and self.depth and not self._has_opened(mark.name):
            self.is_broken = True  # its opening tag is too long to be seen
        elif self.depth:
            while self.depth and not matches(self.depth.pop()[0], mark.name):
                self.is_broken = True
        elif self._counts(mark):
            is_on_line = self._line == 0
            is_first = is_first and not is_on_line
            self.closers.append(Closer(mark.name, width(before), is_first, is_on_line))

    def _has_opened(self, name: str) -> bool:
        return any(matches(opener, name) for opener, _ in self.depth)

    def _counts(self, mark: Mark) -> bool:
        """Whether a closer that nobody opened after the cursor closes something before it."""
        if len(self.closers) >= MOST_OPEN or self.language.prose:
            return False
        return not is_loose(self.text, mark, self.language)

    def _end_line(self, end: int) -> None:
        bare = self.text[self._line : end].strip() if self._begins_line else ""
        if bare and bare[0] not in CLOSERS and not bare.startswith("</"):
            self.ahead.append(Ahead(bare, width(self.text, self._line), self._line))


def _is_closed(text: str, opaque: Opaque, language: Language) -> bool:
    """Whether the text after the cursor closes the string or comment the cursor is in."""
    closer = opaque.closer
    if closer[0] == "\n":  # of the line; or of a text up to a word, which may be indented
        return closer == "\n" or opaque.pattern.search(text) is not None
    if language.before_string and not opaque.is_comment:
        # The next quote closes it, unless another text begins with it, or a key or an item.
        begins = language.before_string + closer
        part = _KEY_OR_ITEM.search(text)
        text = text[: part.start()] if part else text
        found = re.search(rf"({begins})|{closer}(?!\w)", "x" + text)
        return found is not None and found[1] is None
    if opaque.one_line:
        return text.partition("\n")[0].count(closer) % 2 == 1
    for opener, end in (*language.block_comments, *language.long_strings):
        if end == closer and opener != closer and opener in text:
            # The next one begins before this one ends: this one is not closed.
            return 0 <= text.find(closer) < text.find(opener)
        if end == closer and opener != closer:
            return closer in text
    return _is_closed_by_count(text, closer, language)


def _is_closed_by_count(text: str, closer: str, language: Language) -> bool:
    """The same where one delimiter opens and closes: an odd number of them closes ours."""
    if len(closer) == 1:
        # Far below, other texts may spell it. A line with a pair of them has a string of its own.
        lines = (line.replace("\\" + closer, "") for line in text.splitlines())
        return next((n for line in lines if (n := line.count(closer))), 0) % 2 == 1
    # Headers are code, so the first ones tell, unless one stands in an example; code further
    # down may spell delimiters.
    if language.indented and language.definition:
        headers = re.finditer(rf"\n[ \t]*(?:{language.definition}){HEADER_ENDS}", text)
        counts = [text.count(closer, 0, header.start()) for header in islice(headers, 5)]
        if counts:
            return sum(n % 2 for n in counts) * 2 > len(counts)
    return text.count(closer) % 2 == 1


def begins_with_branch(after: str, language: Language) -> bool:
    """Whether the next line closes one branch and opens another."""
    tail, _, below = after.partition("\n")
    found = re.match(r"\s*\}\s*(\w+)", below)
    return not tail.strip() and found is not None and found.group(1) in language.goes_on


def ends_below(half: str, after: str) -> bool:
    """Whether a tag closes after the cursor more often than others of its name open there."""
    name = re.match(r"<([\w.:-]+)\s", half)
    if name is None:
        return False
    n_opened = len(re.findall(rf"<{re.escape(name[1])}\b", after))
    return after.count(f"</{name[1]}>") > n_opened
