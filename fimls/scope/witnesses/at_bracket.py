"""Asked at brackets and semicolons: what closes, and what is closed behind the cursor already."""

from __future__ import annotations

from fimls.fim import Cut, StopReason
from fimls.scope.brackets import Closed
from fimls.scope.progress import Progress
from fimls.scope.scan import CLOSERS, OPENERS, Mark
from fimls.scope.statements import is_case, may_have_branch

# What may stand between the end of a block and the closers of what it is in.
_CLOSES = ")], \t\n"
# What the line above a block ends in that is no body: a statement, or an item.
_ENDS = ",;:{}([="
_LONGEST_WORDS = 80  # that a statement begins with


def opened(progress: Progress, mark: Mark) -> Cut | None:
    """A bracket opens: one more, or the block of a branch."""
    at = progress.branches.at
    if at is None or progress.brackets.depth or mark.name != "{":
        is_said_again = mark.name == "{" and _begins_what_follows(progress, mark)
        progress.brackets.depth.append(mark)
        return progress.stop(progress.line_start, StopReason.SUFFIX) if is_said_again else None
    if progress.branches.open(progress.text[at : mark.end]):
        return None
    return progress.stop(at, StopReason.SUFFIX, seen=at + 1)


def _begins_what_follows(progress: Progress, brace: Mark) -> bool:
    """Whether a brace on a line of its own, below a header, stands below the cursor already.

    At a line of its own, the cursor may also be above a block that has no header.
    """
    site = progress.site
    is_alone = brace.start == progress.head_start and not progress.brackets.depth
    if site.is_fresh or not is_alone or not site.ahead or site.ahead[0].text != "{":
        return False
    header = progress.text[: progress.line_start].rstrip()
    return bool(header) and header[-1] not in _ENDS


def branch(progress: Progress, *, final: bool) -> Cut | None:
    """A brace that is owed has come: an ``else`` may follow and open it again."""
    at = progress.branches.at
    if at is None or (progress.brackets.depth and not final):
        return None
    if not final and progress.branches.goes_on(progress.seen):
        return None
    return progress.stop(at, StopReason.SUFFIX, seen=at + 1)


def closed(progress: Progress, mark: Mark) -> Cut | None:
    """A bracket closes: the text's own, one that is left to it, or one that is owed to it."""
    inner = progress.brackets.inner
    what, opener = progress.brackets.close(progress.text, mark)
    if opener is not None:
        return _own_closed(progress, opener, mark)
    language = progress.site.language
    is_block = progress.brackets.is_closed and _ends_block(progress.text, mark)
    is_block &= not progress.asks_for_body
    # Nothing else bounds markup and data: the element, object or list that the cursor was in.
    is_element = bool(language.separator) or (mark.name[0] == "<" and not language.strings)
    if what is Closed.OURS and (is_block or is_element):
        progress.statement_end = mark.end
    if what in {Closed.OURS, Closed.LOOSE}:
        return None
    if what is Closed.OWED:
        if inner and progress.branches.may_begin(progress.text, mark, inner):
            progress.branches.at = mark.start
            return None
        cut = _last_line_ahead(progress, mark)
        return cut or progress.stop(mark.start, StopReason.SUFFIX, seen=mark.end)
    # The tag that the cursor is in is not open yet; its element may close on the cursor's line.
    is_of_tail = mark.name[0] == "<" and progress.site.has_rest
    reason = StopReason.SUFFIX if is_of_tail else StopReason.SCOPE
    return progress.stop(mark.start, reason, seen=mark.end)


def _ends_block(text: str, closer: Mark) -> bool:
    """Whether a closer ends a block, or what ends right behind one: a call around a function."""
    if closer.name in {"}", OPENERS[":"]}:
        return True
    return closer.name in CLOSERS and text[: closer.start].rstrip(_CLOSES).endswith("}")


def _last_line_ahead(progress: Progress, closer: Mark) -> Cut | None:
    """The closer that is owed ends a line after the cursor: perhaps that line was repeated."""
    line = progress.text[progress.line_start : closer.end]
    bare = line.strip()
    for ahead in progress.site.ahead:
        if ahead.text.startswith(bare) and len(bare) > 1:
            return progress.add_line(line + ahead.text[len(bare) :], closer.end)
    return None


def _own_closed(progress: Progress, opener: Mark, closer: Mark) -> Cut | None:
    spans_lines = opener.start < progress.line_start
    progress.member_done |= closer.name == "}" and not progress.brackets.depth and spans_lines
    progress.has_closed |= spans_lines and not progress.brackets.depth
    if closer.name == "}" and not progress.brackets.depth and progress.site.is_branch_next:
        return progress.stop(closer.start, StopReason.SUFFIX)
    if opener is not progress.brackets.body:
        return None
    # The text wrote a body of its own for its header, and one follows already.
    progress.brackets.body, progress.brackets.n_body = None, 0
    header, whole = progress.text[: opener.end], progress.text[: closer.end]
    body = whole[opener.end : closer.start].strip()
    if body and progress.site.after.lstrip().startswith(body):
        return progress.stop(opener.end, StopReason.SUFFIX)
    if progress.choice.judge.is_no_worse_than(header, whole):
        return progress.stop(opener.end, StopReason.SUFFIX)
    return None


def semicolon(progress: Progress, mark: Mark) -> Cut | None:
    """Where the rest of a statement was asked for, it is complete."""
    site, start, language = progress.site, progress.line_start, progress.site.language
    if mark.name == language.separator and not progress.text[: mark.start].strip():
        progress.begins_anew = True
        return None
    is_outer = not progress.brackets.depth and not site.tail.strip()
    is_in_case = progress.block is not None
    if not (language.semicolons and is_outer and progress.in_statement()) or is_in_case:
        return None
    # A case goes on to the next one, and a line of a template to its end.
    line = progress.text[start : mark.start]
    if "<?" in line or is_case(line if start else site.head + line, site):
        return None
    if start and site.ahead and site.ahead[0].text == f"{line};".strip():
        return progress.stop(start, StopReason.SUFFIX)
    if may_have_branch(site.head + progress.text[:_LONGEST_WORDS], language):
        progress.statement_end = mark.end
        return None
    return progress.stop(mark.end, StopReason.SCOPE)
