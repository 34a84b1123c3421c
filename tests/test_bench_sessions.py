"""Recorded typing: the format, the shipped sessions, and the typist that makes more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fimls.bench.sessions import Event, Session, load, load_all, save
from fimls.bench.typist import record
from fimls.errors import BadRequest

SESSION = Session(
    "tiny", "python", "a.py", "x = \n", (Event(100, 4, 0, "1"), Event(90, 4, 1, "", ask=True))
)


def test_a_session_survives_its_file(tmp_path: Path) -> None:
    save(SESSION, tmp_path / "a.json")
    assert load(tmp_path / "a.json") == SESSION


def test_states_show_the_document_after_each_event() -> None:
    assert [text for _, text in SESSION.states()] == ["x = 1\n", "x = \n"]


def test_shipped_sessions_are_real_and_many() -> None:
    """At least ten, in five languages, each with typing, backspaces, newlines, jumps, accepts."""
    sessions = load_all()
    assert len(sessions) >= 10
    assert len({session.language for session in sessions}) >= 5
    events = [event for session in sessions for event in session.events]
    assert any(event.delete and not event.insert for event in events), "backspaces"
    assert any("\n" in event.insert and event.ask for event in events), "newlines"
    assert any(not event.delete and not event.insert for event in events), "jumps"
    assert any(len(event.insert.strip()) > 2 for event in events), "accepted suggestions"
    assert any(not event.ask for event in events), "edits elsewhere"


def test_the_typist_writes_the_region_it_was_given() -> None:
    """Slips are taken back: what stands there at the end is the beginning of the real code."""
    text = "import os\n\ndef f(x):\n    y = g(x)\n    return [y]\n\nprint(f(1))\n"
    opened, events = record(text, 3, 5, n_events=60, seed=3)
    assert "def f" not in opened
    after = opened
    for event in events:
        after = event.apply(after)
    assert after.replace("\n", "") == text.replace("\n", "")


def test_the_same_seed_types_the_same_way() -> None:
    text = "a = 1\nb = 2\nc = 3\n"
    assert record(text, 2, 2, n_events=20, seed=1) == record(text, 2, 2, n_events=20, seed=1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not a typing session"),
        ("[]", "not a typing session"),
        (json.dumps({"format": 9}), "format 1"),
        (json.dumps({"format": 1, "name": "n", "events": []}), "not a typing session"),
        (
            json.dumps(
                {"format": 1, "name": "n", "language": "c", "path": "a.c", "text": "",
                 "events": [{"wait_ms": 1, "at": 5, "insert": "x"}]}
            ),
            "event 1 lies outside",
        ),
    ],
)  # fmt: skip
def test_a_broken_session_is_named(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(BadRequest, match=says):
        load(path)


def test_a_folder_without_sessions_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"no \*.json sessions"):
        load_all(tmp_path)
