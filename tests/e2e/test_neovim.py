"""Neovim, as a person uses it: every test types in a real one and looks at its screen.

The interaction matrix runs on a scripted engine in two ways: Neovim 0.12 with
vim.lsp.inline_completion, and 0.11 with the plugin's own renderer. 0.10, which has the same
renderer, goes through the main interactions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from editors.serving import FAULT, FAULTY, FIXED, LINE

from editors import neovim, serving
from editors.neovim import Neovim

pytestmark = pytest.mark.editor

WAYS = {
    "0.12-native": ("neovim-0.12", "native"),
    "0.12-own": ("neovim-0.12", "own"),
    "0.11-own": ("neovim-0.11", "own"),
    "0.10-own": ("neovim-0.10", "own"),
}
AREA = "def area(w, h):\n"
BODY = "size = w * h\n    print(size)\n    return size"

IN_0_10_TOO = pytest.mark.parametrize("way", ["0.12-native", "0.11-own", "0.10-own"], indirect=True)
# Whether a request is under way.
ASKED = "return require('fimls.session').get().pending ~= nil"

Open = Callable[..., Neovim]


@pytest.fixture(params=["0.12-native", "0.11-own"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_neovim(way: str, tmp_path: Path) -> Iterator[Open]:
    """Opens a file in a Neovim whose server answers from a script."""
    name, renderer = WAYS[way]
    opened: list[Neovim] = []

    def start(
        text: str = AREA,
        answers: dict[str, str] | None = None,
        *,
        delay_ms: float = 0,
        path: str = "area.py",
        options: dict[str, Any] | None = None,
        completion: dict[str, Any] | None = None,
        wait: bool = True,
        **more: Any,
    ) -> Neovim:
        file = tmp_path / path
        file.write_text(text, encoding="utf-8")
        script = {"def area(w, h):": BODY} if answers is None else answers
        env = serving.scripted(tmp_path / "config", script, delay_ms=delay_ms, **(completion or {}))
        given = {"renderer": renderer, **(options or {})}
        vim = Neovim(serving.editor(name), tmp_path, file, env, options=given, **more)
        opened.append(vim)
        if wait:
            vim.ready()
        return vim

    yield start
    for vim in opened:
        vim.close()


@IN_0_10_TOO
def test_ghost_text_is_shown_and_accepted(open_neovim: Open, way: str) -> None:
    """A new line asks by itself; the buffer changes only when Tab is pressed."""
    vim = open_neovim()
    vim.type("o")
    vim.wait_ghost(BODY.replace("\n", "\n"))
    vim.wait_buffer("def area(w, h):\n    ")
    drawn_by = vim.lua("return require('fimls.session').get().renderer.name")
    assert drawn_by == WAYS[way][1]
    vim.type(neovim.TAB)
    vim.wait_buffer(AREA + "    " + BODY)
    vim.wait_ghost("")
    vim.terminal.wait("the count", lambda: vim.explain()["n_accepted"] == 1)
    vim.type(neovim.ESCAPE)
    vim.type("u")
    vim.wait_buffer("def area(w, h):\n    ")


def test_a_copied_folder_works_by_itself(open_neovim: Open) -> None:
    """Installed by hand: no plugin manager, no line of configuration."""
    vim = open_neovim(by_hand=True)
    vim.type("o")
    vim.terminal.wait("return size")
    vim.type(neovim.TAB)
    vim.wait_buffer(AREA + "    " + BODY)
    vim.type(neovim.ESCAPE)
    vim.command("helptags ALL")
    vim.command("help fimls-keys")
    assert "Insert mode, while a suggestion is shown" in vim.buffer


@pytest.mark.parametrize("way", ["0.12-own"], indirect=True)
def test_the_own_renderer_can_be_chosen(open_neovim: Open) -> None:
    vim = open_neovim()
    vim.type("o")
    vim.wait_ghost(BODY)
    assert vim.lua("return require('fimls.session').get().renderer.name") == "own"
    vim.type(neovim.TAB)
    vim.wait_buffer(AREA + "    " + BODY)


def test_accepts_by_word(open_neovim: Open) -> None:
    """Word by word, a line break and its indentation belong to the next word."""
    vim = open_neovim()
    vim.type("o")
    vim.wait_ghost(BODY)
    for so_far in ("size", "size =", "size = w", "size = w *", "size = w * h"):
        vim.type(neovim.ALT_W)
        vim.wait_buffer(AREA + "    " + so_far)
        rest = "    print(size)\n    return size"
        vim.terminal.wait(rest, lambda rest=rest: vim.ghost().endswith(rest))
    vim.type(neovim.ALT_W)
    vim.wait_buffer(AREA + "    size = w * h\n    print")
    vim.wait_ghost("(size)\n    return size")


def test_accepts_by_line(open_neovim: Open) -> None:
    """The first line, then one line more at each press, the rest staying on the screen."""
    vim = open_neovim()
    vim.type("o")
    vim.wait_ghost(BODY)
    lines = BODY.split("\n")
    for n in range(1, 4):
        vim.type(neovim.ALT_L)
        vim.wait_buffer(AREA + "    " + "\n".join(lines[:n]))
        vim.wait_ghost("\n".join(lines[n:]))
    vim.terminal.wait("the count", lambda: vim.explain()["n_accepted"] == 1)


@IN_0_10_TOO
def test_typing_what_is_suggested_asks_nothing_and_never_flickers(open_neovim: Open) -> None:
    """The rest of the suggestion stands on every screen, from the same answer."""
    vim = open_neovim()
    vim.type("o")
    vim.wait_ghost(BODY)
    asked = serving.n_asked(vim.env)
    with vim.terminal.sampled(vim.ghost) as seen:
        vim.type("size = w", every_s=0.05)
        vim.wait_ghost(BODY.removeprefix("size = w"))
    assert serving.n_asked(vim.env) == asked
    # A sample may fall between two parts of one redraw, and several may not.
    gone = max((len(list(run)) for ghost, run in groupby(seen) if not ghost), default=0)
    assert len(seen) > 20
    assert gone <= 2


def test_asks_nothing_inside_a_word(open_neovim: Open) -> None:
    """Letters on both sides of the cursor: whoever types there mends a name."""
    vim = open_neovim(AREA + "    sie\n")
    vim.type("j$i")
    asked = serving.n_asked(vim.env)
    vim.type("z")
    vim.wait_buffer(AREA + "    size")
    assert not vim.lua(ASKED)
    assert serving.n_asked(vim.env) == asked
    vim.type(neovim.ESCAPE)
    vim.type("A ")
    vim.terminal.wait("a request", lambda: serving.n_asked(vim.env) > asked)


def test_what_is_typed_while_the_engine_loads_is_answered_later(open_neovim: Open) -> None:
    """The server soon gives up on a request without an engine; nobody has to type again."""
    vim = open_neovim(completion={"t_max_predict_ms": 200}, wait=False)
    vim.type("o")
    vim.wait_ghost(BODY)


def test_typing_something_else_removes_it_at_once(open_neovim: Open) -> None:
    """A suggestion that no longer fits goes before the next answer can come."""
    slow = " + ".join(["w * h"] * 100)
    vim = open_neovim(answers={AREA + "    x": slow, AREA: "w * h"}, delay_ms=100)
    vim.type("o")
    vim.wait_ghost("w * h")
    vim.terminal.type("x")
    vim.terminal.wait("the ghost to go", lambda: vim.ghost() == "", timeout_s=3)
    assert vim.lua(ASKED), "gone, and not because an answer came"
    vim.wait_buffer(AREA + "    x")


def test_moving_takes_the_request_back(open_neovim: Open) -> None:
    """Whoever moves on does not want it: nothing is shown, and nothing is asked again."""
    vim = open_neovim(delay_ms=30)
    vim.type("o")
    vim.type(neovim.LEFT)
    vim.settle(1.5)
    vim.wait_ghost("")


# What stands of BODY while it is being generated: whole lines.
BEGINNINGS = {"size = w * h", "size = w * h\n    print(size)"}
IS_IDLE = "return require('fimls.server').status.state == 'idle'"


def test_a_long_suggestion_grows(open_neovim: Open) -> None:
    """Its first lines are shown as soon as they stand, the rest when all is there."""
    vim = open_neovim(delay_ms=250, completion={"t_max_predict_ms": 30_000})
    vim.type("o")
    vim.terminal.wait("the first lines", lambda: vim.ghost() in BEGINNINGS)
    vim.wait_ghost(BODY)
    vim.type(neovim.TAB)
    vim.wait_buffer(AREA + "    " + BODY)


def test_what_was_dismissed_does_not_grow(open_neovim: Open) -> None:
    vim = open_neovim(delay_ms=250, completion={"t_max_predict_ms": 30_000})
    vim.type("o")
    vim.terminal.wait("the first lines", lambda: vim.ghost() in BEGINNINGS)
    vim.type(neovim.DISMISS)
    vim.terminal.wait("the end of it", lambda: vim.lua(IS_IDLE))
    vim.settle()
    assert not vim.ghost()


@IN_0_10_TOO
def test_moving_removes_what_is_shown(open_neovim: Open) -> None:
    vim = open_neovim()
    vim.type("o")
    vim.wait_ghost(BODY)
    vim.type(neovim.LEFT)
    vim.wait_ghost("")
    vim.wait_buffer("def area(w, h):\n    ")


def test_cycles_through_the_items(open_neovim: Open) -> None:
    """One generation offers the whole and its parts; the keys go round."""
    vim = open_neovim()
    vim.type("o")
    vim.wait_ghost(BODY)
    vim.type(neovim.ALT_NEXT)
    vim.terminal.wait("(2/")
    assert "print(size)" not in vim.terminal.text
    vim.type(neovim.ALT_PREVIOUS)
    vim.terminal.wait("print(size)")
    vim.type(neovim.ALT_NEXT)
    vim.terminal.wait("(2/")
    vim.type(neovim.TAB)
    vim.wait_buffer(AREA + "    size = w * h")


def test_dismisses(open_neovim: Open) -> None:
    vim = open_neovim()
    vim.type("o")
    vim.wait_ghost(BODY)
    vim.type(neovim.DISMISS)
    vim.wait_ghost("")
    assert vim.mode == "i"
    vim.wait_buffer("def area(w, h):\n    ")


def test_asks_by_hand_where_it_would_not_by_itself(open_neovim: Open) -> None:
    """With ``automatic`` off nothing comes but by the key."""
    vim = open_neovim(options={"automatic": False})
    vim.type("o")
    vim.settle(0.5)
    vim.wait_ghost("")
    vim.type(neovim.ALT_TRIGGER)
    vim.wait_ghost(BODY)


def test_turned_off_and_on_again(open_neovim: Open) -> None:
    vim = open_neovim()
    vim.command("Fimls toggle")
    vim.type("o")
    vim.settle(0.5)
    vim.wait_ghost("")
    assert vim.lua("return require('fimls').statusline()") == "fimls off"
    vim.type(neovim.ESCAPE)
    vim.command("Fimls toggle")
    vim.type("S")
    vim.wait_ghost(BODY)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("ip = 'a' + 'quite long, never typed'\x1b0y$o\x12\x30", "pasted from a register"),
        ("osize\x1bu", "undone"),
    ],
)
def test_leaves_alone_what_was_not_typed(open_neovim: Open, keys: str, why: str) -> None:
    """Neither a paste nor an undo asks for anything."""
    vim = open_neovim(answers={})
    vim.type(keys)
    vim.settle(0.3)
    before = vim.n_offered
    asked = "return require('fimls.session').get().pending ~= nil"
    vim.wait_ghost("")
    assert not vim.lua(asked), why
    assert vim.n_offered == before


def test_leaves_read_only_buffers_alone(open_neovim: Open) -> None:
    vim = open_neovim()
    vim.command("set readonly")
    vim.type("o")
    vim.settle(0.5)
    vim.wait_ghost("")
    reason = vim.lua("return require('fimls').status().message")
    assert reason == "the buffer is read-only"


def test_leaves_several_cursors_alone(open_neovim: Open) -> None:
    """What is typed for a whole block is not completed in its first line."""
    vim = open_neovim(AREA + "    a\n    a\n")
    vim.type("j$\x16jA")
    asked = serving.n_asked(vim.env)
    vim.type(" =")
    vim.wait_buffer(AREA + "    a =\n    a")
    assert serving.n_asked(vim.env) == asked
    vim.type(neovim.ESCAPE)
    vim.wait_buffer(AREA + "    a =\n    a =")


def test_tab_is_a_tab_where_nothing_is_suggested(open_neovim: Open) -> None:
    vim = open_neovim(text="", answers={}, path="notes.txt")
    vim.command("set noexpandtab")
    vim.type("i\tx")
    vim.wait_buffer("\tx")


def test_tab_keeps_its_former_mapping(open_neovim: Open) -> None:
    """What Tab did before it does still, when nothing is suggested."""
    vim = open_neovim(
        answers={}, before_setup="vim.keymap.set('i', '<Tab>', '<Esc>Iformer ', {remap = false})"
    )
    vim.type("A\t")
    vim.terminal.wait("former def area")


def test_tab_belongs_to_an_open_menu(open_neovim: Open) -> None:
    """With a completion menu open, Tab is the menu's even while a suggestion is shown."""
    vim = open_neovim(
        before_setup="vim.keymap.set('i', '<Tab>', function()"
        " return vim.fn.pumvisible() == 1 and '<C-n>' or '<Tab>' end, {expr = true})"
    )
    vim.type("o")
    vim.wait_ghost(BODY)
    vim.lua("vim.fn.complete(5, {'first', 'second'})")
    vim.terminal.wait("second")
    vim.type(neovim.TAB)
    vim.wait_buffer(AREA + "    second")


