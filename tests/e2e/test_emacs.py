"""Emacs in a terminal: lsp-mode 10 shows ghost text, with the configuration of its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from editors.install import Editor
from editors.serving import FAULTY, FIXED, LINE

from editors import serving
from editors.emacs import Emacs

pytestmark = pytest.mark.editor

AREA = "def area(w, h):\n"
BODY = "size = w * h\n    return size"
NEXT, CANCEL = "\x0e", "\x07"


@pytest.fixture(scope="module")
def emacs() -> Editor:
    return serving.editor("emacs")


@pytest.fixture
def scripted(emacs: Editor, tmp_path: Path) -> Iterator[Emacs]:
    env = serving.scripted(tmp_path / "config", {"def area(w, h):": BODY})
    running = Emacs(emacs, tmp_path, AREA, env)
    yield running
    running.terminal.close()


def test_ghost_text_is_shown_and_accepted(scripted: Emacs) -> None:
    """It comes while typing; Tab takes it, and the file holds it."""
    scripted.ready()
    scripted.terminal.type("    ", every_s=0.05)
    scripted.terminal.wait("return size")
    assert "    size = w * h" in scripted.terminal.text
    scripted.terminal.type("\t")
    assert scripted.save().rstrip("\n") == AREA + "    " + BODY


def test_cycles_and_dismisses(scripted: Emacs) -> None:
    """C-n shows the first line only; C-g removes it without touching the buffer."""
    scripted.ready()
    scripted.terminal.type("    ", every_s=0.05)
    scripted.terminal.wait("return size")
    scripted.terminal.type(NEXT)
    scripted.terminal.wait("return size", gone=True)
    assert "size = w * h" in scripted.terminal.text
    scripted.terminal.type(CANCEL)
    scripted.terminal.wait("size = w * h", gone=True)
    assert scripted.save().rstrip("\n") == AREA.rstrip("\n") + "\n    "


def test_typing_something_else_removes_it(scripted: Emacs) -> None:
    scripted.ready()
    scripted.terminal.type("    ", every_s=0.05)
    scripted.terminal.wait("return size")
    scripted.terminal.type("x")
    scripted.terminal.wait("return size", gone=True)


def test_reviews_by_code_actions(emacs: Editor, tmp_path: Path) -> None:
    """lsp-execute-code-action reviews; the finding is a diagnostic, its quick fix mends it."""
    env = serving.scripted(tmp_path / "config", serving.REVIEWER)
    running = Emacs(emacs, tmp_path, FAULTY, env)
    with running.terminal as terminal:
        running.ready()
        terminal.type("\x1bxlsp-execute-code-action\r")
        terminal.wait("Select code action:")
        terminal.type("Review file\r")
        terminal.wait("1 finding")
        terminal.type("\x1bgg3\r")  # the line of the loop
        terminal.type("\x1bxlsp-execute-code-action\r")
        terminal.wait("Select code action:")
        terminal.type("Replace\t\r")
        terminal.wait(FIXED)
        assert running.save() == FAULTY.replace(LINE, FIXED)


def test_eglot_offers_items(tmp_path: Path) -> None:
    """Without ghost text: completion-at-point takes the first line, and again the rest."""
    env = serving.scripted(tmp_path / "config", {"def area(w, h):": BODY})
    running = Emacs(serving.editor("eglot"), tmp_path, AREA, env, page="fimls-eglot.el")
    with running.terminal as terminal:
        running.ready()
        terminal.type("    \x1b\t")
        terminal.wait("size = w * h")
        terminal.type("\x1b\t")
        terminal.wait("return size")
        assert running.save().rstrip("\n") == AREA + "    " + BODY


@pytest.mark.model
def test_the_real_model_completes_the_norm(
    emacs: Editor, default_model: Path, tmp_path: Path
) -> None:
    head = "from math import sqrt\n\n\ndef norm(x: float, y: float) -> float:\n"
    env = serving.real_model(tmp_path / "config", default_model)
    running = Emacs(emacs, tmp_path, f"{head}    \n    return r\n", env)
    with running.terminal:
        running.ready()
        running.terminal.type("\x10\x10\x05\x1b\\")  # up twice, to the end of the line, ask
        running.terminal.wait("r = ", timeout_s=60)
        running.terminal.type("\t")
        lines = running.save().split("\n")
        assert lines[4].startswith("    r = ")
        assert "sqrt" in lines[4]
        assert lines[5:] == ["    return r", ""]
