"""A review's engine pauses while somebody types at another one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from fimls.cancel import Cancel
from fimls.engine.base import Given, Priority, Request
from fimls.engine.scripted import ScriptedEngine
from fimls.engine.yielding import Gate, YieldingEngine
from fimls.fim import Prompt, Segment, SegmentKind
from tests.hosted_engines import Counting

ANSWER = "one two three four five six seven eight"


def asking(engine: YieldingEngine | ScriptedEngine) -> Request:
    vocabulary = engine.vocabulary
    assert vocabulary is not None
    segment = Segment(SegmentKind.SOURCE, "count", tuple(vocabulary.tokenize("count")))
    return Request(Prompt((segment,)), 100, priority=Priority.REVIEW)


class Reading(threading.Thread):
    """Takes pieces as they come, as a review does."""

    def __init__(self, engine: YieldingEngine, cancel: Cancel) -> None:
        super().__init__(daemon=True)
        self.pieces: list[str] = []
        self._stream = engine.stream(asking(engine), cancel)
        self.start()

    def run(self) -> None:
        for piece in self._stream:
            self.pieces.append(piece.text)


def until(true: Callable[[], object]) -> None:
    end_s = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.001)


def test_no_token_while_the_gate_is_shut_and_all_of_them_in_the_end() -> None:
    gate = Gate()
    reading = Reading(YieldingEngine(ScriptedEngine(ANSWER, delay_ms=20), gate), Cancel())
    until(lambda: reading.pieces)
    gate.hold()
    n_before = len(reading.pieces)
    time.sleep(0.4)  # enough for all of them
    assert len(reading.pieces) <= n_before + 1  # the token that was under way
    gate.free()
    reading.join(30)
    assert "".join(reading.pieces) == ANSWER


def test_a_prompt_that_is_being_evaluated_is_interrupted() -> None:
    """The first token of this one takes a while; meanwhile somebody types."""
    gate, cancel = Gate(), Cancel()
    inner = ScriptedEngine(ANSWER, delay_ms=1000)
    reading = Reading(YieldingEngine(inner, gate), cancel)
    until(lambda: gate._interrupt)  # it is at work
    gate.hold()
    until(lambda: len(inner.requests) == 2)  # taken back at once, and asked again
    time.sleep(1.2)
    assert reading.pieces == []
    gate.free()
    until(lambda: reading.pieces)
    cancel.set()
    assert reading.pieces == ["one"]


def test_a_review_can_be_cancelled_while_it_waits() -> None:
    gate, cancel = Gate(), Cancel()
    gate.hold()
    reading = Reading(YieldingEngine(ScriptedEngine(ANSWER), gate), cancel)
    time.sleep(0.05)
    cancel.set()
    reading.join(30)
    assert not reading.is_alive()
    assert reading.pieces == []


def test_two_completions_hold_it_until_both_are_done() -> None:
    gate = Gate()
    gate.hold()
    gate.hold()
    reading = Reading(YieldingEngine(ScriptedEngine(ANSWER), gate), Cancel())
    gate.free()
    time.sleep(0.15)
    assert reading.pieces == []
    gate.free()
    reading.join(30)
    assert "".join(reading.pieces) == ANSWER


def test_text_that_is_weighed_is_interrupted_anywhere_and_told_once() -> None:
    """A batch of given tokens takes long; begun again, the known ones are not told twice."""
    gate, told = Gate(), []
    prompt = Prompt((Segment(SegmentKind.SOURCE, "count", (1, 2)),))
    request = Request(prompt, 12, priority=Priority.REVIEW, given=(Given(1),) * 12)
    for piece in YieldingEngine(Counting(pause_s=0.01), gate).stream(request, Cancel()):
        told.append(piece.token)
        if len(told) in {3, 7}:  # somebody types, and has typed
            gate.hold()
            gate.free()
    assert told == list(range(12))
