"""An engine that is loaded when needed and unloaded when nobody types."""

import threading
import time

import pytest

from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.engine.lazy import LazyEngine
from fimls.engine.scripted import ScriptedEngine
from fimls.errors import EngineFailed, ModelMissing
from fimls.fim import Prompt, Segment, SegmentKind

PROMPT = Prompt((Segment(SegmentKind.SOURCE, "x", (200_000,)),))


class Loads:
    """Counts loads; each waits for ``gate`` and then fails or answers ``hello``."""

    def __init__(self, *failures: Exception | None) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.failures = list(failures)
        self.engines: list[ScriptedEngine] = []

    def __call__(self, progress):
        progress(0.0)
        assert self.gate.wait(10)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        progress(1.0)
        self.engines.append(ScriptedEngine("hello"))
        return self.engines[-1]


def ask(engine: LazyEngine, cancel: Cancel | None = None) -> str:
    stream = engine.stream(Request(PROMPT, 9), cancel or Cancel())
    return "".join(piece.text for piece in stream)


def wait_for(condition) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(condition())


def test_loads_on_first_need_and_once():
    """Making the engine loads nothing; the first request does, the second reuses it."""
    loads = Loads()
    engine = LazyEngine(loads)
    assert not engine.is_loaded
    assert [ask(engine), ask(engine)] == ["hello", "hello"]
    assert len(loads.engines) == 1
    engine.close()


def test_progress_is_heard():
    """The listener hears the load's own progress."""
    heard = []
    engine = LazyEngine(Loads(), progress=heard.append)
    ask(engine)
    assert heard == [0.0, 1.0]
    engine.close()


def test_requests_wait_for_a_load_that_is_under_way():
    """load() returns at once; several requests that come meanwhile are all answered by it."""
    loads = Loads()
    loads.gate.clear()
    engine = LazyEngine(loads)
    engine.load()
    answers: list[str] = []
    askers = [threading.Thread(target=lambda: answers.append(ask(engine))) for _ in range(3)]
    for asker in askers:
        asker.start()
    assert answers == []
    loads.gate.set()
    for asker in askers:
        asker.join(5)
    assert answers == ["hello"] * 3
    assert len(loads.engines) == 1
    engine.close()


def test_a_cancelled_request_does_not_wait_for_the_load():
    """Cancelled while the model loads, a request yields nothing, and at once."""
    loads = Loads()
    loads.gate.clear()
    engine = LazyEngine(loads)
    cancel = Cancel()
    threading.Timer(0.05, cancel.set).start()
    assert ask(engine, cancel) == ""
    assert not engine.is_loaded
    loads.gate.set()
    engine.close()


def test_a_failure_is_told_and_then_tried_again():
    """Each request in the pause gets the error; the first one after it loads again."""
    loads = Loads(ModelMissing("tiny"))
    engine = LazyEngine(loads, retry_s=60)
    with pytest.raises(ModelMissing, match="fimls models pull tiny"):
        ask(engine)
    assert engine._thread is None, "whoever hears of a failure finds nothing that still loads"
    with pytest.raises(ModelMissing):
        ask(engine)
    assert isinstance(engine.failure, ModelMissing)
    engine._failed_at -= 61  # a minute later
    assert ask(engine) == "hello"
    assert engine.failure is None
    engine.close()


def test_an_unexpected_failure_is_an_engine_error():
    """Whatever breaks in a load, those who wait get an error of the tree."""
    engine = LazyEngine(Loads(RuntimeError("boom")))
    with pytest.raises(EngineFailed, match="boom"):
        ask(engine)
    engine.close()


def test_unloads_when_idle_and_loads_again():
    """After idle_s the weights are closed; the next request and the vocabulary bring them back."""
    loads = Loads()
    engine = LazyEngine(loads, idle_s=60)
    vocabulary = engine.vocabulary
    assert ask(engine) == "hello"
    assert engine.is_loaded
    engine._used_at -= 60  # a minute later
    engine._wake()
    assert wait_for(lambda: not engine.is_loaded)
    with pytest.raises(EngineFailed, match="closed"):
        loads.engines[0].stream(Request(PROMPT, 1), Cancel())
    assert vocabulary.marker("<|fim_prefix|>") == 151659
    assert ask(engine) == "hello"
    assert len(loads.engines) == 2
    engine.close()


def test_a_running_stream_keeps_the_weights():
    """A stream slower than idle_s is use: the engine stays until it is over."""
    engine = LazyEngine(lambda _: ScriptedEngine("a b c d", delay_ms=20), idle_s=0.06)
    assert ask(engine) == "a b c d"
    engine.close()


def test_a_piece_slower_than_the_idle_time_keeps_the_weights():
    """A cold prompt takes ten seconds; who waits for its first token does not lose the engine."""
    engine = LazyEngine(lambda _: ScriptedEngine("a", delay_ms=300), idle_s=60)
    stream = engine.stream(Request(PROMPT, 9), Cancel())
    pieces: list[str] = []
    waiting = threading.Thread(target=lambda: pieces.append(next(stream).text))
    waiting.start()
    assert wait_for(lambda: engine._n_working)
    engine._used_at -= 60  # a minute later
    engine._wake()
    waiting.join(30)
    assert pieces == ["a"]
    assert engine.is_loaded
    engine.close()


def test_closed_for_good():
    """After close nothing is loaded any more."""
    loads = Loads()
    engine = LazyEngine(loads)
    ask(engine)
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        ask(engine)
    assert len(loads.engines) == 1
