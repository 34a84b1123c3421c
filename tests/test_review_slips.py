"""Which edits count as slips of the pen, and which do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from fimls.evaluation import review_faults
from fimls.review.slips import slips
from fimls.scope import LeafKind, leaves, n_faults

PAIRS = review_faults.load(Path(review_faults.__file__).with_suffix(".jsonl"))


def edited(code: str, language: str) -> set[str]:
    """``code`` without each slip that could be in it."""
    made = slips(code, language, leaves(code, language, 0, len(code)))
    return {code[: s.start] + s.put + code[s.end :] for s in made}


@pytest.mark.parametrize(
    ("language", "written", "meant"),
    [
        ("python", "while i <= n:\n    pass", "while i < n:\n    pass"),
        ("python", "x = a and b", "x = a or b"),
        ("python", "x = a - b", "x = a + b"),
        ("python", "x = rows[0]", "x = rows[1]"),
        ("python", "x = rows[n - 1]", "x = rows[n]"),
        ("python", "if not x:\n    pass", "if x:\n    pass"),
        ("python", "if x:\n    pass", "if not x:\n    pass"),
        ("python", "def f(x):\n    g(x)", "def f(x):\n    return g(x)"),
        ("python", "def f(x=[]):\n    pass", "def f(x=None):\n    pass"),
        ("python", "f(a, b.c, 1)", "f(b.c, a, 1)"),
        ("python", "x = True", "x = False"),
        ("lua", "x = a == b", "x = a ~= b"),
        ("lua", "if not x then end", "if x then end"),
        ("c", "int f() { if (x) {} }", "int f() { if (!x) {} }"),
        ("c", "int f() {\n  g(x);\n}", "int f() {\n  return g(x);\n}"),
        ("go", "func f() { dial(a, b) }", "func f() { dial(b, a) }"),
        ("typescript", "const x = a === b;", "const x = a !== b;"),
        ("rust", "fn f() { g(a, b); }", "fn f() { g(b, a); }"),
    ],
)
def test_slips(language: str, written: str, meant: str) -> None:
    assert meant in edited(written, language)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "# a == b, or f(a, b)"),
        ("python", 'x = "a == b"'),
        ("python", 'f("a", "b")'),
        ("python", "def f(a, b): ..."),
        ("python", "x = f(a=a, b=b)"),
        ("python", "from a import b"),
        ("python", "x = -y"),
        ("python", "x = 4096"),
        ("typescript", "x = keys[i]!;"),
        ("typescript", "const f = (a, b) => a;"),
        ("c", "int *p = &q;"),
        ("go", "func f(a, b int) {}"),
        ("lua", "function Queue.push(item, place) end"),
        ("lua", "function Queue:push(item, place) end"),
        ("python", "max(a, b)"),
        ("javascript", "Math.min(a, b);"),
        ("text", "a == b"),
    ],
)
def test_no_slips(language: str, code: str) -> None:
    """Strings, comments, parameters, signs, and what would be another program."""
    assert edited(code, language) == set()


# Where whole lines were taken away, no slip brings them back.
ONE_LINE = [pair for pair in PAIRS if pair.after]


@pytest.mark.parametrize("pair", ONE_LINE, ids=lambda pair: pair.id)
def test_seeded_lines_are_one_slip_away(pair: review_faults.Pair) -> None:
    """All but two, which would need a word that is not there."""
    is_found = pair.original in edited(pair.seeded, pair.language)
    assert is_found == (pair.name not in {"vim._defer_require", "Iter:enumerate"})


def test_code_without_a_slip_still_parses() -> None:
    """In nine of ten cases and more; the reviewer turns the rest away."""
    n_all = n_sound = 0
    for pair in PAIRS:
        before = n_faults(pair.original, pair.language) or 0
        found = edited(pair.original, pair.language)
        assert pair.original not in found
        n_all += len(found)
        n_sound += sum((n_faults(one, pair.language) or 0) <= before for one in found)
    assert n_sound >= 0.9 * n_all


def test_leaves_are_whole_tokens() -> None:
    code = 'x += f(1, "a, b")  # note'
    found = leaves(code, "python", 0, len(code))
    assert [leaf.text for leaf in found] == ["x", "+=", "f", "(", "1", ",", '"a, b"', ")"]
    assert found[4].kind is LeafKind.NUMBER
    assert found[6].kind is LeafKind.TEXT
    assert all(code[leaf.start : leaf.end] == leaf.text for leaf in found)
