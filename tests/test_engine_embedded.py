"""The embedded engine on the real default model: exact, interruptible, fair, clear in failure."""

from __future__ import annotations

import random
import statistics
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fimls.assembly import embedded_settings
from fimls.cancel import Cancel
from fimls.config import EngineOptions
from fimls.engine.base import Given, Priority, Request, Sampling
from fimls.engine.embedded import (
    EmbeddedSettings,
    calibration,
    open_embedded,
    open_vocabulary,
    open_weightless,
    supports_gpu,
)
from fimls.engine.embedded.calibration import Calibration
from fimls.engine.embedded.engine import EmbeddedEngine
from fimls.errors import BadRequest, EngineFailed, ModelUnusable, OutOfMemory
from fimls.fim import Prompt, Segment, SegmentKind

pytestmark = pytest.mark.model

ENDS = frozenset({151643, 151645})  # <|endoftext|>, <|im_end|>

PREFIX = '''\
"""Shapes and what can be measured of them."""

from math import pi, sqrt


class Circle:
    def __init__(self, radius: float) -> None:
        self.radius = radius

    def area(self) -> float:
        return pi * self.radius**2


class Rectangle:
    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height

    def area(self) -> float:
'''
SUFFIX = """

    def perimeter(self) -> float:
        return 2 * (self.width + self.height)


def norm(x: float, y: float) -> float:
    return sqrt(x**2 + y**2)
"""


@pytest.fixture(scope="module")
def engine(default_model: Path):
    engine = open_embedded(default_model, EmbeddedSettings(n_ctx=2048, n_sequences=3))
    yield engine
    engine.close()


def fim(
    engine: EmbeddedEngine, typed: str, heal: str = "", prefix: str = PREFIX, suffix: str = SUFFIX
) -> Prompt:
    vocabulary = engine.vocabulary

    def marker(text: str) -> Segment:
        return Segment(SegmentKind.MARKER, text, (vocabulary.marker(text),))

    def source(text: str) -> Segment:
        return Segment(SegmentKind.SOURCE, text, tuple(vocabulary.tokenize(text)))

    parts = (
        marker("<|fim_prefix|>"), source(prefix), marker("<|fim_suffix|>"), source(suffix),
        marker("<|fim_middle|>"), source(typed),
    )  # fmt: skip
    return Prompt(parts, ENDS, heal)


def generate(engine: EmbeddedEngine, prompt: Prompt, n_predict: int = 12, **options):
    stream = engine.stream(Request(prompt, n_predict, **options), Cancel())
    return "".join(piece.text for piece in stream), stream.usage


def forget(engine: EmbeddedEngine) -> None:
    """Fill every sequence with something else, so that nothing of use is warm."""
    for number in range(3):
        words = " ".join(f"w{number}{n}" for n in range(6))
        generate(engine, fim(engine, "", prefix=words, suffix=words), 1)


def test_fills_an_easy_hole(engine):
    """The real model fills the body of ``area`` as everybody would."""
    text, usage = generate(engine, fim(engine, "        return"))
    assert text.startswith(" self.width * self.height\n")
    assert usage.n_prompt == usage.n_evaluated
    assert usage.t_first_token_ms > 0


def test_a_keystroke_evaluates_its_own_tokens(engine):
    """Typing evaluates what was typed; going back evaluates one token, for its logits."""
    generate(engine, fim(engine, "        return self"), 4)
    typed = generate(engine, fim(engine, "        return self."), 4)[1]
    back = generate(engine, fim(engine, "        return self"), 4)[1]
    assert (typed.n_evaluated, back.n_evaluated) == (1, 1)


def test_reuse_does_not_change_the_text(engine):
    """Over a session of typing, erasing, accepting and jumping: warm and cold give the same bits.

    The log-probabilities are compared exactly, so that a difference which does
    not yet change the text is seen as well.
    """
    rng = random.Random(4)
    lines = ["        ", "        return self.width * self.height", "        w = self.width\n"]
    session: list[Prompt] = []
    for _ in range(3):
        line, prefix = rng.choice(lines), rng.choice([PREFIX, PREFIX[40:]])
        cut = rng.randrange(8, len(line) + 1)
        session += [fim(engine, line[:end], prefix=prefix) for end in (cut, cut - 3, len(line))]
    accepted = generate(engine, session[-1], 24)[0]
    session.append(fim(engine, line + accepted, prefix=prefix))

    def answers(prompt: Prompt):
        request = Request(prompt, 6, logprobs=True)
        return list(engine.stream(request, Cancel()))

    warm = [answers(prompt) for prompt in session]
    for prompt, pieces in zip(session, warm, strict=True):
        forget(engine)
        assert answers(prompt) == pieces


