"""The watcher: reads a generation token by token and says where it ends.

Four witnesses, each cheap, each able to say "go on", "done here", or nothing:
brackets, layout, siblings (the statement or member that is complete), and the
suffix. Strong evidence ends the generation. Weak evidence never does: it only
chooses the cut after strong evidence has shown that the text ran too far.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fimls.fim import Cut, StopReason
from fimls.scope import grades as grading
from fimls.scope.judge import Judge
from fimls.scope.layout import (
    Floor,
    begins_as_continuation,
    first_word,
    floor_of,
    is_unfinished,
    opens_block,
)
from fimls.scope.loop import find_loop
from fimls.scope.scan import Kind, Mark, Scanner, matches
from fimls.scope.site import Bracket, Site, plain, pop, survey, width
from fimls.scope.suffix import Repetition, Run, meets_tail


# Statements after which nothing more of the same block is run.
_LEAVES = frozenset({"return", "raise", "throw"})


# Labels, cases and preprocessor lines; a bracket that opens on a line of its own.
_STANDS_LEFT = re.compile(r"#|case\b|default\b|\w+:(?!:)|[{}()\[\]]|</")

# How comments, annotations, attributes and documentation strings begin.
_DOCUMENTS = ("/*", "*", "@", "#", "[", '"""', "'''", 'r"""')
_ASSIGNS = re.compile(r"[^=!<>]=[^=>]|=>|[(,]\s*\{$")

_PROSE_BLOCK = re.compile(r"#{1,6} |[-*+] |\d+[.)] |```|~~~|\||>")

# Line ends that are tried when the whole does not parse; each costs a parse.
_MOST_BOUNDARIES = 6
_MOST_WEAK = 3


@dataclass(frozen=True, slots=True)
class _Line:
    """A generated line that begins outside brackets and strings of the generated text."""

    start: int
    indent: int
    text: str