def test_tab_belongs_to_a_snippet(open_neovim: Open) -> None:
    """Inside a snippet Tab jumps to its next place, even while a suggestion is shown."""
    vim = open_neovim(answers={"def area": "w * h"})
    vim.type("o")
    vim.lua("vim.snippet.expand('size = ${1:a}\\n${2:b} = 1')")
    vim.terminal.wait("the snippet", lambda: vim.mode == "s")
    vim.type("2 * ")
    vim.wait_ghost("w * h")
    vim.type(neovim.TAB)
    vim.type("y")
    vim.wait_buffer(AREA + "    size = 2 * \n    y = 1")


def test_text_after_the_cursor_stays_where_it_is(open_neovim: Open) -> None:
    """A bracket that the editor closed already is not doubled."""
    text = "total = add(1, 2)\nagain = add()\n"
    vim = open_neovim(text=text, answers={"again = add": "3, 4"}, path="add.py")
    vim.type("jf)")
    vim.type("i")
    vim.type(neovim.ALT_TRIGGER)
    vim.terminal.wait("again = add(3, 4)")
    vim.wait_buffer(text.rstrip("\n"))
    vim.type(neovim.TAB)
    vim.wait_buffer("total = add(1, 2)\nagain = add(3, 4)")


@IN_0_10_TOO
def test_wide_characters_before_the_cursor(open_neovim: Open) -> None:
    """Columns are counted in three units on the way; the text lands where it belongs."""
    text = "names = ['𝔘nicode', 'ÄÖÜ', '漢字']; last = \n"
    vim = open_neovim(text=text, answers={"last =": "names[-1]"}, path="wide.py")
    vim.type("A")
    vim.wait_ghost("names[-1]")
    vim.type(neovim.TAB)
    vim.wait_buffer(text.rstrip("\n") + "names[-1]")


