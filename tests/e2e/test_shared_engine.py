"""One model for all editors, with real servers, the real model and real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from session import Editor, editing

pytestmark = pytest.mark.model

# Nothing about processes: one engine for all editors is what happens by itself.
SETTINGS = {"engine": {"n_ctx": 2048, "n_sequences": 1}}


@pytest.fixture
def environ(default_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Each test has a user's runtime folder of its own; nothing is in it at the end."""
    monkeypatch.delenv("FIMLS_ENGINE_PROCESS")  # of the other tests
    with tempfile.TemporaryDirectory(prefix="fimls-") as runtime:  # sockets' names are short
        yield {"XDG_RUNTIME_DIR": runtime, "FIMLS_CACHE_DIR": str(default_model.parent.parent)}
        assert eventually(lambda: not list(Path(runtime).rglob("*"))), "something was left behind"


def holders(model: Path, tmp_path: Path) -> list[int]:
    """The processes of this test that have the model's file mapped."""
    return [
        int(maps.parent.name)
        for maps in Path("/proc").glob("[0-9]*/maps")
        if str(model) in _text(maps) and str(tmp_path) in _text(maps.parent / "environ")
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # the process has ended, or is not ours


async def complete(editor: Editor, name: str = "add") -> list[str]:
    """What is offered in a function of that name; a new name is a new question."""
    text = f"def {name}(a, b):\n    return a\n\n\nprint({name}(1, 2))\n"
    uri = editor.open(text, f"file:///project/{name}.py")
    for _ in range(20):  # the model is loaded beside
        texts = await editor.ghost_texts(uri, 1, 12, invoked=True)
        if texts:
            return texts
        await editor.pause(0.5)
    return []


def eventually(what: Callable[[], Any], within_s: float = 15.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return False


async def test_two_editors_one_model(
    default_model: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """One process has the model; it is killed, and the editors go on with the next one."""
    async with (
        editing(SETTINGS, tmp_path, environ=environ) as one,
        editing(SETTINGS, tmp_path, environ=environ) as two,
    ):
        answers = await asyncio.gather(complete(one), complete(two))
        assert answers[0] == answers[1]
        assert " + b" in answers[0][0]
        [host] = holders(default_model, tmp_path)
        servers = {one.process.pid, two.process.pid}
        assert host not in servers
        os.kill(host, signal.SIGKILL)
        assert eventually(lambda: host not in holders(default_model, tmp_path))
        assert " + b" in (await complete(one, "add_up"))[0]
        assert " + b" in (await complete(two, "add_two"))[0]
        assert len(holders(default_model, tmp_path)) == 1
    assert eventually(lambda: not holders(default_model, tmp_path))


async def test_five_editors_at_the_same_moment(
    default_model: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """They are opened together, as at login: one process loads the model, all are answered."""
    async with AsyncExitStack() as stack:
        opened = [editing(SETTINGS, tmp_path, environ=environ) for _ in range(5)]
        editors = await asyncio.gather(*map(stack.enter_async_context, opened))
        names = [f"add_{number}" for number in range(5)]
        answers = await asyncio.gather(*map(complete, editors, names))
        assert [" + b" in texts[0] for texts in answers] == [True] * 5
        [host] = holders(default_model, tmp_path)
        # One is killed, the one that started the engine perhaps: the others go on with it.
        editors[0].process.kill()
        await editors[0].process.wait()
        assert " + b" in (await complete(editors[1], "add_more"))[0]
        assert holders(default_model, tmp_path) == [host]


# Six files at a place where something is to be written, more than the engine has sequences.
SIX = {
    "area.py": "def area(width, height):\n    return width * height\n\n\n"
    "def perimeter(width, height):\n    █\n",
    "longest.py": "def shortest(words):\n    return min(words, key=len)\n\n\n"
    "def longest(words):\n    █\n",
    "even.js": "function isOdd(n) {\n  return n % 2 === 1;\n}\n\nfunction isEven(n) {\n  █\n}\n",
    "sum.go": "package sums\n\nfunc Sum(values []int) int {\n"
    "\ttotal := 0\n\t█\n\treturn total\n}\n",
    "swap.c": "void swap(int *a, int *b)\n{\n    int t = *a;\n    █\n}\n",
    "max.rs": "fn min(a: i32, b: i32) -> i32 {\n    if a < b { a } else { b }\n}\n\n"
    "fn max(a: i32, b: i32) -> i32 {\n    █\n}\n",
}


async def test_more_files_than_sequences(
    default_model: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """Six files ask at once and two can be worked on: each gets what it would have got alone."""
    settings = {
        "engine": {"n_ctx": 2048, "n_sequences": 2, "process": "own"},
        # Nothing here may depend on how fast the machine is, or on what else it does.
        "completion": {"n_predict": 32, "t_max_invoked_ms": 600_000, "t_max_cold_ms": 0,
                       "t_idle_ms": 0, "economy": False},
    }  # fmt: skip

    def ask(editor: Editor, name: str) -> Awaitable[list[str]]:
        before, after = SIX[name].split("█")
        uri = editor.open(before + after, f"file:///project/{name}", "")
        line = before.count("\n")
        column = len(before) - before.rfind("\n") - 1
        return editor.ghost_texts(uri, line, column, invoked=True)

    async with editing(settings, tmp_path, environ=environ) as editor:
        together = await asyncio.gather(*(ask(editor, name) for name in SIX))
        assert editor.messages == []
    async with editing(settings, tmp_path, environ=environ) as editor:
        # The other way round, so that nothing is warm that was warm before.
        alone = {name: await ask(editor, name) for name in reversed(SIX)}
    assert together == [alone[name] for name in SIX]
    assert all(together), together
    assert eventually(lambda: not holders(default_model, tmp_path))


async def test_without_a_place_for_a_socket(
    default_model: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """Each editor has an engine of its own then, and says why and what to do."""
    deep = tmp_path / ("deep" * 30)
    deep.mkdir(mode=0o700)
    async with editing(
        SETTINGS, tmp_path, environ={**environ, "XDG_RUNTIME_DIR": str(deep)}
    ) as editor:
        assert " + b" in (await complete(editor))[0]
        [message] = editor.messages
        assert "the model is loaded for this editor alone" in message
        assert "set XDG_RUNTIME_DIR to a shorter folder" in message
        assert editor.process.pid not in holders(default_model, tmp_path)
    assert eventually(lambda: not holders(default_model, tmp_path))


async def test_a_crash_in_the_engine_ends_no_server(
    default_model: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """A segmentation fault while it computes: said once, and the next request is answered."""
    own = {"engine": {**SETTINGS["engine"], "process": "own"}}
    # The whole prompt, whatever this machine can evaluate in time.
    settings = {**own, "completion": {"t_max_cold_ms": 0, "t_max_predict_ms": 60_000}}
    async with editing(settings, tmp_path, environ=environ) as editor:
        assert " + b" in (await complete(editor))[0]
        [engine] = holders(default_model, tmp_path)
        assert engine != editor.process.pid
        uri = editor.open("x = 1\n" * 300 + "def add(a, b):\n    return a\n", "file:///p/b.py")
        asked = editor.ask(uri, 301, 12, invoked=True)
        await editor.status_is("thinking")
        await editor.pause(1.0)  # of the four seconds that this prompt takes
        os.kill(engine, signal.SIGSEGV)
        assert not await asked.answer
        [message] = editor.messages
        assert "ended unexpectedly (killed by SIGSEGV); it is started again" in message
        assert " + b" in (await complete(editor, "add_up"))[0]
        assert len(editor.messages) == 1
    assert eventually(lambda: not holders(default_model, tmp_path))


def test_serve_keeps_the_model(
    default_model: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """``fimls serve`` owns the engine; editors attach; at Ctrl-C it leaves nothing behind."""
    config = tmp_path / "serve.toml"
    config.write_text("[engine]\nn_ctx = 2048\nn_sequences = 1\n")
    env = {**os.environ, **environ, "FIMLS_CONFIG": str(config)}
    command = [sys.executable, "-m", "fimls", "serve"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said.startswith("serving qwen2.5-coder-0.5b")
    again = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "is served already" in again.stderr

    async def edit() -> None:
        async with editing(SETTINGS, tmp_path, environ=environ) as editor:
            assert " + b" in (await complete(editor))[0]
            assert editor.process.pid not in holders(default_model, tmp_path)

    asyncio.run(edit())
    assert process.pid in holders(default_model, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    process.stdout.close()
    assert not list(Path(environ["XDG_RUNTIME_DIR"]).rglob("*"))
