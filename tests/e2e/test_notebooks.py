"""Notebooks over a real process: cells come, go and change, each with its own language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsprotocol import types
from session import Editor, scripted

Edit = Callable[..., Any]

NOTEBOOK = "file:///project/n.ipynb"
PYTHON, MARKDOWN, JULIA = "python", "markdown", "julia"


def uri(name: str) -> str:
    return f"vscode-notebook-cell:/project/n.ipynb#{name}"


def cell(name: str, language: str) -> types.NotebookCell:
    kinds = types.NotebookCellKind
    return types.NotebookCell(kinds.Markup if language == MARKDOWN else kinds.Code, uri(name))


def item(name: str, language: str, text: str) -> types.TextDocumentItem:
    return types.TextDocumentItem(uri(name), language, 1, text)


def open_notebook(editor: Editor, *cells: tuple[str, str, str]) -> None:
    """Open a notebook of cells: name, language, text."""
    notebook = types.NotebookDocument(
        NOTEBOOK, "jupyter-notebook", 1, [cell(name, language) for name, language, _ in cells]
    )
    items = [item(*each) for each in cells]
    editor.client.notebook_document_did_open(types.DidOpenNotebookDocumentParams(notebook, items))


def change(editor: Editor, version: int, **cells: Any) -> None:
    event = types.NotebookDocumentChangeEvent(cells=types.NotebookDocumentCellChanges(**cells))
    document = types.VersionedNotebookDocumentIdentifier(version, NOTEBOOK)
    editor.client.notebook_document_did_change(
        types.DidChangeNotebookDocumentParams(document, event)
    )


async def prompt(editor: Editor, name: str, line: int, character: int) -> str:
    """What the model reads for a place in a cell."""
    await editor.ghost(uri(name), line, character)
    told = await editor.explain()
    assert told is not None
    assert told["language"] == (PYTHON if name.startswith("p") else MARKDOWN)
    return str(told["prompt"])


async def test_cells_are_followed_as_they_change_come_and_go(edit: Edit) -> None:
    """Text typed into an earlier cell, a new cell, one that was deleted."""
    async with edit(scripted("1\n\n\nprint()\n"), client="vscode-1.139.1") as editor:
        open_notebook(editor, ("p0", PYTHON, "import a\n"), ("p1", PYTHON, "x = "))
        assert "import a" in await prompt(editor, "p1", 0, 4)

        at = types.Position(0, 8)
        typed = types.TextDocumentContentChangePartial(types.Range(at, at), "bc")
        document = types.VersionedTextDocumentIdentifier(2, uri("p0"))
        change(
            editor, 2, text_content=[types.NotebookDocumentCellContentChanges(document, [typed])]
        )
        assert "import abc" in await prompt(editor, "p1", 0, 4)

        new = types.NotebookCellArrayChange(1, 0, [cell("p2", PYTHON)])
        opened = [item("p2", PYTHON, "between = 2\n")]
        change(
            editor,
            3,
            structure=types.NotebookDocumentCellChangeStructure(new, did_open=opened),
        )
        seen = await prompt(editor, "p1", 0, 4)
        assert seen.index("import abc") < seen.index("between = 2")

        gone = types.NotebookCellArrayChange(0, 1)
        closed = [types.TextDocumentIdentifier(uri("p0"))]
        change(
            editor,
            4,
            structure=types.NotebookDocumentCellChangeStructure(gone, did_close=closed),
        )
        seen = await prompt(editor, "p1", 0, 4)
        assert "import abc" not in seen
        assert "between = 2" in seen
        assert editor.messages == []


async def test_a_cell_ends_where_its_code_does(edit: Edit) -> None:
    """What is generated for a cell does not run into the code of the next one."""
    answer = "return 1\n\n\nlast = 9\nprint(last)\n"
    async with edit(scripted(answer), client="vscode-1.139.1") as editor:
        open_notebook(editor, ("p0", PYTHON, "def f():\n    "), ("p1", PYTHON, "last = 9\n"))
        assert (await editor.ghost_texts(uri("p0"), 1, 4))[0] == "return 1"


async def test_prose_is_completed_as_prose(edit: Edit) -> None:
    """A Markdown cell ends with its paragraph, and sees no code."""
    answer = "of the stations\nin the north.\n\n## Next\n"
    async with edit(scripted(answer), client="vscode-1.139.1") as editor:
        open_notebook(editor, ("p0", PYTHON, "import a\n"), ("m0", MARKDOWN, "The heights "))
        assert "import a" not in await prompt(editor, "m0", 0, 12)
        [first, *_] = await editor.ghost_texts(uri("m0"), 0, 12)
        assert first == "of the stations\nin the north."


async def test_a_cell_of_a_language_that_is_not_the_notebooks(edit: Edit) -> None:
    """It sees cells of its own language only, and keeps its own name."""
    async with edit(scripted("2\nend\n\nx = 3\n"), client="vscode-1.139.1") as editor:
        open_notebook(editor, ("p0", PYTHON, "import a\n"), ("j0", JULIA, "function f()\n  "))
        await editor.ghost(uri("j0"), 1, 2)
        told = await editor.explain()
        assert told is not None
        assert told["language"] == JULIA
        assert "import a" not in told["prompt"]
