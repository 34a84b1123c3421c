"""A completion in the making: what happens to the tokens on their way to the watcher."""

from __future__ import annotations

import pytest

from fimls import scope
from fimls.draft import Draft
from fimls.engine.base import Usage
from fimls.fim import Piece, Prompt, StopReason
from fimls.scope import indentation
from fimls.scope.survey import survey


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


@pytest.mark.parametrize("head", ["", "  "])
def test_indentation_that_is_not_there_comes_along(head: str) -> None:
    """A click into an empty line, an editor that does not indent: the line fits all the same."""
    generated = "for row in rows:\n        total += row\n    return total\n"
    expected = "    "[len(head) :] + "for row in rows:\n        total += row"
    check(f"def f(rows):\n    total = 0\n{head}█\n    return total\n", generated, expected)
    check(f"def f(rows):\n    total = 0\n{head}█\n    return total\n", expected, expected)


@pytest.mark.parametrize(
    ("at", "language", "expected"),
    [
        ("def f():\n█", "python", "    "),
        ("def f():\n█\n  return 1\n", "python", "  "),
        ("def f():\n    x()\n█\n    y()\n", "python", "    "),
        ("class A:\n    def f(self):\n        x()\n\n█\n\n    y = 1\n", "python", "    "),
        ("def f():\n    x()\n█\ny()\n", "python", ""),  # the function may be over
        ("def f():\n    x()\n  █\n    y()\n", "python", "  "),
        ("if a:\n    if b:\n        c()\n    █\n    d()\n", "python", ""),  # a level of its own
        ("x = [\n    1,\n█\n]\n", "python", "    "),
        ('x = """\n    1\n█\n    """\n', "python", ""),
        ("void f() {\n\tint a;\n█\n}\n", "c", "\t"),
        ("void f() {\n█\n}\n", "c", "    "),
        ("void f() {\n  switch (a) {\n█\n  }\n}\n", "c", ""),  # cases stand anywhere
        ("namespace a {\nint b;\n█\n}\n", "cpp", ""),
        ("def f\n  x\n█\nend\n", "ruby", "  "),
        ("if a then\n    if b then\n\tc()\n    end\n    █\nend\n", "lua", ""),  # eight columns
        ("case $1 in\n█\n-v) v=1;;\nesac\n", "bash", ""),  # columns of cases tell nothing
        ("if a:\n█\nb()\n", "python", "    "),
        ("a:\n  b: 1\n█\n  c: 2\n", "yaml", ""),  # a key of any level
        ("* one\n█\n* two\n", "markdown", ""),
    ],
)
def test_what_an_empty_line_lacks(at: str, language: str, expected: str) -> None:
    before, after = at.split("█")
    assert indentation.lacking(survey(before, after, language)) == expected


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
