"""What the editor shows: text, lines and positions.

A ``Document`` follows the editor's edits on the event loop; a ``Snapshot`` is
what it looked like at one moment, for everybody else. Only LF, CRLF and lone CR
end a line (LSP 3.18, "Text Documents"); ``str.splitlines`` would also break at
form feeds, U+2028 and more, and so count other lines than the editor does.

Offsets count characters (code points) of ``text``; positions count lines and
the code units of the encoding agreed upon with the editor.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

_LINE_END = re.compile(r"\r\n?|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")


def unix(text: str) -> str:
    """LF line ends: models have seen few others, and tokenise them worse."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


class Encoding(str, Enum):
    """The code units in which the editor counts columns."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"

    @property
    def codec(self) -> str:
        """The Python codec: little endian, without a byte order mark."""
        return self.value if self is Encoding.UTF8 else f"{self.value}-le"

    @property
    def n_bytes(self) -> int:
        """Bytes of one code unit."""
        return {Encoding.UTF8: 1, Encoding.UTF16: 2, Encoding.UTF32: 4}[self]

    def units(self, text: str) -> int:
        """The length of ``text`` in code units."""
        if self is Encoding.UTF32 or text.isascii():
            return len(text)
        return len(text.encode(self.codec)) // self.n_bytes

    def characters(self, line: str, units: int) -> int:
        """How many characters of ``line`` fit into ``units`` code units."""
        if self is Encoding.UTF32 or line.isascii():
            return min(units, len(line))
        # "ignore" drops the half of a character at the end: the position moves before it.
        head = line.encode(self.codec)[: units * self.n_bytes]
        return len(head.decode(self.codec, "ignore"))


class Position(NamedTuple):
    """A place between two characters: 0-based line, code units into it."""

    line: int
    character: int


class Change(NamedTuple):
    """One edit: ``text`` replaces what lies between two positions, or everything."""

    text: str
    start: Position | None = None
    end: Position | None = None


class _Buffer:
    """Text with an index of its line starts that stays cheap to edit.

    The index is a gap buffer: ``_head`` holds the starts of the lines before the
    last edit as offsets from the beginning, ``_tail`` those after it as distances
    from the end, the farthest line first. An edit leaves both untouched, so typing
    in a file of 10 MB costs copying its text and nothing else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._head = _line_starts(text)
        self._tail: list[int] = []

    @property
    def n_lines(self) -> int:
        return len(self._head) + len(self._tail)

    def start(self, line: int) -> int:
        """The offset of the first character of ``line``."""
        if line < len(self._head):
            return self._head[line]
        return len(self.text) - self._tail[len(self._head) - line - 1]

    def end(self, line: int) -> int:
        """The offset of the end of ``line``, before its line break."""
        if line + 1 >= self.n_lines:
            return len(self.text)
        end = self.start(line + 1) - 1
        is_crlf = self.text[max(end - 1, 0) : end + 1] == "\r\n"
        return end - 1 if is_crlf else end

    def line_of(self, offset: int) -> int:
        """The line that holds the character at ``offset``."""
        from_end = len(self.text) - offset
        if self._tail and from_end <= self._tail[-1]:
            return self.n_lines - 1 - bisect_left(self._tail, from_end)
        return bisect_right(self._head, offset) - 1

    def offset(self, position: Position, encoding: Encoding) -> int:
        """The offset of ``position``, moved to the nearest place that exists before it."""
        if position.line < 0:
            return 0
        if position.line >= self.n_lines:
            return len(self.text)
        start, end = self.start(position.line), self.end(position.line)
        return start + encoding.characters(self.text[start:end], max(position.character, 0))

    def position(self, offset: int, encoding: Encoding) -> Position:
        """The position of ``offset``, which is clamped to the text."""
        offset = min(max(offset, 0), len(self.text))
        line = self.line_of(offset)
        return Position(line, encoding.units(self.text[self.start(line) : offset]))

    def replace(self, start: int, end: int, text: str) -> None:
        """Put ``text`` in place of what lies between two offsets."""
        # The character before belongs to it: a CR there and a LF in `text` become one break.
        first, last = self.line_of(max(start - 1, 0)), self.line_of(end)
        begin = self.start(first)
        until_end = len(self.text) - (
            self.start(last + 1) if last + 1 < self.n_lines else len(self.text)
        )
        self._move_gap(first + 1)
        del self._tail[len(self._tail) - min(last - first + 1, len(self._tail)) :]
        self.text = "".join((self.text[:start], text, self.text[end:]))
        region = self.text[begin : len(self.text) - until_end]
        self._head.extend(begin + at for at in _line_starts(region)[1:])

    def _move_gap(self, line: int) -> None:
        """Let ``_tail`` begin at ``line``."""
        head, tail, length = self._head, self._tail, len(self.text)
        if line < len(head):
            tail.extend(length - at for at in reversed(head[line:]))
            del head[line:]
        elif line > len(head):
            n_moved = line - len(head)
            head.extend(length - at for at in reversed(tail[-n_moved:]))
            del tail[-n_moved:]


