"""Our text is the editor's text, and our positions are its positions."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimls.document import Change, Document, Encoding, Position, Snapshot, join_cells

ENCODINGS = tuple(Encoding)


class Client:
    """An editor's own idea of a document: code units, and lines found in them one by one.

    It shares no code with what it checks: UTF-16 text is a list of 16-bit numbers, UTF-8
    text a list of bytes.
    """

    def __init__(self, text: str, encoding: Encoding) -> None:
        self.encoding = encoding
        self.units = self._encode(text)

    def _encode(self, text: str) -> list[int]:
        raw = text.encode(self.encoding.codec)
        size = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[self.encoding.value]
        return [int.from_bytes(raw[i : i + size], "little") for i in range(0, len(raw), size)]

    @property
    def text(self) -> str:
        size = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[self.encoding.value]
        raw = b"".join(unit.to_bytes(size, "little") for unit in self.units)
        return raw.decode(self.encoding.codec)

    def lines(self) -> list[tuple[int, int]]:
        """Start and end (before the break) of every line, in code units."""
        found, start, at = [], 0, 0
        while at < len(self.units):
            unit = self.units[at]
            if unit in (10, 13):
                found.append((start, at))
                crlf = unit == 13 and self.units[at + 1 : at + 2] == [10]
                at += 2 if crlf else 1
                start = at
            else:
                at += 1
        return [*found, (start, len(self.units))]

    def boundaries(self) -> list[Position]:
        """Every position at which a whole character ends or begins."""
        found = []
        for row, (start, end) in enumerate(self.lines()):
            for column in range(end - start + 1):
                unit = self.units[start + column] if start + column < end else 0
                inside = {
                    Encoding.UTF8: unit & 0xC0 == 0x80,
                    Encoding.UTF16: 0xDC00 <= unit < 0xE000,
                    Encoding.UTF32: False,
                }[self.encoding]
                if not inside:
                    found.append(Position(row, column))
        return found

    def replace(self, start: Position, end: Position, text: str) -> None:
        lines = self.lines()
        first = lines[start.line][0] + start.character
        last = lines[end.line][0] + end.character
        self.units[first:last] = self._encode(text)


TEXT = st.text(
    st.sampled_from("ab \t\n\r\x0b\x0c\x1c\x85\u2028\u00e9\u20ac\U0001f600\U00010348"), max_size=30
)


@settings(max_examples=400, deadline=None)
@given(st.data(), TEXT, st.sampled_from(ENCODINGS))
def test_text_follows_the_editor(data: st.DataObject, text: str, encoding: Encoding) -> None:
    """After any sequence of edits, in each encoding, our text is the client's."""
    client = Client(text, encoding)
    document = Document("file:///a", text, encoding=encoding)
    for _ in range(data.draw(st.integers(0, 8))):
        places = st.sampled_from(client.boundaries())
        start, end = sorted((data.draw(places), data.draw(places)))
        inserted = data.draw(TEXT)
        client.replace(start, end, inserted)
        document.apply(Change(inserted, start, end))
        assert client.text == document.text
        for place in client.boundaries():
            assert place == document.position(document.offset(place))


@settings(max_examples=200, deadline=None)
@given(TEXT, st.sampled_from(ENCODINGS))
def test_positions_and_offsets_are_inverse(text: str, encoding: Encoding) -> None:
    """Every position is found again by its offset, and the offsets are in order."""
    snapshot = Snapshot(text=text)
    places = Client(text, encoding).boundaries()
    offsets = [snapshot.offset(place, encoding) for place in places]
    assert offsets == sorted(set(offsets))
    assert places == [snapshot.position(offset, encoding) for offset in offsets]


@settings(max_examples=200, deadline=None)
@given(TEXT, st.integers(-2, 40), st.integers(-2, 40), st.sampled_from(ENCODINGS))
def test_any_position_is_clamped(text: str, line: int, character: int, encoding: Encoding) -> None:
    """A position that does not exist becomes one that does, on the same line if there is one."""
    snapshot = Snapshot(text=text)
    place = snapshot.position(snapshot.offset(Position(line, character), encoding), encoding)
    lines = Client(text, encoding).lines()
    assert 0 <= place.line < len(lines)
    if 0 <= line < len(lines):
        assert line == place.line
        start, end = lines[line]
        assert place.character <= min(max(character, 0), end - start)


