"""Recorded typing sessions: what a person did to a file, and when.

A session is one JSON file (format 1), made to be recorded by anyone:

    {"format": 1, "name": "...", "language": "python", "path": "fractions.py",
     "origin": "where the code comes from", "licence": "...",
     "text": "the document as it was opened",
     "events": [{"wait_ms": 140, "at": 2041, "delete": 0, "insert": "r", "ask": true}, ...]}

Every event is one edit, ``wait_ms`` after the one before: at the offset ``at`` (in
characters) ``delete`` characters go and ``insert`` comes. The cursor then stands
behind what was inserted; an event that edits nothing only moves it. With ``ask`` the
editor requests a completion there, as it does after every keystroke; edits elsewhere
in the file (by a formatter, a rename) do not ask. Accepting a suggestion is an edit
that inserts many characters at once: replaying the accepted text, whatever a server
suggests, keeps the document the same for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path

from fimls.errors import BadRequest

FORMAT = 1
PACES = (
    "when the next key comes: as soon as something is shown (full), when the whole suggestion is "
    "there (whole), or as it was recorded (human)"
)
SHIPPED = Path(__file__).parent / "recorded"


class Pace(str, Enum):
    """When the next event of a session comes."""

    FULL = "full"  # as soon as a suggestion is shown, be it the beginning of a long one
    WHOLE = "whole"  # when there is nothing left to come of a suggestion
    HUMAN = "human"  # after the recorded pause, whatever is shown by then

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Event:
    """One edit or move of the cursor, ``wait_ms`` after the event before it."""

    wait_ms: int
    at: int
    delete: int = 0
    insert: str = ""
    ask: bool = True

    @property
    def cursor(self) -> int:
        return self.at + len(self.insert)

    def apply(self, text: str) -> str:
        return text[: self.at] + self.insert + text[self.at + self.delete :]


@dataclass(frozen=True, slots=True)
class Session:
    """A document and what was done to it."""

    name: str
    language: str
    path: str
    text: str
    events: tuple[Event, ...]
    origin: str = ""
    licence: str = ""

    def first(self, n_events: int) -> Session:
        """Only the first ``n_events`` events; all of them for 0."""
        return replace(self, events=self.events[: n_events or None])

    def states(self) -> Iterator[tuple[Event, str]]:
        """Each event with the document's text after it."""
        text = self.text
        for event in self.events:
            text = event.apply(text)
            yield event, text


def load(path: Path) -> Session:
    """Read one session; ``BadRequest`` says what is wrong with the file."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.pop("format") != FORMAT:
            raise BadRequest(f"{path}: not a session of format {FORMAT}; record it again")
        events = tuple(Event(**event) for event in raw.pop("events"))
        session = Session(events=events, **raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadRequest(
            f"{path}: not a typing session ({error}); see docs/benchmarks.md"
        ) from None
    length = len(session.text)
    for number, event in enumerate(session.events, start=1):
        if min(event.at, event.delete) < 0 or event.at + event.delete > length:
            raise BadRequest(f"{path}: event {number} lies outside the document")
        length += len(event.insert) - event.delete
    return session


def load_all(directory: Path = SHIPPED) -> list[Session]:
    paths = sorted(directory.glob("*.json"))
    if not paths:
        raise BadRequest(f"{directory}: no *.json sessions there; see docs/benchmarks.md")
    return [load(path) for path in paths]


def save(session: Session, path: Path) -> None:
    path.write_text(
        json.dumps({"format": FORMAT, **asdict(session)}, ensure_ascii=False, indent=1) + "\n",
        encoding="utf-8",
    )