def test_several_files_stay_warm(engine):
    """Coming back to another file costs nothing: it waits in a sequence of its own."""
    other = 'package main\n\nimport "fmt"\n\n' + "\n".join(f"var v{n} = {n}" for n in range(9))
    generate(engine, fim(engine, "        return"), 2)
    generate(engine, fim(engine, "func main() {", prefix=other, suffix="}\n"), 2)
    usage = generate(engine, fim(engine, "        return"), 2)[1]
    assert usage.n_evaluated == 1


def test_states_are_put_back_exactly(default_model):
    """With a single sequence, a place left for another is put back: one token, the same bits."""
    settings = EmbeddedSettings(n_ctx=512, n_sequences=1)
    with closing(open_embedded(default_model, settings)) as engine:

        def answers(prompt: Prompt):
            stream = engine.stream(Request(prompt, 4, logprobs=True), Cancel())
            return list(stream), stream.usage.n_evaluated

        here, there = fim(engine, "        return"), fim(engine, "", prefix="x = 1\n" * 20)
        cold, n_cold = answers(here)
        answers(there)
        warm, n_warm = answers(here)
        longer = answers(fim(engine, "        return self.w"))
        answers(there)
        assert (warm, n_warm, n_cold) == (cold, 1, len(here.tokens))
        assert answers(fim(engine, "        return self.w"))[0] == longer[0]


def test_memory_stays_within_its_budget(default_model):
    """Many keystrokes in many places: states are kept up to the budget, the last place is warm."""
    settings = EmbeddedSettings(n_ctx=512, n_sequences=1, memory_mb=3)
    with closing(open_embedded(default_model, settings)) as engine:
        kept = []
        for number in range(6):
            for typed in ("x", "x = ", "x"):
                prompt = fim(engine, typed, prefix=f"value_{number} = 1\n" * 6, suffix="\ny = 2\n")
                usage = generate(engine, prompt, 1)[1]
            assert usage.n_evaluated == 1
            kept.append(engine.store.n_bytes)
        assert kept[-1] == max(kept) <= 3_000_000
        assert 2 <= len(list(engine.store)) < 5


def test_no_look_ahead(engine):
    """What is not asked for is not decoded: one piece pulled, one token counted."""
    stream = engine.stream(Request(fim(engine, "        return"), 12), Cancel())
    next(stream)
    assert stream.usage.n_generated == 1
    stream.close()
    assert list(stream) == []


def test_cancel_reaches_into_prompt_evaluation(engine, record_property):
    """A long evaluation ends within milliseconds, and what was evaluated stays."""
    words = " ".join(f"value_{n}" for n in range(220))
    prompt = fim(engine, "", prefix=words)
    latencies = []
    wait_s = 0.5
    while True:  # until something was evaluated before it was taken back, however busy the machine
        cancel = Cancel()
        stream = engine.stream(Request(prompt, 8), cancel)
        pieces: list = []
        thread = threading.Thread(target=lambda: pieces.extend(stream))  # noqa: B023
        thread.start()
        time.sleep(wait_s)
        started = time.perf_counter()
        cancel.set()
        thread.join()
        latencies.append((time.perf_counter() - started) * 1000)
        if stream.usage.n_evaluated:
            break
        wait_s *= 2
    assert pieces == [], "taken back before the prompt was done"
    record_property("cancel_ms", latencies)
    # How fast it is: `fimls bench`. Here: at all; the whole prompt takes four seconds.
    assert statistics.median(latencies) < 2000
    again = generate(engine, prompt, 1)[1]
    assert again.n_evaluated < again.n_prompt