@pytest.mark.parametrize(
    ("text", "line", "character", "encoding", "expected"),
    [
        ("", 0, 0, "utf-16", 0),
        ("", 3, 9, "utf-16", 0),  # past the end of an empty document
        ("ab\ncd", 0, 99, "utf-16", 2),  # past the end of a line: its end, not the next line
        ("ab\r\ncd", 0, 99, "utf-16", 2),  # before the CR
        ("ab\rcd", 1, 1, "utf-16", 4),  # a lone CR ends a line
        ("ab\n", 1, 0, "utf-16", 3),  # the empty line after the final newline
        ("ab", 9, 0, "utf-16", 2),  # past the end of the document
        ("\tx", 0, 1, "utf-16", 1),  # a tab is one unit
        ("a\x0cb\u2028c\nd", 1, 1, "utf-16", 7),  # neither form feed nor U+2028 end a line
        ("😀x", 0, 2, "utf-16", 1),
        ("😀x", 0, 1, "utf-16", 0),  # inside the surrogate pair: before the character
        ("😀x", 0, 4, "utf-8", 1),
        ("😀x", 0, 3, "utf-8", 0),
        ("😀x", 0, 1, "utf-32", 1),
        ("é€", 0, 2, "utf-8", 1),
        ("é€", 0, 5, "utf-8", 2),
    ],
)
def test_offset(text: str, line: int, character: int, encoding: str, expected: int) -> None:
    """The table of a position's odd places."""
    assert expected == Snapshot(text=text).offset(Position(line, character), Encoding(encoding))


def test_changes_of_one_notification_build_on_each_other() -> None:
    """The second change's positions count in the result of the first."""
    document = Document("file:///a", "one\ntwo")
    document.apply(Change("zero\n", Position(0, 0), Position(0, 0)))
    document.apply(Change("ONE", Position(1, 0), Position(1, 3)))
    assert document.text == "zero\nONE\ntwo"


def test_full_sync_replaces_everything() -> None:
    """A change without a range is the whole new text, and positions count in it."""
    document = Document("file:///a", "one\ntwo")
    document.apply(Change("x\ny\nz"))
    assert document.text == "x\ny\nz"
    assert document.offset(Position(2, 1)) == 5


def test_reversed_and_overlong_ranges_are_taken() -> None:
    """Start and end the wrong way round, or far beyond the text: VS Code sends the latter."""
    document = Document("file:///a", "one\ntwo")
    document.apply(Change("X", Position(99, 0), Position(0, 1)))
    assert document.text == "oX"


@pytest.mark.parametrize(("before", "edit", "n_lines"), [("a\rb", "\n", 2), ("a\r\nb", "", 2)])
def test_a_break_that_grows_or_shrinks(before: str, edit: str, n_lines: int) -> None:
    """CR and LF become one break when they meet, and CR alone remains one."""
    document = Document("file:///a", before)
    document.apply(Change(edit, Position(1, 0), Position(1, 0)))
    assert document.has(Position(n_lines - 1, 0))
    assert not document.has(Position(n_lines, 0))


def test_lone_surrogates_are_replaced() -> None:
    """No later stage meets text that cannot be encoded, and columns stay as they were."""
    document = Document("file:///a", "a\ud800b")
    document.apply(Change("\udc00", Position(0, 3), Position(0, 3)))
    assert document.text == "a\ufffdb\ufffd"
    document.text.encode()


def test_a_snapshot_does_not_change() -> None:
    """Whoever holds a snapshot keeps what it was taken of."""
    document = Document("file:///a", "one", version=1)
    snapshot = document.snapshot()
    document.apply(Change("two"))
    assert (snapshot.text, snapshot.version) == ("one", 1)


@pytest.mark.parametrize(
    ("text", "newline"), [("", "\n"), ("a\nb\r\n", "\n"), ("a\r\nb\n", "\r\n"), ("a\rb", "\r")]
)
def test_newline_style(text: str, newline: str) -> None:
    """The first break tells what a new line of this document looks like."""
    assert newline == Snapshot(text=text).newline


def test_a_cell_sees_its_notebook() -> None:
    """Earlier cells of the language come before it, later ones after, others not at all."""
    cells = [
        Document("c1", "import math", language="python"),
        Document("c2", "# Title", language="markdown"),
        Document("c3", "x = 1\n", language="python"),
        Document("c4", "print(x)", language="python"),
    ]
    snapshot, begin = join_cells("file:///n.ipynb", 7, cells, 2)
    assert snapshot.text == "import math\nx = 1\nprint(x)\n"
    assert snapshot.text[begin:].startswith("x = 1")


def test_typing_in_ten_megabytes_is_quick() -> None:
    """A keystroke in a file of 10 MB costs copying the text: a few milliseconds."""
    document = Document("file:///a", "    x = compute(1, 2)  # 30\n" * 350_000)
    document.apply(Change("\n", Position(175_000, 0), Position(175_000, 0)))  # builds the index
    spent = []
    for column in range(20):
        began = time.perf_counter()
        place = Position(175_000, column)
        document.apply(Change("y", place, place))
        document.offset(Position(175_000, column + 1))
        document.position(len(document.text) // 2)
        spent.append(time.perf_counter() - began)
    # 4 ms on an idle core; the median of a busy machine must still be far from a re-index.
    assert sorted(spent)[10] < 0.05
