"""The completer and its places: small windows at first, whole ones when there was time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from fimls.assembly import choose_template
from fimls.bench.sessions import Session, load_all
from fimls.cancel import Cancel
from fimls.completer import Completer
from fimls.config import CompletionOptions
from fimls.document import Snapshot
from fimls.engine.base import Priority
from fimls.engine.embedded.slots import common_prefix
from fimls.engine.scripted import ScriptedEngine
from fimls.template import BoundTemplate, bind
from fimls.vocabulary import Vocabulary

TEXT = "".join(f"value_{number} = compute({number})\n" for number in range(300))
# At the ends of lines.
HERE, THERE = TEXT.index("\nvalue_250 "), TEXT.index("\nvalue_40 ")


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine("1\n", prompt_tokens_per_s=400.0)


def open_completer(engine: ScriptedEngine, **options: int) -> Completer:
    chosen = CompletionOptions(**options)
    return Completer(engine, chosen, partial(choose_template, "qwen2.5-coder", ""))


def ask(completer: Completer, place: int, typed: str = "") -> None:
    completer.complete(document(place, typed), place + len(typed), Cancel())


def document(place: int, typed: str = "") -> Snapshot:
    return Snapshot("file:///a.py", "python", 0, TEXT[:place] + typed + TEXT[place:], "a.py")


def n_prompts(engine: ScriptedEngine) -> list[int]:
    return [len(request.prompt.tokens) for request in engine.requests]


def test_the_first_window_is_what_can_be_evaluated_in_time(engine: ScriptedEngine) -> None:
    ask(open_completer(engine, t_max_cold_ms=1000), HERE)
    ask(open_completer(engine, t_max_cold_ms=0), HERE)
    small, whole = n_prompts(engine)
    assert 230 < small < 330
    assert whole > 900


def test_an_engine_that_does_not_tell_its_speed_gets_whole_windows() -> None:
    engine = ScriptedEngine("1\n")
    completer = open_completer(engine)
    ask(completer, HERE)
    completer.prepare(document(HERE), HERE, Cancel())
    assert len(engine.requests) == 1
    assert n_prompts(engine)[0] > 900


@pytest.mark.parametrize(("tokens_per_s", "n_after"), [(400.0, 900), (200.0, 0)])
def test_another_machine_prepares_nothing_ahead(tokens_per_s: float, n_after: int) -> None:
    """Who has paused gets the whole window with the next key, if that is quick enough."""
    engine = ScriptedEngine("1\n", prompt_tokens_per_s=tokens_per_s, prepares_ahead=False)
    completer = open_completer(engine, t_max_cold_ms=1000, t_max_predict_ms=4000)
    ask(completer, HERE)
    completer.prepare(document(HERE), HERE, Cancel())
    assert len(engine.requests) == 1, "another machine's time is not ours to spend"
    ask(completer, HERE, "; x = ")
    small, after = n_prompts(engine)
    assert small < 330
    assert after > n_after
    assert (after > 330) == (n_after > 0)


def test_prepared_windows_are_whole_and_taken_next(engine: ScriptedEngine) -> None:
    """The idle request is one token at the lowest priority; typing goes on behind its prompt."""
    completer = open_completer(engine)
    ask(completer, HERE, "; x = ")
    completer.prepare(document(HERE, "; x = "), HERE + 6, Cancel())
    completer.prepare(document(HERE, "; x = "), HERE + 6, Cancel())
    ask(completer, HERE, "; x = foo")
    asked = engine.requests
    assert [request.priority for request in asked] == [
        Priority.COMPLETION, Priority.IDLE, Priority.COMPLETION,
    ], "what is whole already is not prepared again"  # fmt: skip
    assert asked[1].n_predict == 1
    assert asked[2].prompt.text.startswith(asked[1].prompt.text)


def test_what_was_taken_back_changes_nothing(engine: ScriptedEngine) -> None:
    """A keystroke in the middle of it: the small window, which is warm, is gone on with."""
    completer = open_completer(engine)
    ask(completer, HERE, "; x = ")
    gone = Cancel()
    gone.set()
    completer.prepare(document(HERE, "; x = "), HERE + 6, gone)
    ask(completer, HERE, "; x = foo")
    first, _, last = engine.requests
    assert last.prompt.text.startswith(first.prompt.text)


def test_coming_back_continues_the_first_prompt(engine: ScriptedEngine) -> None:
    completer = open_completer(engine)
    for place, typed in ((HERE, ";"), (THERE, "["), (HERE, "; x"), (THERE, "[0")):
        ask(completer, place, typed)
    here, there, here_again, there_again = (request.prompt.tokens for request in engine.requests)
    assert here_again[: len(here) - 1] == here[:-1]
    assert there_again[: len(there) - 1] == there[:-1]


@pytest.mark.parametrize("session", load_all(), ids=lambda session: session.name)
def test_typing_only_appends_to_prompts(session: Session) -> None:
    """Over recorded sessions: keys, backspaces, newlines, jumps, an edit at the top of the file.

    Only a place that is new is cold, and no more of it than can be evaluated in time; coming
    back, and an edit elsewhere, change no prompt.
    """
    engine = ScriptedEngine("", prompt_tokens_per_s=200.0)
    completer = open_completer(engine, t_max_cold_ms=1000)
    added = []
    earlier: list[list[int]] = []
    for number, (event, text) in enumerate(session.states()):
        if event.ask:
            here = Snapshot("file:///a", session.language, number, text, session.path)
            completer.complete(here, event.cursor, Cancel())
        for request in engine.requests:
            tokens = list(request.prompt.tokens)
            warm = max((common_prefix(tokens, other) for other in earlier), default=0)
            added.append(len(tokens) - warm)
            earlier.append(tokens)
        engine.requests.clear()
    assert len(added) > 30
    cold = [n_added for n_added in added if n_added > 12]
    assert len(cold) <= 2, "the place where it was opened, and the one jumped to"
    assert max(cold) < 230


@pytest.mark.parametrize("n_ctx", [256, 512, 1024])
def test_a_context_smaller_than_the_window(n_ctx: int) -> None:
    """The window gives way, typing included: no prompt is refused for its length."""
    engine = ScriptedEngine("1\n", n_ctx=n_ctx)
    completer = open_completer(engine)
    typed = "".join(f"\nother_{number} = more({number})" for number in range(40))
    for end in range(0, len(typed), 25):
        found = completer.complete(document(HERE, typed[:end]), HERE + end, Cancel(), invoked=True)
        assert found is not None
    assert max(n_prompts(engine)) <= n_ctx * 3 // 4
    assert max(n_prompts(engine)) > n_ctx // 4


def test_a_family_with_a_short_context() -> None:
    """What a model was trained for bounds the window, whatever its server takes."""

    def choose(vocabulary: Vocabulary | None) -> BoundTemplate:
        bound = choose_template("qwen2.5-coder", "", vocabulary)
        return bind(replace(bound.template, context=512), vocabulary)

    engine = ScriptedEngine("1\n")
    Completer(engine, CompletionOptions(), choose).complete(document(HERE), HERE, Cancel())
    [n_prompt] = n_prompts(engine)
    assert 128 < n_prompt < 512


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = [" + "12345, " * 1_500, "]\n"),
        ("x = [", "12345, " * 1_500 + "]\n"),
        ("y = 1\n" * 20 + "x = '" + "a" * 10_000, "'\n" + "z = 2\n" * 20),
    ],
)
def test_a_line_of_ten_thousand_characters(before: str, after: str) -> None:
    """It is cut like any other text: the prompt stays within its budget, and ends at the cursor."""
    engine = ScriptedEngine("1\n")
    found = open_completer(engine).complete(
        Snapshot("file:///a.py", "python", 0, before + after, "a.py"), len(before), Cancel(),
        invoked=True,
    )  # fmt: skip
    assert found is not None
    [request] = engine.requests
    assert len(request.prompt.tokens) < 900 + 300 + 256 + 48
    window = request.prompt.window
    assert window is not None
    assert before.endswith(window.prefix + window.typed)
