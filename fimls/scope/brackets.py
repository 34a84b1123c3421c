"""The brackets of a generation: its own, those it may close, those that are owed to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol, TypeVar

from fimls.scope.languages import Language
from fimls.scope.scan import CLOSERS, Mark, matches
from fimls.scope.site import Bracket, Site
from fimls.scope.statements import first_word

# Deeper nesting is no code, and must not cost more than code does.
MOST_OPEN = 256


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Open = TypeVar("_Open", bound=_Named)


def pop(stack: list[_Open], closer: str) -> _Open | None:
    """Take the bracket off that ``closer`` closes, with those left open inside it."""
    for index in range(len(stack) - 1, max(-1, len(stack) - MOST_OPEN), -1):
        if matches(stack[index].name, closer):
            found = stack[index]
            del stack[index:]
            return found
    return None


# The words of a case: no spaces in them but quoted ones.
_WORD = r"(?:\"[^\"]*\"|'[^']*'|\\.|[^\s\"'|\\])+"
_CASE_PATTERN = re.compile(rf"(?:.*(?:\bin|;;&?)\s)?\s*\(?{_WORD}(?:\s*\|\s*{_WORD})*")
_LONGEST_CASE = 200


def is_loose(text: str, mark: Mark, language: Language) -> bool:
    """Whether a closer may stand alone, as the shell's ``name)``.

    First on its line it may not, nor beside another that closes what is open there.
    """
    if mark.name not in language.loose:
        return False
    line = text.rfind("\n", 0, mark.start) + 1
    before = text[max(line, mark.start - _LONGEST_CASE) : mark.start]
    n_closed = before.count(mark.name)
    is_single = mark.name * 2 not in text[max(0, mark.start - 1) : mark.end + 1]
    is_behind_whole = 0 < n_closed == before.count(CLOSERS[mark.name])
    return (is_single or is_behind_whole) and _CASE_PATTERN.fullmatch(before) is not None


class Closed(Enum):
    """What a closing bracket of the generated text closes."""

    OWN = auto()  # what the text opened itself
    OURS = auto()  # what stood open before the cursor, and nothing after it closes
    OWED = auto()  # what the text after the cursor closes already
    LOOSE = auto()  # nothing, and need not
    NOTHING = auto()


@dataclass(slots=True)
class Brackets:
    """Follows the open brackets around and in a generation."""

    site: Site
    depth: list[Mark] = field(default_factory=list)  # opened by the generated text
    body: Mark | None = None  # the one that the text opened for the body that follows it
    n_body: int = 0  # how many are open in that body
    _stack: list[Bracket] = field(init=False)  # open before the cursor, and still open

    def __post_init__(self) -> None:
        self._stack = list(self.site.stack)

    def close(self, text: str, closer: Mark) -> tuple[Closed, Mark | None]:
        """Take a closing bracket of ``text``; with it the opening one, if that is the text's."""
        opened = pop(self.depth, closer.name)
        if opened is not None:
            return Closed.OWN, opened
        is_inner = self.inner is not None and matches(self.inner.name, closer.name)
        line = self.site.head + text[: closer.end]  # what is on the cursor's line, or below it
        shifted = closer._replace(start=closer.start + len(self.site.head))
        if not is_inner and is_loose(line, shifted, self.site.language):
            return Closed.LOOSE, None
        if self.inner is not None and self.inner.owed:
            return Closed.OWED, None
        if not self.may_close(closer.name):
            return Closed.NOTHING, None
        self.depth.clear()
        pop(self._stack, closer.name)
        return Closed.OURS, None

    def may_close(self, closer: str) -> bool:
        """Whether a bracket before the cursor is left to the generated text to close."""
        return any(not b.owed and matches(b.name, closer) for b in self._stack)

    @property
    def inner(self) -> Bracket | None:
        """The innermost bracket from before the cursor that is still open."""
        return self._stack[-1] if self._stack else None

    @property
    def is_closed(self) -> bool:
        """Whether every bracket that was left to the generated text has been closed."""
        return all(bracket.owed for bracket in self._stack)

    @property
    def is_statement_closed(self) -> bool:
        """The same for the brackets of the cursor's statement alone."""
        return all(bracket.owed for bracket in self._stack[self.site.n_outer :])


@dataclass(slots=True)
class Branches:
    """``} else {`` in front of a brace that is owed: closed, opened again, and still owed."""

    site: Site
    at: int | None = None  # the brace that closes the branch above, until another opens
    _has_reopened: bool = False

    def may_begin(self, text: str, closer: Mark, inner: Bracket) -> bool:
        """Whether the text is a branch of its own: it begins by closing the one above."""
        is_first = self._has_reopened or not text[: closer.start].strip()
        return is_first and matches(inner.name, "}") and closer.name == "}"

    def goes_on(self, text: str) -> bool:
        """Whether ``text``, up to here, still looks like the header of a branch."""
        assert self.at is not None
        rest = text[self.at + 1 :].lstrip(" \t")
        word, words = first_word(rest), self.site.language.goes_on
        if rest == word:  # still being spelt
            return any(known.startswith(word) for known in words)
        return word in words and rest[-1] not in "\n;}"

    def open(self, header: str) -> bool:
        """The brace of a branch opened behind ``header``; false: it follows already."""
        self.at = None
        self._has_reopened = True
        return not self.site.after.lstrip().startswith(header)
