"""The set of seeded faults, and what is counted on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from fimls.config import ReviewOptions
from fimls.engine.scripted import ScriptedEngine
from fimls.errors import ConfigError
from fimls.evaluation import review, review_faults
from fimls.evaluation.records import Journal
from fimls.evaluation.review import Record, Statement
from fimls.evaluation.review_faults import RULES, Pair
from fimls.review.reviewer import Reviewer
from fimls.review.talk import Talk
from fimls.scope import n_faults

PAIRS = review_faults.load(Path(review_faults.__file__).with_suffix(".jsonl"))


def test_the_set_is_as_large_as_it_says() -> None:
    assert len(PAIRS) >= 60
    assert len({pair.id for pair in PAIRS}) == len(PAIRS)
    languages = Counter(pair.language for pair in PAIRS)
    assert len(languages) >= 4
    assert min(languages.values()) >= 10
    assert set(RULES) == {pair.rule for pair in PAIRS}
    assert all(pair.origin and pair.licence for pair in PAIRS)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_one_fault_at_the_line_that_is_named(pair: Pair) -> None:
    """Everything else is as it was, and the function parses as well as before."""
    assert pair.seeded != pair.original
    old, new = pair.original.split("\n"), pair.seeded.split("\n")
    first = next(n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    same_after = 0
    while old[-1 - same_after] == new[-1 - same_after]:
        same_after += 1
    assert len(old) - first - same_after <= 4
    assert abs(pair.line - 1 - first) <= 1
    faults = [n_faults(code, pair.language) for code in (pair.original, pair.seeded)]
    assert faults[0] is not None
    assert faults[1] is not None
    assert faults[1] <= faults[0]


@pytest.mark.parametrize(
    ("rule", "language", "code", "expected"),
    [
        ("wrong operator", "python", "if a == b:", "if a != b:"),
        ("off by one", "c", "for (i = 0; i < n; i++)", "for (i = 0; i <= n; i++)"),
        ("swapped arguments", "go", "\tdial(network, addr)", "\tdial(addr, network)"),
        ("missing return", "javascript", "f() {\n  return x\n}", "f() {\n  x\n}"),
        ("negated condition", "python", "if not x:", "if x:"),
        ("leaked resource", "go", "\tdefer f.Close()\n", ""),
        ("unchecked error", "go", "\tif err != nil {\n\t\treturn err\n\t}\n", ""),
        ("wrong constant", "typescript", "f(true)", "f(false)"),
        ("mutable default", "python", "def f(a, b=None):", "def f(a, b=[]):"),
    ],
)
def test_rules(rule: str, language: str, code: str, expected: str) -> None:
    [(start, end, put), *_] = RULES[rule](code, language)
    assert code[:start] + put + code[end:] == expected


@pytest.mark.parametrize("code", ["# a == b", 'x = "a == b"', "// a == b", ">>> a == b"])
def test_rules_leave_comments_and_strings_alone(code: str) -> None:
    assert list(RULES["wrong operator"](code, "python")) == []


PAIR = Pair(
    "x", "python", "a.py", "", "", "f", "wrong operator", 2, "return a - b", "return a + b",
    "def f(a, b):\n    return a - b", "def f(a, b):\n    return a + b",
)  # fmt: skip


def counted(*records: Record, slips: tuple[Record, ...] = ()) -> dict[str, tuple[int, float, int]]:
    """For each mode: faults found, false findings per clean function, invented ones."""
    modes = review.figures([PAIR], records, slips, 0.5, 0.95)["modes"]
    return {
        mode: (row["found"], row["false_per_clean"], row["invented"]) for mode, row in modes.items()
    }


def record(*statements: Statement, seeded: bool) -> Record:
    return Record("x", seeded, statements, is_cut=False, t_ms=1.0)


def test_what_each_mode_counts() -> None:
    hit = Statement("return a + b", "wrong sign", (2, 2), confidence=0.9)
    doubtful = Statement("return a - b", "wrong sign", (2, 2), confidence=0.2)
    invented = Statement("return c", "no c", None, "quoted code not found")
    found = counted(record(hit, seeded=True), record(doubtful, invented, seeded=False))
    assert found == {"raw": (1, 2.0, 1), "grounded": (1, 1.0, 0), "asked": (1, 0.0, 0)}


def test_slips_are_counted_alone_and_together_with_what_was_said() -> None:
    """At a threshold of their own; the same line counts once."""
    said = Statement("return a - b", "wrong sign", (2, 2), confidence=0.9)
    sure = Statement("return a + b", "`-` here", (2, 2), confidence=0.99)
    unsure = Statement("return a - b", "`+` here", (2, 2), confidence=0.9)
    other = Statement("def f(a, b):", "bad name", (1, 1), confidence=0.9)
    found = counted(
        record(other, seeded=True),
        record(said, seeded=False),
        slips=(record(sure, seeded=True), record(unsure, seeded=False)),
    )
    assert found["asked"] == (0, 1.0, 0)
    assert found["suspected"] == (1, 1.0, 0)
    assert found["slips"] == (1, 0.0, 0)
    assert found["unverified"] == (1, 1.0, 0), "both say something of the same line"
    assert found["fimls"] == (1, 1.0, 0)
    twice = counted(
        record(seeded=True),
        record(said, seeded=False),
        slips=(record(seeded=True), record(replace(said, confidence=0.99), seeded=False)),
    )
    assert twice["fimls"] == (0, 1.0, 0)


def test_found_by_kind_of_fault() -> None:
    """For each kind that was there: how many were found, of how many."""
    other = replace(PAIR, id="y", rule="off by one")
    hit = Statement("return a + b", "wrong sign", (2, 2), confidence=0.99)
    records = [record(hit, seeded=True), replace(record(seeded=True), id="y")]
    found = review.figures([PAIR, other], [], records, 0.5, 0.95)
    assert found["modes"]["slips"]["found_by_kind"] == {
        "off by one": (0, 1), "wrong operator": (1, 1),
    }  # fmt: skip
    assert "slips: off by one 0 of 1, wrong operator 1 of 1" in review.table(found)


def test_another_line_is_no_hit() -> None:
    miss = Statement("def f(a, b):", "bad name", (1, 1), confidence=0.9)
    found = counted(record(miss, seeded=True), record(seeded=False))
    assert found["asked"] == (0, 0.0, 0)


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """With a model that says the same of everything: one line is there, one is not."""
    said = (
        '[{"line": "return a + b", "fixed": null, "message": "Wrong sign.", "category": "bug", '
        '"severity": "error"}]'
    )
    engine = ScriptedEngine(lambda prompt: "Yes" if "A reviewer" in prompt.text else said)
    reviewer = Reviewer(Talk(engine), ReviewOptions())
    store = tmp_path / "records.jsonl"
    first = list(review.run([PAIR], reviewer, Journal(store, {"model": "a"})))
    assert [[s.lines for s in one.statements] for one in first] == [[(2, 2)], [None]]
    n_asked = len(engine.requests)
    store.write_text(store.read_text() + '{"torn')
    assert list(review.run([PAIR], reviewer, Journal(store, {"model": "a"}))) == first
    assert len(engine.requests) == n_asked
    with pytest.raises(ConfigError, match="model"):
        Journal(store, {"model": "b"})
