"""The form of the model's answers: a grammar and a JSON schema for it, and how it is read.

Small models keep to a form only when they are held to it. Every string is bounded and the
keys stand in one fixed order, the quote first and its correction next: where a model has
nothing to say, it shows by "correcting" a line into itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fimls.review.findings import Category, Claim, Severity

MOST_FINDINGS = 3
# A line of code; a sentence or two. In characters.
MOST_QUOTE_CHARS = 200
MOST_MESSAGE_CHARS = 240

# A control character cannot stand in JSON, and a backslash needs a known letter after it.
_CHAR = r"""char ::= [^"\\\x00-\x1F\x7F] | "\\" ["\\nt/]"""


def _options(enum: type[Category | Severity]) -> str:
    return " | ".join(f'"\\"{member.value}\\""' for member in enum)


GRAMMAR = f"""\
root ::= "[" (finding (", " finding){{0,{MOST_FINDINGS - 1}}})? "]"
finding ::= "{{\\"line\\": " quote ", \\"fixed\\": " replacement ", \\"message\\": " message \
", \\"category\\": " category ", \\"severity\\": " severity "}}"
quote ::= "\\"" char{{1,{MOST_QUOTE_CHARS}}} "\\""
message ::= "\\"" char{{1,{MOST_MESSAGE_CHARS}}} "\\""
category ::= {_options(Category)}
severity ::= {_options(Severity)}
replacement ::= "null" | "\\"" char{{0,{MOST_QUOTE_CHARS}}} "\\""
{_CHAR}
"""

# The same for servers that take schemas; strict ones want every key required.
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "findings": {
            "type": "array",
            "maxItems": MOST_FINDINGS,
            "items": {
                "type": "object",
                "properties": {
                    "line": {"type": "string", "minLength": 1, "maxLength": MOST_QUOTE_CHARS},
                    "fixed": {"type": ["string", "null"], "maxLength": MOST_QUOTE_CHARS},
                    "message": {"type": "string", "minLength": 1, "maxLength": MOST_MESSAGE_CHARS},
                    "category": {"type": "string", "enum": [c.value for c in Category]},
                    "severity": {"type": "string", "enum": [s.value for s in Severity]},
                },
                "required": ["line", "fixed", "message", "category", "severity"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["findings"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What could be read; ``is_whole`` is false for an answer that was cut off."""

    claims: tuple[Claim, ...]
    is_whole: bool


def read(text: str) -> Answer:
    """The claims in an answer: whole objects, even when the array is cut in the middle."""
    at = text.find("[")
    if at < 0:
        return Answer((), is_whole=False)
    decoder = json.JSONDecoder()
    claims: list[Claim] = []
    at += 1
    while at < len(text):
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if text[at : at + 1] == "]":
            return Answer(tuple(claims), is_whole=True)
        try:
            found, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        claim = _claim(found)
        if claim is not None:
            claims.append(claim)
    return Answer(tuple(claims), is_whole=False)


def _claim(found: Any) -> Claim | None:
    """A claim from one object; servers that ignore schemas may send anything."""
    if not isinstance(found, dict) or not isinstance(found.get("line"), str):
        return None
    replacement = found.get("fixed")
    return Claim(
        category=_member(Category, found.get("category"), Category.BUG),
        severity=_member(Severity, found.get("severity"), Severity.WARNING),
        quote=found["line"],
        message=" ".join(str(found.get("message") or "").split()),
        replacement=replacement if isinstance(replacement, str) else None,
    )


def _member(enum: Any, value: Any, otherwise: Any) -> Any:
    try:
        return enum(value)
    except ValueError:
        return otherwise
