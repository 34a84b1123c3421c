"""Vim with ALE shows fimls' completions in its menu, with the configuration of its page."""

from __future__ import annotations

from pathlib import Path

import pytest
from editors.terminal import Terminal

from editors import serving

pytestmark = pytest.mark.editor

CONFIGURATION = Path(__file__).parents[2] / "editors/vim/fimls.vim"
AREA = "def area(w, h):\n"
BODY = "size = abs(w * h)\n    return size"


def test_completions_come_in_the_menu(tmp_path: Path) -> None:
    """The menu offers the whole and its first line; the buffer holds what was taken."""
    vim = serving.editor("vim")
    file = tmp_path / "area.py"
    file.write_text(AREA, encoding="utf-8")
    env = serving.scripted(tmp_path / "config", {"def area(w, h):": BODY})
    env |= {"HOME": str(tmp_path), "PATH": serving.program(tmp_path)}
    vimrc = tmp_path / "vimrc"
    vimrc.write_text(
        "set nocompatible autoindent shiftwidth=4 expandtab\nfiletype plugin indent on\n"
        "let g:ale_linters_explicit = 0\n" + CONFIGURATION.read_text(encoding="utf-8")
    )
    with Terminal([vim.command, "-n", "-u", vimrc, file], cwd=tmp_path, env=env) as terminal:
        terminal.wait("def area")
        terminal.wait("the server", lambda: serving.is_ready(env), timeout_s=60)
        terminal.type("o")  # the file type indents
        terminal.wait("INSERT")
        terminal.type("\x18\x0f")
        terminal.wait("size = abs")
        terminal.type("\x19")
        terminal.wait("the parts", lambda: "    return size" in terminal.lines)
        terminal.type("!\x1b")
        terminal.wait("INSERT", gone=True)
        terminal.type(":w\r")
        terminal.wait("the file", lambda: "size" in file.read_text(encoding="utf-8"))
        assert file.read_text(encoding="utf-8") == AREA + "    " + BODY + "!\n"
