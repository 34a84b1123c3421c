"""What indentation and the first words of lines say about where the cursor is."""

from __future__ import annotations

import re

from fimls.scope.languages import Language
from fimls.scope.site import LINES_AHEAD, Bracket, Line, Site, width
from fimls.scope.statements import first_word, strip_comment

# Lines above the cursor that are looked at for the enclosing definition.
_MOST_LINES = 2000


def lines_above(site: Site) -> list[str]:
    """The lines before the cursor's, nearest first."""
    text = site.before[: len(site.before) - len(site.head)]
    return text.splitlines()[: -_MOST_LINES - 1 : -1]


def has_body_ahead(site: Site) -> bool:
    """Whether what follows is the block of the cursor's line: deeper, or behind a word."""
    if not site.ahead:
        return False
    following = site.ahead[0]
    is_opener = first_word(following.text) in site.language.openers
    return following.indent > site.level or (following.indent == site.level and is_opener)


def is_comment(bare: str, language: Language) -> bool:
    return bool(language.line_comments) and bare.startswith(language.line_comments)


def goes_on(bare: str, language: Language) -> bool:
    return first_word(bare) in language.goes_on


# Labels, cases, preprocessor lines and code in comments; brackets on lines of their own.
_STANDS_LEFT = re.compile(r"#|//|/\*|case\b|default\b|\w+:(?!:)|[{}()\[\]]|</")


def is_left_of_block(indent: int, head: str, block: Bracket, lines: list[Line], site: Site) -> bool:
    """In a brace language: whether a line is no deeper than the header of the cursor's block.

    Only where the block is indented at all, and not for labels, cases and preprocessor
    lines, which stand further left by custom.
    """
    deeper = min(lines[0].indent, site.indent or lines[0].indent)
    return block.ends_line and indent <= block.indent < deeper and not _STANDS_LEFT.match(head)


# What a statement has once at most.
_LAST_BRANCHES = frozenset({"else", "finally"})


def is_item_of_key(indent: int, head: str, site: Site) -> bool:
    """A list's item at the column of the key that the list belongs to."""
    item = site.language.item
    if not item or not head.startswith(item[0]):
        return False
    above = [line for line in (site.head, *lines_above(site)) if line.strip()]
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
        and all(line.indent > indent or goes_on(line.text, site.language) for line in lines)
    )


_BLANK_LINE = re.compile(r"\n[ \t]*\n[ \t]*\Z")
_GAP = 200


def is_owed_clause(indent: int, head: str, site: Site) -> bool:
    """A clause that the statement has once, and which stands after the cursor already."""
    word = first_word(head).lower()
    if word not in site.language.once:
        return False
    for line in site.ahead:
        if _BLANK_LINE.search(site.after, max(0, line.start - _GAP), line.start):
            return False
        if line.indent == indent and first_word(line.text).lower() == word:
            return True
        if line.text.endswith(";"):
            return False
    return False


def is_owed_end(indent: int, head: str, site: Site, lines: list[Line]) -> bool:
    """An ``end`` of a block that began before the cursor, and goes on or ends after it."""
    word = first_word(head) or head[:1]
    following = next((line for line in site.ahead if line.indent <= indent), None)
    if word not in site.language.ends or following is None or following.indent != indent:
        return False
    is_said = (first_word(following.text) or following.text[:1]) == word
    is_inside = all(line.indent > indent or goes_on(line.text, site.language) for line in lines)
    return is_inside and (is_said or goes_on(following.text, site.language))


def closes_header(indent: int, head: str, site: Site, header: int) -> bool:
    """A word like ``end`` that closes the block of a header, which nothing else closes.

    The header is indented by ``header`` columns.
    """
    ends = site.language.ends
    if indent != header or (first_word(head) or head[:1]) not in ends:
        return False
    below = (line for line in site.ahead if not is_comment(line.text, site.language))
    following = next((line for line in below if line.indent <= header), None)
    if following is None:
        return len(site.ahead) < LINES_AHEAD  # else its end may stand further down
    words = (*ends, *site.language.goes_on)
    return not (following.indent == header and first_word(following.text) in words)
