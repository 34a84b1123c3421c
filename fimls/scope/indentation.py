"""Whether the cursor has the indentation that its line must have, and what it lacks.

Not every editor indents by itself, and a click into an empty line puts the cursor at its
start. Models are at a loss there: some write the indentation, some leave it out, some
write it although it stands before the cursor.
"""

from __future__ import annotations

import re
from itertools import pairwise

from fimls.scope.site import Bracket, Site, width
from fimls.scope.statements import first_word, opens_block

_BLANK = re.compile(r"[ \t]*")
_MOST_LINES = 200
# How many characters on each side tell how a document indents.
_NEAR = 6_000
# What stands further right is aligned with what stands above it.
_WIDEST_STEP = 8
# Labels stand as far left as the header of their block, or do not.
_CASES = frozenset({"case", "when", "in", "esac"})
_LABELLED = re.compile(r"(switch|select|match|case)\b")


def is_indented(site: Site) -> bool:
    """Whether the cursor's line has all the indentation that it may have.

    Some models write it again. In Python, deeper than this would be no program.
    """
    language = site.language
    if not (language.indented and language.definition) or language.ends:
        return False
    if not site.head or site.head.strip() or site.opaque is not None or site.stack:
        return False
    above = site.before[: len(site.before) - len(site.head)].rstrip().rpartition("\n")[2]
    if not above or above.endswith("\\"):
        return False
    return width(site.head) > width(above) or not opens_block(above, language)


def lacking(site: Site) -> str:
    """The white space that a blank line lacks before code may begin on it.

    That is all of it at the start of the line, and the rest within a level: a person who is
    at another level means it. Empty where nobody can tell: at the end of an indented body,
    code further left begins something new.
    """
    language = site.language
    if site.head.strip() or site.tail.strip() or site.opaque is not None or language.prose:
        return ""
    if site.head and _is_level(site):
        return ""
    inner = site.stack[-1] if site.stack else None
    if inner is not None and inner.name in "{[(":
        blank = _in_bracket(site, inner)
    elif language.indented and language.definition:
        blank = _in_block(site)
    else:
        return ""
    return blank[len(site.head) :] if blank.startswith(site.head) else ""


def _in_bracket(site: Site, inner: Bracket) -> str:
    """The indentation of the lines in a bracket: the least of those that are there already."""
    if not inner.ends_line or _LABELLED.match(inner.header):
        return ""
    above = site.before[inner.start : len(site.before) - len(site.head)].splitlines()[1:]
    lines = above[-_MOST_LINES:] + [_line(site.after, ahead.start) for ahead in site.ahead]
    blanks = [_blank(line) for line in lines if line.strip()]
    if any(width(blank) <= inner.indent for blank in blanks):
        return ""  # labels, namespaces: there columns tell nothing
    if not blanks and site.indent > inner.indent:
        return ""
    return min(blanks, key=width, default=_blank_of(site, inner.start) + _step(site))


def _in_block(site: Site) -> str:
    """The same where indentation tells the blocks: between a line above and one as deep below."""
    above = site.before[: len(site.before) - len(site.head)].rstrip()
    last = above.rpartition("\n")[2]
    ahead = site.ahead[0] if site.ahead else None
    word = (first_word(ahead.text) or ahead.text[:1]) if ahead else ""
    if last.endswith("\\") or word in _CASES or _LABELLED.match(last.strip()):
        return ""
    level = ahead.indent if ahead else 0
    if opens_block(last, site.language):
        return _line_blank(site, 0) if level > width(last) else _blank(last) + _step(site)
    is_closer = word in (*site.language.ends, *site.language.goes_on)
    # Right below a deeper line its block goes on; below an empty line, what follows does.
    is_right_below = len(site.before) - len(site.head) == len(above) + 1
    if level < width(last) and (is_closer or (level and is_right_below)):
        return _blank(last)
    return _line_blank(site, 0) if 0 < level <= width(last) and not is_closer else ""


def _line(text: str, start: int) -> str:
    return text[start:].partition("\n")[0]


def _line_blank(site: Site, index: int) -> str:
    return _blank(_line(site.after, site.ahead[index].start))


def _blank(line: str) -> str:
    found = _BLANK.match(line)
    return found.group() if found else ""


def _blank_of(site: Site, at: int) -> str:
    """The indentation of the line that ``at`` is on."""
    return _blank(site.before[site.before.rfind("\n", 0, at) + 1 :])


def _is_level(site: Site) -> bool:
    """Whether the cursor stands where other lines begin, or may begin."""
    step = _step(site)
    if step == "\t" or site.indent % len(step) == 0:
        return True
    lines = (line for line in _around(site).splitlines() if line.strip())
    return any(width(line) == site.indent for line in lines)


def _around(site: Site) -> str:
    """The lines around the cursor, without what stands before it on its own."""
    before = site.before[: len(site.before) - len(site.head)]
    return before[before.rfind("\n", 0, -_NEAR) + 1 :] + site.after[:_NEAR]


def _step(site: Site) -> str:
    """One level, as the document indents, or the person; else four spaces."""
    lines = [line for line in _around(site).splitlines() if line.strip()]
    if any(line[0] == "\t" for line in lines):
        return "\t"
    widths = [width(line) for line in lines]
    deltas = (deeper - level for level, deeper in pairwise(widths))
    steps = [delta for delta in deltas if 1 < delta <= _WIDEST_STEP]
    return " " * min(steps, default=site.indent or 4)