@IN_0_10_TOO
def test_a_killed_server_comes_back(open_neovim: Open) -> None:
    """Killed in the middle of a line: the suggestion comes again without a key."""
    vim = open_neovim()
    vim.type("o")
    vim.wait_ghost(BODY)
    client = "local it = vim.lsp.get_clients({ name = 'fimls' })[1]\nreturn it and it.id"
    killed = vim.lua(client)
    serving.kill_servers_below(vim.terminal.process.pid)
    vim.terminal.wait("a new server", lambda: vim.lua(client) not in {None, killed})
    vim.wait_ghost(BODY)
    vim.type(neovim.TAB)
    vim.wait_buffer(AREA + "    " + BODY)


def test_explains_the_last_completion(open_neovim: Open) -> None:
    """The prompt with its markers, why it stopped, and what it cost."""
    vim = open_neovim()
    vim.type("o")
    vim.wait_ghost(BODY)
    vim.type(neovim.ESCAPE)
    vim.command("Fimls explain")
    vim.terminal.wait("an explanation", lambda: "stop_reason" in vim.buffer)
    assert "<|fim_middle|>" in vim.buffer
    assert "size = w * h" in vim.buffer


def test_what_the_menu_has_chosen_is_what_is_completed(open_neovim: Open) -> None:
    """With an entry chosen in the menu, the suggestion goes on from that entry."""
    vim = open_neovim(answers={"first": "(w, h)"}, before_setup="vim.o.completeopt = 'menuone'")
    vim.type("o")
    vim.lua("vim.fn.complete(5, {'first_of', 'second_of'})")
    vim.terminal.wait("the rest", lambda: "first_of(w, h)" in vim.terminal.text)
    vim.wait_buffer(AREA + "    first_of")


