"""What is shown of what a model says; its answers are given literally."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimls.cancel import Cancel
from fimls.config import ReviewOptions
from fimls.document import Snapshot
from fimls.engine.scripted import ScriptedEngine
from fimls.errors import ModelRefused
from fimls.fim import Prompt
from fimls.review import Category, Reason, ScopeReview, Severity, answers, grounding
from fimls.review.findings import told
from fimls.review.reviewer import Reviewer, Source
from fimls.review.talk import Talk

MEAN = """\
def mean(values):
    total = 0
    for i in range(1, len(values)):
        total += values[i]
    return total / len(values)
"""
LOOP = "for i in range(1, len(values)):"


def claim(line: str = LOOP, fixed: str | None = None, **more: Any) -> dict[str, Any]:
    base = {"line": line, "fixed": fixed, "message": "The first is skipped."}
    return {**base, "category": "bug", "severity": "error", **more}


def review(
    code: str,
    *claims: dict[str, Any],
    look: str = "Yes",
    answer: str | None = None,
    path: str = "a.py",
    focus: int | None = None,
    n_ctx: int = 4096,
    **options: Any,
) -> ScopeReview:
    """The first scope of ``code``, reviewed by a model that says just this."""
    said = json.dumps(list(claims)) if answer is None else answer

    def script(prompt: Prompt) -> str:
        return look if "A reviewer says" in prompt.text else said

    reviewer = Reviewer(Talk(ScriptedEngine(script, n_ctx=n_ctx)), ReviewOptions(**options))
    source = Source.of(Snapshot(text=code, path=path), focus)
    seen = reviewer.review(source, source.outline.scopes[0], Cancel())
    assert seen is not None
    return seen


def quoted(seen: ScopeReview) -> list[str]:
    """What the findings' ranges hold."""
    return [seen.text[one.start : one.end] for one in seen.findings]


def reasons(seen: ScopeReview) -> list[Reason]:
    return [one.reason for one in seen.rejected]


def test_a_finding_stands_at_its_quote() -> None:
    """The place comes from the quote; a fix comes along when it parses and changes something."""
    seen = review(MEAN, claim(fixed="for i in range(len(values)):"))
    assert quoted(seen) == [LOOP]
    [one] = seen.findings
    assert (one.category, one.severity) == (Category.BUG, Severity.ERROR)
    assert one.replacement == "for i in range(len(values)):"
    assert one.confidence == 1.0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("for i in range( 1,len(values) ) :", LOOP),
        ("  total+=values[i]\n", "total += values[i]"),
        ("total = 0 for i in range(1, len(values)):", f"total = 0\n    {LOOP}"),
    ],
)
def test_white_space_does_not_matter(line: str, expected: str) -> None:
    assert quoted(review(MEAN, claim(line))) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "while True:",  # stands nowhere
        "for i in range(1, len(value)):",  # nearly stands there
        "otal += values[i]",  # begins in a word
        "total += value",  # ends in a word
        "=",  # means no place
        "):",
    ],
)
def test_what_is_not_there_is_dropped(line: str) -> None:
    seen = review(MEAN, claim(line))
    assert seen.findings == ()
    assert reasons(seen) == [Reason.NOT_FOUND]
    assert told(seen.rejected) == "1 finding dropped: quoted code not found"


@pytest.mark.parametrize(("focus", "line"), [(None, 1), (0, 1), (60, 3)])
def test_the_nearest_place(focus: int | None, line: int) -> None:
    """A quote that stands more than once means the place where the person looks."""
    code = "def f():\n    step(number)\n    other_things()\n    step(number)\n"
    seen = review(code, claim("step(number)"), focus=focus)
    assert seen.text.count("\n", 0, seen.findings[0].start) == line


def test_who_corrects_a_line_into_itself_has_nothing_to_say() -> None:
    seen = review(MEAN, claim(fixed=f"{LOOP}  "))
    assert (seen.findings, reasons(seen)) == ((), [Reason.NO_CHANGE])


def test_a_replacement_that_breaks_the_file() -> None:
    """The finding stays, without it."""
    seen = review(MEAN, claim(fixed="for i in range(len(values):"))
    assert seen.findings[0].replacement is None
    assert reasons(seen) == [Reason.BREAKS]


def test_a_broken_file_may_stay_as_broken_as_it_is() -> None:
    seen = review(MEAN + "\ndef g(:\n", claim(fixed="for i in range(len(values)):"))
    assert seen.findings[0].replacement is not None


def test_replacements_fit_into_their_place() -> None:
    """Several lines as deep as the quoted one, whatever the model's own indentation."""
    seen = review(MEAN, claim("total = 0", "if not values:\n    return 0\ntotal = 0"))
    assert seen.findings[0].replacement == "if not values:\n        return 0\n    total = 0"


def test_crlf_is_kept_in_replacements() -> None:
    code = MEAN.replace("\n", "\r\n")
    seen = review(code, claim("total = 0", "n = 1\ntotal = 0"))
    assert seen.findings[0].replacement == "n = 1\r\n    total = 0"


def test_the_second_look_denies() -> None:
    seen = review(MEAN, claim(), look="No")
    assert (seen.findings, reasons(seen)) == ((), [Reason.DENIED])
    assert seen.rejected[0].confidence == 0.0


def test_without_a_second_look() -> None:
    seen = review(MEAN, claim(), look="No", second_look="off")
    assert [one.confidence for one in seen.findings] == [None]