def test_a_cold_prompt_goes_on_between_keys(engine, monkeypatch):
    """What each key takes back is evaluated in batches that fit between two; what is done stays."""
    runner, context = engine._runner, engine._runner._context
    # 100 ms are 20 tokens then: a batch of 16.
    monkeypatch.setattr(type(runner), "prompt_tokens_per_s", property(lambda _: 200.0))
    sizes: list[int] = []
    evaluate = context.evaluate

    def ask(words: str, taken_back_at: int = 0) -> int:
        """The number of tokens evaluated until batch number ``taken_back_at`` was begun."""
        sizes.clear()
        cancel = Cancel()

        def evaluate_and_cancel(slot, tokens, n_logits):
            sizes.append(len(tokens))
            if len(sizes) == taken_back_at:
                cancel.set()
            return evaluate(slot, tokens, n_logits)

        monkeypatch.setattr(context, "evaluate", evaluate_and_cancel)
        stream = engine.stream(Request(fim(engine, "", prefix=words), 1), cancel)
        list(stream)
        return stream.usage.n_evaluated

    words = " ".join(f"key_{n}" for n in range(90))
    assert ask(words, taken_back_at=1) == 0
    assert sizes == [context.n_ubatch]
    assert ask(words, taken_back_at=3) == 32
    assert sizes == [16, 16, 16]
    n_prompt = len(fim(engine, "", prefix=words).tokens)
    assert ask(words) == n_prompt - 32
    ask("no key " + words)
    assert sizes[0] == context.n_ubatch


def test_a_keystroke_goes_before_a_review(engine):
    """A completion interrupts the evaluation of a review, which then goes on to its end."""
    generate(engine, fim(engine, "        return"), 1)
    words = " ".join(f"name_{n}" for n in range(120))
    review = engine.stream(
        Request(fim(engine, "", prefix=words), 2, priority=Priority.REVIEW), Cancel()
    )
    order: list[str] = []
    thread = threading.Thread(target=lambda: (list(review), order.append("review")))
    thread.start()
    time.sleep(0.3)
    usage = generate(engine, fim(engine, "        return"), 2)[1]
    order.append("completion")
    thread.join()
    assert order == ["completion", "review"]
    assert usage.n_evaluated == 1
    assert (review.usage.n_evaluated, review.usage.n_generated > 0) == (review.usage.n_prompt, True)


@pytest.mark.parametrize(
    ("typed", "heal", "expected"),
    [
        ("        return self.", "wid", "th"),
        ("        return", " sel", "f.width"),
        ("        return self.width *", " self.h", "eight"),
    ],
)
def test_heals_a_half_typed_word(engine, typed, heal, expected):
    """The first tokens spell what was stepped back over, and only the rest is reported."""
    text, _ = generate(engine, fim(engine, typed, heal), 5)
    assert text.startswith(expected)


def test_healing_spells_what_no_token_begins_with(engine):
    """Text that the model would never write is spelt out all the same, and not reported."""
    text, usage = generate(engine, fim(engine, "        return self.", "zqxj€"), 14)
    assert not text.startswith(("zqxj", "€"))
    assert usage.n_generated == 14


def test_characters_come_whole(engine):
    """A character of several tokens is reported with its last one; nothing is lost."""
    text = "# 🙂🙃🙂🙃🙂🙃 ναι ναι ναι ναι 🙂🙃🙂🙃"
    prompt = fim(engine, "", prefix=text + "\n# 🙂🙃", suffix="\n" + text)
    pieces = list(engine.stream(Request(prompt, 10), Cancel()))
    assert "�" not in "".join(piece.text for piece in pieces)
    assert len(pieces) == 10


def test_sampling(engine):
    """A seed repeats its text; a bias forbids a token; a grammar binds the whole answer."""
    prompt = fim(engine, "        return")
    hot = Sampling(temperature=1.5, top_p=0.95, min_p=0.01, seed=7)
    first = generate(engine, prompt, 8, sampling=hot)[0]
    assert generate(engine, prompt, 8, sampling=hot)[0] == first
    others = {generate(engine, prompt, 8, sampling=replace(hot, seed=s))[0] for s in (1, 2, 3)}
    assert others != {first}

    (self_token,) = engine.vocabulary.tokenize(" self")
    banned = Sampling(logit_bias={self_token: float("-inf")})
    assert not generate(engine, prompt, 4, sampling=banned)[0].startswith(" self")

    grammar = Sampling(grammar='root ::= " " ("yes" | "no")')
    text, usage = generate(engine, prompt, 8, sampling=grammar)
    assert text in {" yes", " no"}
    assert usage.ended
    with pytest.raises(BadRequest, match="GBNF"):
        generate(engine, prompt, 1, sampling=Sampling(grammar="root ::= ("))


