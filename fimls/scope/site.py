"""What can be known about the place of the cursor before anything is generated.

Open brackets on one side and the closers that the other side owes them, the
string or comment the cursor is in, the layout around it, and the lines that
follow. All of it comes from tokens, never from ancestors in a tree: the tree
around a cursor is an ERROR in nine cases of ten, its leaves are right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple, TypeVar

from fimls.scope.inject import narrow
from fimls.scope.languages import Language, lookup
from fimls.scope.scan import CLOSERS, Kind, Mark, Opaque, Scanner, matches

# What is looked at around the cursor. Brackets that open earlier than that are not seen:
# they are then closed by nobody, and nothing generated may close them.
# 32 kB are some 800 lines, and are read in 5 to 10 ms.
MOST_BEFORE = 32_000
MOST_AFTER = 16_000
# What is parsed of it, at most, to compare two cuts.
PARSED_BEFORE = 6_000
PARSED_AFTER = 3_000
# How many of the following lines a repetition is looked for in.
LINES_AHEAD = 24
# Deeper nesting is no code, and must not cost more than code does.
MOST_OPEN = 256
_LONGEST_HEADER = 300

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
    """The indentation of the line at ``start``, in columns; a tab is worth four."""
    found = _INDENT.match(text, start)
    return len(found.group().expandtabs(4)) if found else 0


@dataclass(frozen=True, slots=True)
class Bracket:
    """An open bracket: how its line is indented, what stands before it there."""

    name: str
    start: int
    indent: int
    header: str
    ends_line: bool = False  # its contents begin on the next line
    owed: bool = False  # the text after the cursor closes it


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
    stack: tuple[Bracket, ...]  # outermost first
    ahead: tuple[Ahead, ...]  # the lines that follow up to the first closer that is owed
    unopened: int  # closers on the rest of the line that close nothing that is open
    wants_block: bool  # a deeper body follows, and the brace that opens it is missing
    mark: str  # what ends the embedded text that the cursor is in
    top: int  # where the top-level part with the cursor begins, in ``before``
    parsed_from: int  # a line of it outside strings, where what is parsed begins

    @property
    def is_fresh(self) -> bool:
        """Nothing but white space stands before the cursor on its line."""
        return not self.head.strip()

    @property
    def is_first_word(self) -> bool:
        """The first word of a statement is being typed: it can still become anything."""
        return re.fullmatch(r"\s*[A-Za-z_]\w*", self.head) is not None

    @property
    def n_outer(self) -> int:
        """How many of the open brackets hold the cursor's statement rather than belong to it."""
        if self.language.indented:
            return 0
        line = len(self.before) - len(self.head)
        blocks = (
            index + 1
            for index, bracket in enumerate(self.stack)
            if bracket.name == "{" and bracket.ends_line and bracket.start < line
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
        return bool(tail) and (not self.is_fresh or not tail.strip(";,"))

    @property
    def indent(self) -> int:
        return width(self.head)

    @property
    def context(self) -> tuple[str, str]:
        """The text around the cursor that is parsed to compare cuts."""
        start = max(self.top, self.parsed_from)
        headers = ""
        if start > self.top:
            headers = _headers_above(self.before[self.top : start], width(self.before, start))
        end = _end_of_part(self.after)
        return self.language.before_parse + headers + self.before[start:], self.after[:end]


_HEADER_ENDS = r"[^\n]*[:,(]\n"
_AFTER_BRACE = re.compile(r"\n\}[;)]*\n+(?=[A-Za-z@#/<\[])")
_AT_COLUMN_0 = re.compile(r"\n(?=[A-Za-z@#<])")
_LINE_START = re.compile(r"\n(?!$)")


def survey(before: str, after: str, name: str) -> Site:
    """Read the surroundings of a cursor. Linear in the text, and at most 48,000 characters."""
    if len(before) > MOST_BEFORE:
        before = _from_a_part(before[len(before) - MOST_BEFORE :], lookup(name, before, after))
    before, after, name, mark = narrow(plain(before), plain(after[:MOST_AFTER]), name)
    language = lookup(name, before, after)
    head = before[before.rfind("\n") + 1 :]
    tail = after.partition("\n")[0]
    stack, opaque, top, parsed_from = _open_at_end(before, language)
    opaque_owed, closers, ahead = _look_ahead(after, language, opaque)
    # The start of a longer file is not read, and with it perhaps the headers of blocks.
    has_body = bool(ahead) and ahead[0].indent > width(head) and len(before) < MOST_BEFORE // 2
    values = _values(stack, ahead, language)
    return Site(
        language=language,
        before=before,
        after=after,
        head=head,
        tail=tail,
        opaque=opaque,
        opaque_owed=opaque_owed,
        stack=_owe(stack, closers, values),
        unopened=_n_unopened(stack, closers),
        wants_block=(has_body or bool(values)) and _wants_block(stack, closers, values),
        mark=mark,
        ahead=ahead,
        top=top,
        parsed_from=parsed_from,
    )


def _from_a_part(text: str, language: Language) -> str:
    """``text``, which begins anywhere, from a place on that is outside strings and comments.

    Where a definition begins, or ends at column 0, surely; else where any line does at column
    0, for only the text of long strings and comments stands there too.
    """
    is_told = language.indented and language.definition
    sure = (
        re.compile(rf"\n(?=[ \t]*(?:{language.definition}){_HEADER_ENDS})")
        if is_told
        else _AFTER_BRACE
    )
    half = len(text) // 2
    part = sure.search(text, 0, half) or _AT_COLUMN_0.search(text, 0, half)
    part = part or _LINE_START.search(text)
    return text[part.end() :] if part else text


_LINE_ENDS = re.compile(r"[ \t]*(//[^\n]*|\|[^|\n]{0,80}\||[\w, ()]{1,80}(->|in|=>))?[ \t]*\n")
# What begins a line at column 0 without beginning a new part of the file.
_SAME_PART = re.compile(r"[\s{})\]]|$|</|(end|else|elif|fi|done|esac|except|finally|then|do)\b")


def _line_above(text: str, line: int) -> str:
    """The header of a bracket that stands on a line of its own."""
    return (
        text[max(0, line - _LONGEST_HEADER) : line].rstrip().rpartition("\n")[2].strip()
        if line
        else ""
    )


def _open_at_end(text: str, language: Language) -> tuple[list[Bracket], Opaque | None, int, int]:
    """The brackets and the string that are open at the end, and where the last part begins.

    Last, the first line outside strings of the ``PARSED_BEFORE`` characters at the end.
    """
    last = len(text) - PARSED_BEFORE
    parsed_from = 0 if last <= 0 else -1
    scanner = Scanner(language, text)
    stack: list[_Opened] = []
    top = line = 0
    for mark in scanner.marks():
        if mark.kind is Kind.OPEN:
            stack.append(_Opened(mark.name, mark.start, mark.end, line))
        elif mark.kind is Kind.CLOSE:
            pop(stack, mark.name)
        elif mark.kind is Kind.NEWLINE:
            line = mark.end
            if parsed_from < 0 and line >= last:
                parsed_from = line
            if not stack and not _SAME_PART.match(text, line):
                top = line
    n_open = 0 if language.prose else MOST_OPEN
    brackets = [_bracket(text, opened) for opened in stack[-MOST_OPEN:][:n_open]]
    if parsed_from < 0:  # all of it is in one string
        parsed_from = text.find("\n", last) + 1
    return brackets, scanner.opaque, top, parsed_from


class _Opened(NamedTuple):
    """An open bracket on the way, where there may be very many."""

    name: str
    start: int
    end: int
    line: int  # where its line starts


def _bracket(text: str, opened: _Opened) -> Bracket:
    header = text[max(opened.line, opened.start - _LONGEST_HEADER) : opened.start].strip()
    return Bracket(
        opened.name,
        opened.start,
        width(text, opened.line),
        header or _line_above(text, opened.line),
        ends_line=_LINE_ENDS.match(text, opened.end) is not None,
    )


_Open = TypeVar("_Open", _Opened, Bracket, Mark)


def pop(stack: list[_Open], closer: str) -> _Open | None:
    """Take the bracket off that ``closer`` closes, with those left open inside it."""
    for index in range(len(stack) - 1, max(-1, len(stack) - MOST_OPEN), -1):
        if matches(stack[index].name, closer):
            found = stack[index]
            del stack[index:]
            return found
    return None


# What stands before a brace that holds values or types.
_BEFORE_VALUES = ("(", ":", ",", "=", "[")


@dataclass(frozen=True, slots=True)
class _Closer:
    name: str
    indent: int  # of its line
    is_first: bool  # on its line
    is_on_line: bool  # on the cursor's line


def _look_ahead(
    text: str, language: Language, opaque: Opaque | None
) -> tuple[bool, list[_Closer], tuple[Ahead, ...]]:
    """Whether the open string is closed, the closers nobody opened, the lines before them."""
    opaque_owed = opaque is not None and _is_closed(text, opaque, language)
    scanner = Scanner(language, text, opaque=opaque if opaque_owed else None)
    depth: list[str] = []
    closers: list[_Closer] = []
    ahead: list[Ahead] = []
    line = 0
    begins_line = True  # the line began outside brackets, before any closer that is owed
    for mark in scanner.marks():
        if mark.kind is Kind.OPEN:
            depth.append(mark.name)
        elif mark.kind is Kind.CLOSE and depth:
            while depth and not matches(depth.pop(), mark.name):
                pass
        elif mark.kind is Kind.CLOSE and _counts(text, mark, closers, language):
            before = text[line : mark.start]
            is_first = line > 0 and not before.strip()
            closers.append(_Closer(mark.name, width(before), is_first, line == 0))
        elif mark.kind is Kind.NEWLINE:
            if begins_line:
                _add_line(ahead, text, line, mark.start)
            line = mark.end
            begins_line = not depth and not closers and len(ahead) < LINES_AHEAD
    if begins_line:
        _add_line(ahead, text, line, len(text))
    return opaque_owed, closers, tuple(ahead)


def _counts(text: str, mark: Mark, closers: list[_Closer], language: Language) -> bool:
    """Whether a closer that nobody opened after the cursor closes something before it."""
    if len(closers) >= MOST_OPEN or language.prose:
        return False
    return not is_loose(text, mark, language)


def is_loose(text: str, mark: Mark, language: Language) -> bool:
    """Whether a closer may stand alone, as the shell's ``name)``; first on its line it may not."""
    line = text.rfind("\n", 0, mark.start) + 1
    return mark.name in language.loose and bool(text[line : mark.start].strip())


def _add_line(ahead: list[Ahead], text: str, start: int, end: int) -> None:
    bare = text[start:end].strip()
    if bare and bare[0] not in CLOSERS and not bare.startswith("</"):
        ahead.append(Ahead(bare, width(text, start), start))


def _is_closed(text: str, opaque: Opaque, language: Language) -> bool:
    """Whether the text after the cursor closes the string or comment the cursor is in."""
    closer = opaque.closer
    if closer == "\n":
        return True
    if opaque.one_line:
        return text.partition("\n")[0].count(closer) % 2 == 1
    for opener, end in (*language.block_comments, *language.long_strings):
        if end == closer and opener != closer and opener in text:
            # The next one begins before this one ends: this one is not closed.
            return 0 <= text.find(closer) < text.find(opener)
        if end == closer and opener != closer:
            return closer in text
    # The same delimiter opens and closes: an odd number of them closes ours.
    return text.count(closer) % 2 == 1


def _values(stack: list[Bracket], ahead: tuple[Ahead, ...], language: Language) -> frozenset[int]:
    """The braces, by their starts, around values or types between the parentheses of a header.

    They are told by a statement that follows the cursor and can stand in none of them:
    nothing after the cursor closes them.
    """
    if not ahead or not language.statement or not re.match(language.statement, ahead[0].text):
        return frozenset()
    return frozenset(
        inner.start
        for outer, inner in pairwise(stack)
        if outer.name == "(" and inner.name == "{" and inner.header.endswith(_BEFORE_VALUES)
    )


def _owe(
    stack: list[Bracket], closers: list[_Closer], values: frozenset[int]
) -> tuple[Bracket, ...]:
    """Match the closers after the cursor with the open brackets, innermost first."""
    marked = list(stack)
    index = len(marked) - 1
    for closer in closers:
        found = _matching(marked, index, closer, values)
        if found is None:
            continue
        marked[found] = replace(marked[found], owed=True)
        index = found - 1
    return tuple(marked)


def _n_unopened(stack: list[Bracket], closers: list[_Closer]) -> int:
    """Closers on the cursor's line that the text still to come has to open."""
    kinds = [bracket.name for bracket in stack]
    n = 0
    for closer in closers:
        if not closer.is_on_line:
            break
        match = next(
            (i for i in range(len(kinds) - 1, -1, -1) if matches(kinds[i], closer.name)), -1
        )
        if match < 0:
            n += 1
        else:
            del kinds[match:]
    return n


def _wants_block(stack: list[Bracket], closers: list[_Closer], values: frozenset[int]) -> bool:
    braces = sum(closer.name == "}" for closer in closers)
    return braces > sum(b.name == "{" and b.start not in values for b in stack)


def _matching(
    stack: list[Bracket], index: int, closer: _Closer, values: frozenset[int]
) -> int | None:
    """The innermost bracket of its kind; by the column, where the closer begins a line."""
    kinds = [
        i
        for i in range(index, -1, -1)
        if matches(stack[i].name, closer.name) and stack[i].start not in values
    ]
    if not closer.is_on_line:
        # Nothing that was opened further right is closed left of there.
        kinds = [i for i in kinds if stack[i].indent <= closer.indent] or kinds
    if closer.is_first:
        kinds = [i for i in kinds if stack[i].indent == closer.indent] or kinds
    return kinds[0] if kinds else None


_NEXT_PART = re.compile(rf"\n(?!{_SAME_PART.pattern})")


def _headers_above(text: str, indent: int) -> str:
    """The headers of the blocks that the end of ``text`` is in, going by indentation."""
    headers: list[str] = []
    for line in reversed(text.splitlines()):
        if line.strip() and width(line) < indent and line.rstrip().endswith((":", "{")):
            indent = width(line)
            headers.append(line + "\n")
    return "".join(reversed(headers))


def _end_of_part(text: str) -> int:
    """Where the top-level part that the cursor is in ends, as far as layout tells."""
    found = _NEXT_PART.search(text, 0, PARSED_AFTER)
    if found:
        return found.end()
    if len(text) <= PARSED_AFTER:
        return len(text)
    return text.rfind("\n", 0, PARSED_AFTER) + 1
