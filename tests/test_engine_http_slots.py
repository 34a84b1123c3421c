"""llama-server's slots and speed on the wire; that it pays is tested with a real server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fimls.cancel import Cancel
from fimls.engine.base import Request, Sampling
from fimls.engine.http import HttpEngine, HttpSettings, open_http_engine
from fimls.fim import Prompt, Segment, SegmentKind
from tests.tiny_server import TinyServer

COLD = tuple(range(1000, 1300))
ELSEWHERE = tuple(range(5000, 5300))
TOKEN = {"content": "a", "tokens": [64], "stop": False}
END = {"content": "", "tokens": [], "stop": True, "stop_type": "limit"}


def progress(n_evaluated: int, time_ms: int, n_cached: int = 40) -> dict[str, Any]:
    counts = {"total": 900, "cache": n_cached, "processed": n_cached + n_evaluated}
    return {"content": "", "tokens": [], "prompt_progress": {**counts, "time_ms": time_ms}}


def engine(url: str, kind: str = "llama-server", **keys: Any) -> HttpEngine:
    table = {"kind": kind, "url": url, "retries": 0, **keys}
    return open_http_engine(HttpSettings.from_table("gpu", table, {}))


def ask(made: HttpEngine, tokens: tuple[int, ...], *, lets_read: bool = True, **how: Any) -> None:
    """Generate behind a prompt, or take it back while it is read."""
    prompt = Prompt((Segment(SegmentKind.SOURCE, "", tokens),))
    cancel = Cancel()
    stream = made.stream(Request(prompt, 8, Sampling(**how)), cancel)
    if not lets_read:
        cancel.set()
    assert [piece.token for piece in stream] == ([64] if lets_read else [])
    stream.close()


def sent(server: TinyServer) -> list[dict[str, Any]]:
    asked = zip(server.paths, server.bodies, strict=True)
    return [body for path, body in asked if path == "/completion"]


def slot(number: int, seed: Any) -> dict[str, Any]:
    return {"id": number, "is_processing": True, "params": {"seed": seed}}


def test_a_prompt_that_was_taken_back_goes_on_in_its_slot() -> None:
    """Known by its seed; from the first token on the server chooses again, and is not asked."""
    with TinyServer([TOKEN, END]) as server:
        made = engine(server.url)
        ask(made, COLD, lets_read=False)
        seed = sent(server)[0]["seed"]
        server.documents["/slots"] = [slot(0, 7), slot(3, seed)]
        ask(made, (*COLD, 1), lets_read=False)
        ask(made, (*COLD, 1, 2))  # the one before never ran: the first one's slot is waited for
        ask(made, (*COLD, 1, 2, 3))
    assert [body.get("id_slot") for body in sent(server)] == [None, 3, 3, None]
    assert server.paths.count("/slots") == 2
    assert len({body["seed"] for body in sent(server)}) == 4


def test_another_prompt_waits_for_nobody() -> None:
    """A review, or a place that has little in common with the one that was left."""
    with TinyServer([TOKEN, END]) as server:
        made = engine(server.url)
        ask(made, COLD, lets_read=False)
        ask(made, ELSEWHERE)
        ask(made, COLD[:100] + ELSEWHERE)
    assert "/slots" not in server.paths


def test_nobody_waits_for_what_somebody_waits_for() -> None:
    """Two alike at the same time: the server has another slot for the second."""
    with TinyServer([TOKEN, END]) as server:
        made = engine(server.url)
        prompt = Prompt((Segment(SegmentKind.SOURCE, "", COLD),))
        first = made.stream(Request(prompt, 8), Cancel())
        ask(made, (*COLD, 1))
        assert [piece.token for piece in first] == [64]
    assert "/slots" not in server.paths


@pytest.mark.parametrize(
    "shown",
    [None, [], [slot(0, 7)], [{"id": 0}], {"error": "no such slot"}, [[1]], 5],
    ids=str,
)
def test_a_server_that_does_not_show_the_slot_chooses_it(shown: Any) -> None:
    """Another's prompt has taken it, or the page is switched off, hidden or of another kind."""
    with TinyServer([TOKEN, END]) as server:
        server.documents["/slots"] = shown
        made = engine(server.url)
        ask(made, COLD, lets_read=False)
        ask(made, (*COLD, 1))
    assert [body.get("id_slot") for body in sent(server)] == [None, None]


@pytest.mark.parametrize("params", [{"seed": 3}, {"id_slot": 1}], ids=str)
def test_what_the_settings_say_of_slots_and_seeds_is_said(params: dict[str, int]) -> None:
    with TinyServer([TOKEN, END]) as server:
        made = engine(server.url, params=params)
        ask(made, COLD, lets_read=False)
        ask(made, (*COLD, 1))
    assert "/slots" not in server.paths
    assert all(params.items() <= body.items() for body in sent(server))


def test_where_a_seed_says_something_it_is_the_callers() -> None:
    with TinyServer([TOKEN, END]) as server:
        made = engine(server.url)
        ask(made, COLD, lets_read=False, temperature=0.7, seed=3)
        ask(made, (*COLD, 1), temperature=0.7, seed=3)
    assert [body["seed"] for body in sent(server)] == [3, 3]
    assert "/slots" not in server.paths


@pytest.mark.parametrize(
    ("told", "tokens_per_s"),
    [
        ([progress(0, 0)], None),
        ([progress(63, 100)], None),  # the time of a batch
        ([progress(0, 0), progress(256, 1000)], 256),
        ([progress(256, 1000), progress(512, 4000)], 192),  # half of it the latest
    ],
)
def test_the_speed_of_prompts(told: Sequence[Any], tokens_per_s: float | None) -> None:
    """Of what was evaluated, not of what the cache held."""
    with TinyServer([*told, TOKEN, END]) as server:
        made = engine(server.url)
        assert made.prompt_tokens_per_s is None
        ask(made, COLD)
    assert made.prompt_tokens_per_s == tokens_per_s
    assert not made.prepares_ahead
