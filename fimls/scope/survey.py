"""Reads the surroundings of a cursor: the ``Site`` that everything else goes by."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import replace
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from fimls.scope.ahead import (
    HEADER_ENDS,
    MOST_AFTER,
    begins_with_branch,
    ends_below,
    look_ahead,
)
from fimls.scope.brackets import MOST_OPEN, pop
from fimls.scope.inject import narrow
from fimls.scope.languages import Language, lookup
from fimls.scope.members import is_container
from fimls.scope.owed import Closer, lacking, n_unopened, owe, values_between
from fimls.scope.scan import Kind, Opaque, Scanner
from fimls.scope.site import (
    PARSED_BEFORE,
    SAME_PART,
    Bracket,
    Site,
    holds_statements,
    plain,
    width,
)
from fimls.scope.statements import first_word
from fimls.scope.tags import ends_tag, half_tag

# What is looked at around the cursor. Brackets that open earlier than that are not seen:
# they are then closed by nobody, and nothing generated may close them.
# 32 kB are some 800 lines, and are read in 10 to 15 ms.
MOST_BEFORE = 32_000
# Text before the cursor is read in blocks of so many characters, and what has been read is
# remembered: at the next key, only the cursor's line is new; on the next line, a block.
BLOCK = 4_000
# In a longer text, the start of what is looked at moves in steps: it has to be the same at
# the next key.
_START_STEP = 4_000
_LONGEST_HEADER = 300
_ENDS_OTHER = re.compile(r"[{};]|=>|=$|^(//|\*|/\*|#)")

_AFTER_BRACE = re.compile(r"\n\}[;)]*\n+(?=[A-Za-z@#/<\[])")
_AT_COLUMN_0 = re.compile(r"\n(?=[A-Za-z@#<])")
_LINE_START = re.compile(r"\n(?!$)")


def survey(before: str, after: str, name: str) -> Site:
    """Read the surroundings of a cursor. Linear in the text, and at most 48,000 characters."""
    is_whole = len(before) <= MOST_BEFORE and len(after) <= MOST_AFTER
    if len(before) > MOST_BEFORE:
        start = -(-(len(before) - MOST_BEFORE) // _START_STEP) * _START_STEP
        before = _from_a_part(before[start:], lookup(name, before, after))
    before, after, name, mark = narrow(plain(before), plain(after[:MOST_AFTER]), name)
    language = lookup(name, before, after)
    half = half_tag(before, language) or _half_text(before, language)
    # With something behind it the cursor is between two halves; and perhaps its end is there.
    has_tail = bool(after.partition("\n")[0].strip())
    if half and (has_tail or ends_below(half, after) or ends_tag(after)):
        half = ""
    before = before[: len(before) - len(half)]
    head = before[before.rfind("\n") + 1 :]
    tail = after.partition("\n")[0]
    stack, opaque, top, parsed_from = _open_at_end(before, language)
    opaque_owed, closers, ahead = look_ahead(after, language, opaque)
    if tail.strip() and ahead and not head.strip():
        ahead = (replace(ahead[0], indent=width(head + tail)), *ahead[1:])
    level = _level(head, stack, language)
    first = next((line for line in ahead if line.text[0] != "#"), None)
    has_body = first.indent > level if first else is_whole and _is_empty_body(closers, level)
    values = values_between(stack, ahead, language)
    # Of a longer file, the headers or the ends of the blocks around it are perhaps not read.
    lacks = lacking(
        stack, closers, values, None if is_whole else level, is_header=bool(head.strip())
    )
    return Site(
        language=language,
        before=before,
        after=after,
        head=head,
        tail=tail,
        half=half,
        opaque=opaque,
        opaque_owed=opaque_owed,
        stack=owe(stack, closers, values, len(before) - len(head)),
        unopened=n_unopened(stack, closers),
        lacks=tuple(lacks.elements()) if has_body or values else (),
        is_branch_next="{" in lacks and begins_with_branch(after, language),
        mark=mark,
        ahead=ahead,
        top=top,
        parsed_from=parsed_from,
    )


def _half_text(before: str, language: Language) -> str:
    """Two quotes alone on their line, where three begin a text."""
    alone = before[before.rfind("\n") + 1 :].strip()
    texts = (opener for opener, _ in language.long_strings if len(opener) == 3)
    return alone if any(alone == opener[:2] for opener in texts) else ""


def _level(head: str, stack: list[Bracket], language: Language) -> int:
    """The column of the cursor's statement, which may have begun on a line above."""
    own = takewhile(lambda bracket: not holds_statements(bracket, language), reversed(stack))
    is_clause = first_word(head.strip()) in language.clauses
    return min((width(head) - is_clause, *(bracket.indent for bracket in own)))


