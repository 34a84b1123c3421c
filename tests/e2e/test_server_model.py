"""The real 0.5B behind the real server: what is certain about its answers, and its manners."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pygls.exceptions import JsonRpcRequestCancelled

Edit = Callable[..., Any]

pytestmark = pytest.mark.model


NORM = """\
from math import sqrt

def norm(x: float, y: float) -> float:
    \n    return r
"""


@pytest.fixture
def settings(default_model: Path) -> dict[str, Any]:
    """Whole windows, whatever this machine can evaluate in time: cold prompts take seconds."""
    model = str(default_model)
    return {"completion": {"model": model, "t_max_predict_ms": 60_000, "t_max_cold_ms": 0}}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_a_known_hole(edit: Edit, settings: dict[str, Any], newline: str) -> None:
    """An assignment to r and nothing else, ended by the scope and not by the cap."""
    async with edit(settings) as editor:
        # The name is part of the prompt: in an "a.py" this model returns at once instead.
        uri = editor.open(NORM.replace("\n", newline), "file:///project/norm.py")
        text, *_ = await editor.ghost_texts(uri, 3, 4)
        assert text.startswith("r = ")
        assert len(text.splitlines()) == 1
        told = await editor.explain()
        assert told["stop_reason"] in {"scope", "suffix"}
        assert told["template"] == "qwen2.5-coder"


async def test_the_loop_is_free_while_the_model_works(edit: Edit, settings: dict[str, Any]) -> None:
    """Other requests are answered at once during a cold prompt and during decoding."""
    body = "".join(f"def function_{n}(a, b):\n    return a * {n} + b\n\n\n" for n in range(120))
    async with edit(settings) as editor:
        uri = editor.open(f"{body}def last(values):\n    ")
        line = body.count("\n") + 1
        asked = editor.ask(uri, line, 4)
        await editor.status_is("thinking")
        waited = []
        while not asked.answer.done() and len(waited) < 400:
            began = time.perf_counter()
            await editor.execute("fimls.status")
            waited.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.01)
        await asked.answer
        worst, median = max(waited), statistics.median(waited)
        print(f"{len(waited)} round trips: median {median:.1f} ms, worst {worst:.1f} ms")
        assert len(waited) > 20
        # 3 ms on an idle machine, both ends included; the model takes all cores meanwhile.
        assert median < 100


async def test_cancel_reaches_a_prompt_evaluation(edit: Edit, settings: dict[str, Any]) -> None:
    """A cold prompt of a thousand tokens takes many seconds; taken back, it ends soon."""
    body = "".join(f"value_{n} = compute({n}, {n * 7 % 13})\n" for n in range(150))
    async with edit(settings) as editor:
        uri = editor.open(body)
        await editor.status_is("idle")
        asked = editor.ask(uri, 150, 0)
        await editor.status_is("thinking")
        await asyncio.sleep(0.3)
        assert not asked.answer.done()
        editor.cancel(asked)
        with pytest.raises(JsonRpcRequestCancelled):
            await asked.answer
        # The next request of the document has to wait for the thread of the last one.
        began = time.perf_counter()
        assert await editor.ghost(uri, 0, 3) == []  # inside a word: answered without the model
        assert time.perf_counter() - began < 3.0


async def test_typing_as_the_model_suggests(edit: Edit, settings: dict[str, Any]) -> None:
    """The rest of a suggestion is there as soon as it is typed into."""
    async with edit(settings) as editor:
        uri = editor.open(NORM, "file:///project/norm.py")
        whole = (await editor.ghost_texts(uri, 3, 4))[0]
        for column, character in enumerate(whole[:5], 4):
            editor.type(uri, 3, column, character)
            rest = (await editor.ghost_texts(uri, 3, column + 1))[0]
            assert rest == whole[column - 3 :]
            told = await editor.explain()
            assert told is not None
            assert told["cached"]


@pytest.mark.parametrize("wait_for", ["loading", "thinking"])
async def test_the_end_in_the_middle_of_it(
    edit: Edit, settings: dict[str, Any], wait_for: str
) -> None:
    """While weights load, or a cold prompt is evaluated, the editor can still close."""
    body = "".join(f"value_{n} = compute({n}, {n * 7 % 13})\n" for n in range(150))
    async with edit(settings) as editor:
        uri = editor.open(body)
        asked = editor.ask(uri, 150, 0)
        await editor.status_was(wait_for)
        await asyncio.wait_for(editor.client.shutdown_session(), 30)
        assert editor.process.returncode == 0
        asked.answer.cancel()
