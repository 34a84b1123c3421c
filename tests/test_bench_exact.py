"""What is kept warm changes no text: the check, and that it would notice."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fimls.assembly import choose_template
from fimls.bench.exact import Take, computed_cold, record
from fimls.bench.sessions import Event, Session, load_all
from fimls.config import CompletionOptions
from fimls.engine.base import Engine, Priority
from fimls.engine.embedded import EmbeddedSettings, open_embedded
from fimls.engine.scripted import ScriptedEngine

CHOOSE = partial(choose_template, "qwen2.5-coder", "")
TINY = Session("tiny", "python", "a.py", "x = \n", (Event(0, 4, 0, "1"), Event(0, 5, 0, "2")))


def takes_of(engine: Engine, session: Session, **options: int) -> list[Take]:
    return list(record(engine, CompletionOptions(**options), CHOOSE, [session]))


def test_every_generation_is_recorded() -> None:
    takes = takes_of(ScriptedEngine("0 + y\n"), TINY)
    assert ["".join(piece.text for piece in take.pieces)[:5] for take in takes] == ["0 + y"] * 2


@pytest.mark.parametrize(
    ("recorded", "cold", "is_same"),
    [
        ("0 + y\n", "0 + y\n", True),
        ("0 + y\n", "0 - y\n", False),
        ("0", "0 + y", False),  # where the model ended it has to end again
    ],
)
def test_another_text_is_noticed(recorded: str, cold: str, is_same: bool) -> None:
    answer = [recorded]
    engine = ScriptedEngine(lambda _: answer[0])
    takes = takes_of(engine, TINY)
    answer[0] = cold
    assert [same for _, same in computed_cold(takes, engine)] == [is_same] * 2


def part(name: str, first: int, last: int) -> Session:
    """Some events of a shipped session, in the document as it was before them."""
    (session,) = (session for session in load_all() if session.name == name)
    text = session.text
    for event in session.events[:first]:
        text = event.apply(text)
    return replace(session, text=text, events=session.events[first:last])


SMALL = {"n_prefix": 240, "n_suffix": 80, "n_predict": 6}


def played(session: Session, model: Path) -> list[Take]:
    with closing(open_embedded(model, EmbeddedSettings(n_ctx=512))) as engine:
        return takes_of(engine, session, **SMALL)


def different(takes: list[Take], model: Path) -> list[str]:
    """The prompts whose text is another one when nothing is kept warm."""
    alone = EmbeddedSettings(n_ctx=512, n_sequences=1, memory_mb=0)
    with closing(open_embedded(model, alone)) as engine:
        return [take.request.prompt.text for take, same in computed_cold(takes, engine) if not same]


@pytest.mark.model
def test_a_recorded_session_has_the_same_text_cold(default_model: Path) -> None:
    """Typing, a jump elsewhere and back, a window made whole between two keys.

    All sessions: ``fimls bench replay --check-text``.
    """
    takes = played(part("python-fractions", 18, 25), default_model)
    assert any(take.request.priority is Priority.IDLE for take in takes), "no window was prepared"
    assert any(take.usage.n_evaluated == 1 for take in takes), "nothing was warm"
    assert different(takes, default_model) == []


@pytest.mark.model
@pytest.mark.parametrize("name", ["go-socket", "typescript-highlighter"])
def test_so_have_others(name: str, default_model: Path) -> None:
    """A jump elsewhere and back, and what is typed after it."""
    takes = played(part(name, 18, 32), default_model)
    assert len(takes) > 1
    assert different(takes, default_model) == []
