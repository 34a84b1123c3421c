"""Documents split at their functions and classes, in the languages that reviews know."""

from __future__ import annotations

import pytest

from fimls.scope import is_code, n_faults, outline, signatures


def split(code: str, language: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(scope.kind, scope.name, scope.within) for scope in outline(code, language).scopes]


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        ("python", "class A:\n    @property\n    def f(self):\n        return 1\n",
         [("function", "f", ("class A:",))]),
        ("python", "def f():\n    def g():\n        pass\n    return g\n", [("function", "f", ())]),
        ("python", "class P:\n    x: list = []\n    y: int = 0\n", [("class", "P", ())]),
        ("javascript", "const g = (a) => {\n  return a;\n};\n", [("function", "g", ())]),
        ("javascript", "exports.f = function (a) {\n  return a;\n};\n",
         [("function", "exports.f", ())]),
        ("javascript", "class K {\n  m() { return 1; }\n}\n", [("function", "m", ("class K",))]),
        ("typescript", "export interface I {\n  a: number;\n}\n\nexport function f(): void {\n}\n",
         [("function", "f", ())]),
        ("go", "func (s *Stack) Pop() int {\n\treturn 1\n}\n", [("function", "Pop", ())]),
        ("rust", "impl Foo {\n    pub fn new() -> Self { Foo }\n}\n",
         [("function", "new", ("impl Foo",))]),
        ("c", "static int *f(int a)\n{\n  return 0;\n}\nstruct P { int x; };\n",
         [("function", "f", ())]),
        ("cpp", "namespace n { class C { int f() { return 1; } }; }\n",
         [("function", "f", ("namespace n", "class C"))]),
        ("java", "class A {\n  @Override\n  int f() { return 1; }\n  A() { }\n}\n",
         [("function", "f", ("class A",)), ("function", "A", ("class A",))]),
        ("csharp", "class A {\n  int F() { return 1; }\n}\n", [("function", "F", ("class A",))]),
        ("ruby", "class A\n  def f(x)\n    x\n  end\nend\n", [("function", "f", ("class A",))]),
        ("php", "<?php\nclass A {\n  function f() { return 1; }\n}\n",
         [("function", "f", ("class A",))]),
        ("lua", "function M.f(a)\n  return a\nend\n", [("function", "M.f", ())]),
        ("bash", "f() {\n  echo 1\n}\n", [("function", "f", ())]),
        ("julia", "struct P\n    x::Int\nend\n\nfunction f(x)\n    return x\nend\n",
         [("function", "f", ())]),
        ("julia", "module A\n\nmacro m(x)\n    x\nend\n\nend\n", [("function", "m", ())]),
        ("kotlin", "class A {\n  fun f(): Int {\n    return 1\n  }\n}\n",
         [("function", "f", ("class A",))]),
        ("swift", "class A {\n  func f() -> Int {\n    return 1\n  }\n}\n",
         [("function", "f", ("class A",))]),
        ("scala", "object A {\n  def f(x: Int): Int = {\n    x\n  }\n}\n",
         [("function", "f", ("object A",))]),
    ],
)  # fmt: skip
def test_functions(language: str, code: str, expected: list[tuple[str, str, str]]) -> None:
    assert split(code, language) == expected


@pytest.mark.parametrize(
    ("language", "code", "name"),
    [
        ("python", "def größe(x):\n    return x  # ±\n", "größe"),
        ("javascript", "function größe(x) {\n  return 'ß' + x;\n}\n", "größe"),
        ("rust", "fn größe(x: i32) -> i32 {\n    x\n}\n", "größe"),
        ("java", "class A {\n  int größe(int x) { return x; }\n}\n", "größe"),
        ("kotlin", "fun größe(x: Int): Int {\n  return x\n}\n", "größe"),
        ("c", "int größe(int x)\n{\n  return x;\n}\n", "größe"),
        ("python", "def f(x):\n    return '😀', x\n", "f"),
    ],
)
def test_names_and_texts_beyond_ascii(language: str, code: str, name: str) -> None:
    found = outline(code, language)
    assert [scope.name for scope in found.scopes] == [name]
    assert found.is_sound


def test_classes_a_thousand_deep() -> None:
    """Generated code; no recursion goes that far."""
    code = "namespace n { " * 1200 + "int f() { return 1; }" + " }" * 1200
    assert [scope.name for scope in outline(code, "cpp").scopes] == ["f"]


def test_scopes_begin_with_their_line_and_their_decorators() -> None:
    code = "class A:\n    @cached\n    def f(self):\n        return 1\n\n    x = 2\n"
    [scope] = outline(code, "python").scopes
    assert code[scope.start : scope.end] == ("    @cached\n    def f(self):\n        return 1")


def test_loose_statements_where_there_is_enough_of_them() -> None:
    code = "import os\n\na = 1\nb = 2\nfor x in a:\n    print(x)\n\n\ndef f():\n    pass\n\nf()\n"
    assert [kind for kind, *_ in split(code, "python")] == ["statements", "function"]


def test_broken_code_keeps_its_sound_parts() -> None:
    """A mistake hides the function it is in, and it is said that there is one."""
    found = outline("def f(x:\n    return x\n\n\ndef g(y):\n    return y\n", "python")
    assert not found.is_sound
    assert "g" in [scope.name for scope in found.scopes]


def test_an_unknown_language_is_one_scope() -> None:
    assert split("\nsome words\n", "klingon") == [("file", "", ())]
    assert split("  \n", "klingon") == []


def test_faults_are_counted() -> None:
    assert n_faults("x = 1\n", "python") == 0
    assert n_faults("x = (\n", "python") == 1
    assert n_faults("x", "klingon") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.py", True), ("a.tsx", True), ("a.md", False), ("a.json", False), ("a", False)],
)
def test_what_is_code(name: str, expected: bool) -> None:
    assert is_code(name) is expected


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        ("python", "class A(B):\n    def f(\n      self,\n    ) -> int:\n      1\n\ndef g(x): 1",
         "class A(B):\n    def f(self, ) -> int:\ndef g(x):"),
        ("python", "class P:\n    x: list = []\n    y: int = 0\n",
         "class P:\n    x: list = []\n    y: int = 0"),
        ("go", "func (s *S) Len() int {\n\treturn 1\n}\n", "func (s *S) Len() int"),
        ("typescript", "export class A {\n  f(): void {\n    g();\n  }\n}\n",
         "class A\n    f(): void"),
        ("python", "x = 1\n", ""),
        ("markdown", "# Title\n", ""),
        ("klingon", "qapla", ""),
    ],
)  # fmt: skip
def test_signatures(language: str, code: str, expected: str) -> None:
    """What another file needs to know of this one."""
    assert signatures(code, language) == expected
