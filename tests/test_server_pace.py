"""The pause before a request and what battery and load ask for: pure decisions, case by case."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

import pytest

from fimls.config import CompletionOptions
from fimls.fim import Completion, StopReason
from fimls.server import pace
from fimls.server.pace import Eagerness, Pace, Surroundings, auto_pause_ms, eagerness, why_spare


@pytest.mark.parametrize(
    ("first_token_ms", "expected"),
    [
        ([], 0),  # nothing known yet: at once
        ([30, 31, 45], 0),  # warm, on a usual machine
        ([100] * 4, 0),
        ([200] * 4, 50),
        ([500] * 4, 200),
        ([600] * 4, 250),
        ([9_000] * 4, 250),  # never longer
        ([5_000, 4_000, 3_000], 0),  # the first places of all are cold for every engine
        ([31, 30, 32, 5_000], 0),  # a jump to a cold place is no reason to wait at the next key
        ([5_000, 40, 4_000, 50], 0),  # nor are two
        ([900, 800, 850, 900], 250),  # an engine that is slow at every key
    ],
)
def test_the_pause_is_made_from_the_engines_speed(
    first_token_ms: list[float], expected: float
) -> None:
    assert auto_pause_ms(first_token_ms) == expected


@pytest.mark.parametrize(
    ("around", "was_busy", "expected"),
    [
        (Surroundings(), False, ""),
        (Surroundings(others_share=0.1), False, ""),
        (Surroundings(others_share=0.3), False, ""),
        (Surroundings(others_share=0.3), True, "the processors are busy"),  # not to and fro
        (Surroundings(others_share=0.2), True, ""),
        (Surroundings(others_share=0.9), False, "the processors are busy"),
        (Surroundings(on_battery=True), False, "on battery"),
        (Surroundings(on_battery=True, others_share=0.5), False,
         "on battery and the processors are busy"),
    ],
)  # fmt: skip
def test_reasons_to_spare_the_machine(around: Surroundings, was_busy: bool, expected: str) -> None:
    reason, is_busy = why_spare(around, was_busy=was_busy)
    assert reason == expected
    assert is_busy == ("busy" in reason)


BATTERY = "on battery: shorter completions"


@pytest.mark.parametrize(
    ("settings", "first_token_ms", "reason", "expected"),
    [
        ({}, [30] * 4, "", Eagerness(0, 128)),
        ({}, [300] * 4, "", Eagerness(100, 128)),
        ({}, [30] * 4, "on battery", Eagerness(150, 64, BATTERY)),
        ({}, [300] * 4, "on battery", Eagerness(200, 64, BATTERY)),
        ({"economy": False}, [300] * 4, "on battery", Eagerness(100, 128)),
        # A fixed pause stays as it is.
        ({"debounce_ms": 0}, [900] * 4, "", Eagerness(0, 128)),
        ({"debounce_ms": 40}, [900] * 4, "on battery", Eagerness(40, 64, BATTERY)),
        ({"n_predict": 1}, [30] * 4, "on battery", Eagerness(150, 1, BATTERY)),
    ],
)
def test_eagerness(
    settings: dict[str, int], first_token_ms: list[float], reason: str, expected: Eagerness
) -> None:
    options = CompletionOptions(**{"n_predict": 128, **settings})
    assert eagerness(options, first_token_ms, reason) == expected


class Looks:
    """A machine that changes as told; remembers who asked."""

    def __init__(self, *told: Surroundings) -> None:
        self.told = list(told)
        self.pids: list[tuple[int, ...]] = []
        self.has_answered = threading.Event()  # batteries can be slow

    def __call__(self, pids: Iterable[int]) -> Surroundings:
        self.pids.append(tuple(pids))
        assert self.has_answered.wait(30), "somebody waits for the battery"
        return self.told.pop(0)


def answer(t_first_token_ms: float, **more: object) -> Completion:
    return Completion(
        "x", StopReason.SCOPE, n_generated=1, t_first_token_ms=t_first_token_ms, **more
    )


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  # there is no event to wait for
        await asyncio.sleep(0.01)


async def test_nobody_waits_for_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is looked at beside the requests, and not at each of them."""
    looks = Looks(Surroundings(on_battery=True), Surroundings())
    found, options = Pace(looks), CompletionOptions()
    assert found.eagerness(options, [7]).reason == ""
    looks.has_answered.set()
    await until(lambda: found.eagerness(options, [7]).reason != "")
    assert looks.pids == [(7,)]
    assert not found.may_work_idly(options)
    assert found.may_work_idly(CompletionOptions(economy=False))
    monkeypatch.setattr(pace, "LOOK_S", 0.0)  # some seconds later
    await until(lambda: found.eagerness(options).reason == "")
    assert found.may_work_idly(options)


async def test_what_was_known_says_nothing_of_speed() -> None:
    """Answers from the cache, and those that never began, leave the pause as it is."""
    found, options = Pace(Looks()), CompletionOptions(economy=False)
    for _ in range(pace.N_TELLING):
        found.add(answer(500.0))
    found.add(answer(0.0, cached=True))
    found.add(Completion("", StopReason.END))
    assert found.eagerness(options).pause_ms == 200
    found.add(answer(30.0))
    found.add(answer(30.0))
    found.add(answer(30.0))
    assert found.eagerness(options).pause_ms == 0


def test_a_real_look() -> None:
    """The first look has nothing to compare with; the second one tells a share."""
    look = pace.Lookout()
    assert look([]).others_share is None
    time.sleep(0.1)
    share = look([]).others_share
    assert share is not None
    assert 0.0 <= share <= 1.0