@dataclass(slots=True)
class Watcher:
    """Follows one generation at one cursor. Made by ``watch``."""

    site: Site
    _text: str = ""
    _scanner: Scanner = field(init=False)
    _stack: list[Bracket] = field(init=False)  # open before the cursor
    _depth: list[Mark] = field(default_factory=list)  # opened by the generated text
    _repetition: Repetition = field(init=False)
    _judge: Judge = field(init=False)
    _floor: Floor | None = None
    _line_start: int = 0
    _line_depth: int = 0
    _awaits_head: bool = True  # the first word of the current line has not been seen
    _statement_end: int | None = None  # where the cursor's statement ended, if nothing continues it
    _block: int | None = None  # the statement turned out to have a block, indented deeper than this
    _member_done: bool = False
    _was_blank: bool = False
    _begins_anew: bool = False  # the cursor's statement was complete: the text begins a new line
    _lines: list[_Line] = field(default_factory=list)
    # Weak evidence, as cuts: unconfirmed repetitions of what follows; lines left of what
    # follows, which would hang in the air; a return, after which it would never run.
    _weak_runs: list[int] = field(default_factory=list)
    _hanging: list[int] = field(default_factory=list)
    _leaving: list[int] = field(default_factory=list)
    _cut: Cut | None = None

    def __post_init__(self) -> None:
        self._scanner = Scanner(self.site.language)
        if self.site.opaque is not None:
            self._scanner.opaque = self.site.opaque
        self._stack = list(self.site.stack)
        by_indent = self.site.language.indented
        self._repetition = Repetition(self.site.ahead, by_indent)
        self._judge = Judge(self.site)

    # -- what the completer calls

    def feed(self, piece: str) -> Cut | None:
        """Take the next piece of the generation; a ``Cut`` means: decode no further."""
        if self._cut is not None:
            return self._cut
        self._text += plain(piece)
        self._scanner.text = self._text
        self._cut = self._advance(final=False)
        return self._cut

    def finish(self, reason: StopReason) -> Cut:
        """The generation ended without our doing: the last clean-up."""
        if self._cut is not None:
            return self._cut
        self._cut = self._advance(final=True)
        if self._cut is None:
            self._cut = self._clean_up(reason)
        return self._cut

    def grades(self, text: str) -> tuple[int, ...]:
        """The lengths at which ``text`` may be offered on its own; the last is all of it."""
        return grading.grades(text, self.site)

    # -- the scan

    def _advance(self, *, final: bool) -> Cut | None:
        if self.site.language.prose and self.site.opaque is None:
            return self._advance_prose(final=final)
        marks = self._scanner.marks(final=final)
        while True:
            if self._awaits_head and self._scanner.opaque is None:
                seen = self._first_word(final=final)
                if seen is None:
                    return None
                if not seen:  # a decision could not be made yet
                    return None
                cut = self._on_head()
                if cut is not None:
                    return cut
            mark = next(marks, None)
            if mark is None:
                return None
            cut = self._on(mark)
            if cut is not None:
                return cut

    def _first_word(self, *, final: bool) -> bool | None:
        """Whether the line's first word stands; ``None``: more text is needed."""
        start = self._line_start
        while start < len(self._text) and self._text[start] in " \t":
            start += 1
        if start >= len(self._text):
            return True if final else None
        word = first_word(self._text[start : start + 64])
        is_whole = not word or start + len(word) < len(self._text)
        goes_on = self.site.language.goes_on
        if not final and not is_whole and any(w.startswith(word) for w in goes_on):
            return None
        if not final and not word and start + 1 >= len(self._text) and self._text[start] in "-./:&|?<":
            return None
        return True

    def _on(self, mark: Mark) -> Cut | None:
        if mark.kind is Kind.NEWLINE:
            return self._on_newline(mark)
        if mark.kind is Kind.OPEN:
            self._depth.append(mark)
        elif mark.kind is Kind.CLOSE:
            return self._on_closer(mark)
        elif mark.kind is Kind.SEMICOLON:
            return self._on_semicolon(mark)
        elif mark.kind is Kind.CLEAR:
            return self._on_clear(mark)
        return None

    # -- brackets

    def _on_closer(self, mark: Mark) -> Cut | None:
        for index in range(len(self._depth) - 1, -1, -1):
            if matches(self._depth[index].name, mark.name):
                opened = self._depth[index]
                del self._depth[index:]
                return self._on_own_block_closed(opened, mark)
        if mark.name in self.site.language.loose:
            return None
        if not self._stack:
            return self._stop(mark.start, StopReason.SCOPE)
        top = self._stack[-1]
        if top.owed or not any(matches(b.name, mark.name) and not b.owed for b in self._stack):
            reason = StopReason.SUFFIX if top.owed else StopReason.SCOPE
            return self._stop(mark.start, reason, seen=mark.end)
        self._depth.clear()
        closed = pop(self._stack, mark.name)
        if closed is not None and not any(not b.owed for b in self._stack) and closed.name == "{":
            self._statement_end = mark.end
        return None

    def _on_own_block_closed(self, opened: Mark, mark: Mark) -> Cut | None:
        """A block that the generated text had opened is closed: a member may be complete."""
        if mark.name == "}" and not self._depth and opened.start < self._line_start:
            self._member_done = True
        return None

    def _holds_members(self) -> bool:
        """Whether the cursor is at the top level or in a class body."""
        if self.site.language.indented:
            return self._floor is not None and self._floor.member
        if not self._stack:
            return self.site.is_fresh
        inner = self._stack[-1]
        return (
            self.site.is_fresh
            and inner.name == "{"
            and self._judge.is_container(inner.header)
        )

    def _on_semicolon(self, mark: Mark) -> Cut | None:
        if self._depth or not self._in_statement():
            return None
        if not self.site.language.semicolons or self.site.tail.strip():
            return None
        return self._stop_if_nothing_hangs(mark.end)

    def _on_clear(self, mark: Mark) -> Cut | None:
        opaque = self.site.opaque
        if opaque is None or mark.start < 0 or self._lines or self._depth:
            return None
        if self.site.opaque_owed and self._first_clear():
            return self._stop(mark.start, StopReason.SUFFIX, seen=mark.end)
        return None

    def _first_clear(self) -> bool:
        done, self._member_done = self._member_done, self._member_done
        return not done

    # -- lines

    def _on_newline(self, mark: Mark) -> Cut | None:
        start, end = self._line_start, mark.start
        line = self._text[start:end]
        is_first = start == 0
        cut = self._on_line(line, start, end, is_first=is_first)
        self._line_start = mark.end
        self._line_depth = len(self._depth)
        self._awaits_head = True
        return cut

    def _on_line(self, line: str, start: int, end: int, *, is_first: bool) -> Cut | None:
        site = self.site
        if is_first and site.tail.strip() and not site.is_fresh:
            cut = self._on_end_of_first_line(line, end)
            if cut is not None:
                return cut
        if is_first and site.opaque is not None and site.opaque.one_line:
            return self._stop(end, StopReason.SCOPE)
        loop = find_loop(self._text[:end])
        if loop is not None:
            return self._stop(loop, StopReason.LOOP)
        if not line.strip():
            self._was_blank = True
            self._begins_anew = self._begins_anew or is_first
            return None
        if self._line_depth == 0 and (site.is_fresh or not is_first):
            at = width(site.head + line) if is_first else width(line)
            self._lines.append(_Line(start, at, line.strip()))
            run = self._repetition.line(line.strip(), at, start)
            if run is not None:
                return self._stop(run.start, StopReason.SUFFIX, seen=end)
            self._note_weak(line, at, start)
        if self._depth:
            return self._on_block_opened()
        return self._on_whole_line(line, end)

    def _on_block_opened(self) -> Cut | None:
        """A definition with a block begins behind other members: it is one too many."""
        if self._line_depth or self._depth[-1].name != "{" or not self._holds_members():
            return None
        first = len(self._lines) - 1
        while first and self._is_prelude(self._lines[first - 1].text):
            first -= 1
        if not first or all(self._is_prelude(line.text) for line in self._lines[:first]):
            return None
        if _ASSIGNS.search(self._lines[-1].text):
            return None
        return self._stop(self._lines[first].start, StopReason.SCOPE)

    def _is_prelude(self, text: str) -> bool:
        """Comments, annotations and half-finished headers belong to what follows them."""
        language = self.site.language
        return text.startswith((*language.line_comments, *_DOCUMENTS)) or not (
            text.endswith((";", "}", ",")) or not language.semicolons
        )

    def _aligned(self, run: Run) -> int:
        """Where the text that stands for all the lines ahead began.

        When a run begins further down, the generated lines just before it stand for those
        that are skipped, provided that they are indented alike.
        """
        first = next(i for i, line in enumerate(self._lines) if line.start == run.start)
        skipped = self._lines[max(0, first - run.index) : first]
        indents = [line.indent for line in self.site.ahead[: run.index]]
        if run.index and [line.indent for line in skipped] == indents and skipped[0].start:
            return skipped[0].start
        return run.start

    def _note_weak(self, line: str, at: int, start: int) -> None:
        """Evidence that is not enough to stop, but may choose the cut later."""
        if not start or not self.site.ahead:
            return
        following = self.site.ahead[0]
        for run in self._repetition.runs.values():
            aligned = self._aligned(run)
            if run.index == 0 or (run.index <= 2 and run.telling and aligned < run.start):
                self._weak_runs.append(aligned)
        if self.site.language.indented and at < following.indent:
            self._hanging.append(start)
        elif at == following.indent and first_word(line.strip()) in _LEAVES:
            self._leaving.append(start)

    def _on_end_of_first_line(self, line: str, end: int) -> Cut | None:
        """The rest of the cursor's line is still to come: the text has to fit before it."""
        met = meets_tail(line, self.site)
        if met is not None:
            return self._stop(met, StopReason.SUFFIX, seen=end)
        inner = self._stack[-1] if self._stack else None
        closes = inner is not None and matches(inner.name, self.site.tail.strip()[0])
        if self._depth or closes:
            return None
        return self._stop(end, StopReason.SCOPE)

    def _in_statement(self) -> bool:
        """Whether the rest of a statement is asked for, and everything it opened is closed."""
        if self._begins_anew or any(not b.owed for b in self._stack):
            return False
        had_open = bool(self.site.stack) and not self.site.stack[-1].owed
        return had_open or not (self.site.is_fresh or self.site.is_first_word)

    def _on_whole_line(self, line: str, end: int) -> Cut | None:
        """A line ended outside brackets: is it the end of the cursor's statement?"""
        if not self._in_statement() or self._statement_end is not None:
            return None
        site = self.site
        whole = site.head + line if self._line_start == 0 else line
        if self._block is None and site.language.indented and opens_block(whole, site.language):
            self._block = width(site.head)
            return None
        if self._block is not None or is_unfinished(whole, site.language):
            return None
        self._statement_end = end
        if site.language.indented and not site.language.ends:
            return self._stop_if_nothing_hangs(end)
        return None

    def _on_head(self) -> Cut | None:
        """The first word of a line stands: does the line still belong to the scope?"""
        self._awaits_head = False
        start = self._line_start
        rest = self._text[start:].lstrip(" \t")
        if not rest or rest[0] == "\n":
            self._awaits_head = rest[:1] == "\n" and False
            return None
        mark = self.site.mark or "```"
        if rest.startswith(mark):
            return self._stop(start, StopReason.SCOPE)
        at = len(self._text) - start - len(rest)
        at = width(self._text, start) + (self.site.indent if start == 0 and self.site.is_fresh else 0)
        bare = rest.partition("\n")[0]
        if self._depth:
            return None
        if self._statement_end is not None:
            if not begins_as_continuation(bare, self.site.language):
                end, self._statement_end = self._statement_end, None
                cut = self._stop_if_nothing_hangs(end)
                if cut is not None:
                    return cut
            self._statement_end = None
        if self._block is not None and at <= self._block and start > 0:
            if first_word(bare) not in self.site.language.goes_on:
                return self._stop(start, StopReason.SCOPE)
            return None
        if start and self._is_owed_end(at, bare):
            return self._stop(start, StopReason.SUFFIX)
        if self.site.is_fresh or start > 0:
            return self._on_layout(at, bare, start)
        return None

    def _is_owed_end(self, at: int, bare: str) -> bool:
        """An ``end`` that stands after the cursor already, for a block that began before it."""
        ahead = self.site.ahead
        word = bare.split(maxsplit=1)[0].rstrip(";)")
        return (
            word in self.site.language.ends
            and bool(ahead)
            and ahead[0].indent == at
            and first_word(ahead[0].text) == first_word(bare)
            and all(line.indent > at for line in self._lines)
        )

    def _on_layout(self, at: int, bare: str, start: int) -> Cut | None:
        language = self.site.language
        if self._floor is None:
            self._floor = floor_of(self.site, at if self.site.is_fresh else None)
        floor = self._floor
        if language.indented and at < floor.indent:
            if self._closes_header(at, bare, floor):
                self._statement_end = start + len(bare)
                return None
            return self._stop(start, StopReason.SCOPE)
        if not language.indented and self._is_left_of_block(at, bare, start):
            return self._stop(start, StopReason.SCOPE)
        if not self._lines or not self._holds_members():
            if self._holds_members() and self._is_definition(bare):
                self._member_done = True
            return None
        return self._on_member(at, bare, start)

    def _is_left_of_block(self, at: int, bare: str, start: int) -> bool:
        """In a brace language: a line no deeper than the header of the cursor's block.

        Only where the block is indented at all, and not for labels, cases and preprocessor
        lines, which stand further left by custom.
        """
        if not start or not self._stack or _STANDS_LEFT.match(bare):
            return False
        block = self._stack[-1]
        first = self._lines[0].indent if self._lines else self.site.indent
        return block.ends_line and at <= block.indent < min(first, self._cursor_indent())

    def _cursor_indent(self) -> int:
        return self.site.indent or (self._lines[0].indent if self._lines else 0)

    def _closes_header(self, at: int, bare: str, floor: Floor) -> bool:
        """A word like ``end`` that closes the enclosing block, which nothing else closes."""
        header = floor.indent - 1
        if at != header or first_word(bare) not in self.site.language.ends:
            return False
        following = next((line for line in self.site.ahead if line.indent <= header), None)
        return following is None or not (
            following.indent == header and first_word(following.text) in self.site.language.ends
        )

    def _on_member(self, at: int, bare: str, start: int) -> Cut | None:
        """At the top level or between methods: one definition, or one paragraph."""
        level = min(line.indent for line in self._lines)
        if at > level or begins_as_continuation(bare, self.site.language):
            return None
        if bare.startswith(self.site.language.ends or ("\0",)):
            return None
        if self._is_definition(bare) and self._lines[-1].text[:1] != "@":
            if self._member_done or not self._only_comments():
                return self._stop(start, StopReason.SCOPE)
            self._member_done = True
            return None
        if self._member_done and self._lines[-1].text[:1] != "@":
            return self._stop(start, StopReason.SCOPE)
        if self._was_blank and not self._only_comments() and not bare.startswith(("import", "from")):
            return self._stop(start, StopReason.SCOPE)
        return None

    def _only_comments(self) -> bool:
        language = self.site.language
        return all(
            line.text.startswith((*language.line_comments, *_DOCUMENTS)) for line in self._lines
        )

    def _is_definition(self, bare: str) -> bool:
        return self._judge.is_definition(bare)

    def _advance_prose(self, *, final: bool) -> Cut | None:
        """Prose: the paragraph or list item ends at a blank line, a fence, or what follows."""
        while True:
            end = self._text.find("\n", self._line_start)
            if end < 0 and not final:
                return None
            end = len(self._text) if end < 0 else end
            start, line = self._line_start, self._text[self._line_start : end]
            if start >= len(self._text):
                return None
            cut = self._on_prose_line(line.strip(), start, end)
            if cut is not None:
                return cut
            self._line_start = end + 1

    def _on_prose_line(self, line: str, start: int, end: int) -> Cut | None:
        has_text = bool(self._text[:start].strip() or self.site.head.strip())
        if not line and has_text and start:
            return self._stop(start, StopReason.SCOPE)
        if start and has_text and _PROSE_BLOCK.match(line):
            return self._stop(start, StopReason.SCOPE)
        if line and (self.site.is_fresh or start):
            self._lines.append(_Line(start, 0, line))
            run = self._repetition.line(line, 0, start)
            if run is not None and run.index == 0:
                return self._stop(run.start, StopReason.SUFFIX)
        return None

    # -- the end

    def _stop_if_nothing_hangs(self, at: int) -> Cut | None:
        """Stop where the statement is complete, unless the lines after it need a header."""
        ahead = self.site.ahead
        if self.site.language.indented and ahead and ahead[0].indent > width(self.site.head):
            return None
        return self._stop(at, StopReason.SCOPE)

    def _stop(self, at: int, reason: StopReason, *, seen: int | None = None) -> Cut:
        """Strong evidence: the text has run past ``at``. Weak evidence may say: earlier."""
        if seen is not None and reason is StopReason.SUFFIX and self._line_start == 0:
            met = meets_tail(self._text[:seen], self.site, certain=True)
            at = min(at, met) if met is not None and not self.site.is_fresh else at
        return self._choose(at, reason)

    def _choose(self, at: int, reason: StopReason) -> Cut:
        """The first of the cuts worth trying, in the order of their evidence, that is sound.

        Where none is, because the code around is broken, the one with the fewest faults.
        """
        cuts: list[tuple[int, StopReason]] = []
        run = self._repetition.to_the_end(self._floor.indent if self._floor else 0)
        if run is not None:
            cuts += [(self._aligned(run), StopReason.SUFFIX), (run.start, StopReason.SUFFIX)]
        if reason is StopReason.SUFFIX:
            cuts.append((at, reason))
        cuts += [(start, StopReason.SUFFIX) for start in self._weak_runs[:_MOST_WEAK]]
        if self._ends_by_leaving(at):
            cuts.append((self._leaving[-1], StopReason.SUFFIX))
        cuts.append((at, reason))
        cuts += [(start, StopReason.SUFFIX) for start in self._hanging[:_MOST_WEAK]]
        fewest: tuple[int, Cut] | None = None
        for start, why in cuts:
            if not 0 < start <= at and start != at:
                continue
            cut = Cut(self._trim(start), why)
            n_errors = self._judge.errors(self._text[: cut.at])
            if not n_errors:
                return cut
            if fewest is None or n_errors < fewest[0]:
                fewest = n_errors, cut
        assert fewest is not None  # ``at`` itself is among the cuts
        for end in self._boundaries(_MOST_BOUNDARIES, at):
            if self._judge.is_sound(self._text[:end]):
                return Cut(end, reason)
        return fewest[1]

    def _run_to_the_end(self) -> Run | None:
        """A repetition up to the end of the scope ahead, from its beginning or what stands for it."""
        run = self._repetition.to_the_end(self._floor.indent if self._floor else 0)
        if run is not None and (run.index == 0 or self._aligned(run) < run.start):
            return run
        return None

    def _ends_by_leaving(self, at: int) -> bool:
        """Whether the last line of the kept text at the level of what follows is a return."""
        if not self._leaving:
            return False
        level = self.site.ahead[0].indent
        return not any(
            self._leaving[-1] < line.start < at and line.indent <= level for line in self._lines
        )

    def _kept(self, at: int) -> str:
        return self._text[: self._trim(at)]

    def _trim(self, at: int) -> int:
        """Without the white space before the cut, but with the line end that the tail needs."""
        bare = len(self._text[:at].rstrip())
        if not bare:
            return 0
        if not self.site.is_between_lines:
            # White space between the text and the rest of the line is the text's own.
            return at if self.site.tail.strip() and "\n" not in self._text[bare:at] else bare
        newline = self._text.find("\n", bare)
        if newline < 0:
            return at
        end = newline + 1
        head = self.site.head
        return end + len(head) if self._text.startswith(head, end) else end

    def _clean_up(self, reason: StopReason) -> Cut:
        """Ended by an end token, the budget or the clock."""
        text = self._text
        if not text.strip():
            return Cut(0, reason)
        is_first = self._line_start == 0
        if is_first and self.site.tail.strip() and not self.site.is_fresh:
            met = meets_tail(text, self.site)
            if met is not None:
                return Cut(self._trim(met), StopReason.SUFFIX)
        if reason is StopReason.END:
            return self._at_end_token()
        return self._at_cap(reason)

    def _at_end_token(self) -> Cut:
        text = self._text
        whole = len(text)
        line = text[self._line_start :]
        if line.strip() and not self._depth and (self.site.is_fresh or self._line_start):
            at = width(self.site.head + line) if self._line_start == 0 else width(line)
            self._lines.append(_Line(self._line_start, at, line.strip()))
            run = (
                self._repetition.line(line.strip(), at, self._line_start)
                or self._repetition.from_next_line()
                or self._run_to_the_end()
            )
            if run is not None and run.start:
                shorter = self._trim(self._aligned(run))
                if self._judge.is_no_worse_than(text[:shorter], text):
                    return Cut(shorter, StopReason.SUFFIX)
        if self._judge.is_sound(text):
            return Cut(whole, StopReason.END)
        best = self._judge.best([text[:end] for end in (whole, *self._boundaries(3, whole))])
        return Cut(whole if best is None else len(best), StopReason.END)

    def _at_cap(self, reason: StopReason) -> Cut:
        for weak in self._weak_runs:
            if self._judge.is_sound(self._kept(weak)):
                return Cut(self._trim(weak), StopReason.SUFFIX)
        ends = self._boundaries(_MOST_BOUNDARIES, len(self._text))
        if not ends:
            return Cut(len(self._text), reason)
        best = self._judge.best([self._text[:end] for end in ends])
        return Cut(ends[0] if best is None else len(best), reason)

    def _boundaries(self, most: int, at: int) -> list[int]:
        """The last line ends before ``at``, the last first."""
        ends: list[int] = []
        while len(ends) < most and at > 0:
            at = self._text.rfind("\n", 0, at)
            if at <= 0:
                break
            end = self._trim(at + 1)
            if end and end not in ends and end < len(self._text):
                ends.append(end)
        return ends


def watch(before: str, after: str, language: str) -> Watcher:
    """A watcher for what is generated between ``before`` and ``after``.

    ``language`` is a name from ``language_of``; an unknown one is watched by brackets and
    indentation. Lengths are counted in characters of the text as it is fed. Line ends are
    LF; a carriage return counts as white space. Never raises.
    """
    return Watcher(survey(before, after, language))
