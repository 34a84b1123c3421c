"""Faults found by likelihood, with the real model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fimls.assembly import choose_template
from fimls.cancel import Cancel
from fimls.config import ReviewOptions
from fimls.document import Snapshot
from fimls.engine.base import Engine
from fimls.engine.embedded import EmbeddedSettings, open_embedded
from fimls.engine.scripted import ScriptedEngine
from fimls.models import SLIP_CONFIDENCE
from fimls.review import Category, Finding, ScopeReview
from fimls.review.reviewer import Reviewer, Source
from fimls.review.spotting import Spotter
from fimls.review.talk import Talk
from fimls.review.weighing import Weigher
from fimls.scope import n_faults

CLAMP = """\
def clamp(value, low, high):
    if value < low:
        return low
    if value > high:
        return high
    return value
"""
COUNT = """\
function count(items, wanted) {
  let n = 0;
  for (let i = 0; i < items.length; i++) {
    if (items[i] === wanted) {
      n += 1;
    }
  }
  return n;
}
"""
ABOVE = "import math\r\n\r\n\r\n"


def reviewer_on(engine: Engine, **options: object) -> Reviewer:
    assert engine.vocabulary is not None
    template = choose_template("qwen2.5-coder", "", engine.vocabulary)
    weigher = Weigher(engine, template)
    spotter = Spotter(engine, engine.vocabulary, template, weigher)
    usual: dict[str, object] = {"ask": False, "slip_confidence": SLIP_CONFIDENCE}
    chosen = ReviewOptions(**{**usual, **options})  # type: ignore[arg-type]
    return Reviewer(Talk(engine), chosen, weigher, spotter)


@pytest.fixture(scope="module")
def engine(default_model: Path) -> Iterator[Engine]:
    engine = open_embedded(default_model, EmbeddedSettings(n_ctx=1024, n_sequences=2))
    yield engine
    engine.close()


def reviewed(engine: Engine, text: str, path: str, **options: object) -> ScopeReview | None:
    source = Source.of(Snapshot(text=text, path=path))
    [scope] = source.outline.scopes
    return reviewer_on(engine, **options).review(source, scope, Cancel())


def spot(engine: Engine, text: str, path: str, **options: object) -> tuple[Finding, ...]:
    seen = reviewed(engine, text, path, **options)
    assert seen is not None
    assert seen.rejected == ()
    for one in seen.findings:
        assert seen.text[one.start : one.end] == one.quote
    return seen.findings


@pytest.mark.model
@pytest.mark.parametrize(
    ("path", "text", "good", "bad"),
    [
        ("clamp.py", CLAMP, "    return value", "    value"),
        ("count.js", COUNT, "i < items.length", "i <= items.length"),
    ],
)
def test_a_seeded_slip_is_found_and_its_original_left_alone(
    engine: Engine, path: str, text: str, good: str, bad: str
) -> None:
    """The line, right again, as a quick fix; and nothing where there is nothing."""
    assert spot(engine, text, path) == ()
    wrong = text.replace(good, bad)
    [found] = spot(engine, wrong, path)
    line = next(line for line in text.split("\n") if good in line)
    assert found.replacement == line.strip()
    assert found.category is Category.BUG
    assert "would rather write" in found.message
    assert found.confidence is not None
    assert found.confidence >= SLIP_CONFIDENCE
    assert n_faults(wrong, Source.of(Snapshot(text=wrong, path=path)).language) == 0


@pytest.mark.model
def test_the_same_again_is_the_same(engine: Engine) -> None:
    """Whatever is cached: how batches are cut depends on the code alone."""
    wrong = COUNT.replace("i < items", "i <= items")
    first = spot(engine, wrong, "count.js")
    assert spot(engine, wrong, "count.js") == first
    spot(engine, CLAMP, "clamp.py")
    assert spot(engine, wrong, "count.js") == first


@pytest.mark.model
def test_ranges_hold_in_files_of_windows(engine: Engine) -> None:
    """Below other code, with line ends that models have seen few of."""
    wrong = COUNT.replace("i < items", "i <= items").replace("\n", "\r\n")
    [found] = spot(engine, ABOVE.replace("import math", "'use strict';") + wrong, "count.js")
    assert found.quote == "for (let i = 0; i <= items.length; i++) {"


@pytest.mark.model
def test_it_can_be_turned_off(engine: Engine) -> None:
    wrong = COUNT.replace("i < items", "i <= items")
    assert spot(engine, wrong, "count.js", slips=False) == ()
    assert spot(engine, wrong, "count.js", categories_off=("bug",)) == ()


@pytest.mark.model
def test_a_review_that_is_taken_back_says_nothing(engine: Engine) -> None:
    cancel = Cancel()
    cancel.set()
    source = Source.of(Snapshot(text=CLAMP, path="clamp.py"))
    [scope] = source.outline.scopes
    assert reviewer_on(engine).review(source, scope, cancel) is None


def test_an_engine_that_weighs_nothing_offers_none() -> None:
    """The review goes on by asking alone."""
    wrong = COUNT.replace("i < items", "i <= items")
    assert spot(ScriptedEngine("x"), wrong, "count.js") == ()
