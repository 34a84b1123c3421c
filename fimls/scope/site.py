"""What is known about the place of the cursor before anything is generated.

``survey`` finds it out. Open brackets on one side and the closers that the other
side owes them, the string or comment the cursor is in, the layout around it, and
the lines that follow. All of it comes from tokens, never from ancestors in a tree:
the tree around a cursor is an ERROR in nine cases of ten, its leaves are right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fimls.scope.languages import Language
from fimls.scope.scan import Opaque

# What is parsed around the cursor, at most, to compare two cuts.
PARSED_BEFORE = 6_000
PARSED_AFTER = 3_000
# How many of the following lines a repetition is looked for in.
LINES_AHEAD = 24

# An operator between two operands, or what assigns a value.
_OPERATOR = re.compile(r"(?:[-+*/%&|^<>=!?]{1,3}|[-+*/%&|^]=)\s")
# What is looked through for the statement above the cursor.
_MOST_ABOVE = 2_000

_NOT_ASCII = re.compile(r"[^\t\n\x20-\x7e]")


def plain(text: str) -> str:
    """``text`` in ASCII, of the same length: then a byte is a character for the parser.

    Letters stay letters, so that identifiers stay identifiers; control characters, among
    them the carriage return, become spaces; everything else a letter too.
    """
    return text if _is_plain(text) else _NOT_ASCII.sub(_stand_in, text)


def _is_plain(text: str) -> bool:
    return text.isascii() and _NOT_ASCII.search(text) is None


def _stand_in(found: re.Match[str]) -> str:
    character = found.group()
    return " " if character.isspace() or character < " " or character == "\x7f" else "x"


_INDENT = re.compile(r"[ \t]*")


def width(text: str, start: int = 0) -> int:
    """The indentation of the line at ``start``, in columns; a tab goes to the next eighth.

    Where a file has tabs alone, any width will do; those that mix them with spaces mean eight.
    """
    found = _INDENT.match(text, start)
    return len(found.group().expandtabs(8)) if found else 0


@dataclass(frozen=True, slots=True)
class Bracket:
    """An open bracket: how its line is indented, what stands before it there."""

    name: str
    start: int
    indent: int
    header: str
    ends_line: bool = False  # its contents begin on the next line
    owed: bool = False  # the text after the cursor closes it


def holds_statements(bracket: Bracket, language: Language) -> bool:
    """Whether a bracket is a block, or holds items of data on lines of their own."""
    return bracket.ends_line and (bracket.name in "{:" or bool(language.separator))


@dataclass(frozen=True, slots=True)
class Ahead:
    """A line after the cursor."""

    text: str  # without the white space around it
    indent: int
    start: int


@dataclass(frozen=True, slots=True)
class Line:
    """A generated line that begins outside brackets and strings of the generated text."""

    start: int
    indent: int
    text: str  # without the white space around it


@dataclass(frozen=True, slots=True)
class Site:
    """The place of the cursor."""

    language: Language
    before: str  # plain, at most MOST_BEFORE
    after: str  # plain, at most MOST_AFTER
    head: str  # of the cursor's line, before it
    tail: str  # of the cursor's line, after it
    opaque: Opaque | None  # the string or comment the cursor is in
    opaque_owed: bool  # and it is closed after the cursor
    half: str  # a half-typed tag or mark before the cursor: read as if generated
    stack: tuple[Bracket, ...]  # outermost first
    ahead: tuple[Ahead, ...]  # the lines that follow up to the first closer that is owed
    unopened: int  # closers on the rest of the line that close nothing that is open
    lacks: tuple[str, ...]  # a deeper body follows, and these brackets around it do not stand
    is_branch_next: bool  # a ``} else {`` follows, which closes a brace that nobody opened
    mark: str  # what ends the embedded text that the cursor is in
    top: int  # where the top-level part with the cursor begins, in ``before``
    parsed_from: int  # a line of it outside strings, where what is parsed begins

    @property
    def is_fresh(self) -> bool:
        """Nothing but white space stands before the cursor on its line."""
        return not self.head.strip()

    @property
    def is_snippet(self) -> bool:
        """The embedded text that the cursor is in is empty: the scope is all of it."""
        return bool(self.mark) and not (self.before + self.half + self.after).strip()

    @property
    def is_first_word(self) -> bool:
        """The first word of a statement is being typed: it can still become anything."""
        return re.fullmatch(r"\s*[A-Za-z_]\w*", self.head) is not None

    @property
    def n_outer(self) -> int:
        """How many of the open brackets hold the cursor's statement rather than belong to it."""
        if self.language.indented and "}" not in self.language.ends:
            return 0
        line = len(self.before) - len(self.head)
        is_markup = not self.language.strings and self.language.tags
        blocks = (
            index + 1
            for index, bracket in enumerate(self.stack)
            if bracket.start < line and (is_markup or holds_statements(bracket, self.language))
        )
        return max(blocks, default=0)

    @property
    def is_between_lines(self) -> bool:
        """The cursor is at the start of a line that has text: whole lines go there."""
        return self.is_fresh and bool(self.tail.strip()) and not self.has_rest

    @property
    def has_rest(self) -> bool:
        """The cursor's line goes on behind it with what the text has to fit before."""
        tail = self.tail.strip()
        return bool(tail) and (not self.is_fresh or self._is_half(tail))

    def _is_half(self, tail: str) -> bool:
        """Whether what follows on the line can begin none: it ends or carries on a statement."""
        language = self.language
        if not tail.strip(";,/>" if language.tags else ";,"):
            return True
        if tail[0] in ";,":
            openers = (opener for opener, _ in language.block_comments)
            rest = tail.lstrip(";,").lstrip()
            return rest.startswith((*language.line_comments, *openers))
        if self.opaque is not None or not (language.goes_on and _OPERATOR.match(tail)):
            return False
        # In the middle of an expression that begins further up, it does begin a line.
        above = self.last_above
        if language.indented and not language.ends:
            return not self.stack and not above.endswith("\\")
        return above.endswith((";", "{", "}", ",", "(", "["))

    @property
    def last_above(self) -> str:
        """The last line before the cursor's that is neither empty nor a comment."""
        above = self.before[: len(self.before) - len(self.head)][-_MOST_ABOVE:]
        marks = (*self.language.line_comments, "/*", "*")
        lines = (line.strip() for line in reversed(above.splitlines()))
        line = next((line for line in lines if line and not line.startswith(marks)), "")
        for mark in self.language.line_comments:
            line = line.partition(f" {mark}")[0]
        return line.rstrip()

    @property
    def indent(self) -> int:
        return width(self.head)

    @property
    def level(self) -> int:
        """The column at which the cursor's line begins, behind the mark of a list's item."""
        item = self.language.item
        return width(self.head.replace(item, " " * len(item)) if item else self.head)

    @property
    def context(self) -> tuple[str, str]:
        """The text around the cursor that is parsed to compare cuts."""
        start = max(self.top, self.parsed_from)
        headers = ""
        if start > self.top:
            headers = _headers_above(self.before[self.top : start], width(self.before, start))
        end = _end_of_part(self.after)
        return self.language.before_parse + headers + self.before[start:], self.after[:end]


# What begins a line at column 0 without beginning a new part of the file.
SAME_PART = re.compile(r"[\s{})\]>]|$|</|(end|else|elif|fi|done|esac|except|finally|then|do)\b")
_NEXT_PART = re.compile(rf"\n(?!{SAME_PART.pattern})")


def _headers_above(text: str, indent: int) -> str:
    """The headers of the blocks that the end of ``text`` is in, going by indentation."""
    headers: list[str] = []
    is_body = False  # the line below is the brace of a body: its header stands above it
    for line in reversed(text.splitlines()):
        is_header = line.rstrip().endswith((":", "{")) and width(line) < indent
        if line.strip() and (is_header or is_body):
            indent = min(indent, width(line))
            headers.append(line + "\n")
            is_body = line.strip() == "{"
    return "".join(reversed(headers))


def _end_of_part(text: str) -> int:
    """Where the top-level part that the cursor is in ends, as far as layout tells."""
    found = _NEXT_PART.search(text, 0, PARSED_AFTER)
    if found:
        return found.end()
    if len(text) <= PARSED_AFTER:
        return len(text)
    return text.rfind("\n", 0, PARSED_AFTER) + 1
