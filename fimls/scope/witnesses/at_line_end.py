"""Asked at line ends: the statement that is complete, the line that is said again, the loop."""

from __future__ import annotations

import re
from collections import Counter

from fimls.fim import Cut, StopReason
from fimls.scope import layout, members, statements
from fimls.scope.annotations import is_annotation
from fimls.scope.loop import LOOKS_BACK, counts_without_end, find_loop
from fimls.scope.owed import BEFORE_VALUES
from fimls.scope.progress import Progress
from fimls.scope.scan import Mark, matches
from fimls.scope.suffix import is_common, meets_tail
from fimls.scope.tags import ends_in_opening_tag

# What may stand between the end of a block and the end of its line.
_CLOSES_MORE = re.compile(r"[;,)\s]*")


def ended(progress: Progress, newline: Mark) -> Cut | None:
    """A line is whole, and the next one begins."""
    statement_end = progress.statement_end
    if statement_end is not None:
        # More than closers behind it on its line: that line tells whether it goes on.
        is_end = _CLOSES_MORE.fullmatch(progress.text, statement_end, newline.start)
        line = progress.text[progress.line_start : newline.start]
        language = progress.site.language
        goes_on = bool(progress.brackets.depth) or statements.is_unfinished(line, language)
        goes_on |= language.indented and statements.opens_block(line, language)
        progress.statement_end = None if goes_on and not is_end else newline.start
    cut = _whole(progress, newline.start)
    progress.begin_line(newline.end)
    return cut


def _whole(progress: Progress, end: int) -> Cut | None:
    start = progress.line_start
    line = progress.text[start:end]
    cut = None if start else _first_line(progress, end)
    cut = cut or _before_rest(progress, end)
    if cut is not None:
        return cut
    if not line.strip():
        progress.was_blank = True
        is_in_block = progress.block is not None
        if start == 0:
            progress.begins_anew = not progress.is_left_open
            _begin_block(progress)
        elif progress.site.language.clauses and not (progress.brackets.depth or is_in_block):
            # What only a mark ends may lack it: then a clause has to follow.
            progress.statement_end = end if progress.in_statement() else None
        return None
    cut = _loop(progress, end) or progress.add_line(line, end)
    if cut is not None:
        return cut
    return (
        _block_opened(progress)
        if progress.brackets.depth
        else _end_of_statement(progress, line, end)
    )


def ended_inside(progress: Progress, start: int) -> Cut | None:
    """A line ended in a comment or string from ``start``: perhaps it is what follows.

    A documentation comment would else be known only by its end, hundreds of tokens later.
    """
    ahead = progress.site.ahead
    if progress.brackets.depth or start != progress.head_start or not ahead:
        return None
    seen = progress.text[start : progress.end]
    if not (ahead[0].text + "\n").startswith(seen):
        return None
    lines = seen.splitlines()
    if len(lines) < 2 or is_common(lines[1].strip()):
        return None
    return progress.stop(progress.line_start, StopReason.SUFFIX, seen=progress.end)


def ended_in_ours(progress: Progress) -> Cut | None:
    """A line ended in the comment or string that the cursor is in: perhaps the next one follows."""
    start = progress.text.rfind("\n", 0, progress.end - 1) + 1
    line = progress.text[start : progress.end].strip()
    tail, _, below = progress.site.after.partition("\n")
    following = next((line.strip() for line in below.splitlines() if line.strip()), "")
    if not start or tail.strip() or is_common(line) or line != following:
        return None
    return progress.stop(start, StopReason.SUFFIX)


def _loop(progress: Progress, end: int) -> Cut | None:
    """The text goes round and round, or counts."""
    start = max(0, end - LOOKS_BACK)
    lines = progress.text[start:end]
    at = find_loop(lines)
    if at is not None:
        return progress.stop(start + at, StopReason.LOOP)
    inner = progress.brackets.inner
    # Rows of numbers are data between brackets, after commas, and in languages of data.
    in_brackets = progress.brackets.depth or (inner is not None and inner.name != "{")
    language = progress.site.language
    is_data = in_brackets or lines.endswith(",") or not language.goes_on
    is_header = language.indented and statements.opens_block(lines.rpartition("\n")[2], language)
    if not (is_data or is_header) and counts_without_end(lines):
        return progress.stop(end, StopReason.LOOP)
    return None


def _first_line(progress: Progress, end: int) -> Cut | None:
    """A comment or string of one line ends with it, unless the string was closed before."""
    opaque = progress.site.opaque
    if opaque is not None and opaque.one_line and progress.in_opaque:
        return progress.stop(end, StopReason.SCOPE)
    return None


