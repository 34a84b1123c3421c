"""What is done to a completion after it has been cut: a tuple of pure steps.

Each step takes the text and what stands around the cursor, and returns the
text or an empty string, which means: nothing is worth showing. A step that is
not sure leaves the text alone: good text that is lost annoys more than poor
text that is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around the cursor. Line ends are LF on every side."""

    before: str
    after: str
    language: str = ""

    @property
    def head(self) -> str:
        """The cursor's line, before the cursor."""
        return self.before[self.before.rfind("\n") + 1 :]

    @property
    def tail(self) -> str:
        """The cursor's line, after the cursor."""
        return self.after.partition("\n")[0]


Step = Callable[[str, Around], str]

# A longer row of tildes underlines a title.
_FENCE = re.compile(r"^[ \t]*(```|~~~(?!~))", re.MULTILINE)
_PROSE = frozenset({"markdown", "text", "plaintext", "restructuredtext"})


def drop_fence(text: str, around: Around) -> str:
    """Models that were taught to chat wrap code in Markdown fences, or close one at the end.

    The lines before the cursor, where such code says them again, go with the fence. A pair
    of fences inside the text, or as deep as the cursor, is an example in a comment or a
    documentation string, and so is what closes a fence above: the watcher ends code at its
    closing fence.
    """
    if around.language in _PROSE or len(_FENCE.findall(around.before)) % 2:
        return text
    fences = [found.start() for found in _FENCE.finditer(text)]
    if not fences:
        return text
    if text[: fences[0]].strip():
        return text[: fences[-1]].rstrip("\n") if len(fences) % 2 else text
    code = text[fences[0] :].partition("\n")[2]
    if len(fences) > 1:
        if around.head and text.startswith(around.head, fences[1]):
            return text
        code = text[len(text) - len(code) : fences[1]].rstrip("\n")
    above = around.before[-2000:].splitlines(keepends=True)
    said_again = ("".join(above[n:]) for n in range(len(above)))
    return code[next((len(lines) for lines in said_again if code.startswith(lines)), 0) :]


def drop_control(text: str, around: Around) -> str:
    """No editor can show NUL or half a surrogate pair; tabs and line ends stay."""
    del around
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "", text)


def unify_newlines(text: str, around: Around) -> str:
    """Line ends are LF here; the answer gets the document's own in the end."""
    del around
    return text.replace("\r\n", "\n").replace("\r", "\n")


_PLACEHOLDER = re.compile(
    r"^\W*(todo\W*)?(<?your|add|insert|put|write|enter|implement)\b.{0,30}\b"
    r"(code|implementation|logic|solution)( goes)? here\W*$"
    r"|^\W*(rest of|existing) (the )?code\b.*$",
    re.IGNORECASE,
)


def drop_placeholder(text: str, around: Around) -> str:
    """A mere "your code here" is no code. A lone ``pass`` is, where a body is asked for."""
    del around
    lines = [line for line in text.splitlines() if line.strip()]
    empty = {"pass", "...", "{", "}", "return", "return;"}
    if any(_PLACEHOLDER.match(line.strip()) for line in lines) and all(
        _PLACEHOLDER.match(line.strip()) or line.strip() in empty for line in lines
    ):
        return ""
    return text


def drop_repeated(text: str, around: Around) -> str:
    """Text that only says again what stands right above or right below the cursor.

    In another column it says something else: a ``return`` behind the block with its like.
    """
    lines = _said(around.head + text)
    if not lines or around.head.strip() or sum(len(line.strip()) for line in lines) < _TELLING:
        return text
    above = _said(around.before[-_NEAR:])
    below = _said(around.head + around.after[:_NEAR])
    if lines in (above[-len(lines) :], below[: len(lines)]):
        return ""
    return text


