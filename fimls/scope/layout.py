"""What indentation and the first words of lines say about where the cursor is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fimls.scope.languages import Language
from fimls.scope.site import LINES_AHEAD, Bracket, Line, Site, width
from fimls.scope.statements import first_word, opens_block, strip_comment

# Lines above the cursor that are looked at for the enclosing definition.
_MOST_LINES = 2000


@dataclass(frozen=True, slots=True)
class Floor:
    """A line indented less than ``indent`` is outside; ``member``: one definition belongs here."""

    indent: int
    member: bool
    in_definition: bool


def floor_of(site: Site, first: int | None) -> Floor:
    """The floor for a cursor whose first generated line is indented by ``first`` columns.

    It lies one column right of the enclosing definition; outside definitions, of the
    outermost block. An empty line at column 0 may belong to the definition above or to the
    top level: there the first generated line decides.
    """
    language = site.language
    level = _level(site) if first is None else max(_level(site), first)
    if language.item:  # data: the mapping or list that the cursor is in, or that the text begins
        return Floor(level if first is None else first, member=False, in_definition=False)
    indent, header, floor = level, "", 0
    block = None
    for line in _lines_above(site):
        bare = line.strip()
        at = width(line)
        if not bare or at >= indent or bare[0] in ")]}" or _is_comment(bare, language):
            continue
        indent = at
        if language.definition and re.match(language.definition, bare) and bare[0] != "@":
            if header and _is_container(bare, language):
                break
            header, floor = bare, at + 1
            if _is_container(bare, language) or not _is_unfinished_around(site, at):
                break
            continue
        if _goes_on(bare, language):
            # An else belongs to the if above it, a rescue perhaps to the definition.
            indent += bool(language.ends)
            continue
        block = at
    if header:
        return Floor(floor, _is_container(header, language), in_definition=True)
    if block is not None:
        return Floor(block + 1, member=False, in_definition=False)
    return Floor(0, member=True, in_definition=False)


def _is_container(header: str, language: Language) -> bool:
    return bool(language.container) and re.match(language.container, header) is not None


def _is_unfinished_around(site: Site, indent: int) -> bool:
    """Whether nothing follows at the level of an inner definition: the outer one is unfinished.

    Then what the outer one still lacks belongs to the scope as well.
    """
    return indent > 0 and not any(0 < line.indent <= indent for line in site.ahead[:1])


def _level(site: Site) -> int:
    """How deep the cursor is, by the white space before it and the lines around it."""
    if not site.is_fresh:
        return width(site.head)
    if site.head:
        return width(site.head)
    last = next((line for line in _lines_above(site) if line.strip()), "")
    level = 0
    if last and opens_block(last, site.language) and site.before.endswith(last + "\n"):
        level = width(last) + 1
    if site.ahead and not site.ahead[0].text.startswith(("@", "def ", "class ")):
        level = max(level, site.ahead[0].indent)
    return level


def _lines_above(site: Site) -> list[str]:
    """The lines before the cursor's, nearest first."""
    text = site.before[: len(site.before) - len(site.head)]
    return text.splitlines()[: -_MOST_LINES - 1 : -1]


def _is_comment(bare: str, language: Language) -> bool:
    return bool(language.line_comments) and bare.startswith(language.line_comments)


def _goes_on(bare: str, language: Language) -> bool:
    return first_word(bare) in language.goes_on


# Labels, cases and preprocessor lines; a bracket that opens or closes on a line of its own.
_STANDS_LEFT = re.compile(r"#|case\b|default\b|\w+:(?!:)|[{}()\[\]]|</")


def is_left_of_block(indent: int, head: str, block: Bracket, lines: list[Line], site: Site) -> bool:
    """In a brace language: whether a line is no deeper than the header of the cursor's block.

    Only where the block is indented at all, and not for labels, cases and preprocessor
    lines, which stand further left by custom.
    """
    deeper = min(lines[0].indent, site.indent or lines[0].indent)
    return block.ends_line and indent <= block.indent < deeper and not _STANDS_LEFT.match(head)


# What a statement has once at most.
_LAST_BRANCHES = frozenset({"else", "finally"})


def goes_on_above(indent: int, head: str, site: Site, floor: Floor) -> bool:
    """An ``else`` or ``except`` of the block that the cursor is in, outside definitions.

    Where a word closes definitions, they may have a ``rescue`` of their own.
    """
    has_branches = not floor.in_definition or bool(site.language.ends)
    is_of_block = not floor.member and has_branches and indent == floor.indent - 1
    return is_of_block and first_word(head) in site.language.goes_on


def is_item_of_key(indent: int, head: str, site: Site) -> bool:
    """A list's item at the column of the key that the list belongs to."""
    item = site.language.item
    if not item or not head.startswith(item[0]):
        return False
    above = [line for line in (site.head, *_lines_above(site)) if line.strip()]
    key = next((line for line in above if width(line) <= indent), "")
    bare = strip_comment(key, site.language).strip()
    return width(key) == indent and bare.endswith(":") and not bare.startswith(item)


def is_owed_branch(indent: int, head: str, site: Site, lines: list[Line]) -> bool:
    """An ``else`` that stands after the cursor already, for the statement around it."""
    word = first_word(head)
    return (
        word in _LAST_BRANCHES
        and bool(lines and site.ahead)
        and site.ahead[0].indent == indent
        and first_word(site.ahead[0].text) == word
        and all(line.indent > indent or _goes_on(line.text, site.language) for line in lines)
    )


def is_owed_clause(indent: int, head: str, site: Site) -> bool:
    """A clause that the statement has once, and which stands after the cursor already."""
    word = first_word(head).lower()
    if word not in site.language.once:
        return False
    for line in site.ahead:
        if line.indent == indent and first_word(line.text).lower() == word:
            return True
        if line.text.endswith(";"):
            return False
    return False


def is_owed_end(indent: int, head: str, site: Site, lines: list[Line]) -> bool:
    """An ``end`` of a block that began before the cursor, and goes on or ends after it."""
    word = first_word(head) or head[:1]
    following = next(iter(site.ahead), None)
    if word not in site.language.ends or following is None or following.indent != indent:
        return False
    is_said = (first_word(following.text) or following.text[:1]) == word
    is_inside = all(line.indent > indent or _goes_on(line.text, site.language) for line in lines)
    return is_inside and (is_said or _goes_on(following.text, site.language))


def closes_header(indent: int, head: str, site: Site, header: int) -> bool:
    """A word like ``end`` that closes the block of a header, which nothing else closes.

    The header is indented by ``header`` columns.
    """
    ends = site.language.ends
    if indent != header or (first_word(head) or head[:1]) not in ends:
        return False
    below = (line for line in site.ahead if not _is_comment(line.text, site.language))
    following = next((line for line in below if line.indent <= header), None)
    if following is None:
        return len(site.ahead) < LINES_AHEAD  # else its end may stand further down
    words = (*ends, *site.language.goes_on)
    return not (following.indent == header and first_word(following.text) in words)
