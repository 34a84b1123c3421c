"""The second look at a correction: which of two lines the model would rather write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fimls.assembly import choose_template
from fimls.cancel import Cancel
from fimls.engine.embedded import EmbeddedSettings, open_embedded
from fimls.engine.scripted import ScriptedEngine
from fimls.review.weighing import MOST_LINE_CHARS, Correction, Weigher
from fimls.template import UnfilledTemplate

MEAN = """\
def mean(values):
    total = 0
    for i in range(len(values)):
        total += values[i]
    return total / len(values)
"""


def correct(line: str, corrected: str, text: str = MEAN) -> Correction:
    start = text.index(line)
    return Correction.of(text, start, start + len(line), corrected, "mean.py", "python")


def test_a_correction_is_of_whole_lines() -> None:
    seen = correct("total / len", "total // len")
    assert seen.written == "    return total / len(values)\n"
    assert seen.corrected == "    return total // len(values)\n"
    assert seen.before.endswith("        total += values[i]\n")
    assert seen.after == ""


def test_lines_of_windows_are_weighed_as_models_know_them() -> None:
    text = MEAN.replace("\n", "\r\n")
    seen = correct("total = 0", "total = 1", text)
    assert "\r" not in seen.before + seen.written + seen.corrected + seen.after


def test_an_engine_without_probabilities_cannot_tell() -> None:
    weigher = Weigher(ScriptedEngine("x"), UnfilledTemplate())
    assert weigher.confidence(correct("total = 0", "total = 1"), Cancel()) is None


@pytest.fixture(scope="module")
def weigher(default_model: Path) -> Iterator[Weigher]:
    engine = open_embedded(default_model, EmbeddedSettings(n_ctx=1024, n_sequences=1))
    yield Weigher(engine, choose_template("", "", engine.vocabulary))
    engine.close()


@pytest.mark.model
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("for i in range(len(values)):", "for i in range(len(values) + 1):"),
        ("total += values[i]", "total += i[values]"),
        ("return total / len(values)", "total / len(values)"),
    ],
)
def test_the_real_model_would_rather_write_what_is_right(
    weigher: Weigher, good: str, bad: str
) -> None:
    """Whichever of the two stands in the code."""
    sure = weigher.confidence(correct(bad, good, MEAN.replace(good, bad)), Cancel())
    unsure = weigher.confidence(correct(good, bad), Cancel())
    assert sure is not None
    assert unsure is not None
    assert sure > 0.5 > unsure


@pytest.mark.model
def test_a_very_long_line_is_not_weighed(weigher: Weigher) -> None:
    text = MEAN + "x" * MOST_LINE_CHARS
    assert weigher.confidence(correct("xxx", "yyy", text), Cancel()) is None


@pytest.mark.model
def test_quotes_and_backslashes_are_spelt(weigher: Weigher) -> None:
    text = 'def tabs(line):\n    return line.count("\\t")\n'
    seen = weigher.confidence(correct('"\\t"', "'\\t\"'", text), Cancel())
    assert seen is not None
    assert seen < 0.5
