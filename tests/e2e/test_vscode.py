"""VS Code in headless Chromium, with the extension as it is packaged.

One window serves all scripted tests; each opens a file of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from editors import serving, vscode
from editors.vscode import SOURCE, VSCode

pytestmark = pytest.mark.editor

AREA = "def area(w, h):\n"
BODY = "size = w * h\n    print(size)\n    return size"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VSCode]:
    home = tmp_path_factory.mktemp("vscode")
    env = serving.scripted(home / "config", {"def area(w, h):": BODY, "x = 'stays'": ""})
    with vscode.opened(home, env) as code:
        yield code


@pytest.fixture
def opened(window: VSCode, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Opens a file with this text, the cursor at the end of its last line."""

    def open_file(text: str = AREA.rstrip("\n")) -> Path:
        file = window.folder / f"{request.node.name.removeprefix('test_')}.py"
        file.write_text(text, encoding="utf-8")
        window.open(file)
        window.press("Control+End")
        return file

    return open_file


def test_ghost_text_is_shown_and_accepted(window: VSCode, opened: Callable[[], Path]) -> None:
    """A new line asks by itself; the file changes only when Tab is pressed."""
    file = opened()
    window.press("Enter")
    window.wait_ghost(BODY)
    window.press("Tab")
    assert window.saved(file).rstrip("\n") == AREA + "    " + BODY


def test_accepts_by_word(window: VSCode, opened: Callable[[], Path]) -> None:
    file = opened()
    window.press("Enter")
    window.wait_ghost(BODY)
    window.press("Control+ArrowRight")
    window.wait("the rest", lambda: window.ghost == BODY.removeprefix("size"))
    window.press("Control+ArrowRight", "Control+ArrowRight")
    window.wait("the rest", lambda: window.ghost in {BODY[n:] for n in range(5, 13)})
    taken = BODY.removesuffix(window.ghost)
    assert window.saved(file) == AREA + "    " + taken


def test_accepts_by_line(window: VSCode, opened: Callable[[], Path]) -> None:
    file = opened()
    window.press("Enter")
    window.wait_ghost(BODY)
    window.press("Alt+l")  # as the page tells to bind it
    window.wait("the rest", lambda: "size = w * h" not in window.ghost)
    assert window.saved(file).rstrip("\n") == AREA + "    size = w * h"


def test_typing_what_is_suggested_never_flickers(
    window: VSCode, opened: Callable[[], Path]
) -> None:
    """The rest of the suggestion stands in the frames that are drawn."""
    opened()
    window.press("Enter")
    window.wait_ghost(BODY)
    window.do("watch")
    window.type(BODY[:6])
    window.wait_ghost(BODY[6:])
    seen = window.do("seen")
    assert len(seen) > 3
    # One frame may come between the key and the rest; a request would take several.
    assert not any(not ghost and not after for ghost, after in pairwise(seen))


def test_asks_nothing_inside_a_word(window: VSCode, opened: Callable[[str], Path]) -> None:
    """Letters on both sides of the cursor: whoever types there mends a name."""
    opened(AREA + "    sie")
    window.press("ArrowLeft")
    asked = serving.n_asked(window.env)
    window.type("z")
    time.sleep(0.5)
    assert serving.n_asked(window.env) == asked
    window.press("End", " ")
    window.wait("a request", lambda: serving.n_asked(window.env) > asked)


def test_typing_something_else_removes_it(window: VSCode, opened: Callable[[], Path]) -> None:
    file = opened()
    window.press("Enter")
    window.wait_ghost(BODY)
    window.type("x = 'stays'")
    window.wait("no ghost", lambda: not window.ghost)
    assert window.saved(file).rstrip("\n") == AREA + "    x = 'stays'"


def test_moving_removes_it(window: VSCode, opened: Callable[[], Path]) -> None:
    opened()
    window.press("Enter")
    window.wait_ghost(BODY)
    window.press("ArrowUp")
    window.wait("no ghost", lambda: not window.ghost)


def test_cycles_through_the_items(window: VSCode, opened: Callable[[], Path]) -> None:
    file = opened()
    window.press("Enter")
    window.wait_ghost(BODY)
    window.press("Alt+]")
    window.wait("another item", lambda: window.ghost not in {"", BODY})
    shown = window.ghost
    assert BODY.startswith(shown)
    window.press("Tab")
    assert window.saved(file).rstrip("\n") == AREA + "    " + shown


def test_leaves_several_cursors_alone(window: VSCode, opened: Callable[[], Path]) -> None:
    opened(AREA + "    a\n    a")  # type: ignore[call-arg] # the fixture's default text otherwise
    window.press("Shift+Alt+ArrowUp")
    asked = serving.n_asked(window.env)
    window.type(" =")
    time.sleep(0.5)
    assert serving.n_asked(window.env) == asked


