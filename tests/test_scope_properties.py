"""Bad input: whatever is around the cursor and whatever is generated, the watcher answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fimls import scope
from fimls.fim import Cut, StopReason
from fimls.scope import grammars
from fimls.scope.languages import LANGUAGES
from tests.scope_cases import Case, all_cases

CASES = all_cases()
NAMES = [language.name for language in LANGUAGES] + ["", "cobol"]
# What tears scanners apart: delimiters, halves of them, line ends, odd characters.
SHARDS = st.sampled_from(
    [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        '"',
        "'",
        "`",
        '"""',
        "'''",
        "//",
        "/*",
        "*/",
        "#",
        "--",
        "<!--",
        "-->",
        "</",
        "<a",
        "/>",
        "\\",
        "${",
        "#{",
        "<<EOF",
        "\n",
        "\r\n",
        "\t",
        ":",
        ";",
        ",",
        ".",
        "def",
        "class",
        "end",
        "fi",
        "if",
        "else",
        "return",
        "x",
        "1",
        "é",
        "語",
        "😀",
        "�",
        "\x00",
        "\u2028",
        "\udc80",  # a byte that is no UTF-8
        "\ufeff",
        "```",
        "~~~",
    ]
)
TEXT = st.lists(SHARDS | st.text(max_size=4), max_size=40).map("".join)
LENIENT = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def run(before: str, after: str, pieces: list[str], language: str, reason: StopReason) -> Cut:
    watcher = scope.watch(before, after, language)
    for piece in pieces:
        cut = watcher.feed(piece)
        if cut is not None:
            return cut
    return watcher.finish(reason)


@LENIENT
@given(
    TEXT, TEXT, st.lists(TEXT, max_size=6), st.sampled_from(NAMES),
    st.sampled_from([StopReason.END, StopReason.BUDGET, StopReason.TIME]),
)  # fmt: skip
def test_never_raises(
    before: str, after: str, pieces: list[str], language: str, reason: StopReason
) -> None:
    """A cut lies within the text, and the text up to it can be graded."""
    generated = "".join(pieces)
    cut = run(before, after, pieces, language, reason)
    assert 0 <= cut.at <= len(generated)
    grades = scope.watch(before, after, language).grades(generated[: cut.at])
    assert list(grades) == sorted(set(grades))
    assert not grades or grades[-1] == cut.at


@LENIENT
@given(TEXT, TEXT, TEXT, st.sampled_from(NAMES), st.data())
def test_piece_by_piece_is_the_same_as_at_once(
    before: str, after: str, generated: str, language: str, data: st.DataObject
) -> None:
    """Tokens are the model's business: where they begin and end changes nothing."""
    ends = sorted(data.draw(st.lists(st.integers(0, len(generated)), max_size=12)))
    pieces = [generated[a:b] for a, b in zip([0, *ends], [*ends, len(generated)], strict=True)]
    at_once = run(before, after, [generated], language, StopReason.END)
    assert run(before, after, pieces, language, StopReason.END) == at_once
    assert run(before, after, list(generated), language, StopReason.END) == at_once


@LENIENT
@given(st.sampled_from(CASES), st.data())
def test_code_with_random_edits(case: Case, data: st.DataObject) -> None:
    """Real code, torn: parts left out or thrown in on both sides of the cursor."""
    before, after = tear(case.before, data), tear(case.after, data)
    generated = tear(case.generated, data)
    at_once = run(before, after, [generated], case.language, StopReason.BUDGET)
    assert 0 <= at_once.at <= len(generated)
    assert run(before, after, list(generated), case.language, StopReason.BUDGET) == at_once


def tear(text: str, data: st.DataObject) -> str:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    return text[:start] + data.draw(st.just("") | TEXT) + text[end:]


@pytest.mark.parametrize("language", NAMES)
@pytest.mark.parametrize(
    "line", ["x" * 1_000_000, "(" * 1_000_000, '"' * 1_000_000, "a b(c) " * 140_000, "\n" * 500_000]
)
def test_lines_of_a_megabyte(language: str, line: str) -> None:
    """Before the cursor, after it, and generated: seconds, not minutes."""
    started = time.process_time()
    run(line, line, ["x = 1\n"], language, StopReason.BUDGET)
    run("", "", [line], language, StopReason.BUDGET)
    assert time.process_time() - started < 5


LINES = "call(value, [1, 2], 'text')\n    value = other(value)\n"


def varied(n: int) -> str:
    """Text in which nothing is said twice, so that no loop is cut."""
    return "".join(f"{i} {line}\n" for i, line in enumerate((LINES * n).splitlines()))


@pytest.mark.parametrize("language", NAMES)
@pytest.mark.parametrize("size", [1, 100_000])
def test_work_is_linear_in_the_text(language: str, size: int) -> None:
    """Twice the text is twice the calls, however it is cut into pieces: counted, not timed."""

    def calls(n: int) -> int:
        text = varied(n)
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        return count_calls(lambda: run("f([", "", pieces, language, StopReason.END))

    calls(1)  # loads the grammar, fills caches
    few, twice, four = calls(10), calls(20), calls(40)
    assert twice > 1.5 * few  # nothing ended the text before its end
    assert four - twice <= 2.3 * (twice - few) + 200


@pytest.mark.parametrize("language", NAMES)
def test_work_is_linear_in_the_surroundings(language: str) -> None:
    """The same for what stands before and after the cursor."""

    def calls(n: int) -> int:
        before, after = varied(n) + "f(x) {\n    ", "\n}\n" + varied(n)
        return count_calls(lambda: run(before, after, ["y = 1"], language, StopReason.END))

    calls(1)
    few, twice, four = calls(10), calls(20), calls(40)
    assert four - twice <= 2.3 * (twice - few) + 200


def count_calls(work: Callable[[], object]) -> int:
    """How many functions are called, those of the interpreter included."""
    n = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal n
        n += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return n


@pytest.mark.parametrize("language", NAMES)
def test_time_is_linear_in_the_text(language: str) -> None:
    """Four times the text takes about four times as long, of the processor's own time."""

    def seconds(n: int) -> float:
        text = varied(n)
        started = time.process_time()
        pieces = [text[i : i + 4] for i in range(0, len(text), 4)]
        run("f([", "", pieces, language, StopReason.END)
        return time.process_time() - started

    seconds(5)
    short = min(seconds(20) for _ in range(3))
    assert min(seconds(80) for _ in range(3)) < 12 * short + 0.05


@pytest.mark.parametrize("language", NAMES)
def test_nothing_but_brackets(language: str) -> None:
    for generated in ("}" * 50, "{" * 50, ")](" * 20, "[{(" * 20, "\n" * 50, " " * 50):
        run("f(x) {\n    ", "\n}\n", [generated], language, StopReason.BUDGET)


def test_a_grammar_that_does_not_load(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then brackets and layout have to do, and the log says why."""
    monkeypatch.setitem(grammars.WHEELS, "python", ("tree_sitter_that_is_not_there", "language"))
    grammars.load.cache_clear()
    try:
        generated = "return 1\n\ndef g():\n    pass\n"
        cut = run("def f():\n    ", "", [generated], "python", StopReason.END)
        assert generated[: cut.at] == "return 1"
        assert "tree_sitter_that_is_not_there" in caplog.text
    finally:
        grammars.load.cache_clear()


def test_a_parser_that_does_not_come_to_an_end() -> None:
    """It is stopped, and the watcher goes on without it."""
    grammar = grammars.load("python")
    assert grammar is not None
    assert grammar.parse("x = 1\n" * 200_000, t_max_ms=5) is None
    assert grammar.n_errors("x = (\n" * 3) is not None
