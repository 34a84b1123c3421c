"""Emacs in a terminal: lsp-mode 10 shows ghost text, with the configuration of its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from editors.install import Editor
from editors.terminal import Terminal

from editors import serving

pytestmark = pytest.mark.editor

CONFIGURATION = Path(__file__).parents[2] / "editors/emacs/fimls-lsp-mode.el"
AREA = "def area(w, h):\n"
BODY = "size = w * h\n    return size"
END_OF_BUFFER, NEXT, CANCEL, SAVE = "\x1b>", "\x0e", "\x07", "\x18\x13"


@pytest.fixture(scope="module")
def emacs() -> Editor:
    return serving.editor("emacs")


class Emacs:
    """A running Emacs with a file of one project, the cursor at its end."""

    def __init__(self, editor: Editor, home: Path, text: str, env: Mapping[str, str]) -> None:
        project = home / "project"
        project.mkdir()
        self.file = project / "area.py"
        self.file.write_text(text, encoding="utf-8")
        init = home / "init.el"
        folders = " ".join(f'"{path}"' for path in editor.paths["elpa"].iterdir())
        init.write_text(
            f"(dolist (folder '({folders})) (add-to-list 'load-path folder))\n"
            "(setq lsp-auto-guess-root t lsp-enable-file-watchers nil"
            " lsp-warn-no-matched-clients nil make-backup-files nil auto-save-default nil"
            " lsp-headerline-breadcrumb-enable nil"
            f' lsp-session-file "{home}/session" lsp-enable-snippet nil)\n'
            # A package manager's autoloads do this for parts of lsp-mode.
            "(dolist (part '(lsp-lens lsp-modeline lsp-diagnostics lsp-completion lsp-headerline))"
            " (require part))\n"
            f'(load "{CONFIGURATION}")\n',
            encoding="utf-8",
        )
        (project / ".git").mkdir()
        command = [editor.command, "-nw", "--no-init-file", "-l", init, self.file]
        env = {**env, "HOME": str(home), "PATH": serving.program(home)}
        self.terminal = Terminal(command, cwd=project, env=env)

    def ready(self) -> None:
        self.terminal.wait("initialized successfully", timeout_s=60)
        self.terminal.type(END_OF_BUFFER)
        self.terminal.watch(0.5)

    def save(self) -> str:
        before = self.file.stat().st_mtime_ns
        self.terminal.type(SAVE)
        self.terminal.wait("the file", lambda: self.file.stat().st_mtime_ns != before)
        return self.file.read_text(encoding="utf-8")


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
    scripted.terminal.watch(0.5)
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
    scripted.terminal.wait("return size", gone=True, timeout_s=2)


@pytest.mark.model
def test_the_real_model_completes_the_norm(emacs: Editor, tmp_path: Path) -> None:
    head = "from math import sqrt\n\n\ndef norm(x: float, y: float) -> float:\n"
    env = serving.real_model(tmp_path / "config")
    running = Emacs(emacs, tmp_path, f"{head}    \n    return r\n", env)
    with running.terminal:
        running.ready()
        running.terminal.type("\x10\x10\x05\x1b\\")  # up twice, to the end of the line, ask
        running.terminal.wait("r = ", timeout_s=60)
        running.terminal.type("\t")
        running.terminal.watch(0.5)
        lines = running.save().split("\n")
        assert lines[4].startswith("    r = ")
        assert "sqrt" in lines[4]
        assert lines[5:] == ["    return r", ""]