@IN_0_10_TOO
def test_reviews_by_code_actions(open_neovim: Open) -> None:
    """vim.lsp.buf.code_action() reviews, the finding is a diagnostic, its quick fix mends it."""
    vim = open_neovim(FAULTY, serving.REVIEWER)
    act = (
        "vim.lsp.buf.code_action({{ apply = true, filter = function(action)"
        " return vim.startswith(action.title, '{}') end }})"
    )
    found = "return vim.tbl_map(function(it) return it.message end, vim.diagnostic.get(0))"
    vim.lua(act.format("Review file"))
    vim.terminal.wait("the finding", lambda: any(FAULT in it for it in vim.lua(found)))
    vim.type("2j")
    vim.lua(act.format("Replace by: "))
    vim.wait_buffer(FAULTY.replace(LINE, FIXED).rstrip("\n"))
    vim.terminal.wait("no finding", lambda: vim.lua(found) == [])


def test_health_names_the_parts(open_neovim: Open) -> None:
    """Asked at once, it waits for the server that is just starting."""
    vim = open_neovim(rows=60, wait=False)
    vim.terminal.type(":checkhealth fimls\r")
    vim.terminal.wait("the report", lambda: "running, for 1 buffers" in vim.buffer)
    report = vim.buffer
    assert "set up" in report
    assert "ERROR" not in report


