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
# More than a small model reads with attention; less where the context has no room for it, the
# answer, the instructions and the chat's own tokens.
_MOST_CODE_TOKENS, _LEAST_CODE_TOKENS, _OVERHEAD_TOKENS = 1_500, 64, 200

_FENCE = re.compile(r"^\s*```[\w+-]*[ \t]*\n|\n?\s*```\s*$")
_STRING = re.compile(r"[rRuU]?[\"']")
_ATTRIBUTE = re.compile(r"\s*(#\[|@|\[)")  # stands between a comment and its function
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
    """What ``start:end`` does, in a few paragraphs of plain text; what was not read is told."""
    seen = _code(talk, source, start, end, N_EXPLANATION)
    said = talk.ask(prompts.explain(seen.code), N_EXPLANATION, cancel)
    text = said.text.strip() + (" …" if said.is_cut else "")
    if seen.n_lines == seen.of_lines:
        return text
    return f"About the first {seen.n_lines:,} of {seen.of_lines:,} lines:\n\n{text}"


def document(talk: Talk, source: Source, scope: Scope, cancel: Cancel) -> Edit | None:
    """A documentation comment for a function, where its language has it; ``None`` for none.

    Raises ``BadRequest`` for a language whose comments are unknown, and for a function that has
    a comment: a second one above it would be none.
    """
    if not can_document(source.language):
        raise BadRequest(f"no form of documentation is known for {source.language or 'this file'}")
    if _is_documented(source, scope):
        raise BadRequest(
            f"{scope.name or 'this'} is documented; remove that to have something else suggested"
        )
    seen = _code(talk, source, scope.start, scope.end, N_DOCSTRING)
    said = talk.ask(prompts.docstring(seen.code), N_DOCSTRING, cancel)
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
    seen = _code(talk, source, *inside, N_FIX, near=start)
    said = talk.ask(prompts.fix(seen.code, line, message), N_FIX, cancel)
    if cancel.is_set() or said.is_cut:
        return None
    begin = first + len(line) - len(line.lstrip())
    better = fit(_FENCE.sub("", said.text).strip("\r\n"), text, begin)
    if not better.strip() or "".join(better.split()) == "".join(line.split()):
        return None
    on = Ground(text, 0, len(text), lambda t: syntax.n_faults(t, source.language))
    return None if worsens(on, begin, last, better) else Edit(begin, last, better)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Code as every question begins, and how many lines of how many are in it."""

    code: str
    n_lines: int
    of_lines: int


def _code(
    talk: Talk, source: Source, start: int, end: int, n_predict: int, near: int | None = None
) -> _Seen:
    """``start:end``, with room for an answer; of long code the beginning, or what is ``near``."""
    room = talk.n_ctx - n_predict - _OVERHEAD_TOKENS
    n_tokens = max(_LEAST_CODE_TOKENS, min(room, _MOST_CODE_TOKENS))
    lines = source.text[start:end].splitlines(keepends=True)
    of_lines = len(lines)
    at = 0 if near is None else source.text.count("\n", start, near)
    while talk.count_tokens("".join(lines)) > n_tokens:
        if len(lines) == 1:
            raise BadRequest("this line is too long for the model to read")
        keep = len(lines) // 2
        first = min(max(0, at - keep // 2), len(lines) - keep)
        lines, at = lines[first : first + keep], at - first
    code = prompts.about(unix("".join(lines)), source.language, source.path, "")
    return _Seen(code, len(lines), of_lines)


def _is_documented(source: Source, scope: Scope) -> bool:
    """Whether a comment of the language's own form stands where ours would."""
    if source.language in _OPENS:
        return _STRING.match(source.text, scope.body) is not None
    above = source.text[: scope.start].split("\n")[:-1]
    while above and _ATTRIBUTE.match(above[-1]):
        above.pop()
    last = above[-1].strip() if above else ""
    if source.language in _LINES:
        return last.startswith(_LINES[source.language].strip()) and not last.startswith("#!")
    comment = "\n".join(above).rpartition("/*")[2]
    return last.endswith("*/") and comment.startswith("*")


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
