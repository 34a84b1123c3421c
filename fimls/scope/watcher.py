"""The watcher: reads a generation token by token and says where it ends.

Four witnesses, each cheap, each able to say "go on", "done here", or nothing:
brackets, layout, the statement or member that is complete, and the suffix.
Strong evidence ends the generation. Weak evidence never does: it only chooses
the cut after strong evidence has shown that the text ran too far.

Text is taken in steps of its own (marks, first letters and ends of words), not
in those of the tokens: so what is found does not depend on how the text was
cut into pieces, and nothing looks at what a slower stream had not brought yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from fimls.fim import Cut, StopReason
from fimls.scope import conditionals, layout, members
from fimls.scope import grades as grading
from fimls.scope.brackets import Brackets, Branches, Closed
from fimls.scope.choice import Choice
from fimls.scope.fence import FENCE, opening
from fimls.scope.layout import Floor, first_word, floor_of
from fimls.scope.loop import LONGEST_IN_LINE, LOOKS_BACK, counts_without_end, find_loop, is_stuck
from fimls.scope.prose import prose_line
from fimls.scope.scan import Kind, Mark, Scanner, matches
from fimls.scope.site import Line, Site, plain, survey, width
from fimls.scope.suffix import meets_tail

# No completion is that long; it also bounds what one generation can cost here.
MOST_GENERATED = 32_000
_STEP = re.compile(r"\W|\b\w")


@dataclass(slots=True)
class Watcher:
    """Follows one generation at one cursor. Made by ``watch``."""

    site: Site
    _text: str = ""  # without the fence that the answer began with
    _n_opening: int | None = None  # characters of that fence, once it is known
    _end: int = 0  # of the text that has been looked at
    _scanner: Scanner = field(init=False)
    _choice: Choice = field(init=False)
    _brackets: Brackets = field(init=False)
    _branches: Branches = field(init=False)
    _floor: Floor | None = None
    _line_start: int = 0
    _head_start: int = 0  # of what follows the white space that the line begins with
    _line_depth: int = 0  # brackets of the generated text that the line began in
    _awaits_head: bool = True  # the first word of the line has not been seen whole
    _in_opaque: bool = False  # still in the string or comment that the cursor was in
    _statement_end: int | None = None  # where the statement ended, unless the next line goes on
    _block: int | None = None  # indentation of the cursor's statement, which turned out a header
    _begins_anew: bool = False  # the cursor's statement was complete before the cursor
    _member_done: bool = False
    _was_blank: bool = False
    _unstuck_until: int = 0  # so far the line does not repeat itself
    _awaits_rest: bool = False  # lines were unfinished: the rest of the cursor's is still to come
    _cut: Cut | None = None

    def __post_init__(self) -> None:
        self._scanner = Scanner(self.site.language, opaque=self.site.opaque)
        self._choice = Choice(self.site)
        self._brackets = Brackets(self.site)
        self._branches = Branches(self.site)
        self._in_opaque = self.site.opaque is not None
        if self._in_opaque or self.site.language.prose or self.site.mark:
            self._n_opening = 0  # there a fence is text, or the end

    # -- what the completer calls

    def feed(self, piece: str) -> Cut | None:
        """Take the next piece of the generation; a ``Cut`` means: decode no further."""
        if self._cut is None:
            self._text += plain(piece)
            if self._begins(final=False):
                self._scanner.text = self._text
                cut = self._advance()
                self._cut = cut and self._in_the_answer(cut)
        return self._cut

    def finish(self, reason: StopReason) -> Cut:
        """The generation ended without our doing: the last clean-up."""
        if self._cut is None:
            if self._begins(final=True):
                self._scanner.text = self._text
            cut = self._step(len(self._text), final=True) or self._finish(reason)
            self._cut = self._in_the_answer(cut)
        return self._cut

    def part(self) -> int:
        """The length that may be shown before the generation is over: whole lines, 0 for none."""
        is_open = self._cut is None and not self._in_opaque
        return self._choice.part(self._seen, self._line_start) if is_open else 0

    def grades(self, text: str) -> tuple[int, ...]:
        """The lengths at which ``text`` may be offered on its own; the last is all of it."""
        return grading.grades(text, self.site)

    # -- an answer between fences

    def _begins(self, *, final: bool) -> bool:
        """Whether it is known if the answer begins with a fence, which is taken off then."""
        if self._n_opening is None:
            self._n_opening = opening(self._text, self.site.before, final=final)
            self._text = self._text[self._n_opening or 0 :]
        return self._n_opening is not None

    def _in_the_answer(self, cut: Cut) -> Cut:
        """A cut in the text that is watched, as one in the answer that was fed."""
        return replace(cut, at=cut.at + (self._n_opening or 0)) if cut.at else cut

    # -- the scan

    def _advance(self) -> Cut | None:
        for found in _STEP.finditer(self._text, self._end):
            cut = self._step(found.end(), final=False) or self._on_stuck_line()
            if cut is not None:
                return cut
            if self._end > MOST_GENERATED:
                return self._choice.at_end(self._seen, StopReason.BUDGET, self._floor_indent)
        return None

    def _on_stuck_line(self) -> Cut | None:
        """The line goes on and on; it is looked at each time it has grown by as much again."""
        if self._end - max(self._line_start, self._unstuck_until) < LONGEST_IN_LINE:
            return None
        self._unstuck_until = self._end
        if is_stuck(self._text[self._line_start : self._end]):
            return self._stop(self._line_start, StopReason.LOOP)
        return None

    @property
    def _seen(self) -> str:
        return self._text[: self._end]

    @property
    def _floor_indent(self) -> int:
        return self._floor.indent if self._floor else 0

    def _step(self, end: int, *, final: bool) -> Cut | None:
        """Look at the text up to ``end``."""
        self._end = self._scanner.end = end
        if self.site.language.prose and not self._in_opaque:
            return self._prose(final=final)
        cut = self._on_branch(final=final)
        while cut is None:
            if self._awaits_head and self._scanner.opaque is None:
                if not self._head_stands(final=final):
                    break
                self._awaits_head = False
                cut = self._on_head()
                if cut is not None:
                    break
            mark = self._scanner.next_mark(final=final)
            if mark is None:
                break
            cut = self._on(mark)
        return cut

    def _on(self, mark: Mark) -> Cut | None:
        if mark.kind is Kind.NEWLINE:
            return self._on_newline(mark)
        if mark.kind is Kind.OPEN:
            return self._on_opener(mark)
        if mark.kind is Kind.CLOSE:
            return self._on_closer(mark)
        if mark.kind is Kind.SEMICOLON:
            return self._on_semicolon(mark)
        if mark.kind is Kind.CLEAR and self._in_opaque:
            self._in_opaque = False
            if self.site.opaque_owed:
                return self._stop(mark.start, StopReason.SUFFIX, seen=mark.end)
        return None

    def _prose(self, *, final: bool) -> Cut | None:
        if not (final or self._text[self._end - 1 : self._end] == "\n"):
            return None
        start, end = self._line_start, self._end
        self._line_start = end
        has_text = bool(self._text[:start].strip() or self.site.head.strip())
        cut = prose_line(self._text[start:end], start, self._choice, has_text=has_text)
        return cut and self._stop(cut.at, cut.reason)

    # -- brackets

    def _on_opener(self, mark: Mark) -> Cut | None:
        at = self._branches.at
        if at is None or self._brackets.depth or mark.name != "{":
            self._brackets.depth.append(mark)
            return None
        if self._branches.open(self._text[at : mark.end]):
            return None
        return self._stop(at, StopReason.SUFFIX, seen=at + 1)

    def _on_branch(self, *, final: bool) -> Cut | None:
        """A brace that is owed has come: an ``else`` may follow and open it again."""
        at = self._branches.at
        if at is None or (self._brackets.depth and not final):
            return None
        if not final and self._branches.goes_on(self._seen):
            return None
        return self._stop(at, StopReason.SUFFIX, seen=at + 1)

    def _on_closer(self, mark: Mark) -> Cut | None:
        inner = self._brackets.inner
        closed, opened = self._brackets.close(self._text, mark)
        if opened is not None:
            return self._on_own_closed(opened, mark)
        if closed is Closed.OURS and mark.name == "}" and self._brackets.is_closed:
            self._statement_end = mark.end
        if closed in {Closed.OURS, Closed.LOOSE}:
            return None
        if closed is Closed.OWED:
            if inner and self._branches.may_begin(self._text, mark, inner):
                self._branches.at = mark.start
                return None
            cut = self._on_last_line_ahead(mark)
            return cut or self._stop(mark.start, StopReason.SUFFIX, seen=mark.end)
        return self._stop(mark.start, StopReason.SCOPE, seen=mark.end)

    def _on_last_line_ahead(self, closer: Mark) -> Cut | None:
        """The closer that is owed ends a line after the cursor: perhaps that line was repeated."""
        line = self._text[self._line_start : closer.end].strip()
        for ahead in self.site.ahead:
            if ahead.text.startswith(line) and len(line) > 1:
                rest = ahead.text[len(line) :]
                return self._add_line(self._text[self._line_start : closer.end] + rest, closer.end)
        return None

    def _on_own_closed(self, opened: Mark, closer: Mark) -> Cut | None:
        spans_lines = opened.start < self._line_start
        self._member_done |= closer.name == "}" and not self._brackets.depth and spans_lines
        if opened is not self._brackets.body:
            return None
        # The text wrote a body of its own for its header, and one follows already.
        self._brackets.body = None
        header, whole = self._text[: opened.end], self._text[: closer.end]
        if self._choice.judge.is_no_worse_than(header, whole):
            return self._stop(opened.end, StopReason.SUFFIX)
        return None

    def _on_semicolon(self, mark: Mark) -> Cut | None:
        is_outer = not self._brackets.depth and not self.site.tail.strip()
        if self.site.language.semicolons and is_outer and self._in_statement():
            return self._stop(mark.end, StopReason.SCOPE)
        return None

    def _in_statement(self) -> bool:
        """Whether the rest of a statement is asked for, and everything it opened is closed."""
        if self._begins_anew or not self._brackets.is_statement_closed:
            return False
        had_open = any(not bracket.owed for bracket in self.site.stack[self.site.n_outer :])
        return had_open or not (self.site.is_fresh or self.site.is_first_word)

    # -- whole lines

    def _on_newline(self, mark: Mark) -> Cut | None:
        cut = self._on_line(self._text[self._line_start : mark.start], mark.start)
        if self._statement_end is not None and _CLOSES_MORE.fullmatch(
            self._text, self._statement_end, mark.start
        ):
            self._statement_end = mark.start
        if self._in_opaque and self._scanner.opaque is None:
            self._in_opaque = False
        self._line_start = self._head_start = mark.end
        self._line_depth = len(self._brackets.depth)
        self._awaits_head = True
        return cut

    def _on_line(self, line: str, end: int) -> Cut | None:
        start = self._line_start
        cut = None if start else self._on_first_line(end)
        cut = cut or self._on_end_before_rest(end)
        if cut is not None:
            return cut
        if not line.strip():
            self._was_blank = True
            if start == 0:
                self._begins_anew = True
                self._begin_block()
            return None
        seen_from = max(0, end - LOOKS_BACK)
        loop = find_loop(self._text[seen_from:end])
        if loop is not None:
            return self._stop(seen_from + loop, StopReason.LOOP)
        if not self._brackets.depth and counts_without_end(self._text[seen_from:end]):
            return self._stop(end, StopReason.LOOP)
        cut = self._add_line(line, end)
        if cut is not None:
            return cut
        return (
            self._on_block_opened()
            if self._brackets.depth
            else self._on_end_of_statement(line, end)
        )

    def _on_first_line(self, end: int) -> Cut | None:
        if self.site.opaque is not None and self.site.opaque.one_line:
            return self._stop(end, StopReason.SCOPE)
        return None

    def _on_end_before_rest(self, end: int) -> Cut | None:
        """The rest of the cursor's line is still to come: the text has to fit before it."""
        start = self._line_start
        is_of_first = not start or self._awaits_rest
        is_closing = bool(self._line_depth) and not self._brackets.depth
        if not self.site.has_rest or not (is_of_first or is_closing):
            return None
        met = meets_tail(self._text[:end], self.site, since=start)
        if met is not None:
            return self._stop(met, StopReason.SUFFIX, seen=end)
        inner = self._brackets.inner
        closes = inner is not None and matches(inner.name, self.site.tail.strip()[0])
        language = self.site.language
        self._awaits_rest = not (language.indented or self._brackets.depth) and (
            layout.is_unfinished(self._text[start:end], language)
        )
        if self._brackets.depth or closes or self._awaits_rest:
            return None
        if not language.indented and not self.site.tail.strip().strip(";,"):
            # A chain or a clause may still go on on the next line.
            self._statement_end, self._awaits_rest = end, True
            return None
        return self._stop(end, StopReason.SCOPE)

    def _add_line(self, line: str, end: int) -> Cut | None:
        start = self._line_start
        is_in_body = self._brackets.body is not None and self._line_depth == 1
        if (self._line_depth and not is_in_body) or not (self.site.is_fresh or start):
            return None
        if conditionals.is_owed_end(line, self._choice.lines, self.site):
            return self._stop(start, StopReason.SUFFIX, seen=end)
        indent = width(line) if start else width(self.site.head + line)
        run = self._choice.add(Line(start, indent, line.strip()))
        return None if run is None else self._stop(run.start, StopReason.SUFFIX, seen=end)

    def _on_block_opened(self) -> Cut | None:
        """The line ends inside a bracket: the block of a second member is one too many."""
        outermost = self._brackets.depth[0]
        is_only = len(self._brackets.depth) == 1 and outermost.name == "{"
        if self.site.wants_block and is_only and self._brackets.body is None:
            self._brackets.body = outermost
            return None
        if self._line_depth or self._brackets.depth[-1].name != "{" or not self._holds_members():
            return None
        start = members.start_of_second(self._choice.lines, self.site.language)
        return None if start is None else self._stop(start, StopReason.SCOPE)

    def _begin_block(self) -> None:
        """The line before the cursor turns out to be whole; it may be the header of a block."""
        site = self.site
        if site.language.indented and layout.opens_block(site.head, site.language):
            self._block = width(site.head)

    def _on_end_of_statement(self, line: str, end: int) -> Cut | None:
        """A line ended outside brackets, and perhaps the cursor's statement with it."""
        site = self.site
        if not self._in_statement() or self._statement_end is not None or self._block is not None:
            return None
        whole = site.head + line if self._line_start == 0 else line
        if site.language.indented and layout.opens_block(whole, site.language):
            self._block = width(site.head)
            return None
        if layout.is_unfinished(whole, site.language):
            return None
        if site.language.indented and not site.language.ends:
            return self._stop_unless_hanging(end)
        self._statement_end = end
        return None

    # -- the first word of a line

    def _head_stands(self, *, final: bool) -> bool:
        """Whether enough of the line is there to tell how it begins."""
        while self._head_start < self._end and self._text[self._head_start] in " \t":
            self._head_start += 1
        rest = self._text[self._head_start : self._end]
        if final or rest[:1] == "\n":
            return True
        if not rest:
            return False
        mark = self.site.mark or FENCE
        if rest != mark and mark.startswith(rest):
            return False
        word = first_word(rest)
        if not word:
            return len(rest) > 1
        return len(rest) > len(word) or self._is_plainly_outside(word)

    def _is_plainly_outside(self, start_of_word: str) -> bool:
        """Whether one letter is enough: the line is left of the floor, whatever its word."""
        floor, language = self._floor, self.site.language
        if floor is None or not language.indented or self._brackets.depth or not self._line_start:
            return False
        if self._statement_end is not None or self._block is not None:
            return False
        return width(self._text, self._line_start) < floor.indent and not any(
            word.startswith(start_of_word) for word in (*language.goes_on, *language.ends)
        )

    def _on_head(self) -> Cut | None:
        """The first word of a line stands: tell whether the line still belongs to the scope."""
        site, start = self.site, self._line_start
        head = self._text[self._head_start : self._end]
        if head.startswith(site.mark or FENCE):
            return self._stop(start, StopReason.SCOPE)
        if self._brackets.depth or not head or head[0] == "\n":
            return None
        cut = self._on_statement_over(head)
        if cut is not None or not (site.is_fresh or start):
            return cut
        indent = width(self._text, start) + (0 if start else site.indent)
        if self._block is not None and start and indent <= self._block:
            goes_on = first_word(head) in site.language.goes_on or layout.is_item_of_key(
                indent, head, site
            )
            return None if goes_on else self._stop(start, StopReason.SCOPE)
        lines = self._choice.lines
        if start and (
            layout.is_owed_end(indent, head, site, lines)
            or layout.is_owed_branch(indent, head, site, lines)
            or layout.is_owed_clause(indent, head, site)
        ):
            return self._stop(start, StopReason.SUFFIX)
        return self._on_layout(indent, head)

    def _on_statement_over(self, head: str) -> Cut | None:
        """The cursor's statement had ended with the line before, unless this one goes on."""
        if self._statement_end is None:
            return None
        end, self._statement_end = self._statement_end, None
        if layout.begins_as_continuation(head, self.site.language):
            return None
        return self._stop_unless_hanging(end)

    def _on_layout(self, indent: int, head: str) -> Cut | None:
        site, language = self.site, self.site.language
        if self._floor is None:
            self._floor = floor_of(site, indent if site.is_fresh else None)
        if language.indented and indent < self._floor.indent:
            if layout.closes_header(indent, head, site, self._floor):
                self._statement_end = self._head_start + len(first_word(head) or head[:1])
                return None
            belongs = (
                layout.goes_on_above(indent, head, site, self._floor)
                or layout.is_item_of_key(indent, head, site)
                or self._brackets.may_close(head[0])
            )
            if belongs:
                return None
            return self._stop(self._line_start, StopReason.SCOPE)
        lines = self._choice.lines
        block = self._brackets.inner
        looks_left = bool(self._line_start and lines) and not language.indented
        if looks_left and block and layout.is_left_of_block(indent, head, block, lines, site):
            return self._stop(self._line_start, StopReason.SCOPE)
        return self._on_member(indent, head)

    def _holds_members(self) -> bool:
        """Whether the cursor is at the top level or in a class body."""
        if self.site.language.indented:
            return self._floor is not None and self._floor.member
        if not self.site.is_fresh or conditionals.n_open(self._choice.lines, branches=True):
            return False
        inner = self._brackets.inner
        return inner is None or (
            inner.name == "{" and members.is_container(inner.header, self.site.language)
        )

    def _on_member(self, indent: int, head: str) -> Cut | None:
        """At the top level or between methods: one definition, or one paragraph."""
        if not self._holds_members():
            return None
        language, lines = self.site.language, self._choice.lines
        if lines and members.begins_another(
            lines, indent, head, language, done=self._member_done, blank=self._was_blank
        ):
            return self._stop(self._line_start, StopReason.SCOPE)
        if members.is_definition(head, language) and head[:1] != "@":
            self._member_done = True
        return None

    # -- the end

    def _stop_unless_hanging(self, at: int) -> Cut | None:
        """Stop where the statement is complete, unless the lines after it need a header."""
        ahead = self.site.ahead
        if self.site.language.indented and ahead and ahead[0].indent > width(self.site.head):
            return None
        return self._stop(at, StopReason.SCOPE)

    def _stop(self, at: int, reason: StopReason, *, seen: int | None = None) -> Cut:
        """Strong evidence: the text has run past ``at``."""
        if seen is not None and reason is StopReason.SUFFIX and self._line_start == 0:
            met = meets_tail(self._text[:seen], self.site, certain=True)
            at = min(at, met) if met is not None and not self.site.is_fresh else at
        return self._choice.cut(self._seen, at, reason, self._floor_indent)

    def _finish(self, reason: StopReason) -> Cut:
        line = self._text[self._line_start :]
        if line.strip() and not self._brackets.depth and self._scanner.opaque is None:
            cut = self._add_line(line, self._end)
            if cut is not None:
                return cut
        return self._choice.at_end(self._seen, reason, self._floor_indent)


# What may stand between the end of a block and the end of its line.
_CLOSES_MORE = re.compile(r"[;,)\s]*")


def watch(before: str, after: str, language: str) -> Watcher:
    """A watcher for what is generated between ``before`` and ``after``.

    ``language`` is a name from ``language_of``; an unknown one is watched by brackets and
    indentation. Lengths are counted in characters of the text as it is fed. Line ends are
    LF; a carriage return counts as white space. Never raises.
    """
    return Watcher(survey(before, after, language))
