"""Explaining, documenting and fixing: literal answers of a model, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fimls.cancel import Cancel
from fimls.document import Snapshot
from fimls.engine.base import Request
from fimls.engine.scripted import ScriptedEngine, ScriptedStream
from fimls.errors import BadRequest
from fimls.review import assist
from fimls.review.reviewer import Source
from fimls.review.talk import Talk


def documented(code: str, answer: str, path: str = "a.py") -> str | None:
    """``code`` with the documentation that ``answer`` gives."""
    source = Source.of(Snapshot(text=code, path=path))
    talk = Talk(ScriptedEngine(answer))
    edit = assist.document(talk, source, source.outline.scopes[0], Cancel())
    return None if edit is None else code[: edit.start] + edit.text + code[edit.end :]


def fixed(code: str, answer: str, complaint: str = "wrong") -> str | None:
    """``code``, in which █ marks the diagnostic's place, with that line fixed."""
    at = code.index("█")
    code = code.replace("█", "")
    source = Source.of(Snapshot(text=code, path="a.py"))
    edit = assist.fix(Talk(ScriptedEngine(answer)), source, at, at + 1, complaint, Cancel())
    return None if edit is None else code[: edit.start] + edit.text + code[edit.end :]


@pytest.mark.parametrize(
    ("path", "code", "expected"),
    [
        ("a.py", "def f(x):\n    return x\n", 'def f(x):\n    """Say."""\n    return x\n'),
        ("a.py", "class A:\n    def f(self):\n        return 1\n",
         'class A:\n    def f(self):\n        """Say."""\n        return 1\n'),
        ("a.py", "def f(x):\r\n    return x\r\n",
         'def f(x):\r\n    """Say."""\r\n    return x\r\n'),
        ("a.ts", "export function f() {\n}\n", "/** Say. */\nexport function f() {\n}\n"),
        ("a.go", "func F() {\n}\n", "// Say.\nfunc F() {\n}\n"),
        ("a.rs", "impl A {\n    fn f() {\n    }\n}\n",
         "impl A {\n    /// Say.\n    fn f() {\n    }\n}\n"),
        ("a.lua", "function M.f()\nend\n", "--- Say.\nfunction M.f()\nend\n"),
    ],
)  # fmt: skip
def test_documentation_where_the_language_has_it(path: str, code: str, expected: str) -> None:
    assert documented(code, "Say.", path) == expected


@pytest.mark.parametrize(
    "answer", ["Say.", '"""Say."""', "```python\nSay.\n```", "# Say.", "/** Say. */", "// Say."]
)
def test_signs_around_the_words_are_ours(answer: str) -> None:
    assert documented("def f():\n    pass\n", answer) == 'def f():\n    """Say."""\n    pass\n'


def test_several_lines() -> None:
    code = documented("def f(x):\n    return x\n", "Say.\n\nx: what to say")
    assert code == 'def f(x):\n    """Say.\n\n    x: what to say\n    """\n    return x\n'
    code = documented("function f() {\n}\n", "Say.\n\n@param x what", "a.js")
    assert code == "/**\n * Say.\n *\n * @param x what\n */\nfunction f() {\n}\n"


def test_words_cannot_end_their_comment() -> None:
    code = documented("def f():\n    pass\n", 'Say """ and go on.')
    assert code == 'def f():\n    """Say \'\'\' and go on."""\n    pass\n'


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("a.py", 'def f(x):\n    """Old."""\n    return x\n'),
        ("a.py", "def f(x):\n    r'Old.'\n    return x\n"),
        ("a.ts", "/** Old. */\nexport function f() {\n}\n"),
        ("a.java", "class A {\n    /**\n     * Old.\n     */\n    void f() {\n    }\n}\n"),
        ("a.go", "// F is old.\nfunc F() {\n}\n"),
        ("a.rs", "/// Old.\n#[inline]\nfn f() {\n}\n"),
        ("a.lua", "--- Old.\nfunction M.f()\n    return 1\nend\n"),
    ],
)
def test_nothing_is_documented_twice(path: str, code: str) -> None:
    with pytest.raises(BadRequest, match="documented"):
        documented(code, "Say.", path)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("a.py", "# Not its docstring.\ndef f(x):\n    return 'x'\n"),
        ("a.ts", "/* eslint-disable */\nfunction f() {\n}\n"),
        ("a.go", "// Of the file.\n\nfunc F() {\n}\n"),
        ("a.sh", "#!/bin/bash\nf() {\n    echo\n}\n"),
    ],
)
def test_other_comments_are_no_documentation(path: str, code: str) -> None:
    assert "Say." in (documented(code, "Say.", path) or "")


def test_no_words() -> None:
    assert documented("def f():\n    pass\n", "```\n```") is None


def test_a_language_without_such_comments() -> None:
    with pytest.raises(BadRequest):
        documented("some words\n", "Say.", "a.unknown")


def test_a_line_is_fixed() -> None:
    code = "def f(number):\n    return █numbr\n"
    assert fixed(code, "return number") == "def f(number):\n    return number\n"
    assert fixed(code, "```python\n    return number\n```") == "def f(number):\n    return number\n"


@pytest.mark.parametrize("answer", ["return numbr", "return (", "", "```\n```"])
def test_no_better_line(answer: str) -> None:
    """The same line, one that does not parse, or none."""
    assert fixed("def f(number):\n    return █numbr\n", answer) is None


def test_an_explanation() -> None:
    source = Source.of(Snapshot(text="def f():\n    pass\n", path="a.py"))
    talk = Talk(ScriptedEngine("It does nothing.\n"))
    assert assist.explain(talk, source, 0, 10, Cancel()) == "It does nothing."


@pytest.mark.parametrize(("n_ctx", "n_read"), [(4096, 93), (1024, 23), (256, 5)])
def test_an_explanation_says_what_was_not_read(n_ctx: int, n_read: int) -> None:
    """Of a long function the model sees the beginning, as much as its context has room for."""
    code = "def f():\n" + "".join(f"    v{n} = g({n})\n" for n in range(2999))
    engine = ScriptedEngine("It sets.", n_ctx=n_ctx)
    source = Source.of(Snapshot(text=code, path="a.py"))
    text = assist.explain(Talk(engine), source, 0, len(code), Cancel())
    assert text == f"About the first {n_read} of 3,000 lines:\n\nIt sets."
    asked = engine.requests[0].prompt.text
    assert f"v{n_read - 2} =" in asked
    assert f"v{n_read - 1} =" not in asked


class Full(ScriptedEngine):
    """A context that is nearly full: engines lower the budget to the room that is left."""

    def stream(self, request: Request, cancel: Cancel) -> ScriptedStream:
        return super().stream(replace(request, n_predict=2), cancel)


def test_an_answer_that_the_context_cut_fixes_nothing() -> None:
    code = "def f(number):\n    return numbr\n"
    source = Source.of(Snapshot(text=code, path="a.py"))
    answer = "return number + 1"
    at = code.index("numbr")
    whole = assist.fix(Talk(ScriptedEngine(answer)), source, at, at + 1, "wrong", Cancel())
    assert whole is not None
    assert whole.text == answer
    assert assist.fix(Talk(Full(answer)), source, at, at + 1, "wrong", Cancel()) is None