def _line_starts(text: str) -> list[int]:
    if "\r" in text:
        return [0, *(match.end() for match in _LINE_END.finditer(text))]
    # Three times as fast as the expression: 10 MB in 25 ms.
    starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    del starts[-1]
    return starts


def _clean(text: str) -> str:
    """``text`` without lone surrogates, which JSON can carry and no tokenizer takes.

    U+FFFD is as long as a surrogate in each of the encodings, so positions stay right.
    """
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


@dataclass(frozen=True)
class Snapshot:
    """A document at one moment; safe to keep and to read from any thread.

    ``language`` is the editor's identifier (``python``, ``typescriptreact``);
    ``path`` is empty when the document is not a file. ``text`` keeps its line
    breaks as they are.
    """

    uri: str = ""
    language: str = ""
    version: int = 0
    text: str = ""
    path: str = ""

    @cached_property
    def newline(self) -> str:
        """The line break of the first line; LF in a document of one line."""
        match = _LINE_END.search(self.text)
        return match.group() if match else "\n"

    def offset(self, position: Position, encoding: Encoding = Encoding.UTF16) -> int:
        """The offset of ``position``, moved to the nearest place that exists before it."""
        return self._buffer.offset(position, encoding)

    def position(self, offset: int, encoding: Encoding = Encoding.UTF16) -> Position:
        """The position of ``offset``, which is clamped to the text."""
        return self._buffer.position(offset, encoding)

    @cached_property
    def _buffer(self) -> _Buffer:
        return _Buffer(self.text)


class Document:
    """A document that the editor has open. For the event loop only."""

    def __init__(
        self,
        uri: str,
        text: str,
        *,
        language: str = "",
        version: int = 0,
        path: str = "",
        encoding: Encoding = Encoding.UTF16,
    ) -> None:
        self.uri = uri
        self.language = language
        self.version = version
        self.path = path
        self.encoding = encoding
        self._text = _clean(text)
        self._index: _Buffer | None = None  # built when it is first needed: 25 ms for 10 MB

    @property
    def text(self) -> str:
        return self._text

    @property
    def _buffer(self) -> _Buffer:
        if self._index is None:
            self._index = _Buffer(self._text)
        return self._index

    def apply(self, change: Change) -> None:
        """Follow one edit of the editor's; positions that do not exist are clamped."""
        text = _clean(change.text)
        if change.start is None or change.end is None:
            self._text, self._index = text, None
            return
        buffer = self._buffer
        start, end = sorted((self.offset(change.start), self.offset(change.end)))
        buffer.replace(start, end, text)
        self._text = buffer.text

    def has(self, position: Position) -> bool:
        """Whether there is such a line; a column beyond its end counts as its end."""
        return 0 <= position.line < self._buffer.n_lines

    def offset(self, position: Position) -> int:
        return self._buffer.offset(position, self.encoding)

    def position(self, offset: int) -> Position:
        return self._buffer.position(offset, self.encoding)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.uri, self.language, self.version, self._text, self.path)


def join_cells(
    uri: str, version: int, cells: Sequence[Document], index: int
) -> tuple[Snapshot, int]:
    """A notebook as the text that cell ``index`` sees, and where that cell begins in it.

    Cells of another language than its own are left out.
    """
    cell = cells[index]
    texts: list[str] = []
    begin = 0
    for other in cells:
        if other.language != cell.language:
            continue
        if other is cell:
            begin = sum(map(len, texts))
        texts.append(other.text if other.text.endswith(("\n", "\r")) else other.text + "\n")
    return Snapshot(uri, cell.language, version, "".join(texts), cell.path), begin
