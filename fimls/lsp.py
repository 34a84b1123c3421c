"""Between the protocol's types and ours: nothing else knows both.

``Place`` is what a request points at; ``inline_items`` and ``menu_items`` turn a
``Completion`` into what an editor shows. A completion's grades become items, the
whole first: one generation serves "accept all" and "accept the first line".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lsprotocol import types
from pygls.uris import to_fs_path

from fimls.document import Change, Document, Encoding, Position, Snapshot, join_cells
from fimls.fim import Completion

ACCEPTED = "fimls.accepted"
# Wider labels are cut: menus cut them anyway, and not all of them well.
LABEL_CHARS = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where text is asked for.

    ``snapshot`` and ``offset`` are what the model sees. An item replaces ``range`` of
    the editor's own document with ``lead`` and the generated text; ``replaced`` is what
    stands in ``range`` before the cursor.
    """

    snapshot: Snapshot
    offset: int
    range: types.Range
    lead: str = ""
    replaced: str = ""


def position(found: types.Position) -> Position:
    return Position(found.line, found.character)


def change(event: types.TextDocumentContentChangeEvent) -> Change:
    if isinstance(event, types.TextDocumentContentChangePartial):
        return Change(event.text, position(event.range.start), position(event.range.end))
    return Change(event.text)


def encoding(kind: types.PositionEncodingKind | str | None) -> Encoding:
    """The encoding agreed upon; UTF-16 is what every editor knows."""
    return Encoding(str(getattr(kind, "value", kind) or "utf-16"))


def path_of(uri: str) -> str:
    """The path of a ``file`` URI, or of the notebook that a cell is in; else empty."""
    scheme, _, rest = uri.partition(":")
    return to_fs_path(f"file:{rest}") or "" if scheme in {"file", "vscode-notebook-cell"} else ""


def place(
    document: Document,
    at: types.Position,
    *,
    selected: types.SelectedCompletionInfo | None = None,
    cells: Sequence[Document] = (),
    notebook: tuple[str, int] = ("", 0),
) -> Place | None:
    """What a request at ``at`` points at; ``None`` when the document has no such line.

    ``selected`` is the menu's entry, treated as if it were accepted already. ``cells`` are
    those of the ``notebook`` (URI and version) that ``document`` is a cell of.
    """
    if not document.has(position(at)):
        return None  # the editor is ahead of us, or behind: it will ask again
    offset = document.offset(position(at))
    snapshot, begin = document.snapshot(), 0
    if cells:
        index = next(n for n, cell in enumerate(cells) if cell is document)
        snapshot, begin = join_cells(*notebook, cells, index)
    if selected is None:
        here = _position(document.position(offset))
        return Place(snapshot, begin + offset, types.Range(here, here))
    start = document.offset(position(selected.range.start))
    end = max(document.offset(position(selected.range.end)), start)
    text = snapshot.text[: begin + start] + selected.text + snapshot.text[begin + end :]
    return Place(
        replace(snapshot, text=text),
        begin + start + len(selected.text),
        selected.range,
        lead=selected.text,
        replaced=document.text[start : max(offset, start)],
    )


def inline_items(asked: Place, completion: Completion, number: int) -> types.InlineCompletionList:
    """Ghost text: the whole completion, then its smaller grades."""
    items = []
    for grade, text in enumerate(_graded(completion)):
        whole = asked.lead + text
        # Editors show an item only if what it replaces is a prefix of the filter text (of the
        # inserted text, without one). A fuzzy match in the menu ("lst" for "list") is none.
        filter_text = None if whole.startswith(asked.replaced) else asked.replaced + text
        items.append(
            types.InlineCompletionItem(
                whole, filter_text, asked.range, _accept_signal(number, grade)
            )
        )
    return types.InlineCompletionList(items)


def menu_items(
    document: Document,
    asked: Place,
    completion: Completion,
    number: int,
    *,
    markdown: bool,
) -> types.CompletionList:
    """Menu entries for editors without ghost text: what is typed of the word is replaced.

    The list is incomplete: it is asked for again as the person types, mostly answered
    from the cache.
    """
    before = document.text[: document.offset(position(asked.range.start))]
    word = before[_word_start(before) :]
    begin = _position(document.position(len(before) - len(word)))
    items = []
    for grade, text in enumerate(_graded(completion)):
        whole = word + text
        items.append(
            types.CompletionItem(
                label=_label(whole),
                kind=types.CompletionItemKind.Text,
                detail="fimls",
                documentation=_preview(whole, asked.snapshot.language, markdown=markdown),
                # Ahead of the names that other servers offer, the whole before its parts.
                sort_text=f" {grade:02}",
                filter_text=whole.splitlines()[0] if word else None,
                insert_text_format=types.InsertTextFormat.PlainText,
                # The text carries its own indentation.
                insert_text_mode=types.InsertTextMode.AsIs,
                text_edit=types.TextEdit(types.Range(begin, asked.range.end), whole),
                command=_accept_signal(number, grade),
            )
        )
    return types.CompletionList(is_incomplete=True, items=items)


def _position(found: Position) -> types.Position:
    return types.Position(found.line, found.character)


def _graded(completion: Completion) -> list[str]:
    """The whole and its grades, the longest first, without blank or equal ones."""
    parts = [completion.text[:grade].rstrip() for grade in sorted(completion.grades, reverse=True)]
    whole = completion.text
    distinct = dict.fromkeys(part for part in parts if part and part != whole.rstrip())
    return [whole, *distinct]


def _accept_signal(number: int, grade: int) -> types.Command:
    return types.Command("Accepted", ACCEPTED, arguments=[number, grade])


def _word_start(text: str) -> int:
    at = len(text)
    while at > 0 and (text[at - 1].isalnum() or text[at - 1] == "_"):
        at -= 1
    return at


def _label(text: str) -> str:
    """The first line that says something, and a sign that there is more."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [text]
    first = lines[0] if len(lines[0]) <= LABEL_CHARS else lines[0][: LABEL_CHARS - 1] + "…"
    return first + (" …" if len(lines) > 1 else "")


def _preview(text: str, language: str, *, markdown: bool) -> types.MarkupContent | str:
    text = text.strip("\r\n")
    if not markdown:
        return text
    # A fence longer than any in the code, so that code in Markdown files ends where it should.
    longest = max((len(run) for run in _backtick_runs(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return types.MarkupContent(types.MarkupKind.Markdown, f"{fence}{language}\n{text}\n{fence}")


def _backtick_runs(text: str) -> list[str]:
    return [run for run in "".join(c if c == "`" else " " for c in text).split() if run]
