"""Tags of markup that are only half there: what a cursor inside one is in."""

from __future__ import annotations

import re

from fimls.scope.languages import Language

# HTML elements without an end tag.
VOID = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
        "!doctype",
    ]
)
# Braces in an attribute may hold objects, functions, and other elements.
_BRACES = r"\{[^{}]*(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}[^{}]*)*\}"
_BRACED = re.compile(_BRACES)
TAG_END = re.compile(rf"\"[^\"]*\"|'[^']*'|=>|{_BRACES}|\{{|/?>")
_END_OR_NEXT = re.compile(rf"{TAG_END.pattern}|<")
# More than that is no tag; and each new piece has to look through it again.
LONGEST_TAG = 600
_MOST_ATTRIBUTES = 4_000  # those that follow the cursor are looked through once
_OPENING_TAG = re.compile(r"(?<![\w)\]])<[A-Za-z][\w.:-]*(\s[^<]*)?(?<![/=-])>\s*")
_HALF_TAG = re.compile(r"<[A-Za-z][\w.:-]*(?:\s[^<>]*)?$|</[\w.:-]*$")


def half_tag(text: str, language: Language) -> str:
    """The tag that ``text`` ends in the middle of: what closes it is not known yet."""
    if not language.tags:
        return ""
    start = text.rfind("<", max(0, len(text) - LONGEST_TAG))
    found = _HALF_TAG.match(text, start) if start >= 0 else None
    # In code, a < right after a name compares.
    is_less = language.strings and re.match(r"[\w)\]]<(?!/)", text[max(0, start - 1) :])
    # Where code's braces are open, it is the value of an attribute that the cursor is in.
    in_value = found is not None and language.strings and "{" in _BRACED.sub("", found.group())
    return found.group() if found and not is_less and not in_value else ""


def ends_in_opening_tag(line: str) -> bool:
    """Whether the last tag of a line opens an element and ends the line."""
    start = line.rfind("<", max(0, len(line) - LONGEST_TAG))
    return start >= 0 and _OPENING_TAG.fullmatch(line, start) is not None


def ends_tag(text: str) -> bool:
    """Whether ``text``, which begins inside a tag, comes to its end before another begins.

    So it seems, too, where attributes go on further than is looked.
    """
    for found in _END_OR_NEXT.finditer(text, 0, _MOST_ATTRIBUTES):
        if found.group() in {">", "/>", "<", "{"}:
            return found.group().endswith(">")
    return len(text) > _MOST_ATTRIBUTES
