"""Two engines as one: who answers, what is said, and that nobody waits for a dead server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.engine.fallback import FallbackEngine
from fimls.engine.http import HttpEngine, HttpSettings, open_http_engine
from fimls.errors import BadRequest, EngineFailed, ModelMissing
from fimls.fim import Prompt, Segment, SegmentKind, Window
from fimls.vocabulary import Vocabulary
from tests.faulty_proxy import Fault, FaultyProxy
from tests.hosted_engines import Counting
from tests.tiny_server import TinyServer

WINDOW = Window("a = ", "", "\n")


def render(vocabulary: Vocabulary | None, prompt: Prompt) -> Prompt:
    """A template of sorts: the text, as ids where there is a vocabulary."""
    window = prompt.window or WINDOW
    ids = tuple(vocabulary.tokenize(window.prefix)) if vocabulary else ()
    return Prompt((Segment(SegmentKind.SOURCE, window.prefix, ids),), window=window)


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    events = [{"choices": [{"text": f"r{n} "}]} for n in range(40)]
    with TinyServer([*events, "[DONE]"]) as server, FaultyProxy(server.port) as made:
        server.documents["/v1/models"] = {}
        yield made


def remote(proxy: FaultyProxy, **keys: Any) -> HttpEngine:
    table = {"kind": "openai", "url": proxy.url, "retries": 0, "connect_timeout_s": 0.3, **keys}
    return open_http_engine(HttpSettings.from_table("gpu", table))


def complete(engine: FallbackEngine, n_predict: int = 2) -> str:
    prompt = render(engine.vocabulary, Prompt((), window=WINDOW))
    return "".join(piece.text for piece in engine.stream(Request(prompt, n_predict), Cancel()))


def eventually(what: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_local_while_down_remote_when_back(proxy: FaultyProxy) -> None:
    """Each change is said once; prompts are rendered for whoever answers."""
    said: list[str] = []
    engine = FallbackEngine(remote(proxy), Counting, render, said.append, pause_s=0.05)
    assert complete(engine) == "r0 r1 "
    proxy.fault = Fault.BROKEN
    assert [complete(engine) for _ in range(5)] == ["0 1 "] * 5
    assert len(said) == 1
    assert "failed (500)" in said[0]
    proxy.fault = Fault.NONE
    assert eventually(lambda: complete(engine) == "r0 r1 ")
    assert said[1:] == ["the remote engine is back"]
    assert engine.condition == ""


def test_nobody_waits_for_a_server_that_is_silent(proxy: FaultyProxy) -> None:
    """It is asked beside the typing, one question at a time."""
    patient = remote(proxy, timeout_s=60, connect_timeout_s=30)
    engine = FallbackEngine(patient, Counting, render, pause_s=0)
    assert complete(engine) == "r0 r1 "
    proxy.fault = Fault.BROKEN
    assert complete(engine) == "0 1 "  # finds out
    proxy.fault = Fault.SILENT
    n_before = proxy.n_requests
    assert complete(engine) == "0 1 "
    assert eventually(lambda: proxy.n_requests == n_before + 1)  # it waits for half a minute
    started_s = time.monotonic()
    assert [complete(engine) for _ in range(100)] == ["0 1 "] * 100
    assert time.monotonic() - started_s < 25
    assert proxy.n_requests == n_before + 1


def test_a_server_that_stays_away_is_asked_ever_more_rarely(proxy: FaultyProxy) -> None:
    engine = FallbackEngine(remote(proxy), Counting, render, pause_s=0.1)
    proxy.fault = Fault.BROKEN
    end_s = time.monotonic() + 2
    while time.monotonic() < end_s:
        assert complete(engine) == "0 1 "
        time.sleep(0.01)
    assert 2 <= proxy.n_requests <= 6  # after 0, 0.1, 0.2, 0.4 and 0.8 s, where nothing else runs


def test_an_answer_that_began_is_not_replaced(proxy: FaultyProxy) -> None:
    """What was shown cannot be taken back: an error, and the next request is local."""
    proxy.after_bytes = 100
    engine = FallbackEngine(remote(proxy), Counting, render, pause_s=60)
    assert complete(engine, 1) == "r0 "
    proxy.fault, proxy.is_read = Fault.RESET, threading.Event()
    prompt = render(engine.vocabulary, Prompt((), window=WINDOW))
    stream = engine.stream(Request(prompt, 40), Cancel())
    assert next(iter(stream)).text == "r0 "
    proxy.is_read.set()
    with pytest.raises(EngineFailed, match="mid-answer"):
        list(stream)
    assert complete(engine) == "0 1 "


def test_a_local_model_that_is_missing_is_the_error(proxy: FaultyProxy) -> None:
    """The remote engine's failure was said already; this one names the next move."""

    def missing() -> Counting:
        raise ModelMissing("tiny")

    said: list[str] = []
    engine = FallbackEngine(remote(proxy), missing, render, said.append)
    proxy.fault = Fault.BROKEN
    with pytest.raises(ModelMissing, match="fimls models pull tiny"):
        complete(engine)
    assert len(said) == 1


def test_a_prompt_without_a_window_cannot_be_translated(proxy: FaultyProxy) -> None:
    """Such as a review's: asked again, it is rendered for whoever answers then."""
    engine = FallbackEngine(remote(proxy), Counting, render, pause_s=60)
    prompt = Prompt(render(engine.vocabulary, Prompt((), window=WINDOW)).segments)
    proxy.fault = Fault.BROKEN
    with pytest.raises(BadRequest, match="ask again"):
        engine.stream(Request(prompt, 2), Cancel())
