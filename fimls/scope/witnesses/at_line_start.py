"""Asked at the first word of a line: whether the line still belongs to the scope."""

from __future__ import annotations

import re

from fimls.fim import Cut, StopReason
from fimls.scope import floor as floors
from fimls.scope import layout, members, statements
from fimls.scope.fence import FENCE
from fimls.scope.progress import Progress
from fimls.scope.site import width
from fimls.scope.statements import first_word

_LOOKS_BACK = 100


def stands(progress: Progress, *, final: bool) -> bool:
    """Whether enough of the line is there to tell how it begins."""
    while progress.head_start < progress.end and progress.text[progress.head_start] in " \t":
        progress.head_start += 1
    rest = progress.text[progress.head_start : progress.end]
    if final or rest[:1] == "\n":
        return True
    if not rest:
        return False
    mark = progress.site.mark or FENCE
    if rest != mark and mark.startswith(rest):
        return False
    word = first_word(rest)
    if not word:
        return len(rest) > 1
    return len(rest) > len(word) or _is_plainly_outside(progress, word)


def _is_plainly_outside(progress: Progress, start_of_word: str) -> bool:
    """Whether one letter is enough: the line is left of the floor, whatever its word."""
    floor, language = progress.floor, progress.site.language
    if floor is None or not language.indented or progress.brackets.depth or not progress.line_start:
        return False
    if progress.statement_end is not None or progress.block is not None:
        return False
    indent = width(progress.text, progress.line_start)
    is_behind = floors.is_behind_inner(indent, "", progress.site, floor)
    return (
        indent < floor.indent
        and not is_behind
        and not any(word.startswith(start_of_word) for word in (*language.goes_on, *language.ends))
    )


def begun(progress: Progress) -> Cut | None:
    """The first word of a line stands: tell whether the line still belongs to the scope."""
    site, start = progress.site, progress.line_start
    head = progress.text[progress.head_start : progress.end]
    if head.startswith(site.mark or FENCE):
        return progress.stop(start, StopReason.SCOPE)
    if progress.brackets.depth or not head or head[0] == "\n":
        return None
    cut = _statement_over(progress, head)
    if cut is not None or not (site.is_fresh or start):
        return cut
    indent = width(progress.text, start) + (0 if start else site.indent)
    if progress.block is not None and start and indent <= progress.block:
        return _block_over(progress, progress.block, indent, head)
    lines = progress.choice.lines
    if start and (
        layout.is_owed_end(indent, head, site, lines)
        or layout.is_owed_branch(indent, head, site, lines)
        or layout.is_owed_clause(indent, head, site)
    ):
        run = progress.choice.repetition.from_next_line()
        return progress.stop((run and run.start) or start, StopReason.SUFFIX)
    return _layout(progress, indent, head)


def _block_over(progress: Progress, block: int, indent: int, head: str) -> Cut | None:
    """The block of the cursor's statement had ended with the line before, or ends with this one."""
    site = progress.site
    if first_word(head) in site.language.goes_on or layout.is_item_of_key(indent, head, site):
        return None
    if not layout.closes_header(indent, head, site, block):
        return progress.stop(progress.line_start, StopReason.SCOPE)
    progress.block = None
    _end_statement(progress, head)
    return None


def _end_statement(progress: Progress, head: str) -> None:
    """The statement ends with the word that the line begins with."""
    progress.statement_end = progress.head_start + len(first_word(head) or head[:1])


def _statement_over(progress: Progress, head: str) -> Cut | None:
    """The cursor's statement had ended with the line before, unless this one goes on."""
    if progress.statement_end is None:
        return None
    end, progress.statement_end = progress.statement_end, None
    site, language = progress.site, progress.site.language
    indent = width(progress.text, progress.line_start)
    if progress.is_in_tail_bracket and (indent > site.indent or first_word(head) in language.ends):
        return None
    # An else further left carries on what is around the statement.
    is_left = bool(language.ends) and indent < site.indent
    # A while ends what a do began; else it is a loop of its own.
    is_loop = first_word(head) == "while" and "do" not in re.findall(r"\w+", site.head)
    # Behind a semicolon only words go on: a star would begin the next statement.
    is_over = progress.text[end - 1] == ";" and not first_word(head)
    goes_on = statements.begins_as_continuation(head, language)
    if goes_on and not (is_left or is_loop or is_over):
        return None
    return progress.stop_unless_hanging(end)


def _layout(progress: Progress, indent: int, head: str) -> Cut | None:
    site, language = progress.site, progress.site.language
    if progress.floor is None:
        # Items at the column of their key are deeper than it, in a way.
        deeper = layout.is_item_of_key(indent, head, site)
        progress.floor = floors.floor_of(site, indent + deeper if site.is_fresh else None)
    if language.indented and indent < progress.floor.indent:
        return _below_floor(progress, progress.floor, indent, head)
    if progress.choice.held is not None and members.is_definition(head, language):
        return progress.stop(progress.line_start, StopReason.SCOPE)
    lines = progress.choice.lines
    block = progress.brackets.inner
    looks_left = bool(progress.line_start and lines) and not language.indented
    if looks_left and block and layout.is_left_of_block(indent, head, block, lines, site):
        return progress.stop(progress.line_start, StopReason.SCOPE)
    return _member(progress, indent, head)


def _below_floor(progress: Progress, floor: floors.Floor, indent: int, head: str) -> Cut | None:
    """The line is outside, unless it ends or carries on what is around the cursor."""
    site = progress.site
    if layout.closes_header(indent, head, site, floor.indent - 1):
        _end_statement(progress, head)
        return None
    belongs = (
        floors.goes_on_above(indent, head, site, floor)
        or layout.is_item_of_key(indent, head, site)
        or progress.brackets.may_close(head[0])
    )
    if belongs:
        return None
    if floors.is_behind_inner(indent, head, site, floor):
        progress.leave_inner(floor)
        return None
    return progress.stop(progress.line_start, StopReason.SCOPE)


def _member(progress: Progress, indent: int, head: str) -> Cut | None:
    """At the top level or between methods: one definition, or one paragraph."""
    if not progress.holds_members():
        return None
    language, lines = progress.site.language, progress.choice.lines
    last = progress.text[max(0, progress.line_start - _LOOKS_BACK) : progress.line_start].rstrip()
    last = last.rpartition("\n")[2]
    if lines and members.begins_another(
        lines,
        indent,
        head,
        language,
        done=progress.member_done,
        blank=progress.was_blank,
        is_listed=statements.strip_comment(last, language).rstrip().endswith(","),
    ):
        return progress.stop(progress.line_start, StopReason.SCOPE)
    # Where nothing tells the body by its layout, it goes on to the next definition.
    is_whole = language.indented and head[:1] != "@"
    if is_whole and members.is_definition(head, language):
        progress.member_done = True
    return None
