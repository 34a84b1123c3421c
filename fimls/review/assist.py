"""Explaining code, documenting it, and fixing what somebody complains about."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fimls import scope as syntax
from fimls.cancel import Cancel
from fimls.document import unix
from fimls.errors import BadRequest
from fimls.review import prompts
from fimls.review.grounding import Ground, fit, worsens
from fimls.review.reviewer import Source
from fimls.review.talk import Talk
from fimls.scope import Scope

N_EXPLANATION, N_DOCSTRING, N_FIX = 400, 200, 160
# More than a small model reads with attention, and less than the smallest context.
_MOST_CODE_TOKENS = 1_500

_FENCE = re.compile(r"^\s*```[\w+-]*[ \t]*\n|\n?\s*```\s*$")
_OPENS = {"python": ('"""', '"""')}
_LINES = {
    "go": "// ", "rust": "/// ", "swift": "/// ", "csharp": "/// ", "ruby": "# ", "bash": "# ",
    "lua": "--- ",
}  # fmt: skip
_BLOCKS = frozenset(
    {"javascript", "typescript", "tsx", "java", "c", "cpp", "php", "kotlin", "scala"}
)


@dataclass(frozen=True, slots=True)
class Edit:
    """``text`` in place of ``start:end`` of the document."""

    start: int
    end: int
    text: str


def can_document(language: str) -> bool:
    return language in _OPENS or language in _LINES or language in _BLOCKS


def explain(talk: Talk, source: Source, start: int, end: int, cancel: Cancel) -> str:
    """What ``start:end`` does, in a few paragraphs of plain text."""
    code = _code(talk, source, start, end)
    said = talk.ask(prompts.explain(code), N_EXPLANATION, cancel)
    return said.text.strip() + (" …" if said.is_cut else "")


def document(talk: Talk, source: Source, scope: Scope, cancel: Cancel) -> Edit | None:
    """A documentation comment for a function, where its language has it; ``None`` for none.

    Raises ``BadRequest`` for a language whose comments are unknown.
    """
    if not can_document(source.language):
        raise BadRequest(f"no form of documentation is known for {source.language or 'this file'}")
    code = _code(talk, source, scope.start, scope.end)
    said = talk.ask(prompts.docstring(code), N_DOCSTRING, cancel)
    text = _plain(said.text)
    if cancel.is_set() or not text:
        return None
    if said.is_cut:  # whole sentences only
        text = text[: text.rfind(".") + 1] or text
    edit = _placed(text, source, scope)
    on = Ground(source.text, 0, len(source.text), lambda t: syntax.n_faults(t, source.language))
    return None if worsens(on, edit.start, edit.end, edit.text) else edit


def fix(
    talk: Talk, source: Source, start: int, end: int, message: str, cancel: Cancel
) -> Edit | None:
    """The line at ``start`` made right; ``None`` when no better one was found.

    The file then parses no worse, and the line is another one.
    """
    text = source.text
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", max(end - 1, start))
    last = len(text) if last < 0 else last
    last -= text[last - 1 : last] == "\r"
    line = text[first:last]
    around = next(iter(source.outline.at(start, start)), None)
    inside = (around.start, around.end) if around is not None else (first, last)
    said = talk.ask(
        prompts.fix(_code(talk, source, *inside, near=start), line, message), N_FIX, cancel
    )
    if cancel.is_set() or said.is_cut:
        return None
    begin = first + len(line) - len(line.lstrip())
    better = fit(_FENCE.sub("", said.text).strip("\r\n"), text, begin)
    if not better.strip() or "".join(better.split()) == "".join(line.split()):
        return None
    on = Ground(text, 0, len(text), lambda t: syntax.n_faults(t, source.language))
    return None if worsens(on, begin, last, better) else Edit(begin, last, better)


def _code(talk: Talk, source: Source, start: int, end: int, near: int | None = None) -> str:
    """``start:end`` as every question begins; of long code the lines around ``near``."""
    text = source.text[start:end]
    while talk.count_tokens(text) > _MOST_CODE_TOKENS:
        lines = text.splitlines(keepends=True)
        at = 0 if near is None else source.text.count("\n", start, near)
        keep = max(1, len(lines) // 2)
        first = min(max(0, at - keep // 2), len(lines) - keep)
        start += sum(map(len, lines[:first]))
        text = "".join(lines[first : first + keep])
        if len(lines) == 1:
            raise BadRequest("this line is too long for the model to read")
    return prompts.about(unix(text), source.language, source.path, "")


def _plain(said: str) -> str:
    """The words of a comment, without the signs that models put around them all the same."""
    text = _FENCE.sub("", said.strip()).strip()
    text = re.sub(r'^("""|\'\'\'|/\*\*?)|("""|\'\'\'|\*/)$', "", text).strip()
    lines = [
        re.sub(r"^\s*(///?|\*|#|---?)(?=\s|$) ?", "", line).rstrip() for line in text.split("\n")
    ]
    return "\n".join(lines).replace('"""', "'''").replace("*/", "* /").strip()


def _placed(text: str, source: Source, scope: Scope) -> Edit:
    """The comment where the language's readers look for it."""
    code = source.text
    newline = "\r\n" if "\r\n" in code else "\n"
    if source.language in _OPENS:
        opens, closes = _OPENS[source.language]
        line = code.rfind("\n", 0, scope.body) + 1
        indent = code[line : scope.body]
        if indent.strip():  # def f(): return 1
            header = code[code.rfind("\n", 0, scope.start) + 1 :]
            indent = header[: len(header) - len(header.lstrip())] + "    "
        one_line = "\n" not in text
        lines = [opens + text + closes] if one_line else [*(opens + text).split("\n"), closes]
        made = newline.join([lines[0], *((indent + line).rstrip() for line in lines[1:])])
        return Edit(scope.body, scope.body, f"{made}{newline}{indent}")
    start = scope.start + len(code[scope.start :]) - len(code[scope.start :].lstrip())
    indent = code[code.rfind("\n", 0, start) + 1 : start]
    lines = text.split("\n")
    if source.language in _LINES:
        sign = _LINES[source.language]
        shown = [(sign + line).rstrip() for line in lines]
    elif len(lines) == 1:
        shown = [f"/** {text} */"]
    else:
        shown = ["/**", *((" * " + line).rstrip() for line in lines), " */"]
    return Edit(start, start, "".join(f"{line}{newline}{indent}" for line in shown))
