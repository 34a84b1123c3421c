"""What the model is told, short and concrete.

The code stands first, so that every question about the same code begins with the same
tokens and is answered from the warm cache.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from fimls.review.findings import Claim
from fimls.template.chat import Message

# Part of every key: a changed prompt makes old reviews stale.
VERSION = 2

SYSTEM = "You are a careful code reviewer. You report only real faults that you can point at."

# The example has no message, because small models repeat it about code of any kind.
_REVIEW = """\
Find the faults in this code that make it behave wrongly: wrong operator or condition, off by \
one, swapped arguments, missing return, unhandled error, resource not closed, mutable default, \
wrong variable, injection. Do not report style, naming, comments, types or documentation.
Answer with a JSON array. Code without faults: []
Otherwise one object for each fault, "line" copied exactly from the code, like this:
[{"line": "if n = 0:", "fixed": "if n == 0:", "message": "...", "category": "bug", \
"severity": "error"}]"""

_SECOND_LOOK = """\
A reviewer says about the line
{quote}
this: {message}
Is that a real fault, which makes the code behave wrongly?"""

_EXPLAIN = """\
Explain what this code does, for a programmer who sees it for the first time: first its purpose \
in one sentence, then how it works, then what to watch out for. Be brief. Use no headings."""

_DOCSTRING = """\
Write the documentation comment for this function: one line that says what it does, then its \
parameters, what it returns and what it raises, where that is not obvious. Answer with the text \
of the comment only: no code, no quotes, no comment signs."""

_FIX = """\
Line: {line}
Complaint: {message}
Answer with the corrected line (or lines) that shall stand in place of this line, and nothing \
else: no explanation, no fences."""

_CONTEXT = re.compile(r"`{3,}")


def about(code: str, language: str, path: str, context: str) -> str:
    """The code under review, as every question begins."""
    name = PurePath(path).name  # where it lies is the machine's affair, not the model's
    fence = "`" * max(3, 1 + max((len(run) for run in _CONTEXT.findall(code)), default=0))
    head = f"File: {name}\n" if name else ""
    around = f"Context:\n{fence}{language}\n{context}\n{fence}\n" if context else ""
    return f"{head}{around}Code:\n{fence}{language}\n{code}\n{fence}\n"


def review(code: str) -> list[Message]:
    return _ask(f"{code}{_REVIEW}")


def second_look(code: str, claim: Claim) -> list[Message]:
    quote = " ".join(claim.quote.split())
    return yes_or_no(f"{code}{_SECOND_LOOK.format(quote=quote, message=claim.message)}")


def explain(code: str) -> list[Message]:
    return _ask(f"{code}{_EXPLAIN}")


def docstring(code: str) -> list[Message]:
    return _ask(f"{code}{_DOCSTRING}")


def fix(code: str, line: str, message: str) -> list[Message]:
    return _ask(f"{code}{_FIX.format(line=line.strip(), message=' '.join(message.split()))}")


def yes_or_no(question: str) -> list[Message]:
    """Any question, answered by one word."""
    return _ask(f"{question} Answer Yes or No.")


def _ask(content: str) -> list[Message]:
    return [Message("system", SYSTEM), Message("user", content)]
