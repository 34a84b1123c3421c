"""The status that a person sees: of all that goes on, what matters most now."""

from __future__ import annotations

import random

import pytest

from fimls.server.status import Board, State, Status

LOADING, READY = Status(State.LOADING, model="m"), Status(State.IDLE, model="m")
MISSING = Status(State.ERROR, "no model", "pull one", "m")

# What happens, in order, and what is shown in the end.
CASES = {
    "loading": ([("engine", LOADING)], "loading"),
    "ready": ([("engine", LOADING), ("engine", READY)], "idle"),
    "left alone": ([("engine", READY), ("off", ".env")], "off"),
    "ready over a file that is left alone": ([("off", ".env"), ("engine", READY)], "off"),
    "another file": ([("off", ".env"), ("engine", READY), ("off", "")], "idle"),
    "another file, still loading": ([("off", ".env"), ("engine", LOADING), ("off", "")], "loading"),
    "thinking": ([("engine", READY), ("think", "")], "thinking"),
    "thought": ([("engine", READY), ("think", ""), ("thought", "")], "idle"),
    "left alone while another file's completion ends": (
        [("engine", READY), ("think", ""), ("off", ".env"), ("thought", "")],
        "off",
    ),
    "missing": ([("engine", LOADING), ("engine", MISSING)], "error"),
    "failed while thinking": (
        [("engine", READY), ("think", ""), ("engine", MISSING), ("thought", "")],
        "error",
    ),
    "well again": ([("engine", MISSING), ("think", ""), ("thought", "")], "idle"),
    "downloading": ([("engine", MISSING), ("download", "m")], "loading"),
    "downloading, and thinking with another engine": (
        [("engine", READY), ("download", "m"), ("think", ""), ("thought", "")],
        "loading",
    ),
    "downloaded": ([("engine", READY), ("download", "m"), ("download", "")], "idle"),
    "download failed": (
        [("engine", READY), ("download", "m"), ("engine", MISSING), ("download", "")],
        "error",
    ),
}


def happen(board: Board, events: list[tuple[str, object]]) -> None:
    for what, value in events:
        if isinstance(value, Status):
            board.engine_is(value)
        elif what == "off":
            board.off(str(value))
        elif what == "download":
            board.downloading(str(value))
        elif what == "think":
            board.thinking("m", str(value))
        else:
            board.thought("m", str(value))


@pytest.mark.parametrize("name", CASES)
def test_what_is_shown(name: str) -> None:
    events, state = CASES[name]
    told: list[Status] = []
    board = Board(told.append)
    happen(board, events)
    assert board.shown.state == state
    assert told[-1] == board.shown


def test_only_changes_are_told() -> None:
    told: list[Status] = []
    board = Board(told.append)
    happen(board, [("engine", READY), ("off", ""), ("engine", READY), ("download", "")])
    assert told == [READY]


def test_what_is_unusual_is_said_while_thinking_and_after() -> None:
    board = Board(lambda _: None)
    board.thinking("m", "on battery")
    assert board.shown == Status(State.THINKING, "on battery", model="m")
    board.thought("m", "on battery")
    assert board.shown == Status(State.IDLE, "on battery", model="m")


@pytest.mark.parametrize("seed", range(20))
def test_independent_events_commute(seed: int) -> None:
    """Threads and the editor race; what is shown in the end does not depend on who wins."""
    events = [("engine", READY), ("off", ".env"), ("download", "m"), ("download", "")]
    order = random.Random(seed).sample(range(3), 3)
    mixed = [event for i in order for event in (events[i : i + 1] if i < 2 else events[2:])]
    board = Board(lambda _: None)
    happen(board, mixed)
    assert board.shown == Status(State.OFF, ".env")
