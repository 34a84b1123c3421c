"""The tokens of a document as its grammar sees them, for stages that change one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from fimls.scope.grammars import load

# As for outlines: nobody waits for a keystroke here.
_T_MAX_PARSE_MS = 5_000
# What is whole in itself; nothing inside is a token.
_TEXT = re.compile(r"string|template|char|rune|heredoc|regex|text_block")
_COMMENT = re.compile(r"comment|hash_bang|shebang")
_WORD = re.compile(r"[^\W\d]|[$@]")


class LeafKind(Enum):
    """What a token is, whatever its grammar calls it."""

    WORD = "word"  # names and keywords
    NUMBER = "number"
    TEXT = "text"  # strings and the like
    SIGN = "sign"  # operators, brackets, everything else


@dataclass(frozen=True, slots=True)
class Leaf:
    """One token, ``text[start:end]`` of the document."""

    kind: LeafKind
    text: str
    start: int
    end: int


def leaves(text: str, language: str, start: int, end: int) -> tuple[Leaf, ...]:
    """The tokens within ``start:end``, comments left out; none where no grammar knows them."""
    grammar = load(language)
    tree = None if grammar is None else grammar.parse(text, _T_MAX_PARSE_MS)
    if tree is None:
        return ()
    found: list[Leaf] = []
    stack = [tree.root_node]
    while stack:
        node = stack.pop()
        if node.end_byte <= start or end <= node.start_byte or _COMMENT.search(node.type):
            continue
        is_text = node.is_named and _TEXT.search(node.type) is not None
        if node.child_count and not is_text:
            stack += reversed(node.children)
        elif start <= node.start_byte < node.end_byte <= end:
            written = text[node.start_byte : node.end_byte]
            if written.strip():
                kind = LeafKind.TEXT if is_text else _kind(written)
                found.append(Leaf(kind, written, node.start_byte, node.end_byte))
    return tuple(found)


def _kind(written: str) -> LeafKind:
    if _WORD.match(written):
        return LeafKind.WORD
    return LeafKind.NUMBER if written[0].isdigit() else LeafKind.SIGN