def _before_rest(progress: Progress, end: int) -> Cut | None:
    """The rest of the cursor's line is still to come: the text has to fit before it."""
    start = progress.line_start
    is_of_first = not start or progress.awaits_rest
    if not progress.site.has_rest or not (is_of_first or progress.has_closed):
        return None
    met = meets_tail(progress.text[:end], progress.site, since=start)
    if met is not None:
        return progress.stop(met, StopReason.SUFFIX, seen=end)
    inner = progress.brackets.inner
    closes = inner is not None and matches(inner.name, progress.site.tail.strip()[0])
    language = progress.site.language
    progress.awaits_rest = not (language.indented or progress.brackets.depth) and (
        statements.is_unfinished(progress.text[start:end], language)
    )
    if progress.brackets.depth or closes or progress.awaits_rest:
        return None
    if not language.indented and not progress.site.tail.strip().strip(";,"):
        # A chain or a clause may still go on on the next line.
        progress.statement_end, progress.awaits_rest = end, True
        return None
    return progress.stop(end, StopReason.SCOPE)


def _block_opened(progress: Progress) -> Cut | None:
    """The line ends inside a bracket: the block of a second member is one too many."""
    brackets = progress.brackets
    innermost = brackets.depth[-1]
    inner = brackets.inner
    is_argument = inner is not None and inner.name == "(" and _follows_comma(progress, innermost)
    is_in_body = brackets.body is None or progress.line_depth == brackets.n_body
    opened = Counter(bracket.name for bracket in brackets.depth)
    is_new = innermost is not brackets.body and not is_argument
    if is_in_body and is_new and opened <= Counter(progress.site.lacks):
        brackets.body, brackets.n_body = innermost, len(brackets.depth)
        return None
    is_block = innermost.name == "{" and not progress.site.language.indented
    if progress.line_depth or not is_block or not progress.holds_members():
        return None
    start = members.start_of_second(progress.choice.lines, progress.site.language)
    return None if start is None else progress.stop(start, StopReason.SCOPE)


def _follows_comma(progress: Progress, brace: Mark) -> bool:
    """Whether a brace begins an argument or a parameter, not a body."""
    line = progress.text.rfind("\n", 0, max(0, progress.line_start - 1)) + 1  # or the one above it
    header = progress.text[line : brace.start].rstrip() or progress.site.head.rstrip()
    return header.endswith((",", "("))


def _begin_block(progress: Progress) -> None:
    """The line before the cursor turns out to be whole; it may be the header of a block."""
    site = progress.site
    if site.language.indented and statements.opens_block(site.head, site.language):
        progress.block = site.level


def _ends_item(progress: Progress, line: str) -> bool:
    """Whether a line completes an item of a list or an object in which others follow the cursor."""
    inner = progress.brackets.inner
    if inner is None or not (inner.owed and inner.ends_line and progress.site.ahead):
        return False
    begins_above = inner.start < len(progress.site.before) - len(progress.site.head)
    holds_items = inner.name in "([" or inner.header.endswith(BEFORE_VALUES)
    bare = statements.strip_comment(line, progress.site.language).rstrip()
    return begins_above and holds_items and bare.endswith(",")


def _end_of_statement(progress: Progress, line: str, end: int) -> Cut | None:
    """A line ended outside brackets, and perhaps the cursor's statement with it."""
    site = progress.site
    is_told = progress.statement_end is not None or progress.block is not None
    if is_told or not progress.in_statement():
        return None
    whole = site.head + line if progress.line_start == 0 else line
    is_header = site.language.indented and statements.opens_block(whole, site.language)
    is_header |= bool(site.language.strings) and site.language.tags and ends_in_opening_tag(whole)
    if is_header and layout.has_body_ahead(site):
        return progress.stop(end, StopReason.SCOPE)
    # In data, a text may go on below, further right.
    is_block = is_header and site.language.indented
    if is_block or site.language.item or statements.is_case(whole, site):
        progress.block = site.level
        return None
    goes_on = statements.is_unfinished(whole, site.language) or statements.wants_body(whole, site)
    goes_on &= not _ends_item(progress, whole)
    if goes_on or is_annotation(site.head + progress.text[:end], site):
        return None
    is_directive = site.language.conditionals and whole.lstrip()[:1] == "#"
    is_told = site.language.indented and not site.language.ends
    if is_directive or (is_told and not progress.is_in_tail_bracket):
        return progress.stop_unless_hanging(end)
    progress.statement_end = end
    return None
