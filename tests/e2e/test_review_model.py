"""The real 0.5B reviews through the real server: what is certain about it, and its manners."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

Edit = Callable[..., Any]

pytestmark = pytest.mark.model

CACHE = Path(os.environ.get("FIMLS_CACHE_DIR", Path.home() / ".cache/fimls"))
WEIGHTS = CACHE / "models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
SETTINGS = {"completion": {"model": str(WEIGHTS), "t_max_predict_ms": 60_000}}
HERE = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}

MEAN = """\
def mean(values):
    total = 0
    for i in range(1, len(values)):
        total += values[i]
    return total / len(values)


def last(values):
    return values[len(values)]
"""


@pytest.fixture(autouse=True)
def _weights() -> None:
    assert WEIGHTS.is_file(), 'run "fimls models pull qwen2.5-coder-0.5b" first'


async def test_a_review_ends_with_a_sentence_and_grounded_findings(edit: Edit) -> None:
    """Whatever this model finds: it is at code that is there, with a confidence."""
    async with edit(SETTINGS, client="emacs-eglot-1.9") as editor:
        uri = editor.open(MEAN)
        await editor.execute("fimls.review", {"what": "file", "uri": uri, "range": HERE})
        await editor.eventually(lambda: editor.messages, 240)
        assert editor.messages[-1].startswith("fimls: 2 parts reviewed")
        for found in editor.client.diagnostics.get(uri, []):
            assert found.source == "fimls review"
            assert "(confidence " in found.message
            assert found.range.start.line in {0, 1, 2, 3, 4, 7, 8}
        began = time.perf_counter()
        await editor.execute("fimls.review", {"what": "file", "uri": uri, "range": HERE})
        await editor.eventually(lambda: len(editor.messages) > 1, 10)
        assert "(2 unchanged since the last time)" in editor.messages[-1]
        assert time.perf_counter() - began < 5


@pytest.mark.parametrize("models", ["one", "two"])
async def test_a_keystroke_goes_first(edit: Edit, tmp_path: Path, models: str) -> None:
    """A completion is answered while a review is under way, and the review goes on after it.

    Two models on one machine are two engines; the second one's loading is shown.
    """
    other_model = tmp_path / "other.gguf"
    other_model.symlink_to(WEIGHTS)
    own = {"review": {"model": str(other_model)}} if models == "two" else {}
    async with edit({**SETTINGS, **own}, client="neovim-0.12.4") as editor:
        uri = editor.open(MEAN)
        other = editor.open("def area(width, height):\n    return ", "file:///project/area.py")
        await editor.status_is("idle")
        await editor.execute("fimls.review", {"what": "file", "uri": uri, "range": HERE})
        await editor.eventually(lambda: "fimls: reviewing" in _bars(editor), 60)
        assert editor.messages == []
        texts = await editor.ghost_texts(other, 1, 11)
        assert texts
        assert editor.messages == []  # the review was not over before
        await editor.eventually(lambda: editor.messages, 240)
        assert editor.messages[-1].startswith("fimls: 2 parts reviewed")
        assert (f"fimls: loading {other_model}" in _bars(editor)) is (models == "two")


def _bars(editor: Any) -> list[str]:
    """The titles of the progress bars so far."""
    return [shown[0].title for shown in editor.client.progress_reports.values() if shown]


async def test_a_model_that_cannot_chat(edit: Edit, tmp_path: Path) -> None:
    """A file without a chat template completes; a review says what is missing, and what to do."""
    whole, key = WEIGHTS.read_bytes(), b"tokenizer.chat_template"
    assert whole.count(key, 0, 10_000_000) == 1
    bare = tmp_path / "bare.gguf"
    bare.write_bytes(whole.replace(key, key[:-1] + b"X", 1))
    settings = {"completion": {"model": str(bare), "t_max_predict_ms": 60_000}}
    try:
        async with edit(settings, client="emacs-eglot-1.9") as editor:
            uri = editor.open(MEAN)
            await editor.execute("fimls.review", {"what": "file", "uri": uri, "range": HERE})
            await editor.eventually(lambda: editor.messages, 60)
            assert "no chat template" in editor.messages[-1]
            assert "review.model" in editor.messages[-1]
            assert await editor.ghost_texts(uri, 8, 11)
    finally:
        bare.unlink()  # half a gigabyte


async def test_cancel_reaches_a_review(edit: Edit) -> None:
    async with edit(SETTINGS, client="emacs-eglot-1.9") as editor:
        uri = editor.open(MEAN)
        await editor.status_is("idle")
        await editor.execute("fimls.review", {"what": "file", "uri": uri, "range": HERE})
        await asyncio.sleep(1.0)
        began = time.perf_counter()
        assert await editor.execute("fimls.cancelReview") is True
        await editor.eventually(lambda: editor.messages)
        assert time.perf_counter() - began < 2
        assert editor.messages[-1].startswith("fimls: cancelled")


async def test_an_explanation_and_documentation(edit: Edit) -> None:
    async with edit(SETTINGS, client="vscode-1.139.1") as editor:
        uri = editor.open("def area(width, height):\n    return width * height\n")
        at = types.Range(types.Position(0, 4), types.Position(0, 4))
        asked = types.CodeActionParams(
            types.TextDocumentIdentifier(uri), at, types.CodeActionContext([])
        )
        offered = await editor.client.text_document_code_action_async(asked)
        action = next(one for one in offered if one.title == "Suggest documentation")
        resolved = await asyncio.wait_for(editor.client.code_action_resolve_async(action), 120)
        [change] = resolved.edit.document_changes[0].edits
        assert change.range.start == types.Position(1, 4)
        assert change.new_text.startswith('"""')
        assert change.new_text.rstrip().endswith('"""')