def test_logprobs(engine):
    """Probabilities are those of the model: in (0, 1], and high for what is certain."""
    prompt = fim(engine, "        return self.width * self")
    (piece,) = engine.stream(Request(prompt, 1, logprobs=True), Cancel())
    assert piece.text == ".height"
    assert -0.5 < piece.logprob <= 0


def weighed(engine: EmbeddedEngine, prompt: Prompt, given: tuple[Given, ...], **options):
    request = Request(prompt, len(given), priority=Priority.REVIEW, given=given, **options)
    return list(engine.stream(request, Cancel()))


def test_given_tokens_are_weighed_not_chosen(engine):
    """Those that are given come back, as likely as where they are generated, rivals too."""
    prompt = fim(engine, "        return ")
    chosen = list(engine.stream(Request(prompt, 5, logprobs=True), Cancel()))
    rival = engine.vocabulary.tokenize(" while")[0]
    given = tuple(Given(piece.token, (rival, piece.token)) for piece in chosen)
    told = weighed(engine, prompt, given)
    assert [piece.text for piece in told] == [piece.text for piece in chosen]
    # Batches round a little differently from single tokens.
    assert [p.logprob for p in told] == pytest.approx([p.logprob for p in chosen], abs=0.5)
    for piece in told:
        unlikely, same = piece.rivals
        assert unlikely < piece.logprob == same
    nonsense = tuple(map(Given, engine.vocabulary.tokenize("while while while")))
    assert sum(p.logprob for p in weighed(engine, prompt, nonsense)) < -10


def test_weighing_does_not_depend_on_what_is_cached(engine):
    """Text of several batches, cold, warm, beside another, and after a part of itself."""
    source = engine.vocabulary.tokenize(PREFIX * 2)
    assert len(source) > 100
    given = tuple(map(Given, source))
    prompt = fim(engine, "", prefix="# shapes\n")
    forget(engine)
    cold = weighed(engine, prompt, given)
    assert len(cold) == len(given)
    assert "".join(piece.text for piece in cold) == PREFIX * 2
    assert weighed(engine, prompt, given) == cold
    generate(engine, fim(engine, "        return "), 3)
    weighed(engine, prompt, given[:40])
    assert weighed(engine, prompt, given) == cold
    # And what is generated after it does not depend on it.
    _, usage = generate(engine, prompt, 2)
    assert usage.n_generated <= 2


def test_given_tokens_that_cannot_be_weighed(engine):
    prompt = fim(engine, "")
    with pytest.raises(BadRequest, match="that this model has"):
        weighed(engine, prompt, (Given(10**6),))
    with pytest.raises(BadRequest, match="that this model has"):
        weighed(engine, prompt, (Given(1, (-1,)),))
    with pytest.raises(BadRequest, match="n_ctx"):
        weighed(engine, prompt, (Given(1),) * 2048)
    with pytest.raises(BadRequest, match="heal"):
        weighed(engine, fim(engine, "", heal="re"), (Given(1),))


def test_source_never_becomes_a_marker(engine):
    """Markers in a buffer are text: no control token, and the same characters come back."""
    vocabulary = engine.vocabulary
    for text in ("<|fim_middle|>", "a<|endoftext|>b", "</s>", "<tool_call>", " x\n\tnaïve 🙂\r\n"):
        tokens = vocabulary.tokenize(text)
        assert not any(map(vocabulary.is_control, tokens))
        assert b"".join(map(vocabulary.bytes_of, tokens)).decode() == text
    assert vocabulary.tokenize_markup("<|fim_middle|>") == [vocabulary.marker("<|fim_middle|>")]
    assert vocabulary.marker("def") is None


def test_long_lines(engine):
    """A line of 10,000 characters is tokenised and refused for its length, by name of n_ctx."""
    with pytest.raises(BadRequest, match="n_ctx is 2048"):
        generate(engine, fim(engine, "", prefix="x = [" + "12345, " * 1500), 1)


def test_a_prompt_that_cannot_be_continued(engine):
    with pytest.raises(BadRequest, match="empty"):
        generate(engine, Prompt(()))
    with pytest.raises(BadRequest, match="does not have"):
        generate(engine, Prompt((Segment(SegmentKind.SOURCE, "?", (10**6,)),)))