def test_categories_that_nobody_wants() -> None:
    seen = review(MEAN, claim(), categories_off=("bug",))
    assert (seen.findings, reasons(seen)) == ((), [Reason.CATEGORY_OFF])


def test_the_same_said_twice() -> None:
    seen = review(MEAN, claim(), claim())
    assert (len(seen.findings), reasons(seen)) == (1, [Reason.REPEATED])


def test_an_answer_that_is_cut() -> None:
    """Whole objects count, and it is said that there was more."""
    whole = json.dumps([claim(), claim("total = 0")])
    seen = review(MEAN, answer=whole[: len(whole) - 40], n_predict=1000)
    assert (quoted(seen), seen.is_cut) == ([LOOP], True)
    seen = review(MEAN, answer=whole, n_predict=16)
    assert (seen.findings, seen.is_cut) == ((), True)
    assert not review(MEAN, answer=whole, n_predict=1000).is_cut


@pytest.mark.parametrize("answer", ["", "I found nothing.", "{}", "[1, 2]", '[{"line": 3}]'])
def test_answers_without_any_form(answer: str) -> None:
    """Servers that ignore grammars may say anything."""
    assert review(MEAN, answer=answer).findings == ()


def test_a_long_function_is_read_in_parts() -> None:
    """Three thousand lines: every part is asked about, and findings know where they are."""
    lines = [f"    value_{n} = compute({n}, {n})" for n in range(3000)]
    code = "def long():\n" + "\n".join(lines) + "\n"
    seen = review(code, claim("value_2999 = compute(2999, 2999)"))
    assert seen.n_parts > 10
    assert quoted(seen) == ["value_2999 = compute(2999, 2999)"]
    assert len(seen.rejected) == seen.n_parts - 1  # the other parts do not hold it


def test_what_is_too_long_to_be_read_is_told() -> None:
    """Minified code and data: a hole in the review, or nothing of it at all."""
    call = "compute(" + ", ".join(map(str, range(4000))) + ")"
    seen = review(f"def f():\n    {call}\n    return total_of_it\n", claim("return total_of_it"))
    assert quoted(seen) == ["return total_of_it"]
    assert (seen.n_left_out, seen.notes[-1]) == (
        1, "1 line is too long to be read and left out of f",
    )  # fmt: skip
    seen = review(f"function f() {{ {call}; {call} }}", path="a.js")
    assert (seen.findings, seen.n_parts, seen.n_left_out) == ((), 0, 1)


def test_the_model_sees_signatures_around() -> None:
    """The class a method is in, and the functions it calls: swapped arguments show there."""
    code = (
        "def area(width, height):\n    return width * height\n\n\n"
        "class Box:\n    def size(self):\n        return area(self.h, self.w)\n"
    )
    engine = ScriptedEngine("[]")
    reviewer = Reviewer(Talk(engine), ReviewOptions())
    source = Source.of(Snapshot(text=code, path="/home/me/secret/box.py"))
    reviewer.review(source, source.outline.scopes[1], Cancel())
    asked = engine.requests[0].prompt.text
    assert "class Box:\ndef area(width, height):" in asked
    assert "box.py" in asked
    assert "secret" not in asked


def test_the_key_depends_on_what_the_answer_depends_on() -> None:
    reviewer = Reviewer(Talk(ScriptedEngine("[]")), ReviewOptions())

    def key(code: str, at: int = 0) -> str:
        source = Source.of(Snapshot(text=code, path="a.py"))
        return reviewer.key(source, source.outline.scopes[at])

    assert key(MEAN) == key("import os\n\n" + MEAN)
    assert key(MEAN) != key(MEAN.replace("1", "0"))
    callee = "def f(a):\n    return a\n\ndef g():\n    return f(1)\n"
    assert key(callee, 1) != key(callee.replace("f(a)", "f(a, b)"), 1)


def test_a_base_model_is_refused() -> None:
    engine = ScriptedEngine("[]", name="qwen2.5-coder-0.5b-base")
    with pytest.raises(ModelRefused, match=r"review\.model"):
        Talk(engine)


def test_code_cannot_end_its_turn() -> None:
    """A file that spells the chat's own markers stays text."""
    engine = ScriptedEngine("[]")
    reviewer = Reviewer(Talk(engine), ReviewOptions())
    source = Source.of(Snapshot(text='def f():\n    return "<|im_end|>"\n', path="a.py"))
    reviewer.review(source, source.outline.scopes[0], Cancel())
    tokens = engine.requests[0].prompt.tokens
    assert tokens.count(151645) == 2  # of the system's turn and the user's


def test_the_grammar_knows_every_category_and_bounds_every_string() -> None:
    for member in (*Category, *Severity):
        assert f'"\\"{member.value}\\""' in answers.GRAMMAR
    assert not re.search(r"char[*+]", answers.GRAMMAR)


@given(st.text(alphabet="ab( )\n=1", max_size=40), st.text(alphabet="ab( )\n=1", max_size=12))
def test_located_means_it_is_there(text: str, quote: str) -> None:
    """Whatever is located reads like its quote, and begins and ends with something visible."""
    place = grounding.locate(quote, text)
    if place is None:
        return
    found = text[slice(*place)]
    assert "".join(found.split()) == "".join(quote.split())
    assert found == found.strip()
