"""What indentation and the first words of lines say about where the cursor is."""

from __future__ import annotations

import re

from fimls.scope.languages import Language
from fimls.scope.site import LINES_AHEAD, Bracket, Line, Site, width

# Lines above the cursor that are looked at for the enclosing definition.
_MOST_LINES = 2000


def lines_above(site: Site) -> list[str]:
    """The lines before the cursor's, nearest first."""
    text = site.before[: len(site.before) - len(site.head)]
    return text.splitlines()[: -_MOST_LINES - 1 : -1]


# Where words close blocks: what begins one at the start of a line, or at its end; also as a value.
_HEADER = re.compile(
    r"([\w.@,\s]+=\s*)?(if|unless|while|until|for|case|begin)\b"
    r"|(def|class|module|function)\b"
)
_HEADER_AT_END = re.compile(r"\b(do|then|else)(\s*\|[^|]*\|)?$|\bfunction\b[\w.:\s]*\([^()]*\)$")
_ENDS_ON_LINE = re.compile(r"\b(end|fi|done|esac)[\s)\]},;]*$")


def opens_block(line: str, language: Language) -> bool:
    """Whether a line is the header of an indented block that starts on the next line."""
    bare = strip_comment(line, language).rstrip()
    if language.ends:
        begins = _HEADER.match(bare.strip()) or first_word(bare.strip()) in language.goes_on
        return bool(begins or _HEADER_AT_END.search(bare)) and not _ENDS_ON_LINE.search(bare)
    return bare.endswith((":", "->", "=>") if language.name != "yaml" else (":", "|", ">", "-"))


def has_body_ahead(site: Site) -> bool:
    """Whether what follows is the block of the cursor's line: deeper, or behind a word."""
    if not site.ahead:
        return False
    following = site.ahead[0]
    is_opener = first_word(following.text) in site.language.openers
    return following.indent > site.level or (following.indent == site.level and is_opener)


def strip_comment(line: str, language: Language) -> str:
    """A line without its comment, if a comment marker stands after white space."""
    for marker in language.line_comments:
        found = re.search(rf"(^|\s){re.escape(marker)}", line)
        if found and line.count('"', 0, found.start()) % 2 == 0:
            line = line[: found.start()]
    return line


def is_comment(bare: str, language: Language) -> bool:
    return bool(language.line_comments) and bare.startswith(language.line_comments)


def goes_on(bare: str, language: Language) -> bool:
    return first_word(bare) in language.goes_on


_WORD = re.compile(r"[A-Za-z_]\w*")


def first_word(bare: str) -> str:
    found = _WORD.match(bare)
    return found.group() if found else ""


# Marks that carry on the statement of the line above, wherever lines end statements.
_GOES_ON_MARK = re.compile(
    r"\.[A-Za-z_(]|\.\.|\?[.:]|&&|\|\||\|>|[+*/%^=<>?:,)\]{|]|->|=>|::|- |-$"
)
# A line that ends so is not the end of a statement.
_UNFINISHED = re.compile(
    r"([-+*/%^=<>&|,.?:(\[{\\]|\b(and|or|not|in|is|return|await|new|else|instanceof|typeof))$"
)

_TAG_CLOSED = re.compile(r"(</[\w.:-]*|/)>$")
# Types and qualifiers and nothing else; a lone word in capitals is a macro.
_DECLARES = re.compile(r"\s*(?![A-Z\d_]+$)[A-Za-z_][\w\s:<>,*&]*")


def begins_as_continuation(bare: str, language: Language) -> bool:
    """Whether a line cannot begin a statement of its own."""
    word = first_word(bare)
    if word in language.goes_on or bare[:1] in language.goes_on:
        return True
    if word and word.lower() in language.clauses:
        return True
    if not language.goes_on or (language.indented and not language.ends):
        return False
    return bool(_GOES_ON_MARK.match(bare)) and not bare.startswith(
        (*language.line_comments, "/*", "::", "<")
    )


# Headers of statements that need no braces.
_BARE_HEADER = re.compile(r"\s*(\}\s*)?((else\s+)?(if|for|foreach|while)\b[^()]*\(|(else|do)$)")


def wants_body(line: str, site: Site) -> bool:
    """Whether a line is a header without braces, and what it holds does not follow the cursor."""
    bare = strip_comment(line, site.language).rstrip()
    header = _BARE_HEADER.match(bare)
    if site.language.indented or not header or not _ends_with_it(bare, header.end()):
        return False
    return not site.ahead or site.ahead[0].indent <= width(site.head)


def _ends_with_it(line: str, start: int) -> bool:
    """Whether the line ends with the parentheses that opened before ``start``, if they did."""
    depth = int(line[start - 1] == "(")
    for at in range(start, len(line)):
        depth += (line[at] == "(") - (line[at] == ")")
        if not depth:
            return at + 1 == len(line)
    return not depth


_CASE = re.compile(r"\s*(case\b.*|default\s*):$")


def is_case(line: str, site: Site) -> bool:
    """Whether a line is a case of a switch, whose statements do not follow the cursor."""
    bare = strip_comment(line, site.language).rstrip()
    if not site.language.labels or not _CASE.match(bare):
        return False
    return not site.ahead or site.ahead[0].indent <= width(site.head)


def carries_on(bare: str, language: Language) -> bool:
    """Whether a line continues the statement above, so that no semicolon stands between them."""
    word = first_word(bare)
    return word.lower() in language.clauses if word else begins_as_continuation(bare, language)


def is_unfinished(line: str, language: Language) -> bool:
    """Whether the statement goes on on the next line, going by the end of this one."""
    bare = strip_comment(line, language).rstrip()
    if language.conditionals and bare.lstrip().startswith("#"):
        return bare.endswith("\\")
    if language.unfinished:
        return re.search(rf"({language.unfinished})$", bare) is not None
    if bare.endswith(("++", "--", "?>")) or (language.tags and _TAG_CLOSED.search(bare)):
        return False
    found = _UNFINISHED.search(bare)
    if not found:
        return language.strict and _DECLARES.fullmatch(bare) is not None
    mark = found.group()
    if language.indented and not language.ends:
        return mark in {"\\", ":", "=", ","}
    return mark != ":" or not language.labels


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
