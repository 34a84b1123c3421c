"""The real 0.5B reviews through the real server: what is certain about it, and its manners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

Edit = Callable[..., Any]

pytestmark = pytest.mark.model

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


@pytest.fixture
def settings(default_model: Path) -> dict[str, Any]:
    return {"completion": {"model": str(default_model), "t_max_predict_ms": 60_000}}


async def test_a_review_ends_with_a_sentence_and_grounded_findings(
    edit: Edit, settings: dict[str, Any]
) -> None:
    """Whatever this model finds: it is at code that is there, with a confidence."""
    async with edit(settings, client="emacs-eglot-1.9") as editor:
        uri = editor.open(MEAN)
        await editor.execute("fimls.review", {"what": "file", "uri": uri, "range": HERE})
        await editor.eventually(lambda: editor.messages, 240)
        assert editor.messages[-1].startswith("fimls: 2 parts reviewed")
        for found in editor.client.diagnostics.get(uri, []):
            assert found.source == "fimls review"
            assert "(confidence " in found.message
            assert found.range.start.line in {0, 1, 2, 3, 4, 7, 8}
        await editor.execute("fimls.review", {"what": "file", "uri": uri, "range": HERE})
        await editor.eventually(lambda: len(editor.messages) > 1)
        assert "(2 unchanged since the last time)" in editor.messages[-1]


@pytest.mark.parametrize("models", ["one", "two"])
async def test_a_keystroke_goes_first(
    edit: Edit, settings: dict[str, Any], default_model: Path, tmp_path: Path, models: str
) -> None:
    """A completion is answered while a review is under way, and the review goes on after it.

    Two models on one machine are two engines; the second one's loading is shown.
    """
    other_model = tmp_path / "other.gguf"
    other_model.symlink_to(default_model)
    own = {"review": {"model": str(other_model)}} if models == "two" else {}
    async with edit({**settings, **own}, client="neovim-0.12.4") as editor:
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


@pytest.fixture
def bare_model(default_model: Path, tmp_path: Path) -> Iterator[Path]:
    """The default model without its chat template."""
    whole, key = default_model.read_bytes(), b"tokenizer.chat_template"
    assert whole.count(key, 0, 10_000_000) == 1
    bare = tmp_path / "bare.gguf"
    bare.write_bytes(whole.replace(key, key[:-1] + b"X", 1))
    yield bare
    bare.unlink()  # half a gigabyte


async def test_a_model_that_cannot_chat(edit: Edit, bare_model: Path) -> None:
    """A file without a chat template completes; a review says what is missing, and what to do."""
    settings = {"completion": {"model": str(bare_model), "t_max_predict_ms": 60_000}}
    async with edit(settings, client="emacs-eglot-1.9") as editor:
        uri = editor.open(MEAN)
        await editor.execute("fimls.review", {"what": "file", "uri": uri, "range": HERE})
        await editor.eventually(lambda: editor.messages, 60)
        assert "no chat template" in editor.messages[-1]
        assert "review.model" in editor.messages[-1]
        assert await editor.ghost_texts(uri, 8, 11)


async def test_cancel_reaches_a_review(edit: Edit, settings: dict[str, Any]) -> None:
    async with edit(settings, client="emacs-eglot-1.9") as editor:
        uri = editor.open(MEAN)
        await editor.status_is("idle")
        await editor.execute("fimls.review", {"what": "file", "uri": uri, "range": HERE})
        await asyncio.sleep(1.0)  # of ten and more
        while not await editor.execute("fimls.cancelReview"):
            await editor.pause(0.05)  # it has not begun yet
        await editor.eventually(lambda: editor.messages)
        assert editor.messages[-1].startswith("fimls: cancelled")
        assert "2 parts reviewed" not in editor.messages[-1]


async def test_an_explanation_and_documentation(edit: Edit, settings: dict[str, Any]) -> None:
    async with edit(settings, client="vscode-1.139.1") as editor:
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
