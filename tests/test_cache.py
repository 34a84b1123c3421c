"""Completions that survive typing."""

from __future__ import annotations

import pytest

from fimls.cache import CompletionCache
from fimls.fim import Completion, StopReason

SUGGESTED = "    return sqrt(x)\n    # done"
BEFORE, AFTER = "def f(x):\n", "\n\nprint(1)\n"


def find(typed: str, after: str = AFTER, document: str = "a.py") -> str | None:
    cache = CompletionCache()
    cache.store(
        "a.py",
        BEFORE,
        AFTER,
        Completion(SUGGESTED, StopReason.SCOPE, grades=(18, len(SUGGESTED))),
    )
    found = cache.find(document, BEFORE + typed, after)
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", SUGGESTED),
        ("    re", "turn sqrt(x)\n    # done"),
        ("    return sqrt(x)\n", "    # done"),
        (SUGGESTED, None),  # nothing is left of it: the model is asked again
        ("    yield", None),
    ],
)
def test_typing_as_suggested_is_answered(typed: str, expected: str | None) -> None:
    """Whatever is typed of the suggestion, the rest of it is still there."""
    assert find(typed) == expected


def test_backspace_comes_back() -> None:
    """Deleting what was typed of a suggestion shows it again; deleting more does not."""
    cache = CompletionCache()
    cache.store("a.py", "x = 1\ny", "\n", Completion(" = 2", StopReason.SUFFIX))
    for before, expected in (("x = 1\ny =", " 2"), ("x = 1\ny", " = 2"), ("x = 1\n", None)):
        found = cache.find("a.py", before, "\n")
        assert (found.text if found else None) == expected


def test_an_editor_that_closes_brackets_does_not_double_them() -> None:
    """The closer that the editor added is taken off the suggestion, or there is none."""
    cache = CompletionCache()
    cache.store("a.py", "y = f", "\n", Completion("(a, b)", StopReason.SUFFIX))
    assert cache.find("a.py", "y = f(", ")\n").text == "a, b"  # type: ignore[union-attr]
    assert cache.find("a.py", "y = f(", "]\n") is None


def test_other_text_or_another_document_is_a_miss() -> None:
    assert find("", after="\n\nprint(2)\n") is None
    assert find("", document="b.py") is None


def test_grades_move_with_what_was_typed() -> None:
    cache = CompletionCache()
    cache.store("a", "", "", Completion("ab\ncd", StopReason.END, grades=(2, 5)))
    found = cache.find("a", "a", "")
    assert found is not None
    assert (found.text, found.grades, found.cached) == ("b\ncd", (1, 4), True)
    found = cache.find("a", "ab\n", "")
    assert found is not None
    assert found.grades == (2,)


def test_an_empty_answer_is_remembered_too() -> None:
    """That there is nothing to suggest costs as much to find out as a suggestion."""
    cache = CompletionCache()
    cache.store("a", "x", "", Completion("", StopReason.SCOPE))
    found = cache.find("a", "x", "")
    assert found is not None
    assert found.text == ""
    assert cache.find("a", "xy", "") is None


def test_the_oldest_entry_makes_room() -> None:
    cache = CompletionCache(capacity=2)
    for name in "abc":
        cache.store(name, "x", "", Completion("1", StopReason.END))
    assert cache.find("a", "x", "") is None
    assert cache.find("c", "x", "") is not None
