"""The scripted engine has a real engine's manners."""

import time

import pytest

from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.engine.scripted import ScriptedEngine
from fimls.errors import BadRequest, EngineFailed
from fimls.fim import Prompt, Segment, SegmentKind


def prompt(engine: ScriptedEngine, text: str) -> Prompt:
    tokens = tuple(engine.vocabulary.tokenize_markup(text))
    return Prompt((Segment(SegmentKind.SOURCE, text, tokens),))


def answer(engine: ScriptedEngine, text: str = "def f():", n_predict: int = 64) -> str:
    stream = engine.stream(Request(prompt(engine, text), n_predict), Cancel())
    return "".join(piece.text for piece in stream)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("return 1", "return 1"),
        ({"def": "pass", "def f": "return 2"}, "return 2"),
        ({"class": "pass"}, ""),
        (lambda prompt: prompt.text.upper(), "DEF F():"),
        ("return 3<|endoftext|>def g()", "return 3"),
    ],
    ids=["text", "longest key", "no key", "function", "end token"],
)
def test_answers_its_script(script, expected):
    """A text, a mapping and a function all say what is generated."""
    assert answer(ScriptedEngine(script)) == expected


def test_small_pieces_spell_the_whole():
    """Pieces are small, in order, and lose no character, whatever the alphabet."""
    text = "    naïve = 'größe 🙂'\n\treturn naïve\r\n"
    engine = ScriptedEngine(text)
    pieces = list(engine.stream(Request(prompt(engine, "x"), 99), Cancel()))
    assert "".join(piece.text for piece in pieces) == text
    assert max(len(piece.text) for piece in pieces) <= 5


def test_n_predict_is_a_cap_and_not_an_end():
    """At the cap the stream stops without claiming that the model ended."""
    engine = ScriptedEngine("a b c d e")
    stream = engine.stream(Request(prompt(engine, "x"), 3), Cancel())
    assert [piece.text for piece in stream] == ["a", " ", "b"]
    assert (stream.usage.n_generated, stream.usage.ended) == (3, False)


def test_only_new_tokens_are_evaluated():
    """Usage tells a warm prompt from a cold one, as the real engine does."""
    engine = ScriptedEngine("x")
    first = engine.stream(Request(prompt(engine, "one two three"), 1), Cancel())
    second = engine.stream(Request(prompt(engine, "one two three!"), 1), Cancel())
    assert (first.usage.n_evaluated, second.usage.n_evaluated) == (5, 1)


def test_cancel_ends_a_slow_stream_at_once():
    """A set cancel ends it within a token, even a token that takes long."""
    engine = ScriptedEngine("a b c", delay_ms=60_000)
    cancel = Cancel()
    stream = engine.stream(Request(prompt(engine, "x"), 9), cancel)
    cancel.set()
    started = time.perf_counter()
    assert list(stream) == []
    assert time.perf_counter() - started < 1


def test_source_never_becomes_a_marker():
    """Only text of the model's own making is searched for markers."""
    vocabulary = ScriptedEngine("").vocabulary
    middle = vocabulary.marker("<|fim_middle|>")
    assert middle not in vocabulary.tokenize("<|fim_middle|>")
    assert vocabulary.tokenize_markup("<|fim_middle|>") == [middle]
    spelt = vocabulary.tokenize("a <|fim_middle|>")
    assert "".join(map(vocabulary.spelling, spelt)) == "a <|fim_middle|>"


def test_refuses_what_a_real_engine_refuses():
    """A prompt beyond n_ctx names n_ctx; a closed engine says so."""
    engine = ScriptedEngine("x", n_ctx=4)
    with pytest.raises(BadRequest, match="n_ctx is 4"):
        answer(engine, "one two three four")
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        answer(engine, "one")
