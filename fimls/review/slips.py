"""Slips of the pen: small edits that turn right code into wrong code, or wrong into right.

A slip changes one operator, one number by one, one negation, the order of two arguments, a
forgotten ``return``, a default that is shared between calls. Nothing is renamed, nothing is
rewritten, strings and comments stay as they are. Pure: which of them a model would rather see
is for ``spotting`` to find out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fimls.scope import Leaf, LeafKind


@dataclass(frozen=True, slots=True)
class Slip:
    """``put`` in the place of ``text[start:end]`` of the document; ``what`` it is, for people."""

    start: int
    end: int
    put: str
    what: str


_OPERATORS = {
    "<": ("<=", ">"), "<=": ("<", ">="), ">": (">=", "<"), ">=": (">", "<="),
    "==": ("!=",), "!=": ("==",), "===": ("!==",), "!==": ("===",), "~=": ("==",),
    "&&": ("||",), "||": ("&&",), "and": ("or",), "or": ("and",),
    "+": ("-",), "-": ("+",), "+=": ("-=",), "-=": ("+=",),
    "true": ("false",), "false": ("true",), "True": ("False",), "False": ("True",),
}  # fmt: skip
_NOT_EQUAL = {"lua": "~="}
_NOT = {"python": "not ", "lua": "not "}
_CONDITIONS = frozenset({"if", "elif", "elseif", "while", "until"})
# After these an operator has one operand only.
_UNARY_AFTER = frozenset({"return", "and", "or", "not", "in", "if", "case", "elif", "while"})
# What begins no expression that could be returned.
_STATEMENTS = frozenset(
    {
        "if", "else", "elif", "elseif", "for", "while", "return", "break", "continue", "pass",
        "def", "class", "func", "function", "end", "do", "then", "local", "const", "let", "var",
        "static", "struct", "switch", "case", "default", "try", "except", "finally", "catch",
        "raise", "throw", "yield", "import", "from", "with", "del", "global", "nonlocal", "assert",
        "async", "go", "defer", "export", "type", "interface", "enum", "repeat", "until", "goto",
        "delete", "using", "fn", "pub", "match", "loop", "fun", "val", "guard", "public",
        "private", "protected", "final", "unsafe", "extern", "typedef", "unsigned", "int", "char",
        "void", "bool", "double", "float", "long", "auto", "echo", "begin", "rescue", "ensure",
        "when", "unless", "super", "select",
    }
)  # fmt: skip
# Whose arguments may stand in any order.
_SYMMETRIC = frozenset({"max", "min", "Max", "Min", "gcd", "lcm", "hypot", "swap"})
_DEFINITIONS = frozenset({"def", "func", "function", "fn", "fun", "class", "struct"})
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_LARGEST_NUMBER = 1_000
_MOST_ARGUMENT_CHARS = 40


def slips(text: str, language: str, leaves: Sequence[Leaf]) -> tuple[Slip, ...]:
    """All of them that could have been made among ``leaves``, tokens of ``text`` in order."""
    found: dict[Slip, None] = {}
    for at, leaf in enumerate(leaves):
        before = leaves[at - 1] if at else None
        for make in (_operators, _numbers, _negations, _returns, _defaults, _swaps):
            found.update(dict.fromkeys(make(text, language, leaves, at, leaf, before)))
    return tuple(found)


def _operators(
    text: str, language: str, leaves: Sequence[Leaf], at: int, leaf: Leaf, before: Leaf | None
) -> Iterator[Slip]:
    del leaves, at
    if leaf.kind is LeafKind.SIGN and not (_is_operand(before) and _is_spaced(text, leaf)):
        return  # a sign, a pointer, type arguments
    for put in _OPERATORS.get(leaf.text, ()):
        written = _NOT_EQUAL.get(language, put) if put == "!=" else put
        yield Slip(leaf.start, leaf.end, written, f"`{written}` here, not `{leaf.text}`")


def _numbers(
    text: str, language: str, leaves: Sequence[Leaf], at: int, leaf: Leaf, before: Leaf | None
) -> Iterator[Slip]:
    del text, language
    if leaf.kind is not LeafKind.NUMBER or not leaf.text.isdigit() or before is None:
        return
    number = int(leaf.text)
    if number >= _LARGEST_NUMBER:
        return
    for other in (number - 1, number + 1):
        if other >= 0:
            yield Slip(leaf.start, leaf.end, str(other), f"`{other}` here, not `{leaf.text}`")
    if number == 1 and before.text in {"+", "-"} and at > 1 and _is_operand(leaves[at - 2]):
        yield Slip(leaves[at - 2].end, leaf.end, "", f"no `{before.text} 1` here")


def _negations(
    text: str, language: str, leaves: Sequence[Leaf], at: int, leaf: Leaf, before: Leaf | None
) -> Iterator[Slip]:
    after = leaves[at + 1] if at + 1 < len(leaves) else None
    if after is None:
        return
    negation = _NOT.get(language, "!")
    # TypeScript's x! asserts that there is an x.
    if leaf.text == negation.strip() and (leaf.kind is LeafKind.WORD or not _is_operand(before)):
        yield Slip(leaf.start, after.start, "", f"no `{leaf.text}` here")
    if leaf.text not in _CONDITIONS or leaf.kind is not LeafKind.WORD:
        return
    if after.text == "(" and language not in _NOT:
        # The condition is what stands in the parentheses.
        after = leaves[at + 2] if at + 2 < len(leaves) else after
    if after.text != negation.strip() and "\n" not in text[leaf.end : after.start]:
        yield Slip(
            after.start, after.start, negation, f"`{negation.strip()}` before this condition"
        )


def _returns(
    text: str, language: str, leaves: Sequence[Leaf], at: int, leaf: Leaf, before: Leaf | None
) -> Iterator[Slip]:
    del language
    line = text.rfind("\n", 0, leaf.start) + 1
    is_first = not text[line : leaf.start].strip()
    if not is_first or not at or leaf.kind not in {LeafKind.WORD, LeafKind.TEXT}:
        return
    if leaf.text in _STATEMENTS or (before is not None and before.text in {",", "(", "[", "."}):
        return
    end = text.find("\n", leaf.end)
    on_line = [one for one in leaves[at:] if end < 0 or one.start < end]
    is_statement = not any(
        one.text.endswith("=") and one.text not in _OPERATORS for one in on_line
    ) and not (len(on_line) > 1 and on_line[1].text in {":", ":=", "++", "--"})
    goes_on = (
        before is not None and before.kind is LeafKind.SIGN and before.text[-1] not in "{};:)]"
    )
    if is_statement and not goes_on:
        yield Slip(leaf.start, leaf.start, "return ", "`return` before this")


def _defaults(
    text: str, language: str, leaves: Sequence[Leaf], at: int, leaf: Leaf, before: Leaf | None
) -> Iterator[Slip]:
    """``def f(x=[])``: made once, and shared by all calls."""
    del text, before
    if language != "python" or leaf.text != "=":
        return
    after = [one.text for one in leaves[at + 1 : at + 4]]
    if len(after) == 3 and after[:2] in (["[", "]"], ["{", "}"]) and after[2] in {",", ")", ":"}:
        place = leaves[at + 1].start, leaves[at + 2].end
        yield Slip(*place, "None", f"`None` here: `{''.join(after[:2])}` is shared by all calls")


def _swaps(
    text: str, language: str, leaves: Sequence[Leaf], at: int, leaf: Leaf, before: Leaf | None
) -> Iterator[Slip]:
    del language
    if leaf.text != "(" or before is None or before.text in _STATEMENTS | _SYMMETRIC:
        return
    if not (before.kind is LeafKind.WORD or before.text in {")", "]", ">"}):
        return
    name = at - 1
    while name >= 2 and leaves[name - 1].text in {".", ":", "::"}:
        name -= 2  # function Queue.push(item, place)
    if {one.text for one in leaves[max(0, name - 1) : at]} & _DEFINITIONS:
        return
    closed, places = _arguments(leaves, at)
    if closed is None or _opens_body(leaves, closed):
        return
    for (start, middle), (other, end) in pairwise(places):
        left, right = text[start:middle], text[other:end]
        if left != right and _is_movable(left) and _is_movable(right):
            put = right + text[middle:other] + left
            yield Slip(start, end, put, f"`{right}` before `{left}`")


def _arguments(leaves: Sequence[Leaf], at: int) -> tuple[int | None, list[tuple[int, int]]]:
    """Where the bracket at ``at`` closes, and what stands between the commas in it."""
    places: list[tuple[int, int]] = []
    depth, first = 0, at + 1
    for place in range(at, len(leaves)):
        leaf = leaves[place]
        if leaf.kind is not LeafKind.SIGN:
            continue
        depth += (leaf.text in _BRACKETS) - (leaf.text in _BRACKETS.values())
        if depth == 0 or (depth == 1 and leaf.text == ","):
            if first < place:
                places.append((leaves[first].start, leaves[place - 1].end))
            first = place + 1
        if depth == 0:
            return place, places
    return None, places


def _opens_body(leaves: Sequence[Leaf], closed: int) -> bool:
    """Whether the brackets that close here are a definition's parameters."""
    after = leaves[closed + 1 : closed + 2]
    return bool(after) and after[0].text in {"{", "=>", "->"}


def _is_movable(argument: str) -> bool:
    """Whether an argument could as well stand in another place: short, plain, and no string."""
    return (
        len(argument) <= _MOST_ARGUMENT_CHARS
        and "\n" not in argument
        and "=" not in argument
        and argument[0] not in "*{&\"'`."
        and "function" not in argument
    )


def _is_operand(leaf: Leaf | None) -> bool:
    """Whether an operator after this one has it on its left."""
    if leaf is None or leaf.text in _UNARY_AFTER:
        return False
    return leaf.kind is not LeafKind.SIGN or leaf.text in {")", "]", "}"}


def _is_spaced(text: str, leaf: Leaf) -> bool:
    return text[leaf.start - 1 : leaf.start].isspace() and text[leaf.end : leaf.end + 1].isspace()
