"""Each step: what it cuts, and what it must not cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimls import postprocess
from fimls.postprocess import STEPS, Around

CURSOR = "█"


def check(code: str, text: str, expected: str, language: str = "python") -> None:
    before, _, after = code.partition(CURSOR)
    assert postprocess.apply(text, before, after, language) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("   ", ""),
        ("\n\n", ""),
        ("\t\n  ", ""),
        ("x", "x"),
        ("\n    x", "\n    x"),
    ],
)
def test_blank(text: str, expected: str) -> None:
    """White space alone is nothing to show."""
    check("def f():\n    █", text, expected)


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("total += value\n█", "total += value", ""),
        ("█\ntotal += value\n", "total += value", ""),
        ("a = load(1)\nb = load(2)\n█", "a = load(1)\nb = load(2)", ""),
        # Half of it is new.
        ("a = load(1)\n█", "a = load(1)\nb = load(2)", "a = load(1)\nb = load(2)"),
        # Closing lines are alike everywhere.
        ("if (a) {\n}\n█", "}", "}"),
        ("  end\n█", "end", "end"),
        # The rest of a line may equal the line above.
        ("x = 1\ny = █", "x = 1", "x = 1"),
        # Further up is not right above.
        ("go(north)\nstop()\n█", "go(north)", "go(north)"),
    ],
)
def test_repetition_of_what_is_there(code: str, text: str, expected: str) -> None:
    """Lines that stand right above or right below the cursor are not offered again."""
    check(code, text, expected)


@pytest.mark.parametrize(
    ("code", "text", "expected", "language"),
    [
        ("import os\n█\n", "import os\nimport re", "import re", "python"),
        ("import os\n█\nimport sys\n", "import re\nimport sys", "import re", "python"),
        ("#include <a.h>\n█\n", "#include <b.h>\n#include <a.h>", "#include <b.h>", "c"),
        ('import (\n\t"os"\n\t█\n)\n', '"os"\n\t"io"', '"io"', "go"),
        (
            'import {\n  a,\n} from "a";\n█\n',
            'import {\n  b,\n} from "b";',
            'import {\n  b,\n} from "b";',
            "typescript",
        ),
        # Within a function it may well be said again.
        ("import os\ndef f():\n    █", "import os\n    g()", "import os\n    g()", "python"),
        ("from orders\n█", "from orders\nwhere a", "from orders\nwhere a", "sql"),
        ("import os\nx = █", "import os", "import os", "python"),
        # What is an import in Go is a string elsewhere.
        ('a = [\n\t"b"\n]\nb = [\n\t█\n]\n', '"c",\n\t"b"', '"c",\n\t"b"', "python"),
    ],
)
def test_known_imports(code: str, text: str, expected: str, language: str) -> None:
    """What is imported at the top of the file is not imported there again."""
    check(code, text, expected, language)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# your code here", ""),
        ("pass  # TODO", "pass  # TODO"),
        ("# Your code here\npass", ""),
        ("// TODO: add your implementation here", ""),
        ("# Write your solution here", ""),
        ("# ... rest of the code ...", ""),
        ("pass", "pass"),
        ("...", "..."),
        ("# your code here\nreturn 1", "# your code here\nreturn 1"),
        ("# insert the node where the key belongs", "# insert the node where the key belongs"),
        ("print('your code here is wrong')", "print('your code here is wrong')"),
    ],
)
def test_placeholder(text: str, expected: str) -> None:
    """Text that only says where code should go is no code; a real ``pass`` is."""
    check("def f():\n    █", text, expected)


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        # Tabs in the document, spaces from the model.
        ("func f() {\n\ta()\n\t█\n}", "if b {\n        c()\n    }", "if b {\n\t\tc()\n\t}"),
        # Spaces in the document, tabs from the model.
        ("def f():\n    a()\n    █", "if b:\n\t\tc()", "if b:\n        c()"),
        # Alignment inside a line, and strings on the first line, stay.
        ("def f():\n    █", "x = 'a\tb'", "x = 'a\tb'"),
        # Odd columns stay odd.
        ("func f() {\n\ta()\n\t█\n}", "x(a,\n      b)", "x(a,\n\t  b)"),
        # A level is as deep as the document's.
        ("def f():\n  a()\n  █", "if b:\n\t\tc()", "if b:\n    c()"),
        ("/*\n * Says so.\n */\ndef f():\n    █", "if b:\n\t\tc()", "if b:\n        c()"),
        # Within a string a tab is text.
        (
            "def f():\n    █",
            'x = """\n\ta\n"""\nif b:\n\t\tc()',
            'x = """\n\ta\n"""\nif b:\n        c()',
        ),
        # Nothing to go by.
        ("█", "if a:\n\tb()", "if a:\n\tb()"),
        ("def f():\n    █", "a()\n    b()", "a()\n    b()"),
    ],
)
def test_indentation(code: str, text: str, expected: str) -> None:
    """The document's own way to indent."""
    check(code, text, expected, "go" if "func" in code else "python")


def test_a_recipe_keeps_its_tabs() -> None:
    """They are what makes it one, be the rest of the file indented with spaces."""
    check("SRC = a.c \\\n  b.c\n\nall:█", "\n\t$(CC) $(SRC)", "\n\t$(CC) $(SRC)", "makefile")


@pytest.mark.parametrize(
    ("code", "text", "expected", "language"),
    [
        ("█", "a = 1   \nb = 2\t", "a = 1\nb = 2", "python"),
        # The space before the rest of the line is meant.
        ("return █x", "a + ", "a + ", "python"),
        # Two spaces end a line in Markdown.
        ("█", "one  \ntwo", "one  \ntwo", "markdown"),
        ("█", "a\n\n\nb", "a\n\n\nb", "python"),
    ],
)
def test_trailing_white_space(code: str, text: str, expected: str, language: str) -> None:
    """Ends of lines are clean, where white space means nothing."""
    check(code, text, expected, language)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\r\nb", "a\nb"), ("a\rb", "a\nb"), ("a\nb", "a\nb"), ("'\\r\\n'", "'\\r\\n'")],
)
def test_line_ends(text: str, expected: str) -> None:
    """LF on the way; the answer gets the document's own line ends when it leaves."""
    check("█", text, expected)


@pytest.mark.parametrize(
    ("text", "expected", "language"),
    [
        ("return 1\n```\nThis function returns 1.", "return 1", "python"),
        ("```python\nreturn 1\n```", "return 1", "python"),
        ("```\nreturn 1", "return 1", "python"),
        ("~~~\nreturn 1\n~~~", "return 1", "python"),
        ("x = '```'", "x = '```'", "python"),
        ("```python\nreturn 1\n```", "```python\nreturn 1\n```", "markdown"),
    ],
)
def test_fence(text: str, expected: str, language: str) -> None:
    """Fences belong to Markdown, and to chat."""
    check("█", text, expected, language)


def test_control_characters() -> None:
    """Nothing that an editor cannot show."""
    check("█", "a\x00b\ud800c\td\x1be", "abc\tde")


@given(st.text(), st.text(), st.text(), st.sampled_from(["python", "markdown", "c", ""]))
def test_steps_are_total(text: str, before: str, after: str, language: str) -> None:
    """No text makes a step raise, and what is left is never blank."""
    once = postprocess.apply(text, before, after, language)
    assert once == "" or once.strip()
    for step in STEPS:
        assert isinstance(step(text, Around(before, after, language)), str)
