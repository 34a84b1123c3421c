"""Brackets and lines of a program, found by a lexer of a few lines.

The evaluation must not judge the watcher by the watcher's own means, so it has
neither tree-sitter nor any of its code: strings and comments are skipped, what
remains is counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OPENERS = {"(": ")", "[": "]", "{": "}"}
_TRIPLES = (r'"""(?:\\.|[^\\])*?(?:"""|\Z)', r"'''(?:\\.|[^\\])*?(?:'''|\Z)")
# An unclosed quote reaches to the end of its line.
_QUOTES = (r'"(?:\\.|[^"\\\n])*(?:"|$)', r"'(?:\\.|[^'\\\n])*(?:'|$)")
_SLASHES = (r"//[^\n]*", r"/\*.*?(?:\*/|\Z)")
_BRACKET = r"(?P<bracket>[()\[\]{}])"


def _lexer(*opaque: str) -> re.Pattern[str]:
    return re.compile("|".join((*opaque, _BRACKET)), re.DOTALL | re.MULTILINE)


_LEXERS = {
    "python": _lexer(r"\#[^\n]*", *_TRIPLES, *_QUOTES),
    # 1'000'000 is a number; R"(…)" a string without escapes.
    "cpp": _lexer(*_SLASHES, r'R"\(.*?(?:\)"|\Z)', r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])", *_QUOTES),
    "java": _lexer(*_SLASHES, _TRIPLES[0], *_QUOTES),
    "csharp": _lexer(*_SLASHES, r'[@$]{0,1}@[$]?"(?:""|[^"])*(?:"|\Z)', *_QUOTES),
}
_GENERIC = _lexer(*_SLASHES, *_QUOTES)
INDENTATION_LANGUAGES = frozenset({"python"})


@dataclass(frozen=True, slots=True)
class Line:
    """A line that begins in code, outside strings and brackets."""

    start: int
    text: str

    @property
    def indentation(self) -> int:
        """Columns, a tab reaching to the next multiple of eight as in Python."""
        expanded = self.text.expandtabs(8)
        return len(expanded) - len(expanded.lstrip())


@dataclass(frozen=True, slots=True)
class Brackets:
    """What the text from an offset on does to the brackets of the text before it.

    ``closed`` counts those it closes (a closer with nothing open counts too);
    ``open_at_end`` is the stack that is left.
    """

    closed: int
    open_at_end: str


def brackets(text: str, start: int, language: str) -> Brackets:
    """Brackets of ``text``, seen from ``start`` on."""
    stack: list[tuple[int, str]] = []
    closed = 0
    for match in _LEXERS.get(language, _GENERIC).finditer(text):
        bracket = match["bracket"]
        if bracket is None:
            continue
        if bracket in OPENERS:
            stack.append((match.start(), bracket))
            continue
        opened_at = stack.pop()[0] if stack else -1
        if match.start() >= start > opened_at:
            closed += 1
    return Brackets(closed, "".join(bracket for _, bracket in stack))


def lines_of_code(text: str, language: str) -> list[Line]:
    """Lines with something on them that begin neither in a string nor inside brackets."""
    hidden: list[tuple[int, int]] = []  # spans in which no line of code begins
    depth, opened_at = 0, 0
    for match in _LEXERS.get(language, _GENERIC).finditer(text):
        bracket = match["bracket"]
        if bracket is None:
            hidden.append(match.span())
        elif bracket in OPENERS:
            opened_at = match.start() if depth == 0 else opened_at
            depth += 1
        elif depth > 0:
            depth -= 1
            if depth == 0:
                hidden.append((opened_at, match.start()))
    if depth > 0:
        hidden.append((opened_at, len(text)))
    hidden.sort()
    found = []
    for match in re.finditer(r"^.*$", text, re.MULTILINE):
        while hidden and hidden[0][1] < match.start():
            hidden.pop(0)
        if match.group().strip() and not any(
            begin < match.start() <= end for begin, end in hidden if begin < match.start()
        ):
            found.append(Line(match.start(), match.group()))
    return found