def _said(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


_IMPORT = re.compile(
    r"import\s.*[^{(,\s]|from\s+\S+\s+import\s.*[^(,\\]|#\s*include\s.+|using\s[\w.]+;|use\s.+;"
    r"|require(_once|_relative)?\b.+"
)
# Where a line of an import says nothing of it: Go's stand in parentheses.
_IMPORT_IN = {"go": re.compile(rf'{_IMPORT.pattern}|\t"[\w./-]+"')}


def drop_known_imports(text: str, around: Around) -> str:
    """Imports that stand above or below already: small models begin by saying one again."""
    head, lines = around.head, text.split("\n")
    whole = [head + lines[0], *lines[1:]]
    is_import = _IMPORT_IN.get(around.language, _IMPORT).fullmatch
    imports = {line for line in whole if is_import(line)}
    if head.strip() or not imports or around.language in _PROSE:
        return text
    known = imports.intersection((around.before + "\n" + around.after).splitlines())
    kept = [line for line in whole if line not in known]
    return "\n".join(kept).removeprefix(head) if known else text


# What is looked through on each side of the cursor.
_NEAR = 20_000
_TELLING = 6  # a "}" or "end" above or below says nothing


def reindent(text: str, around: Around) -> str:
    """The document's own way to indent: its tabs, or its spaces. Within strings it is text."""
    if "\n" not in text and not text.startswith(("\t", " ")):
        return text
    step = None if around.language in _TABS_MEAN else _step(around)
    if step is None:
        return text
    lines, n_marks = text.split("\n"), 0
    for number, line in enumerate(lines):
        if n_marks % 2 == 0 and (number or not around.head.strip()):
            lines[number] = _as(step, line)
        n_marks += len(_LONG_STRING.findall(line))
    return "\n".join(lines)


_TABS_MEAN = frozenset({"makefile"})
# What stands further right is aligned with what stands above it.
_WIDEST_STEP = 8
# What opens and closes strings of more than a line.
_LONG_STRING = re.compile(r"\"{3}|'{3}|`")


def _step(around: Around) -> str | None:
    """One level: a tab, or so many spaces; ``None`` when the document does not say."""
    lines = (around.before[-_NEAR:] + around.after[:_NEAR]).splitlines()
    tabs = sum(line.startswith("\t") for line in lines)
    spaces = sum(line.startswith("  ") for line in lines)
    if tabs > 4 * spaces:
        return "\t"
    if tabs or not spaces:  # where both stand, a tab is no level: eight columns, in the GNU style
        return None
    widths = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip()]
    # Deeper by one is the star of a comment.
    deltas = (deeper - level for level, deeper in pairwise(widths))
    steps = [delta for delta in deltas if 1 < delta <= _WIDEST_STEP]
    return " " * min(steps, default=4)


def _as(step: str, line: str) -> str:
    bare = line.lstrip(" \t")
    blank = line[: len(line) - len(bare)]
    if step == "\t":
        if "  " not in blank:
            return line
        columns = len(blank.expandtabs(4))
        return "\t" * (columns // 4) + " " * (columns % 4) + bare
    return blank.replace("\t", step) + bare


def trim_lines(text: str, around: Around) -> str:
    """No white space at the ends of lines, except where the cursor's line goes on."""
    lines = text.split("\n")
    if around.language == "markdown":  # two spaces are a line break there
        return text
    last = lines[-1] if around.tail.strip() else lines[-1].rstrip()
    return "\n".join([line.rstrip() for line in lines[:-1]] + [last])


def drop_blank(text: str, around: Around) -> str:
    """Nothing but white space is no completion."""
    del around
    return text if text.strip() else ""


STEPS: tuple[Step, ...] = (
    unify_newlines,
    drop_control,
    drop_fence,
    drop_placeholder,
    reindent,
    drop_repeated,
    drop_known_imports,
    trim_lines,
    drop_blank,
)


def apply(text: str, before: str, after: str, language: str = "") -> str:
    """Take ``text`` through ``STEPS``; an empty string means that there is nothing to show."""
    around = Around(before, after, language)
    for step in STEPS:
        if not text:
            break
        text = step(text, around)
    return text
