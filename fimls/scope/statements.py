"""What one line says about its statement: whether it begins, goes on, opens a block, or ends."""

from __future__ import annotations

import re

from fimls.scope.languages import Language
from fimls.scope.site import Site, width

_WORD = re.compile(r"[A-Za-z_]\w*")


def first_word(bare: str) -> str:
    found = _WORD.match(bare)
    return found.group() if found else ""


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


def strip_comment(line: str, language: Language) -> str:
    """A line without its comment, if a comment marker stands after white space."""
    for marker in language.line_comments:
        found = re.search(rf"(^|\s){re.escape(marker)}", line)
        if found and line.count('"', 0, found.start()) % 2 == 0:
            line = line[: found.start()]
    return line


# Marks that carry on the statement of the line above, wherever lines end statements.
_GOES_ON_MARK = re.compile(
    r"\.[A-Za-z_(]|\.\.|\?[.:]|&&|\|\||\|>|[+*/%^=<>?:,)\]{|]|->|=>|::|- |-$"
)
# A line that ends so is not the end of a statement.
_UNFINISHED = re.compile(
    r"([-+*/%^=<>&|,.:(\[{\\]|(?<=\s)\?|\b(and|or|not|in|is|return|await|new|else|instanceof|typeof))$"
)

_CLOSES_TYPES = re.compile(r"(?<![-=])>")
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


_CASE = re.compile(r"\s*(case\b(?!\s+(class|object)\b).*(:|=>|->)|default\s*(:|->))(\s|$)")


def is_case(line: str, site: Site) -> bool:
    """Whether a line begins a case of a switch, whose statements do not follow the cursor."""
    bare = strip_comment(line, site.language).rstrip()
    if site.language.indented or not _CASE.match(bare):
        return False
    return not site.ahead or site.ahead[0].indent <= width(site.head)


# Statements that an ``else`` may follow; one with braces shows that by its line.
_CONDITION = re.compile(r"\s*(\}\s*)?(else\s+)?if\b")


def may_have_branch(statement: str, language: Language) -> bool:
    """Whether a statement may go on with an ``else`` on the next line."""
    return "else" in language.goes_on and _CONDITION.match(statement) is not None


def carries_on(bare: str, language: Language) -> bool:
    """Whether a line continues the statement above, so that no semicolon stands between them."""
    word = first_word(bare)
    return word.lower() in language.clauses if word else begins_as_continuation(bare, language)


def _ends_types(bare: str) -> bool:
    """Whether a line ends in the > that closes type arguments, rather than one that compares."""
    closed = len(_CLOSES_TYPES.findall(bare))
    is_alone = bare.lstrip()[:1] == ">"
    is_closer = bare.endswith(">") and not bare.endswith(("=>", "->")) and "?>" not in bare
    return is_closer and (is_alone or bare.count("<") >= closed)


def is_unfinished(line: str, language: Language) -> bool:
    """Whether the statement goes on on the next line, going by the end of this one."""
    bare = strip_comment(line, language).rstrip()
    if language.conditionals and bare.lstrip().startswith("#"):
        return bare.endswith("\\")
    if language.unfinished:
        return re.search(rf"({language.unfinished})$", bare) is not None
    if bare.endswith(("++", "--", "?>")) or (language.tags and _TAG_CLOSED.search(bare)):
        return False
    found = None if _ends_types(bare) else _UNFINISHED.search(bare)
    if not found:
        is_in_clause = any(word in language.clauses for word in bare.split()[-1:])
        return is_in_clause or (language.strict and _DECLARES.fullmatch(bare) is not None)
    mark = found.group()
    if language.indented and not language.ends:
        return mark in {"\\", ":", "=", ","}
    return mark != ":" or not language.labels
