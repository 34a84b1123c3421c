"""A completion in the making: what happens to the tokens on their way to the watcher."""

from __future__ import annotations

import pytest

from fimls import scope
from fimls.draft import Draft
from fimls.engine.base import Usage
from fimls.fim import Piece, Prompt, StopReason


def check(at: str, generated: str, expected: str) -> None:
    """What is left of a generation at the cursor, token by token."""
    before, after = at.split("█")
    draft = Draft(before, after, "python", 10_000)
    pieces = [Piece(generated[i : i + 3]) for i in range(0, len(generated), 3)]
    cut = draft.take(pieces) or draft.finish(StopReason.END)
    assert draft.completion(cut, Prompt(()), Usage(), "model").text == expected


BODY = "with open(path) as file:\n        return file.read()"


@pytest.mark.parametrize("indent", ["", "    ", "  "])
def test_indentation_that_is_there_is_not_written_again(indent: str) -> None:
    """Seen with the 0.5B behind a docstring: the first line alone was four columns too deep."""
    check('def read(path):\n    """Read."""\n    █', indent + BODY, BODY)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("x = 1\n    █", True),
        ("def f():\n    █", True),
        ("    if a:\n    █", False),  # no editor has indented it
        ("    if a:\n        █", True),
        ("if a:  # why\n    █", True),
        ("if a:\n    # why\n    █", True),
        ("x = f(\n    █", False),
        ("x = f(\n    █\n)", False),
        ("x = a + \\\n    █", False),
        ('"""Some text\n    █', False),
        ("def f():\n    x█", False),
        ("def f():\n█", False),
        ("█", False),
    ],
)
def test_where_deeper_would_be_no_program(at: str, expected: bool) -> None:
    before, after = at.split("█")
    assert scope.watch(before, after, "python").is_indented is expected


def test_other_languages_indent_as_they_like() -> None:
    assert not scope.watch("int f() {\n  x();\n  ", "", "c").is_indented
    assert not scope.watch("a:\n  b: 1\n  ", "", "yaml").is_indented