def test_files_that_are_no_models(tmp_path, default_model):
    """Not there, not GGUF, cut off at several places: each says so and what to do."""
    head = default_model.open("rb").read(200_000)
    cases = {
        "text.gguf": (b"# not a model\n" * 99, "not a GGUF"),
        "empty.gguf": (b"", "not a GGUF"),
        "magic.gguf": (b"GGUF", "cut off"),
        "header.gguf": (b"GGUF" + b"\xff" * 40, "damaged"),
        "head.gguf": (head, "cannot run"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ModelUnusable, match=message):
            open_embedded(path)
    with pytest.raises(ModelUnusable, match="cannot read"):
        open_embedded(tmp_path / "missing.gguf")
    # Its header whole and some of its weights gone, as a broken download leaves it.
    sparse = tmp_path / "sparse.gguf"
    with default_model.open("rb") as whole, sparse.open("wb") as cut:
        cut.write(whole.read(50_000_000))
    with pytest.raises(ModelUnusable, match="not within the file bounds"):
        open_embedded(sparse)


def test_out_of_memory_names_the_way_out(default_model):
    """A context that no machine holds is refused before it is allocated."""
    with pytest.raises(OutOfMemory, match="lower n_ctx"):
        open_embedded(default_model, EmbeddedSettings(n_ctx=32768, n_sequences=256))


def test_closing_under_a_running_stream(default_model):
    """close() ends what runs; the stream says that the engine is closed, nothing crashes."""
    heard: list[float] = []
    engine = open_embedded(
        default_model, EmbeddedSettings(n_ctx=1024, n_sequences=1), progress=heard.append
    )
    assert heard[-1] == 1.0
    stream = engine.stream(Request(fim(engine, ""), 500), Cancel())
    next(stream)
    threading.Timer(0.1, engine.close).start()
    with pytest.raises(EngineFailed, match="closed"):
        list(stream)
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.vocabulary.tokenize("x")


def test_vocabulary_without_weights(default_model):
    """A vocabulary alone opens from the same file and gives the same ids."""
    vocabulary = open_vocabulary(default_model)
    assert vocabulary.marker("<|fim_middle|>") == 151660
    assert vocabulary.info.architecture == "qwen2"
    assert vocabulary.is_end(151643)
    assert (vocabulary.bos, vocabulary.add_bos) == (151643, False)
    assert "<|im_start|>" in vocabulary.info.chat_template


@pytest.mark.parametrize("n_ctx", [1000, 1_000_000])
def test_without_weights_prompts_have_the_same_room(default_model, tmp_path, n_ctx):
    """What a prompt depends on is told as the loaded engine would: ids, room, speed."""
    settings = EmbeddedSettings(n_ctx=n_ctx, n_sequences=1)
    with closing(open_weightless(default_model, settings, tmp_path)) as engine:
        n_train = 32_768
        assert engine.n_ctx == {1000: 1024, 1_000_000: n_train}[n_ctx]
        assert engine.vocabulary.info.n_ctx_train == n_train
        assert engine.prompt_tokens_per_s is None
        with pytest.raises(EngineFailed, match="vocabulary"):
            engine.stream(Request(Prompt(()), 1), Cancel())
    known = Calibration(1, 1, 345.6, 7.8, 0.0, "2026-01-01T00:00:00Z")
    calibration.store(tmp_path, default_model, settings, known)
    with closing(open_weightless(default_model, settings, tmp_path)) as engine:
        assert engine.prompt_tokens_per_s == 345.6
    if n_ctx == 1000:
        with closing(open_embedded(default_model, settings)) as loaded:
            assert loaded.n_ctx == 1024
            assert loaded.vocabulary.info == engine.vocabulary.info


def test_the_usual_settings_on_a_processor_alone_leave_flash_attention_off(
    default_model: Path,
) -> None:
    """As many layers on a GPU as fit are none here: batches below 64 tokens would round otherwise,
    and a prompt that was warm give another text than a cold one."""
    if supports_gpu():
        pytest.skip("LLAMA.CPP IS BUILT FOR A GPU HERE, where flash attention is on")
    settings = embedded_settings(EngineOptions(n_ctx=256, n_sequences=1))
    with closing(open_embedded(default_model, settings)) as engine:
        assert engine.flash_attention == "disabled"
