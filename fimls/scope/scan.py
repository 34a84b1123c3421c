"""A scanner for text that is still being written.

Grammars need finished text; the end of a generation is not. The scanner knows
only comments, strings and brackets, never looks further than the token it is
in, and takes text piece by piece: what it reports for a text does not depend
on how the text was cut into pieces. Linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from fimls.scope.languages import Language
from fimls.scope.syntax import Syntax, opener_pattern, syntax_of
from fimls.scope.tags import LONGEST_TAG, TAG_END, VOID

# A colon opens what a word closes, where a language writes blocks that way too.
OPENERS = {"(": ")", "[": "]", "{": "}", ":": "end:"}
CLOSERS = {closer: opener for opener, closer in OPENERS.items()}


class Kind(Enum):
    """What the scanner reports."""

    OPEN = "open"  # an opening bracket or tag
    CLOSE = "close"  # a closing bracket or tag
    NEWLINE = "newline"  # outside strings and comments that span lines
    SEMICOLON = "semicolon"
    OPAQUE = "opaque"  # a string or comment that may span lines begins
    CLEAR = "clear"  # it has ended
    LITERAL = "literal"  # a token of no interest: it only had to be passed over whole


class Mark(NamedTuple):
    """Something at ``start``; ``name`` is the bracket, ``<tag``, or the delimiter."""

    kind: Kind
    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """A string or comment that is open: how it ends."""

    closer: str
    start: int
    is_comment: bool
    one_line: bool
    is_doubled: bool = False  # a doubled closer is text, and a backslash nothing special
    is_raw: bool = False  # a backslash is nothing special

    @property
    def pattern(self) -> re.Pattern[str]:
        if self.is_doubled:
            return re.compile(f"({re.escape(self.closer)}){{1,2}}")
        return _closer_pattern(self.closer, self.one_line, self.is_comment or self.is_raw)


@lru_cache(maxsize=64)
def _closer_pattern(closer: str, one_line: bool, is_raw: bool) -> re.Pattern[str]:
    if closer == "\n":
        return re.compile(r"\n")
    if closer.startswith("\n"):
        return re.compile(rf"\n[ \t]*{re.escape(closer[1:])}\b")
    stop = r"|\n" if one_line else ""
    if is_raw:
        return re.compile(re.escape(closer) + stop)
    return re.compile(rf"\\(?:.|\n)|{re.escape(closer)}{stop}")


_KIND_OF = {
    "opaque": Kind.OPAQUE,
    "heredoc": Kind.OPAQUE,
    "newline": Kind.NEWLINE,
    "semicolon": Kind.SEMICOLON,
}

_HALF_HEREDOC = re.compile(r"<<[-~<]? ?(['\"])\w*\1?\Z")
# A regular expression or character literal is found only when whole: longer ones are none.
_LONGEST_LITERAL = 100


@dataclass(slots=True)
class Scanner:
    """Feed it text; it yields marks, each once, as soon as it is certain."""

    language: Language
    text: str = ""
    opaque: Opaque | None = None
    position: int = 0
    end: int | None = None  # nothing beyond is looked at; ``None``: the whole text
    head: str = ""  # what stands before the text on its first line
    _resume: int = 0
    _syntax: Syntax = field(init=False)

    def __post_init__(self) -> None:
        self._syntax = syntax_of(self.language)

    def marks(self) -> Iterator[Mark]:
        """All marks of a text that is complete."""
        while (mark := self.next_mark(final=True)) is not None:
            yield mark

    def next_mark(self, *, final: bool = False) -> Mark | None:
        """The next certain mark; ``None``: the rest waits for more text."""
        while self.position < self._until:
            mark = self._in_opaque(final=final) if self.opaque else self._in_code(final=final)
            if mark is None or mark.kind is not Kind.LITERAL:
                return mark
        return None

    @property
    def _until(self) -> int:
        return len(self.text) if self.end is None else self.end

    def _in_opaque(self, *, final: bool) -> Mark | None:
        opaque = self.opaque
        assert opaque is not None
        start = max(self.position, self._resume)
        for found in opaque.pattern.finditer(self.text, start, self._until):
            if found.group().startswith("\\") and opaque.closer != "\\":
                continue
            if opaque.is_doubled and found.group() != opaque.closer:
                continue
            if opaque.is_doubled and found.end() == self._until and not final:
                break  # it may yet be doubled
            self.opaque = None
            self.position = self._resume = found.end()
            if found.group() == "\n":
                return Mark(Kind.NEWLINE, found.start(), found.end(), "\n")
            return Mark(Kind.CLEAR, found.start(), found.end(), opaque.closer)
        # Half a delimiter at the end, and backslashes or doubled closers from the first of them
        # on, are looked at again with more text.
        self._resume = max(start, self._until - len(opaque.closer) - 1)
        if opaque.closer[0] == "\n":  # the word may be indented
            line = self.text.rfind("\n", start, self._until)
            self._resume = line if line >= 0 else self._until
        pairs = opaque.closer if opaque.is_doubled else "\\"
        while self._resume > start and self.text[self._resume - 1] == pairs:
            self._resume -= 1
        return None

    def _in_code(self, *, final: bool) -> Mark | None:
        text = self.text
        found = self._syntax.token.search(text, max(self.position, self._resume), self._until)
        if found is None or (not final and self._is_half(found)):
            self._resume = max(self.position, self._first_half())
            return None
        self.position = self._resume = found.end()
        start, end = found.span()
        kind = found.lastgroup
        name = found.group()
        if kind == "tag" and not self._compares(start):
            return self._tag(name, start, end, final=final)
        if kind == "opaque" and not self._open(name, start):
            kind = None
        elif kind == "heredoc":
            self.opaque = Opaque("\n" + found["word"], start, is_comment=False, one_line=False)
        elif kind == "bracket":
            return Mark(Kind.OPEN if name in OPENERS else Kind.CLOSE, start, end, name)
        elif kind == "colon" and self._opens_block(start):
            return Mark(Kind.OPEN, start, end, name)
        elif kind == "end":
            return Mark(Kind.CLOSE, start, end, OPENERS[":"])
        return Mark(_KIND_OF.get(kind or "", Kind.LITERAL), start, end, name)

    def _open(self, name: str, start: int) -> bool:
        """A string or comment begins; false: its line began with what no string stands behind."""
        language, head = self.language, "" if start else self.head
        if head and not re.search(f"{opener_pattern(name, language)}$", head + name):
            return False
        closer, is_comment, one_line = self._syntax.opaque[name]
        is_doubled, is_raw = name in language.doubled, name in language.raw
        self.opaque = Opaque(closer, start, is_comment, one_line, is_doubled, is_raw)
        return True

    def _compares(self, start: int) -> bool:
        """Whether a < at the start of the text stands right after a name before it."""
        return not start and bool(self.language.strings and re.search(r"[\w)\]]$", self.head))

    def _opens_block(self, colon: int) -> bool:
        """Whether the header that ends in the colon begins a block, and carries none on."""
        line = max(self.text.rfind("\n", 0, colon) + 1, colon - LONGEST_TAG)
        header = ("" if line else self.head) + self.text[line:colon]
        words, opening = re.findall(r"(?:else ?)?\w+", header), self.language.colon_blocks
        known = [w for w in words if w.removeprefix("else").strip() in (*opening, "case")]
        return bool(known) and known[-1] in opening

    def _is_half(self, found: re.Match[str]) -> bool:
        """Whether the text ends in what may become something else than was found."""
        start, kind = found.start(), found.lastgroup
        if kind == "regex" and found["slash"] is not None:
            return self.text.find("\n", start, self._until) < 0
        if self.language.heredocs and kind == "opaque":  # or the quote of a <<'END'
            behind = self.text[max(0, start - 4) : min(start + _LONGEST_LITERAL, self._until)]
            if _HALF_HEREDOC.search(behind):
                return True
        if kind == "tick":
            rest = self.text[start + 1 : min(start + 12, self._until)]
            return len(rest) < (11 if rest.startswith("\\") else 2) and "\n" not in rest
        if self._until - start >= self._syntax.longest:
            return False
        # It may also be the end of what has begun before it: the quote of R"( is one.
        return any(
            self.text.endswith(delimiter[:n], 0, self._until) and self._until - n <= start
            for delimiter in self._syntax.delimiters
            for n in range(max(1, self._until - start), len(delimiter))
        )

    def _first_half(self) -> int:
        """Where the last few characters may begin a delimiter."""
        # A regex literal or a tag is found only when whole: look again from its line's start.
        language = self.language
        if language.regexes or language.tags or language.chars or language.heredocs:
            line = self.text.rfind("\n", self.position, self._until) + 1
            return max(line, self._until - _LONGEST_LITERAL)
        return max(self.position, self._until - self._syntax.longest)

    def _tag(self, name: str, start: int, end: int, *, final: bool) -> Mark | None:
        position, last = end, min(self._until, start + LONGEST_TAG)
        while True:
            found = TAG_END.search(self.text, position, last)
            if found is not None and found.group() == "{":
                found = None  # what it holds is not all there yet
            if found is None and not final and last == self._until:
                self.position = self._resume = start
                return None
            if found is None:
                return Mark(Kind.LITERAL, start, end, name)
            if found.group() in {">", "/>"}:
                break
            position = found.end()
        self.position = self._resume = found.end()
        bare = name.strip("</").lower()
        if name.startswith("</"):
            return Mark(Kind.CLOSE, start, found.end(), "<" + bare)
        # In code every tag is closed, and <Link> is a component, not HTML's link.
        if found.group() == "/>" or (bare in VOID and not self.language.strings):
            return Mark(Kind.LITERAL, start, found.end(), name)
        return Mark(Kind.OPEN, start, found.end(), "<" + bare)


def matches(opener: str, closer: str) -> bool:
    """Whether a closing bracket or tag belongs to an opening one."""
    return OPENERS.get(opener) == closer or (opener == closer and opener.startswith("<"))
