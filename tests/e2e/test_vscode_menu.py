"""VS Code's completion menu and the ghost text beside it never say different things."""

from __future__ import annotations

from pathlib import Path

import pytest

from editors import serving, vscode
from editors.vscode import VSCode

pytestmark = pytest.mark.editor

TEXT = "alphabetical = {}\nalternative = {}\n\n\ndef find(w, h):\n    return"


def chosen(code: VSCode) -> str:
    """The entry of the open menu that a key would take."""
    return "".join(code.do("text", selector=".suggest-widget.visible .monaco-list-row.focused"))


def test_ghost_text_goes_on_from_what_the_menu_has_chosen(tmp_path: Path) -> None:
    """It follows the choice; with the menu closed it is what it was."""
    env = serving.scripted(tmp_path / "config", {"return": "(w, h)"})
    words = {"[python]": {"editor.wordBasedSuggestions": "currentDocument"}}
    with vscode.opened(tmp_path, env, **words) as code:
        file = code.folder / "find.py"
        file.write_text(TEXT, encoding="utf-8")
        code.open(file)
        code.press("Control+End")
        code.type(" al")
        code.wait_ghost("(w, h)")
        code.do("watch")
        code.press("Control+Space")
        code.wait("the menu", lambda: "alphabetical" in chosen(code))
        code.wait_ghost("phabetical(w, h)")
        code.press("ArrowDown")
        code.wait("the other entry", lambda: "alternative" in chosen(code))
        code.wait_ghost("ternative(w, h)")
        code.press("Escape")
        code.wait("no menu", lambda: not chosen(code))
        code.wait_ghost("(w, h)")
        assert {*code.do("seen")} <= {"", "(w, h)", "phabetical(w, h)", "ternative(w, h)"}
        code.press("Control+Space")
        code.wait("the menu", lambda: chosen(code))
        code.press("ArrowDown")
        code.wait_ghost("ternative(w, h)")
        code.press("Enter")
        code.wait_ghost("(w, h)")
        assert code.saved(file) == TEXT + " alternative"