def _is_empty_body(closers: tuple[Closer, ...], level: int) -> bool:
    """Whether the next line is the brace that closes a body at this column."""
    first = next(iter(closers), None)
    return first is not None and first.is_first and (first.name, first.indent) == ("}", level)


def forget() -> None:
    """Forget what has been read of documents."""
    _read.cache_clear()
    look_ahead.cache_clear()


def _from_a_part(text: str, language: Language) -> str:
    """``text``, which begins anywhere, from a place on that is outside strings and comments.

    Where a definition begins, or ends at column 0, surely; else where any line does at column
    0, for only the text of long strings and comments stands there too.
    """
    is_told = language.indented and language.definition
    sure = (
        re.compile(rf"\n(?=[ \t]*(?:{language.definition}){HEADER_ENDS})")
        if is_told
        else _AFTER_BRACE
    )
    half = len(text) // 2
    part = sure.search(text, 0, half) or _AT_COLUMN_0.search(text, 0, half)
    part = part or _LINE_START.search(text)
    return text[part.end() :] if part else text


_LINE_ENDS = re.compile(r"[ \t]*(//[^\n]*|\?>|\|[^|\n]{0,80}\||[\w, ()]{1,80}(->|in|=>))?[ \t]*\n")


def _header(text: str, opened: _Opened, language: Language) -> str:
    """What stands before a bracket on its line, and where that is only its end, above it."""
    start, at = opened.line, width(text, opened.line)
    header = line = text[max(start, opened.start - _LONGEST_HEADER) : opened.start].strip()
    is_end = header[:1] in ("", ">")  # of a header that began further up
    first = text[opened.header : opened.header + _LONGEST_HEADER].partition("\n")[0].strip()
    container = _container_above(text, opened, language)
    if container:
        return f"{container} {header}".strip()
    if opened.header < start and not first.endswith("{"):
        return f"{first} {header}"  # of parameters on lines of their own, the first line tells
    while start and opened.start - start < _LONGEST_HEADER:
        is_deeper = is_end and width(text, start) > at
        goes_on = line[:1] == ">" or first_word(line).lower() in language.clauses
        if line and not is_deeper and not goes_on:
            break
        above = text.rfind("\n", 0, start - 1) + 1
        line = text[max(above, start - _LONGEST_HEADER) : start].strip()
        header, start = f"{line} {header}".strip(), above
    return header


def _container_above(text: str, opened: _Opened, language: Language) -> str:
    """The line of a class, which goes on further right, line by line, up to a brace."""
    at, end = width(text, opened.line), opened.line
    while opened.name == "{" and end and opened.start - end < _LONGEST_HEADER:
        start = text.rfind("\n", 0, end - 1) + 1
        line = text[max(start, end - _LONGEST_HEADER) : end].strip()
        if not line or _ENDS_OTHER.search(line):
            break
        if width(text, start) < at:
            return line if is_container(line, language) else ""
        end = start
    return ""


class _Opened(NamedTuple):
    """An open bracket on the way, where there may be very many."""

    name: str
    start: int
    end: int
    line: int  # where its line starts
    header: int  # and the line on which the brackets before it had opened


