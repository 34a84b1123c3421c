"""A completion that a key took back goes on where it was, if the key typed what it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from fimls.assembly import choose_template
from fimls.cancel import Cancel
from fimls.completer import T_LINGER_S, Completer, OnPart
from fimls.config import CompletionOptions
from fimls.document import Snapshot
from fimls.engine.base import Engine, Request, Stream
from fimls.engine.embedded import EmbeddedSettings, open_embedded
from fimls.engine.scripted import ScriptedEngine
from fimls.fim import Completion

CURSOR = "█"
LOOP = "for row in rows:\n        n += row.price"
BODY = f"def total(rows):\n    n = 0\n    {CURSOR}\n    return n\n\n\nprint(total([]))\n"
# A hole that the default model fills well.
HOLE = f"def mean(values):\n    {CURSOR}\n\n\nprint(mean([1, 2, 3]))\n"


class Typing:
    """Somebody types in a document, and takes each request back after some tokens."""

    def __init__(self, engine: Engine, document: str) -> None:
        self.before, self.after = document.split(CURSOR)
        self.completer = Completer(
            engine, CompletionOptions(), partial(choose_template, "qwen2.5-coder", "")
        )
        self.engine = engine
        self.n_generated = 0

    def type(self, text: str) -> None:
        self.before += text

    def ask(
        self,
        n_tokens: int | None = None,
        *,
        cancel: Cancel | None = None,
        on_part: OnPart | None = None,
    ) -> Completion | None:
        """The completion; ``None`` when it takes more than ``n_tokens``."""
        cancel = cancel or Cancel()
        stream_of = self.engine.stream

        def stream(request: Request, cancel: Cancel) -> Stream:
            return Counted(stream_of(request, cancel), self, cancel, n_tokens)

        self.engine.stream = stream  # type: ignore[method-assign]
        try:
            text = self.before + self.after
            document = Snapshot("file:///a.py", "python", 0, text, "a.py")
            return self.completer.complete(document, len(self.before), cancel, on_part=on_part)
        finally:
            self.engine.stream = stream_of  # type: ignore[method-assign]


class Counted:
    """A stream that is taken back after ``n_tokens``."""

    def __init__(self, stream: Stream, typing: Typing, cancel: Cancel, n_tokens: int | None):
        self._stream, self._typing, self._cancel, self._left = stream, typing, cancel, n_tokens
        self.usage = stream.usage
        self.close = stream.close

    def __iter__(self) -> Iterator:  # type: ignore[type-arg]
        return self

    def __next__(self):  # type: ignore[no-untyped-def]
        if self._left == 0:
            self._cancel.set()
        piece = next(self._stream)
        self._typing.n_generated += 1
        if self._left is not None:
            self._left -= 1
        return piece


def scripted(answer: str = LOOP) -> ScriptedEngine:
    return ScriptedEngine({"total": answer + "\n    return n\n\n\nprint(1)\n"})


def test_what_was_begun_is_not_generated_again() -> None:
    typing = Typing(scripted(), BODY)
    assert typing.ask(5) is None
    completion = typing.ask()
    assert completion is not None
    assert completion.text == LOOP
    alone = Typing(scripted(), BODY)
    alone.ask()
    assert typing.n_generated == alone.n_generated


@pytest.mark.parametrize("n_tokens", [1, 2, 3])
def test_it_comes_while_it_is_typed(n_tokens: int) -> None:
    """A person who types what the model means sees it as soon as the model has said it."""
    typing = Typing(scripted(), BODY)
    n_typed = 0
    while (completion := typing.ask(n_tokens)) is None:
        typing.type(LOOP[n_typed])
        n_typed += 1
    assert completion.text == LOOP[n_typed:]
    alone = Typing(scripted(), BODY)
    alone.ask()
    assert typing.n_generated <= alone.n_generated + 1, "the token that shows the end"


@pytest.mark.parametrize(
    ("typed", "n_begun"),
    [
        ("", 7),  # "for row"
        ("for", 4),
        ("for ro", 1),
        ("for row", 0),  # all of it is typed
        ("if", 0),  # something else
        ("for row in", 0),  # more than was known
    ],
)
def test_what_is_left_of_it(typed: str, n_begun: int) -> None:
    engine = scripted()
    typing = Typing(engine, BODY)
    typing.ask(3)
    typing.type(typed)
    typing.ask(0)
    window = engine.requests[-1].prompt.window
    assert window is not None
    assert window.begun == "for row"[len("for row") - n_begun :]
    assert window.typed.endswith(typed + window.begun)


def test_an_edit_behind_the_cursor_ends_it() -> None:
    engine = scripted()
    typing = Typing(engine, BODY)
    typing.ask(3)
    typing.after = "\n    n += 1" + typing.after
    typing.ask(0)
    window = engine.requests[-1].prompt.window
    assert window is not None
    assert window.begun == ""


def test_the_budget_is_for_all_of_it() -> None:
    engine = scripted()
    typing = Typing(engine, BODY)
    typing.ask(5)
    typing.ask(0)
    first, second = engine.requests
    assert second.n_predict == first.n_predict - 5


def test_a_closed_document_is_forgotten() -> None:
    engine = scripted()
    typing = Typing(engine, BODY)
    typing.ask(3)
    typing.completer.forget("file:///a.py")
    typing.ask(0)
    window = engine.requests[-1].prompt.window
    assert window is not None
    assert window.begun == ""


class Impatient(Cancel):
    """Somebody who types on as soon as there is something to see."""

    def wait(self, timeout_s: float) -> bool:
        if timeout_s == T_LINGER_S:
            self.set()
        return super().wait(timeout_s)


def test_who_types_on_pays_for_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of what grows is computed for who lingers; going on begins where it was left."""
    monkeypatch.setattr("fimls.draft.T_PART_MS", 0)
    typing, shown = Typing(scripted(), BODY), list[Completion]()
    assert typing.ask(cancel=Impatient(), on_part=shown.append) is None
    (part,) = shown
    assert LOOP.startswith(part.text)
    assert part.is_part
    n_shown = typing.n_generated
    completion = typing.ask(on_part=shown.append)
    assert completion is not None
    assert completion.text == LOOP
    assert [part.text for part in shown] == [part.text, part.text], "at once, the second time"
    alone = Typing(scripted(), BODY)
    alone.ask()
    assert n_shown < typing.n_generated == alone.n_generated


@pytest.mark.model
@pytest.mark.parametrize("n_tokens", [1, 3])
def test_the_real_model_goes_on_as_if_nothing_had_been(default_model: Path, n_tokens: int) -> None:
    """A key after every few tokens; the text is that of a request that was left alone."""
    with closing(open_embedded(default_model, EmbeddedSettings(n_ctx=512))) as engine:
        alone = Typing(engine, HOLE)
        whole = alone.ask()
        assert whole is not None
        assert len(whole.text) > 20
        typing, n_typed = Typing(engine, HOLE), 0
        while (completion := typing.ask(n_tokens)) is None:
            typing.type(whole.text[n_typed])
            n_typed += 1
        assert completion.text == whole.text[n_typed:]
        assert typing.n_generated <= alone.n_generated + 2, "nothing is generated twice"
