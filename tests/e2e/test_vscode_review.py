"""VS Code beside the ghost text: review and its findings, one language turned off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from editors.serving import FAULT, FAULTY, FIXED, LINE

from editors import serving, vscode
from editors.vscode import VSCode

pytestmark = pytest.mark.editor

PROBLEMS = ".markers-panel .monaco-list-row"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VSCode]:
    home = tmp_path_factory.mktemp("vscode")
    answers = {**serving.REVIEWER, "def area(w, h):": "return w * h"}
    env = serving.scripted(home / "config", answers)
    with vscode.opened(home, env) as code:
        yield code


def test_findings_are_problems_and_can_be_fixed(window: VSCode) -> None:
    """From the command to the Problems panel, and by the quick fix back to none."""
    file = window.folder / "mean.py"
    file.write_text(FAULTY, encoding="utf-8")
    window.open(file)
    window.do("command", title="fimls: Review This File")
    window.wait("the end", lambda: any("1 finding" in text for text in window.told()), 30)
    window.press("Control+Shift+M")
    window.wait("the finding", lambda: FAULT in problems(window))
    assert "fimls review" in problems(window)
    window.do("focus")
    window.press("Control+Home", "ArrowDown", "ArrowDown", "End")
    window.do("command", title="Quick Fix...")
    action = '.action-widget .monaco-list-row:has-text("Replace by: for i in")'
    window.wait("the quick fix", lambda: window.n_drawn(action))
    window.do("click", selector=action)
    assert window.saved(file) == FAULTY.replace(LINE, FIXED)
    window.wait("no finding", lambda: FAULT not in problems(window))


def test_findings_are_cleared_by_a_command(window: VSCode) -> None:
    file = window.folder / "mean_again.py"
    file.write_text(FAULTY, encoding="utf-8")
    window.open(file)
    window.press("Control+Home", "ArrowDown")
    window.do("command", title="fimls: Review This Function")
    window.wait("the end", lambda: any("1 finding" in text for text in window.told()), 30)
    window.wait("the mark", lambda: window.n_drawn(".squiggly-error"))
    window.do("command", title="fimls: Clear All Findings")
    window.wait("no mark", lambda: not window.n_drawn(".squiggly-error"))


def test_turned_off_for_one_language(window: VSCode) -> None:
    """In files of that language nothing is suggested, and the status says so; then again."""
    file: Path = window.folder / "off.py"
    file.write_text("def area(w, h):", encoding="utf-8")
    window.open(file)
    window.do("click", selector='.statusbar-item[id*="fimls"] a')
    window.do("choose", label="Turn off for python")
    window.wait("off", lambda: window.status() == "off")
    window.do("focus")
    window.press("Control+End", "Enter")
    window.do("click", selector='.statusbar-item[id*="fimls"] a')
    hint = {"selector": ".quick-input-box input", "name": "placeholder"}
    reason = "python is in completion.languages_off"
    window.wait("the reason", lambda: window.do("attribute", **hint) == reason)
    assert window.ghost == ""
    window.do("choose", label="Turn on for python")
    window.wait("on", lambda: window.status() == "ready")
    window.do("focus")
    window.press("Control+End", "Backspace", "Enter")
    window.wait_ghost("    return w * h")  # behind an empty line VS Code indents nothing


def problems(window: VSCode) -> str:
    return "\n".join(window.do("text", selector=PROBLEMS))
