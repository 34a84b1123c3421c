"""Findings follow edits; comments silence them."""

from __future__ import annotations

from typing import Any

import pytest

from fimls.review import Category, Finding, Reason, ScopeReview, Severity
from fimls.review.store import Findings, find_scope
from fimls.review.suppression import Silence

F = "def f(x):\n    return x + 1"
URI = "file:///a.py"


def reviewed(text: str, scope: str = F, quote: str = "x + 1", **more: str) -> ScopeReview:
    at = scope.index(quote)
    one = Finding(Category.BUG, Severity.ERROR, quote, "wrong", at, at + len(quote))
    return ScopeReview("f", scope, text.index(scope), key=scope, findings=(one,), **more)


def shown_after(before: str, after: str) -> list[str]:
    """What findings quote once ``before``, where ``F`` was reviewed, has become ``after``."""
    store = Findings()
    assert store.put(URI, reviewed(before), before)
    return [after[one.start : one.end] for one in store.shown(URI, after)]


@pytest.mark.parametrize(
    "after",
    [
        f"{F}\n",  # as it was
        f"import os\n\n\n{F}\n",  # moved down
        f"{F}\n\n\ndef g():\n    return 2\n",  # another function below
        f"class A:\n    pass\n\n{F}\n",
        f"{F}  # why not\n",
    ],
)
def test_findings_move(after: str) -> None:
    assert shown_after(f"{F}\n", after) == ["x + 1"]


@pytest.mark.parametrize(
    "after",
    [
        "",
        F.replace("+ 1", "+ 2"),
        F.replace("def f", "def g"),
        f"{F}0\n",  # 10 instead of 1
        f"{F} + y\n",
        f"{F}\n    more()\n",  # the function has grown at its end
        f"{F}\n\n    more()\n",
    ],
)
def test_findings_vanish_when_their_scope_changes(after: str) -> None:
    assert shown_after(f"{F}\n", after) == []


def test_a_brace_ends_its_function() -> None:
    scope = "func f() int {\n\treturn 1\n}"
    assert find_scope(scope, 0, f"{scope}\n\tdeeper()\n") == 0


def test_the_nearer_of_two_equal_scopes() -> None:
    text = f"{F}\n\n\n{F}\n"
    assert find_scope(F, len(F) + 2, text) == len(F) + 3


def test_two_equal_scopes_stay_two() -> None:
    """When one of them is deleted, so are its findings."""
    text = f"{F}\n\n\n{F}\n"
    store = Findings()
    first = reviewed(text)
    store.put(URI, first, text)
    second = ScopeReview("f", F, len(F) + 3, key=F, findings=first.findings)
    store.put(URI, second, text)
    assert len(store.shown(URI, text)) == 2
    assert len(store.shown(URI, f"{F}\n")) == 1


def test_stale_reviews_are_not_taken_in() -> None:
    """The document changed while its function was read."""
    store = Findings()
    assert not store.put(URI, reviewed(F), F.replace("1", "2"))
    assert store.shown(URI, F) == []
    assert store.known(F) is not None  # good again if the change is undone


def test_a_new_review_replaces_the_old_one() -> None:
    store = Findings()
    store.put(URI, reviewed(F), F)
    store.put(URI, ScopeReview("f", F, 0, key="again"), F)
    assert store.shown(URI, F) == []


def test_clearing_forgets() -> None:
    store = Findings()
    store.put(URI, reviewed(F), F)
    store.clear(URI)
    assert store.shown(URI, F) == []
    assert store.known(F) is None


@pytest.mark.parametrize(
    ("code", "silent"),
    [
        ("x = 1  # fimls: ignore", True),
        ("x = 1  # fimls: ignore[bug]", True),
        ("x = 1  # fimls: ignore[clarity, bug]", True),
        ("x = 1  # fimls: ignore[clarity]", False),
        ("x = 1  # fimls: ignore[bugs]", False),
        ("x = 1  // fimls:ignore", True),
        ("# fimls: ignore\nx = 1", True),
        ("# fimls: ignore\n\nx = 1", False),
        ("y = 2  # fimls: ignore\nx = 1", False),
        ("# fimls: ignore-file\n\n\nx = 1", True),
        ("# fimls: ignore-file[security]\n\n\nx = 1", False),
        ("\n" * 30 + "# fimls: ignore-file\n\nx = 1", False),
        ("# fimls: ignored\nx = 1", False),
    ],
)
def test_comments_silence(code: str, silent: bool) -> None:
    at = code.index("x = 1")
    assert Silence.of(code).covers(Category.BUG, at, at + 5) is silent


def test_a_silenced_finding_is_known_but_not_shown() -> None:
    """It is counted among what was dropped, and is there where the comment goes."""
    comment = "# fimls: ignore-file\n"
    store = Findings()
    placed = store.put(URI, reviewed(comment + F, F), comment + F)
    assert placed is not None
    assert store.shown(URI, comment + F) == []
    assert [one.reason for one in store.rejected(URI)] == [Reason.SUPPRESSED]
    [one] = store.shown(URI, F)
    assert F[one.start : one.end] == "x + 1"
    assert store.rejected(URI) == []


def test_findings_of_a_file_that_nobody_has_open() -> None:
    """It has changed on disk between two reviews: those of other functions move along."""
    other = F.replace("def f", "def g")
    before, after = f"{F}\n\n\n{other}\n", f"import os\n\n\n{F}\n\n\n{other}\n"
    store = Findings()
    store.put(URI, reviewed(before), before)
    store.put(URI, reviewed(after, other), after)
    assert [after[one.start : one.end] for one in store.shown(URI, after)] == ["x + 1", "x + 1"]


def test_a_key_above_many_functions_searches_for_one() -> None:
    """Everything behind the edit has moved as far as the first that was found again."""

    searches = []

    class Text(str):
        __slots__ = ()

        def rfind(self, *arguments: Any) -> int:
            searches.append(arguments)
            return str.rfind(self, *arguments)

    functions = [F.replace("def f", f"def f{n}") for n in range(300)]
    before = "\n\n\n".join(functions)
    store = Findings()
    for function in functions:
        store.put(URI, reviewed(before, function), before)
    after = Text("x" + before)
    assert len(store.shown(URI, after)) == 300
    assert len(searches) == 1