def test_a_missing_server_is_one_message(way: str, tmp_path: Path) -> None:
    """The editor says once what is missing and how to get it, and goes on working."""
    name, renderer = WAYS[way]
    file = tmp_path / "area.py"
    file.write_text(AREA, encoding="utf-8")
    given = {"cmd": ["no-such-fimls", "--stdio"], "renderer": renderer}
    with Neovim(serving.editor(name), tmp_path, file, {}, options=given) as vim:
        said = "names no-such-fimls, which cannot be run"
        vim.terminal.wait("the message", lambda: said in vim.messages())
        vim.terminal.type(neovim.ENTER)
        vim.type("ox")
        vim.type(neovim.ESCAPE)
        assert vim.messages().count(said) == 1
        vim.wait_buffer(AREA + "    x")
        vim.command("checkhealth fimls")
        assert "names no-such-fimls" in vim.buffer


def test_a_missing_model_is_one_message(way: str, tmp_path: Path) -> None:
    """It says what fetches the model, and takes no key from whoever is typing."""
    name, renderer = WAYS[way]
    file = tmp_path / "area.py"
    file.write_text(AREA, encoding="utf-8")
    env = serving.no_model(tmp_path / "config")
    with Neovim(serving.editor(name), tmp_path, file, env, options={"renderer": renderer}) as vim:
        state = "return require('fimls').status().state"
        vim.terminal.wait("the error", lambda: vim.lua(state) == "error")
        vim.type("osize = w * h")
        vim.type(neovim.ESCAPE)
        vim.wait_buffer(AREA + "    size = w * h")
        assert vim.messages().count("the model is not here yet; :Fimls pull") == 1
        next_step = vim.lua("return require('fimls').status().nextStep")
        assert "fimls models pull" in next_step


def test_an_unknown_option_names_the_nearest(way: str, tmp_path: Path) -> None:
    name, _ = WAYS[way]
    file = tmp_path / "area.py"
    file.write_text(AREA, encoding="utf-8")
    with Neovim(serving.editor(name), tmp_path, file, {}, options={"debounce": 1}) as vim:
        said = 'no option "debounce"; did you mean "debounce_ms"?'
        vim.terminal.wait("the message", lambda: said in vim.messages())


@pytest.mark.model
def test_the_real_model_completes_the_norm(way: str, default_model: Path, tmp_path: Path) -> None:
    """One assignment to r and nothing else, where the line after it returns r."""
    name, renderer = WAYS[way]
    file = tmp_path / "norm.py"
    head = "from math import sqrt\n\n\ndef norm(x: float, y: float) -> float:\n"
    file.write_text(f"{head}    return r\n", encoding="utf-8")
    env = serving.real_model(tmp_path / "config", default_model)
    given = {"renderer": renderer}
    with Neovim(serving.editor(name), tmp_path, file, env, options=given) as vim:
        vim.ready()
        vim.type("4Go")
        vim.terminal.wait("a suggestion", vim.ghost, timeout_s=30)
        vim.terminal.wait("all of it", lambda: vim.lua(IS_IDLE), timeout_s=30)
        assert vim.ghost().startswith("r = ")
        assert vim.explain()["stop_reason"] in {"scope", "suffix"}
        vim.type(neovim.TAB)
        lines = vim.buffer.split("\n")
        assert lines[:4] == head.rstrip("\n").split("\n")
        assert lines[4].startswith("    r = ")
        assert "sqrt" in lines[4]
        assert lines[5:] == ["    return r"]
