"""How far left a generated line may stand: right of the definition that the cursor is in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fimls.scope.languages import Language
from fimls.scope.layout import goes_on, is_comment, lines_above
from fimls.scope.members import is_definition
from fimls.scope.site import LINES_AHEAD, Site, width
from fimls.scope.statements import first_word, opens_block


@dataclass(frozen=True, slots=True)
class Floor:
    """A line indented less than ``indent`` is outside; ``member``: one definition belongs here.

    ``outer``: the floor of the function around an inner one.
    """

    indent: int
    member: bool
    in_definition: bool
    outer: int | None = None


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
    found: Floor | None = None
    block, is_inner = None, False
    for at, bare in _enclosing(site, level):
        if bare[0] == "@" or not is_definition(bare, language):
            block = at
        elif _is_container(bare, language):
            return found or _in_container(at, block)
        elif is_inner and found is not None:
            return replace(found, outer=at + 1)
        else:
            found = Floor(at + 1, member=False, in_definition=True)
            is_inner = at > 0 and not _is_unfinished_around(site, at)
            if is_inner and language.ends:
                break
    if found is None and block is not None:
        return Floor(block + 1, member=False, in_definition=False)
    return found or Floor(0, member=True, in_definition=False)


def _enclosing(site: Site, level: int) -> Iterator[tuple[int, str]]:
    """The lines above that the cursor is in, innermost first, and how they are indented."""
    for line in lines_above(site):
        bare, at = line.strip(), width(line)
        if not bare or at >= level or bare[0] in ")]}" or is_comment(bare, site.language):
            continue
        level = at
        if goes_on(bare, site.language):
            # An else belongs to the if above it, a rescue perhaps to the definition.
            level += bool(site.language.ends)
            continue
        yield at, bare
        if not at:
            return


def _in_container(at: int, block: int | None) -> Floor:
    """The floor in a class, unless a block in it holds statements."""
    if block is None:
        return Floor(at + 1, member=True, in_definition=True)
    return Floor(block + 1, member=False, in_definition=False)


def _is_container(header: str, language: Language) -> bool:
    return bool(language.container) and re.match(language.container, header) is not None


def _is_unfinished_around(site: Site, indent: int) -> bool:
    """Whether nothing follows at the level of an inner definition: the outer one is unfinished.

    Then what the outer one still lacks belongs to the scope as well.
    """
    if indent == 0 or len(site.ahead) == LINES_AHEAD:
        return False
    following = next((line.indent for line in site.ahead if line.indent <= indent), 0)
    return following == 0


def _level(site: Site) -> int:
    """How deep the cursor is, by the white space before it and the lines around it."""
    if site.head:
        return width(site.head)
    last = next((line for line in lines_above(site) if line.strip()), "")
    level = 0
    if last and opens_block(last, site.language) and site.before.endswith(last + "\n"):
        level = width(last) + 1
    if site.ahead and not site.ahead[0].text.startswith(("@", "def ", "class ")):
        level = max(level, site.ahead[0].indent)
    return level


def goes_on_above(indent: int, head: str, site: Site, floor: Floor) -> bool:
    """An ``else`` or ``except`` of the block that the cursor is in, outside definitions.

    Where a word closes definitions, they may have a ``rescue`` of their own.
    """
    has_branches = not floor.in_definition or bool(site.language.ends)
    is_of_block = not floor.member and has_branches and indent == floor.indent - 1
    return is_of_block and first_word(head) in site.language.goes_on


def is_behind_inner(indent: int, head: str, site: Site, floor: Floor) -> bool:
    """A statement of the function around an inner one that is complete; more of it follows."""
    if floor.outer is None or indent != floor.indent - 1:
        return False
    return not re.match(site.language.definition, head)
