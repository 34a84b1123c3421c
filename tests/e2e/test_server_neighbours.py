"""What prompts show of other open files, over a real server process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from session import Editor, scripted

Edit = Callable[..., Any]

SHAPES = "class Circle:\n    def area(self):\n        return 3\n"
MAIN = "from shapes import Circle\n\n\ndef main():\n    c = Circle()\n    return "


async def prompt(editor: Editor, uri: str, line: int, character: int) -> str:
    """What the model was shown at the end of a line."""
    assert await editor.ghost_texts(uri, line, character)
    return str((await editor.explain())["prompt"])


async def test_signatures_of_open_files(edit: Edit, tmp_path: Path) -> None:
    """Not of what is ignored or lies elsewhere; and they stay while the person stays."""
    (tmp_path / ".fimlsignore").write_text("private.py\n")
    async with edit(scripted("c.area()", n_chunks=100)) as editor:
        shapes = editor.open(SHAPES, (tmp_path / "shapes.py").as_uri())
        editor.open("def secret():\n    return 1\n", (tmp_path / "private.py").as_uri())
        editor.open("def foreign():\n    return 1\n", "file:///elsewhere/foreign.py")
        main = editor.open(MAIN, (tmp_path / "main.py").as_uri())
        seen = await prompt(editor, main, 5, 11)
        assert "class Circle:\n    def area(self):" in seen
        assert "return 3" not in seen
        assert "secret" not in seen
        assert "foreign" not in seen
        editor.type(shapes, 0, 0, "def fresh():\n    return 1\n\n\n")
        editor.type(main, 5, 11, "1 + ")
        assert "fresh" not in await prompt(editor, main, 5, 15)
        await prompt(editor, shapes, 1, 12)
        editor.type(main, 5, 15, "2 + ")
        assert "fresh" in await prompt(editor, main, 5, 19)


async def test_nothing_of_other_files_unless_asked_for(edit: Edit, tmp_path: Path) -> None:
    async with edit(scripted("c.area()")) as editor:
        editor.open(SHAPES, (tmp_path / "shapes.py").as_uri())
        main = editor.open(MAIN, (tmp_path / "main.py").as_uri())
        assert "area" not in await prompt(editor, main, 5, 11)
