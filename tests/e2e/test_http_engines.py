"""Engines at the other end of HTTP, with the real servers and the real 0.5B model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
from editors.install import Missing

from fimls.assembly import choose_template
from fimls.cancel import Cancel
from fimls.engine.base import Engine, Request, Vocabulary
from fimls.engine.embedded import EmbeddedSettings, open_embedded
from fimls.engine.fallback import FallbackEngine
from fimls.engine.http import HttpEngine, HttpSettings, open_http_engine
from fimls.errors import EngineError
from fimls.fim import Prompt, Segment, SegmentKind, Window
from tests.faulty_proxy import Fault, FaultyProxy

pytestmark = pytest.mark.model

MODEL = "qwen2.5-coder-0.5b"
CHOOSE = partial(choose_template, "", MODEL)

# Holes whose answers the model is sure of, so that different builds of llama.cpp agree.
HOLES = {
    "rest of a line": ("def add(a, b):\n    return a", "", "\n\n\nprint(add(1, 2))\n"),
    "half a word": ("import os\n\n\ndef here():\n    return os.get", "cw", "()\n"),
    "body": ("def is_even(number):\n", '    """Whether number is even."""\n    ret', "\n\n\n"),
    "strings with markers": (
        'MARK = "<|fim_middle|>"\n\n\ndef mark() -> str:\n    """The mark."""\n',
        "    return",
        "\n",
    ),
}


def window(name: str) -> Window:
    prefix, typed, suffix = HOLES[name]
    return Window(prefix, typed, suffix, "a.py", "python")


@pytest.fixture(scope="module")
def embedded(default_model: Path) -> Iterator[Engine]:
    with closing(open_embedded(default_model, EmbeddedSettings(n_ctx=2048, n_sequences=1))) as made:
        yield made


@pytest.fixture(scope="module")
def llama_server(default_model: Path) -> Iterator[str]:
    try:
        running = servers.run_llama_server(default_model)
    except Missing as missing:
        pytest.skip(f"LLAMA-SERVER IS MISSING: {missing}")
    with running as url:
        yield url


@pytest.fixture(scope="module")
def llama_cpp_python(default_model: Path) -> Iterator[str]:
    with servers.run_llama_cpp_python(default_model) as url:
        yield url


def connect(url: str, kind: str = "llama-server", **keys: Any) -> HttpEngine:
    settings = HttpSettings.from_table("gpu", {"kind": kind, "url": url, "retries": 0, **keys})
    return open_http_engine(settings)


def generate(engine: Engine, prompt: Prompt, n_predict: int = 12) -> str:
    stream = engine.stream(Request(prompt, n_predict), Cancel())
    try:
        return "".join(piece.text for piece in stream)
    finally:
        stream.close()


@pytest.mark.parametrize("hole", HOLES)
def test_the_same_text_from_the_same_ids(
    hole: str,
    embedded: Engine,
    llama_server: str,
) -> None:
    """Embedded, llama-server and OpenAI-compatible servers, at temperature 0.

    Compared is the first line: they are different builds of llama.cpp, whose sums differ
    in the last bits, so that a near tie ("two or three blank lines?") goes either way.
    """
    prompt = CHOOSE(embedded.vocabulary).render(window(hole))
    remote = connect(llama_server)
    assert CHOOSE(remote.vocabulary).render(window(hole)).tokens == prompt.tokens
    expected = first_line(embedded, prompt)
    assert expected.strip()
    assert first_line(remote, prompt) == expected
    # OpenAI-compatible servers cannot heal: the tail goes with the prompt, as ids too.
    assert embedded.vocabulary is not None
    tail = tuple(embedded.vocabulary.tokenize(prompt.heal))
    rest = Segment(SegmentKind.SOURCE, prompt.heal, tail)
    expected = first_line(embedded, Prompt((*prompt.segments, rest), prompt.stops))
    settings = HttpSettings.from_table("gpu", {"kind": "openai", "url": llama_server})
    assert first_line(open_http_engine(settings, embedded.vocabulary), prompt) == expected


@pytest.mark.parametrize("hole", HOLES)
def test_the_same_text_from_the_same_string(
    hole: str, embedded: Engine, llama_server: str, llama_cpp_python: str
) -> None:
    """llama-cpp-python's server takes strings only; read as markup they are the same ids."""
    prompt = CHOOSE(None).render(window(hole))
    assert embedded.vocabulary is not None
    ids = tuple(embedded.vocabulary.tokenize_markup(prompt.text))
    stops = CHOOSE(embedded.vocabulary).render(window(hole)).stops
    whole = Prompt((Segment(SegmentKind.MARKER, prompt.text, ids),), stops)
    # What the string leaves out before the cursor comes back with the answer, and is dropped.
    expected = first_line(embedded, whole).removeprefix(prompt.heal)
    for url in (llama_server, llama_cpp_python):
        assert first_line(connect(url, "openai"), prompt) == expected


