"""The first lines of a long completion are shown before its end, where an editor asks for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from session import scripted
from test_notebooks import open_notebook
from test_notebooks import uri as uri_of_cell

Edit = Callable[..., Any]

HEAD = "def total(rows):\n    "
BODY = "n = 0\n    for row in rows:\n        n += row.price\n    print(n)\n    return n"
# Some 30 tokens: longer than any completion that is waited for.
SLOW = scripted({"quick": "1\n\n\nprint()\n", "total": BODY + "\n\n\nprint()\n"}, delay_ms=60)


def growing(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "client": {"grows": True}}


async def test_the_first_lines_come_first(edit: Edit) -> None:
    """Then the editor is told that there is more, and gets it at once when it asks again."""
    async with edit(growing(SLOW)) as editor:
        uri = editor.open(HEAD)
        first = (await editor.ghost_texts(uri, 1, 4))[0]
        assert BODY.startswith(first + "\n")
        await editor.eventually(lambda: editor.grown)
        assert editor.grown == [{"uri": uri, "version": 1, "changed": True}]
        assert (await editor.ghost_texts(uri, 1, 4))[0] == BODY
        told = await editor.explain()
        assert told is not None
        assert told["cached"]
        assert len(editor.grown) == 1


async def test_who_does_not_ask_for_parts_gets_the_whole(edit: Edit) -> None:
    async with edit(SLOW) as editor:
        uri = editor.open(HEAD)
        assert (await editor.ghost_texts(uri, 1, 4))[0] == BODY
        assert not editor.grown


async def test_what_is_asked_for_by_hand_comes_whole(edit: Edit) -> None:
    async with edit(growing(SLOW)) as editor:
        uri = editor.open(HEAD)
        assert (await editor.ghost_texts(uri, 1, 4, invoked=True))[0] == BODY
        assert not editor.grown


async def test_menus_show_the_whole(edit: Edit) -> None:
    """Nobody asks again for an entry of a menu."""
    async with edit(growing(SLOW)) as editor:
        found = await editor.menu(editor.open(HEAD), 1, 4)
        assert found.items[0].text_edit.new_text == BODY


async def test_cells_show_the_whole(edit: Edit) -> None:
    """A cell is no document with a version that could be told of."""
    async with edit(growing(SLOW), client="vscode-1.139.1") as editor:
        open_notebook(editor, ("p0", "python", HEAD))
        assert (await editor.ghost_texts(uri_of_cell("p0"), 1, 4))[0] == BODY
        assert not editor.grown


async def test_what_is_quick_comes_whole(edit: Edit) -> None:
    async with edit(growing(SLOW)) as editor:
        uri = editor.open("quick = ")
        assert await editor.ghost_texts(uri, 0, 8) == ["1"]
        assert not editor.grown


async def test_a_part_is_typed_through(edit: Edit) -> None:
    """What is left of it stays, and grows."""
    async with edit(growing(SLOW)) as editor:
        uri = editor.open(HEAD)
        first = (await editor.ghost_texts(uri, 1, 4))[0]
        editor.type(uri, 1, 4, first[0])
        rest = (await editor.ghost_texts(uri, 1, 5))[0]
        assert rest.startswith(first[1:])  # more of it may have come since
        assert BODY[1:].startswith(rest)


async def test_going_elsewhere_ends_the_rest(edit: Edit) -> None:
    """Nothing is computed, or told, for a place that was left."""
    slower = scripted({"quick": "1\n\n\nprint()\n", "total": BODY}, delay_ms=200)
    async with edit(growing(slower)) as editor:
        uri = editor.open(HEAD)
        assert await editor.ghost_texts(uri, 1, 4)
        await editor.status_is("thinking")
        editor.type(uri, 1, 4, "pass\n\nquick = ")
        assert await editor.ghost_texts(uri, 3, 8) == ["1"]
        await editor.status_is("idle")
        assert not editor.grown