class _Reading(NamedTuple):
    """How far the text before a cursor has been read, and what is open there."""

    position: int
    opaque: Opaque | None
    stack: tuple[_Opened, ...]
    lines: tuple[int, ...]  # the starts of those that begin outside strings
    top: int  # where the last top-level part begins


_NOTHING = _Reading(0, None, (), (0,), 0)


def _open_at_end(text: str, language: Language) -> tuple[list[Bracket], Opaque | None, int, int]:
    """The brackets and the string that are open at the end, and where the last part begins.

    Last, the first line outside strings of the ``PARSED_BEFORE`` characters at the end.
    """
    above = text.rfind("\n")  # what is typed on a line changes nothing above it
    so_far = _read(text[:above], language) if above > 0 else _NOTHING
    reading = _read_on(text, language, so_far, final=True)
    n_open = 0 if language.prose else MOST_OPEN
    brackets = [_bracket(text, opened, language) for opened in reading.stack[-MOST_OPEN:][:n_open]]
    last = len(text) - PARSED_BEFORE
    parsed_from = 0
    if last > 0:
        index = bisect_left(reading.lines, last)
        is_code = index < len(reading.lines)  # else all of it is in one string
        parsed_from = reading.lines[index] if is_code else text.find("\n", last) + 1
    return brackets, reading.opaque, reading.top, parsed_from


@lru_cache(maxsize=64)
def _read(text: str, language: Language) -> _Reading:
    """Read whole lines without the last line end; the blocks before the last are remembered."""
    block = text.rfind("\n", 0, (len(text) - 1) // BLOCK * BLOCK)
    so_far = _read(text[:block], language) if block > 0 else _NOTHING
    return _read_on(text, language, so_far, final=False)


def _read_on(text: str, language: Language, so_far: _Reading, *, final: bool) -> _Reading:
    """Read ``text``, which ``so_far`` has seen the beginning of, up to its end."""
    scanner = Scanner(language, text, so_far.opaque, so_far.position)
    stack, lines, top = list(so_far.stack), list(so_far.lines), so_far.top
    closed: tuple[_Opened | None, int] = None, 0
    while (mark := scanner.next_mark(final=final)) is not None:
        if mark.kind is Kind.OPEN:
            before, at = closed
            # Of parameters on lines of their own, the last line tells nothing.
            header = before.header if before is not None and at >= lines[-1] else lines[-1]
            stack.append(_Opened(mark.name, mark.start, mark.end, lines[-1], header))
        elif mark.kind is Kind.CLOSE:
            closed = pop(stack, mark.name), mark.start
        elif mark.kind is Kind.NEWLINE:
            lines.append(mark.end)
            if not stack and not SAME_PART.match(text, mark.end):
                top = mark.end
    return _Reading(scanner.position, scanner.opaque, tuple(stack), tuple(lines), top)


def _bracket(text: str, opened: _Opened, language: Language) -> Bracket:
    ends_line = _LINE_ENDS.match(text, opened.end) is not None
    indent = width(text, opened.header)
    if ends_line and opened.name == "{":
        indent = _above_body(text, opened, indent)
    return Bracket(
        opened.name,
        opened.start,
        indent,
        _header(text, opened, language),
        ends_line=ends_line,
    )


def _above_body(text: str, opened: _Opened, indent: int) -> int:
    """The indentation of a header, of which the last line stands further right than its body.

    As the initialisers of a constructor do.
    """
    body = next((line for line in text[opened.end :].split("\n")[1:] if line.strip()), None)
    body = text[text.rfind("\n") + 1 :] if body is None else body
    if not 0 < width(body) < indent:
        return indent
    above = text[max(0, opened.line - _LONGEST_HEADER) : opened.line].splitlines()
    return next(
        (width(line) for line in reversed(above) if line.strip() and width(line) < width(body)),
        indent,
    )