def first_line(engine: Engine, prompt: Prompt) -> str:
    """The generated text up to the first line end after something was said."""
    text = generate(engine, prompt)
    start = len(text) - len(text.lstrip())
    return text[:start] + text[start:].partition("\n")[0]


def test_infill(llama_server: str) -> None:
    """The server's own template, where that was asked for."""
    engine = connect(llama_server, infill=True)
    prompt = Prompt((), window=window("rest of a line"))
    assert generate(engine, prompt).startswith(" + b")


def test_chat_with_a_schema(llama_server: str) -> None:
    """Reviews at a server: the answer satisfies the schema, whatever the model thinks."""
    schema = {
        "type": "object",
        "properties": {"line": {"type": "integer"}},
        "required": ["line"],
        "additionalProperties": False,
    }
    messages = [{"role": "user", "content": "Which line is wrong? 1: a = 1 2: b = = 2"}]
    stream = connect(llama_server, "openai").chat(
        messages, Request(Prompt(()), 30), Cancel(), schema
    )
    text = "".join(piece.text for piece in stream)
    assert isinstance(httpx.Response(200, text=text).json()["line"], int)


def test_the_vocabulary_from_afar(embedded: Engine, llama_server: str) -> None:
    """What the server's vocabulary says, asked over HTTP, is what the file says."""
    far, near = connect(llama_server).vocabulary, embedded.vocabulary
    assert far is not None
    assert near is not None
    for text in ("def f():\n\treturn '日本'", "<|fim_prefix|>", " ", "", "a\r\nb"):
        assert far.tokenize(text) == near.tokenize(text)
        assert far.tokenize_markup(text) == near.tokenize_markup(text)
    for text in ("<|fim_prefix|>", "<|im_end|>", "def", "no such marker"):
        assert far.marker(text) == near.marker(text)
    for token in (0, 220, 750, 151643, 151645, 151659, 151662, 151664):
        assert facts(far, token) == facts(near, token)
    assert (far.bos, far.add_bos) == (near.bos, near.add_bos)
    assert far.info.chat_template.strip() == near.info.chat_template.strip()


def facts(vocabulary: Vocabulary, token: int) -> tuple[Any, ...]:
    return (
        token,
        vocabulary.spelling(token),
        vocabulary.is_control(token),
        vocabulary.is_end(token),
    )


def is_computing(url: str) -> bool:
    return any(slot["is_processing"] for slot in httpx.get(f"{url}/slots").json())


@pytest.mark.parametrize("way", ["cancel", "close"])
def test_the_server_stops_computing(llama_server: str, way: str) -> None:
    """A request that is taken back frees its slot."""
    engine = connect(llama_server)
    prompt = CHOOSE(engine.vocabulary).render(window("body"))
    endless = Prompt(prompt.segments)  # no stops of ours
    cancel = Cancel()
    stream = engine.stream(Request(endless, 1500), cancel)
    next(stream)
    assert is_computing(llama_server)
    if way == "cancel":
        threading.Timer(0.1, cancel.set).start()
        for _ in stream:
            pass
    else:
        stream.close()
    end = time.monotonic() + 15  # the rest would take a minute
    while is_computing(llama_server):
        assert time.monotonic() < end, "it computes for nobody"
        time.sleep(0.02)


