"""Between the protocol's types and ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lsprotocol import types

from fimls import lsp
from fimls.document import Document
from fimls.fim import Completion, StopReason


def completion(text: str, *grades: int) -> Completion:
    return Completion(text, StopReason.SCOPE, grades=grades or (len(text),))


def asked(text: str, language: str = "python") -> tuple[Document, lsp.Place]:
    """A document, and the place of █ in it."""
    before, _, after = text.partition("█")
    document = Document("file:///a.py", before + after, language=language)
    line, character = document.position(len(before))
    place = lsp.place(document, types.Position(line, character))
    assert place is not None
    return document, place


def menu(text: str, generated: Completion, *, markdown: bool = True) -> list[types.CompletionItem]:
    document, place = asked(text)
    return list(lsp.menu_items(document, place, generated, 1, markdown=markdown).items)


@pytest.mark.parametrize(
    ("generated", "grades", "expected"),
    [
        ("x", (1,), ["x"]),
        ("a\nb\nc", (1, 3, 5), ["a\nb\nc", "a\nb", "a"]),
        ("a\n", (1, 2), ["a\n"]),  # a grade that differs by white space alone is no choice
        ("\n    a", (1, 6), ["\n    a"]),  # nor is a blank one
        ("ab", (), ["ab"]),
    ],
)
def test_the_whole_comes_first(
    generated: str, grades: tuple[int, ...], expected: list[str]
) -> None:
    """Then its grades, the longest first."""
    _, place = asked("█")
    items = lsp.inline_items(place, replace(completion(generated), grades=grades), 1).items
    assert expected == [item.insert_text for item in items]


@pytest.mark.parametrize(
    ("text", "generated", "label", "new_text", "start"),
    [
        ("x = fo█", "o(1)", "foo(1)", "foo(1)", 4),
        ("x = █", "1", "1", "1", 4),
        ("x = größe█", "n[0]", "größen[0]", "größen[0]", 4),
        ("if x:█", "\n    y = 1", "y = 1", "\n    y = 1", 5),
        ("█", "a\nb", "a …", "a\nb", 0),
        ("█", "a" * 70, "a" * 59 + "…", "a" * 70, 0),
        ("s.a█", "b", "ab", "ab", 2),
    ],
)
def test_menu_item(text: str, generated: str, label: str, new_text: str, start: int) -> None:
    """What is typed of the word is replaced; the label is the first line that says something."""
    [item] = menu(text, completion(generated))
    assert isinstance(item.text_edit, types.TextEdit)
    assert (label, new_text) == (item.label, item.text_edit.new_text)
    assert start == item.text_edit.range.start.character
    assert len(text) - 1 == item.text_edit.range.end.character


def test_the_word_before_is_measured_in_the_editors_units() -> None:
    """An astral character before the word counts as two."""
    [item] = menu("😀 fo█", completion("o"))
    assert isinstance(item.text_edit, types.TextEdit)
    assert item.text_edit.range.start.character == 3


def test_the_preview_survives_fences_in_the_code() -> None:
    """Code that holds a fence gets a longer one around it."""
    [item] = menu("█", completion('"""\n```\nx\n```\n"""'))
    assert isinstance(item.documentation, types.MarkupContent)
    assert item.documentation.value.startswith("````python\n")
    assert item.documentation.value.endswith("\n````")


def test_plain_documentation_where_markdown_is_unknown() -> None:
    """A string, which every editor takes."""
    [item] = menu("█", completion("x\ny"), markdown=False)
    assert item.documentation == "x\ny"


def test_the_menus_entry_is_part_of_the_document() -> None:
    """The model sees the entry as accepted; the item replaces what the entry would replace."""
    document = Document("file:///a.py", "a.b()\n")
    word = types.Range(types.Position(0, 2), types.Position(0, 3))
    chosen = types.SelectedCompletionInfo(range=word, text="bcd")
    place = lsp.place(document, types.Position(0, 3), selected=chosen)
    assert place is not None
    assert (place.snapshot.text, place.offset) == ("a.bcd()\n", 5)
    assert (place.range, place.lead, place.replaced) == (word, "bcd", "b")
    [item] = lsp.inline_items(place, completion("e"), 1).items
    assert (item.insert_text, item.filter_text) == ("bcde", None)


def test_a_place_that_is_not_there() -> None:
    """A line beyond the document is nowhere; a column beyond the line is its end."""
    document = Document("file:///a.py", "ab\n")
    assert lsp.place(document, types.Position(2, 0)) is None
    place = lsp.place(document, types.Position(0, 9))
    assert place is not None
    assert (place.offset, place.range.start) == (2, types.Position(0, 2))


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b.py", "/a/b.py"),
        ("file:///a%20b/%C3%A9.py", "/a b/é.py"),
        ("vscode-notebook-cell:/p/n.ipynb#W0s", "/p/n.ipynb"),
        ("untitled:Untitled-1", ""),
        ("", ""),
    ],
)
def test_path_of(uri: str, path: str) -> None:
    """Only what lies on disk has a path."""
    assert path == lsp.path_of(uri)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(None, "utf-16"), (types.PositionEncodingKind.Utf8, "utf-8"), ("utf-32", "utf-32")],
)
def test_encoding(kind: types.PositionEncodingKind | str | None, value: str) -> None:
    """UTF-16 when nothing was agreed upon."""
    assert value == lsp.encoding(kind).value