def test_leaves_pasted_text_alone(window: VSCode, opened: Callable[[], Path]) -> None:
    file = opened()
    window.press("Enter")
    window.wait_ghost(BODY)
    asked = serving.n_asked(window.env)
    window.do("paste", text="w = 1; h = 2  # pasted, not typed")
    window.wait("no ghost", lambda: not window.ghost)
    time.sleep(0.5)
    assert serving.n_asked(window.env) == asked
    assert "pasted" in window.saved(file)


def test_a_killed_server_comes_back(window: VSCode, opened: Callable[[], Path]) -> None:
    """Without a restart of the editor; what was typed meanwhile is answered by the new one."""
    opened()
    serving.kill_servers_below(window.server.pid)
    window.press("Enter")
    window.wait_ghost(BODY, 60)
    assert window.told() == []


def test_turned_off_by_its_command(window: VSCode, opened: Callable[[], Path]) -> None:
    opened()
    window.do("command", title="fimls: Turn Completion On or Off")
    window.wait("off", lambda: window.status() == "off")
    window.do("command", title="fimls: Turn Completion On or Off")
    window.wait("on", lambda: window.status() == "ready")


def test_explains_the_last_completion(window: VSCode, opened: Callable[[], Path]) -> None:
    opened()
    window.press("Enter")
    window.wait_ghost(BODY)
    window.do("command", title="fimls: Explain the Last Completion")
    shown = ".editor-instance .view-line"
    window.wait(
        "the prompt",
        lambda: any("stop_reason" in line for line in window.do("text", selector=shown)),
    )


def test_a_long_suggestion_grows_unless_dismissed(tmp_path: Path) -> None:
    """Its first lines are shown as soon as they stand, the rest when all is there."""
    beginnings = {"size = w * h", "size = w * h\n    print(size)"}
    answers, slowly = {"def area(w, h):": BODY}, {"delay_ms": 250, "t_max_predict_ms": 30_000}
    env = serving.scripted(tmp_path / "config", answers, **slowly)
    with vscode.opened(tmp_path, env) as code:
        for name, is_wanted in (("wanted.py", True), ("dismissed.py", False)):
            file = code.folder / name
            file.write_text(AREA.rstrip("\n"), encoding="utf-8")
            code.open(file)
            code.press("Control+End", "Enter")
            code.wait("the first lines", lambda: code.ghost in beginnings)
            if is_wanted:
                code.do("watch")
                code.wait_ghost(BODY)
                assert {*code.do("seen")} <= {*beginnings, BODY}, "it was never hidden"
                code.press("Tab")
                assert code.saved(file).rstrip("\n") == AREA + "    " + BODY
            else:
                code.press("Escape")
                code.wait("no ghost", lambda: not code.ghost)
                code.wait("the end of it", lambda: code.status() == "ready")
                assert not code.ghost


def test_a_missing_server_is_one_message_with_a_next_step(tmp_path: Path) -> None:
    """It says what is missing and offers to install it; nothing is downloaded by itself."""
    settings = {"fimls.client.command": ["no-such-fimls"]}
    with vscode.opened(tmp_path, {}, **settings) as code:
        file = code.folder / "a.py"
        file.write_text("a = 1\n", encoding="utf-8")
        code.open(file, state="needs attention")
        said = ".notification-toast .notification-list-item-message"
        code.wait("the message", lambda: code.do("text", selector=said))
        assert len(code.do("text", selector=said)) == 1
        assert "names no-such-fimls, which does not run" in code.do("text", selector=said)[0]
        buttons = code.do("text", selector=".notification-toast .monaco-button")
        assert "Install…" in buttons


@pytest.mark.model
def test_the_real_model_completes_the_norm(default_model: Path, tmp_path: Path) -> None:
    """One assignment to r and nothing else, where the line after it returns r."""
    env = serving.real_model(tmp_path / "config", default_model)
    with vscode.opened(tmp_path, env) as code:
        file = code.folder / "norm.py"
        head = "from math import sqrt\n\n\ndef norm(x: float, y: float) -> float:\n"
        file.write_text(f"{head}    return r\n", encoding="utf-8")
        code.open(file)
        code.press("Control+Home", "ArrowDown", "ArrowDown", "ArrowDown", "End", "Enter")
        code.wait("a suggestion", lambda: code.ghost.startswith("r = "), 40)
        assert "sqrt" in code.ghost
        assert "\n" not in code.ghost
        code.press("Tab")
        lines = code.saved(file).split("\n")
        assert lines[4].startswith("    r = ")
        assert lines[5:] == ["    return r", ""]


def test_settings_are_the_servers_own() -> None:
    """package.json describes the options that the server has now."""
    script = SOURCE / "manifest.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((SOURCE / "package.json").read_text(encoding="utf-8"))
    assert len(manifest["contributes"]["configuration"]) > 1