def test_the_server_stops_in_mid_prompt(llama_server: str) -> None:
    """Prompt evaluation is given up between two batches: what follows is not evaluated."""
    engine = connect(llama_server)
    assert engine.vocabulary is not None
    code = "".join(f"def f{n}(x):\n    return x + {n}\n" for n in range(120))
    ids = tuple(engine.vocabulary.tokenize(code))[:1200]
    assert len(ids) == 1200
    prompt = Prompt((Segment(SegmentKind.SOURCE, code, ids),))
    cancel = Cancel()
    threading.Timer(0.3, cancel.set).start()
    started = time.monotonic()
    assert list(engine.stream(Request(prompt, 1), cancel)) == []
    assert time.monotonic() - started < 3  # of about ten
    while is_computing(llama_server):
        time.sleep(0.02)
    freed_s = time.monotonic() - started - 0.3
    again = engine.stream(Request(prompt, 1), Cancel())
    next(again)
    again.close()
    print(f"slot free after {freed_s:.2f} s, {again.usage.n_evaluated} of 1200 tokens left")
    assert again.usage.n_evaluated > 200


def test_a_prompt_that_was_taken_back_is_gone_on_with(llama_server: str) -> None:
    """The next request waits for the slot that is at it, although another one is free."""
    engine = connect(llama_server)
    assert engine.vocabulary is not None
    code = "".join(f"def g{n}(x):\n    return x * {n}\n" for n in range(120))
    ids = tuple(engine.vocabulary.tokenize(code))[:700]
    while is_computing(llama_server):
        time.sleep(0.02)
    cancel = Cancel()
    first = engine.stream(Request(source(ids), 1), cancel)  # it has begun to read
    cancel.set()
    first.close()
    stream = engine.stream(Request(source((*ids, 16)), 1), Cancel())
    next(stream)
    stream.close()
    print(f"{stream.usage.n_evaluated} of 701 tokens were left to evaluate")
    assert stream.usage.n_evaluated < 701 - 200, "all of its first batch is in the slot"
    assert engine.prompt_tokens_per_s is not None
    assert engine.prompt_tokens_per_s > 0


def source(ids: tuple[int, ...]) -> Prompt:
    return Prompt((Segment(SegmentKind.SOURCE, "", ids),))


def test_faults_between_us_and_a_real_server(llama_server: str) -> None:
    """Reset in mid-stream, slow, garbled: an error each, and then all is well again."""
    engine_url = int(llama_server.rpartition(":")[2])
    with FaultyProxy(engine_url) as proxy:
        engine = connect(proxy.url)
        prompt = CHOOSE(engine.vocabulary).render(window("rest of a line"))
        expected = generate(engine, prompt, 8)
        for fault in (Fault.RESET, Fault.REFUSE, Fault.BROKEN, Fault.BROKEN_JSON, Fault.TOO_MANY):
            proxy.fault = fault
            with pytest.raises(EngineError):
                generate(engine, prompt, 8)
            proxy.fault = Fault.NONE
            assert generate(engine, prompt, 8) == expected


def test_the_local_model_answers_while_the_server_is_down(
    embedded: Engine, llama_server: str
) -> None:
    """Down, and each request is answered at once by the local model; up again, by the server."""
    said: list[str] = []
    with FaultyProxy(int(llama_server.rpartition(":")[2])) as proxy:
        proxy.fault = Fault.REFUSE
        remote = connect(proxy.url, "openai")

        def render(vocabulary: Vocabulary | None, prompt: Prompt) -> Prompt:
            assert prompt.window is not None
            return CHOOSE(vocabulary).render(prompt.window)

        engine = FallbackEngine(remote, lambda: embedded, render, said.append, pause_s=0.1)

        def complete() -> str:
            return generate(engine, CHOOSE(engine.vocabulary).render(window("rest of a line")), 4)

        assert complete().startswith(" + b")
        assert proxy.n_requests == 0
        assert len(said) == 1
        assert said[0].startswith("the local model answers: engine gpu (http://127.0.0.1:")
        assert engine.condition == said[0]
        proxy.fault = Fault.NONE
        end = time.monotonic() + 30
        while engine.condition:
            assert time.monotonic() < end, "the server is not found again"
            assert complete().startswith(" + b")
            time.sleep(0.05)
        assert complete().startswith(" + b")
        assert said[1:] == ["the remote engine is back"]
        # In mid-request: what was rendered for the server is rendered again for the model.
        prompt = CHOOSE(engine.vocabulary).render(window("rest of a line"))
        assert not prompt.tokens
        proxy.fault = Fault.BROKEN_JSON  # after a first piece, which cannot be taken back
        with pytest.raises(EngineError):
            generate(engine, prompt, 4)
        assert generate(engine, prompt, 4).startswith(" + b")
