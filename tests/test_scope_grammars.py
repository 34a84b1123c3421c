"""Parsing, again and again: what a language server does all day."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from fimls.scope import grammars


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000, 8191, 8192, 8193, 20_000])
def test_a_text_is_parsed_whole(size: int) -> None:
    """However it is cut into pieces for the parser."""
    grammar = grammars.load("python")
    assert grammar is not None
    text = ("x = 1\n" * (size // 6 + 1))[:size]
    tree = grammar.parse(text)
    assert tree is not None
    assert size <= tree.root_node.end_byte <= size + 1  # a last line end is added
    assert grammar.n_errors(text + "\n)") != 0


@pytest.mark.parametrize("name", sorted(grammars.WHEELS))
def test_a_text_may_end_in_the_middle_of_an_annotation(name: str) -> None:
    """A scanner that waits for more is in foreign code, which no clock of ours can stop."""
    code = (
        "from fimls.scope.grammars import load; "
        f"print(load({name!r}).n_errors('val x: Int = 1\\n  @Test') is not None)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert answer.stdout.strip() == "True"


def test_parsing_leaves_nothing_behind() -> None:
    """A text that was parsed and is gone takes no memory any more."""
    grammar = grammars.load("python")
    assert grammar is not None
    process = psutil.Process()

    def parse(n: int) -> None:
        for number in range(n):
            assert grammar.n_errors(f"x = {number}\n" * 1_000) == 0

    parse(200)
    before = process.memory_info().rss
    parse(2_000)
    grown = process.memory_info().rss - before
    assert grown < 4_000_000, "20 MB of text were parsed"
