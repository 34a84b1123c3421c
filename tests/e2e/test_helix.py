"""Helix shows fimls' completions in its menu, with the configuration of its page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from editors.terminal import Terminal

from editors import serving

pytestmark = pytest.mark.editor

CONFIGURATION = Path(__file__).parents[2] / "editors/helix"
AREA = "def area(w, h):\n"
BODY = "size = w * h\n    return size"


def test_completions_come_in_the_menu(tmp_path: Path) -> None:
    """The menu offers the whole and its first line; the file holds what was taken."""
    helix = serving.editor("helix")
    config = tmp_path / "helix"
    shutil.copytree(CONFIGURATION, config)
    file = tmp_path / "area.py"
    file.write_text(AREA, encoding="utf-8")
    env = serving.scripted(tmp_path / "config", {"def area(w, h):": BODY})
    env |= {
        "XDG_CONFIG_HOME": str(tmp_path),
        "HOME": str(tmp_path),
        "PATH": serving.program(tmp_path),
    }
    with Terminal([helix.command, file], cwd=tmp_path, env=env) as terminal:
        terminal.wait("def area")
        terminal.wait("the server", lambda: serving.is_ready(env), timeout_s=60)
        terminal.type("o    ")
        terminal.wait("INS")
        terminal.type("\x18")
        terminal.wait("size = w * h")
        terminal.type("\x0e")
        terminal.wait("3      return size")
        terminal.type("\r\x1b")
        terminal.wait("NOR")
        terminal.type(":w\r")
        terminal.wait("the file", lambda: "size" in file.read_text(encoding="utf-8"))
        assert file.read_text(encoding="utf-8").rstrip("\n") == AREA + "    " + BODY
