"""The top level and class bodies: one definition, or one paragraph of statements."""

from __future__ import annotations

import re

from fimls.scope.languages import Language
from fimls.scope.site import Line
from fimls.scope.statements import begins_as_continuation, first_word

# How comments, annotations, attributes and documentation strings begin.
_TEXTS = ('"""', "'''", 'r"""')
_DOCUMENTS = ("/*", "*", "@", "#", "[", *_TEXTS)
_ANNOTATION = re.compile(r"@[\w.:]+\s*(\(.*)?")
# A block that is a value, not the body of a definition.
_ASSIGNS = re.compile(r"[^=!<>]=[^=>]|=>|[(,]\s*\{$")
# Imports stand together whatever their paragraphs.
_IMPORTS = frozenset({"import", "from", "use", "using", "include", "require"})


def is_document(text: str, language: Language) -> bool:
    """Whether a line only speaks about the definition after it."""
    if text[:1] == "@" and not _ANNOTATION.fullmatch(text):
        return False  # the definition stands behind it
    return text.startswith((*language.line_comments, *_DOCUMENTS))


def is_definition(text: str, language: Language) -> bool:
    """Whether a line begins a definition, going by its first word."""
    return bool(language.definition) and re.match(language.definition, text) is not None


def is_container(header: str, language: Language) -> bool:
    """Whether a block with this header holds members rather than statements."""
    return bool(language.container) and re.search(language.container, header) is not None


def begins_another(
    lines: list[Line],
    indent: int,
    text: str,
    language: Language,
    *,
    done: bool,
    blank: bool,
    is_listed: bool,
) -> bool:
    """Whether a line is one member too many.

    ``done``: a definition has been completed; ``blank``: an empty line stood between;
    ``is_listed``: the line before ended with a comma.
    """
    is_end = first_word(text) in language.ends or text[:1] in language.ends
    is_deeper = indent > min(line.indent for line in lines)
    if is_end or is_deeper or begins_as_continuation(text, language):
        return False
    if done:
        return True
    # Directives stand together, and speak about nothing else.
    are_directives = language.conditionals and lines[-1].text[0] == "#" != text[0]
    if _ANNOTATION.fullmatch(lines[-1].text) or is_listed:
        return False
    is_told = blank or is_definition(text, language)
    if blank and language.definition and all(_is_text_alone(line) for line in lines):
        return True
    return is_told and bool(are_directives or not _stands_with(lines, text, language))


def _is_text_alone(line: Line) -> bool:
    """A documentation string at the top level, of the whole file: nothing belongs to it."""
    return line.indent == 0 and line.text.startswith(_TEXTS)


def _stands_with(lines: list[Line], text: str, language: Language) -> bool:
    """Whether all lines only speak about the one that begins now, or are imports as it is."""
    is_import = first_word(text) in _IMPORTS
    return all(
        is_document(line.text, language) or (is_import and first_word(line.text) in _IMPORTS)
        for line in lines
    )


def start_of_second(lines: list[Line], language: Language) -> int | None:
    """Where the member begins whose block opens on the last line, if it is not the first.

    Comments and annotations before it belong to it, and so do the lines of a long header.
    """
    if not lines or _ASSIGNS.search(lines[-1].text):
        return None
    first = len(lines) - 1
    if first and lines[first].text.startswith("{"):
        first -= 1  # its header stands on the line above, or before lines that are deeper
        while first and lines[first].indent > lines[-1].indent:
            first -= 1
    while first and _is_prelude(lines[first - 1].text, language):
        first -= 1
    if not first or all(_is_prelude(line.text, language) for line in lines[:first]):
        return None
    return lines[first].start


def _is_prelude(text: str, language: Language) -> bool:
    return is_document(text, language) or (language.semicolons and not text.endswith((";", "}")))
