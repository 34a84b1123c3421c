"""Statements taken out of the standard library: put back whole, and what follows not again."""

from __future__ import annotations

import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tree_sitter import Node

from fimls.scope import grammars
from tests.scope_cases import complete

MODULES = (
    "argparse", "bz2", "calendar", "configparser", "csv", "heapq", "imaplib", "mailbox",
    "queue", "sched", "shutil", "statistics", "tarfile", "textwrap", "zipfile/__init__", "zipfile",
)  # fmt: skip
MOST_LINES, N_HOLES = 12, 120
# A statement may say the line above again, or be like its neighbour: no rule knows.
MOST_WRONG = 3


def holes() -> Iterator[tuple[str, str, str]]:
    """Before, the statement, after: drawn by a fixed seed."""
    rng = random.Random(4)
    library = Path(sysconfig.get_path("stdlib"))
    texts = [
        path.read_text(encoding="utf-8")
        for path in (library / f"{name}.py" for name in MODULES)
        if path.exists()
    ]
    places = [(text, statements(text)) for text in texts if text.isascii()]
    for _ in range(N_HOLES):
        text, found = rng.choice(places)
        start, end = rng.choice(found)
        yield text[:start], text[start:end], text[end:]


def statements(text: str) -> list[tuple[int, int]]:
    """Where the statements of a few lines begin and end, those inside others included."""
    grammar = grammars.load("python")
    assert grammar is not None
    tree = grammar.parse(text, t_max_ms=5_000)
    assert tree is not None
    found: list[tuple[int, int]] = []
    stack: list[Node] = [tree.root_node]
    while stack:
        node = stack.pop()
        stack += node.children
        if node.type.endswith(("_statement", "_definition")) and node.start_byte:
            line = text.rfind("\n", 0, node.start_byte) + 1
            is_whole = not text[line : node.start_byte].strip() and text[node.end_byte] == "\n"
            if is_whole and node.end_point.row - node.start_point.row < MOST_LINES:
                found.append((node.start_byte, node.end_byte))
    return found


def test_what_was_there_is_kept_whole() -> None:
    """The model writes the statement and stops: nothing of it is lost."""
    wrong = [
        (truth, text)
        for before, truth, after in holes()
        if (text := complete(before, after, truth, "python")[0]).rstrip() != truth.rstrip()
    ]
    assert len(wrong) <= MOST_WRONG, wrong


def test_what_follows_is_not_repeated() -> None:
    """The model writes the statement and goes on with what follows: that is not inserted."""
    wrong = [
        (truth, text)
        for before, truth, after in holes()
        if (text := complete(before, after, truth + after[:600], "python")[0]).rstrip()
        != truth.rstrip()
    ]
    assert len(wrong) <= MOST_WRONG, wrong
