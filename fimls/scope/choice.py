"""Which cut to take, once it is known that the text ran too far or has ended.

Strong evidence names a place. Weak evidence, collected on the way, may name a
better one before it: an unconfirmed repetition of what follows, a line that
would leave what follows hanging in the air, a return that would make it dead.
Of the places worth trying, in the order of their evidence, the first whose
whole parses is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fimls.fim import Cut, StopReason
from fimls.scope.judge import Judge
from fimls.scope.site import Line, Site
from fimls.scope.statements import carries_on, first_word, opens_block
from fimls.scope.suffix import Repetition, Run, is_in_opaque, meets_tail, n_open

# Statements after which nothing more of the same block is run.
_LEAVES = frozenset({"return", "raise", "throw"})
# Line ends that are tried when the whole does not parse, and weak cuts of each kind; each
# costs a parse of 0.5 to 5 ms.
_MOST_BOUNDARIES = 6
_MOST_WEAK = 3
_NO_CLOSERS = str.maketrans(")]};,", "     ")


@dataclass(slots=True)
class Choice:
    """Collects evidence line by line and chooses the cut in the end."""

    site: Site
    judge: Judge = field(init=False)
    repetition: Repetition = field(init=False)
    lines: list[Line] = field(default_factory=list)
    held: int | None = None  # where the scope is complete, unless what follows is met
    _unconfirmed: list[int] = field(default_factory=list)
    _hanging: list[int] = field(default_factory=list)
    _leaving: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.judge = Judge(self.site)
        language = self.site.language
        self.repetition = Repetition(
            self.site.ahead,
            language.indented,
            has_lone_types=language.strict,
            has_attributes=language.annotation.endswith("["),
        )

    def add(self, line: Line) -> Run | None:
        """Take the next line; a run is a repetition of what follows that is now certain."""
        self.lines.append(line)
        run = self.repetition.line(line.text, line.indent, line.start)
        if run is None:
            self._note(line)
        return run

    def _note(self, line: Line) -> None:
        if not line.start or not self.site.ahead:
            return
        following = self.site.ahead[0]
        for run in self.repetition.runs.values():
            aligned = self._aligned(run)
            if run.index == 0 or (run.index <= 2 and run.telling and aligned < run.start):
                self._unconfirmed.append(aligned)
        if self.site.language.indented and line.indent < following.indent:
            self._hanging.append(line.start)
        elif line.indent == following.indent and first_word(line.text) in _LEAVES:
            self._leaving.append(line.start)

    def _aligned(self, run: Run) -> int:
        """Where the text that stands for all the lines ahead began.

        When a run begins further down, the generated lines just before it stand for those
        that are skipped, provided that they are indented alike, or are some of them, from
        the very next line on.
        """
        first = next(i for i, line in enumerate(self.lines) if line.start == run.start)
        skipped = self.lines[max(0, first - run.index) : first]
        ahead = self.site.ahead[: run.index]
        is_alike = [line.indent for line in skipped] == [line.indent for line in ahead]
        if run.index and is_alike and skipped[0].start:
            return skipped[0].start
        index = run.index
        for line in reversed(self.lines[:first]):
            same = (i for i in range(index - 1, -1, -1) if ahead[i].text == line.text)
            index = next((i for i in same if ahead[i].indent == line.indent), -1)
            if index <= 0:
                return line.start if index == 0 and line.start else run.start
        return run.start

    # -- strong evidence

    def cut(self, text: str, at: int, reason: StopReason, floor: int) -> Cut:
        """``text`` has run past ``at``: cut there, or earlier where weak evidence says so."""
        cuts = self._worth_trying(at, reason, floor)
        if self.held and self.held < at and self._is_whole(text, self.held, floor):
            cuts = self._worth_trying(self.held, StopReason.SCOPE, floor) + cuts
        fewest: tuple[int, Cut] | None = None
        for start, why in cuts:
            cut = Cut(self._unended(text, self.trim(text, start)), why)
            n_errors = self._n_errors(text, cut.at)
            if not n_errors:
                return cut
            if fewest is None or n_errors < fewest[0]:
                fewest = n_errors, cut
        for end in self._boundaries(text, at):
            if not self._n_errors(text, end) and not self._drops_good_closer(text, end, at):
                return Cut(end, reason)
        assert fewest is not None  # ``at`` itself is among the cuts
        return Cut(0, reason) if self._misses_layout(text, fewest[1].at) else fewest[1]

    def _is_whole(self, text: str, held: int, floor: int) -> bool:
        """Whether an inner function was all: the text has not come to what follows behind it."""
        is_met = any(start > held for start in self._unconfirmed)
        is_met = is_met or self.repetition.to_the_end(floor) is not None
        return not (is_met or self._n_errors(text, self.trim(text, held)))

    def _n_errors(self, text: str, at: int) -> int:
        """Faults of the whole with ``text`` up to ``at``; none, where nobody can tell."""
        return (self.judge.errors(text[:at]) or 0) + self._misses_layout(text, at)

    def _misses_layout(self, text: str, at: int) -> bool:
        """Whether what follows is deeper than the line before it needs, or not deep enough.

        Parsers of half-typed code forgive that; Python does not.
        """
        language = self.site.language
        # Comments may stand in any column.
        ahead = next((line for line in self.site.ahead if line.text[0] != "#"), None)
        kept = [line for line in self.lines if line.start < at]
        if not (language.indented and language.definition and kept and ahead) or language.ends:
            return False
        if n_open(text[:at], self.site):
            return False
        is_deeper = ahead.indent > kept[-1].indent
        last = text[:at].rstrip().rpartition("\n")[2]  # of a statement of several lines, too
        return is_deeper != opens_block(last, language)

    def _drops_good_closer(self, text: str, end: int, at: int) -> bool:
        """Whether a shorter cut owes its better parse to a fault that was there before.

        A brace too many far below, or a header out of sight, is not mended by leaving
        out the closer of a block that the text opened.
        """
        words = text[end:at].translate(_NO_CLOSERS).split()
        is_closer = all(word in self.site.language.ends for word in words)
        return is_closer and self._n_errors(text, at) <= (self.judge.errors("") or 0)

    def _worth_trying(
        self, at: int, reason: StopReason, floor: int
    ) -> list[tuple[int, StopReason]]:
        earlier: list[int] = []
        run = self.repetition.to_the_end(floor)
        if run is not None:
            earlier += [self._aligned(run), run.start]
        if reason is not StopReason.SUFFIX and self._is_header_wanted:
            earlier = self._unconfirmed[:1] + earlier
        cuts = [(start, StopReason.SUFFIX) for start in earlier]
        if reason is StopReason.SUFFIX:
            cuts.append((at, reason))
        cuts += [(start, StopReason.SUFFIX) for start in self._unconfirmed[:_MOST_WEAK]]
        if self._leaves_last(at):
            cuts.append((self._leaving[-1], StopReason.SUFFIX))
        cuts.append((at, reason))
        cuts += [(start, StopReason.SUFFIX) for start in self._hanging[:_MOST_WEAK]]
        return [
            (start, why)
            for start, why in cuts
            if start == at or (0 < start < at and not self._ends_own(start))
        ]

    def _ends_own(self, start: int) -> bool:
        """Whether the line at ``start`` ends a block that the text began: a header is as deep."""
        ends = self.site.language.ends
        line = next((line for line in self.lines if line.start == start), None)
        if line is None or first_word(line.text) not in ends:
            return False
        if not self.site.is_fresh and self.site.indent == line.indent:
            return True
        return any(other.indent == line.indent for other in self.lines if other.start < start)

    @property
    def _is_header_wanted(self) -> bool:
        """Whether the next line hangs deeper than the text begins: it needs a header."""
        is_told = self.site.language.indented and bool(self.lines and self.site.ahead)
        return is_told and self.lines[0].indent < self.site.ahead[0].indent

    def _leaves_last(self, at: int) -> bool:
        """Whether the last kept line at the level of what follows is a return."""
        if not self._leaving:
            return False
        level = self.site.ahead[0].indent
        return not any(
            self._leaving[-1] < line.start < at and line.indent <= level for line in self.lines
        )

    # -- before the end

    def part(self, text: str, at: int) -> int:
        """How much of ``text``, whose last line begins at ``at``, may be shown by now.

        The most whole lines that leave the document as sound as it was, else the first one.
        """
        if self.site.has_rest or self._unconfirmed or self.repetition.runs:
            return 0  # it may have to go again
        for end in self._boundaries(text, at if self.held is None else self.held):
            last = text[:end].rstrip().rpartition("\n")[2]
            is_header = self.site.language.indented and opens_block(last, self.site.language)
            if not is_header and not self._n_errors(text, end):
                return end
        first = text.find("\n", len(text) - len(text.lstrip()), at)
        return self.trim(text, first + 1) if first > 0 else 0

    # -- ends that nobody saw coming

    def at_end(self, text: str, reason: StopReason, floor: int) -> Cut:
        """An end token, the budget or the clock ended the text: the last clean-up."""
        if not text.strip():
            return Cut(0, reason)
        if "\n" not in text and self.site.has_rest:
            met = meets_tail(text, self.site)
            if met is not None:
                return Cut(self.trim(text, met), StopReason.SUFFIX)
        is_ended = reason is StopReason.END
        if self.held is not None and not (is_ended and not self._leaves_last(len(text))):
            return self.cut(text, len(text), reason, floor)
        if is_ended:
            return self._at_end_token(text, floor)
        return self._at_cap(text, reason)

    def _at_end_token(self, text: str, floor: int) -> Cut:
        """The model's own end: the whole, if it parses and does not end in a repetition."""
        run = self.repetition.from_next_line() or self.repetition.to_the_end(floor)
        if run is not None and (run.index == 0 or self._aligned(run) < run.start):
            shorter = self.trim(text, self._aligned(run))
            if shorter and self.judge.is_no_worse_than(text[:shorter], text):
                return Cut(shorter, StopReason.SUFFIX)
        at = self._unended(text, len(text))
        # In a file that is not finished, a whole line less may only seem to be a fault less.
        ends = (at, *self._boundaries(text, at)[:3])
        sound = (end for end in ends if not self._n_errors(text, end))
        return Cut(next(sound, at), StopReason.END)

    def _at_cap(self, text: str, reason: StopReason) -> Cut:
        """In the middle of something: up to the last line end whose whole parses."""
        for start in self._unconfirmed:
            kept = self.trim(text, start)
            if self.judge.is_sound(text[:kept]):
                return Cut(kept, StopReason.SUFFIX)
        ends = self._boundaries(text, len(text)) or [len(text)]
        return Cut(self._fewest_errors(text, ends), reason)

    def _fewest_errors(self, text: str, ends: list[int]) -> int:
        counted = [(self._n_errors(text, end), index) for index, end in enumerate(ends)]
        return ends[min(counted)[1]]

    # -- places

    def _unended(self, text: str, at: int) -> int:
        """Without the semicolon, where the statement goes on with what follows the cursor."""
        bare = text[:at].rstrip()
        following = next(iter(self.site.ahead), None)
        ends = self.site.language.semicolons and bare.endswith(";")
        if not ends or self.site.tail.strip() or following is None:
            return at
        if following.text[0] in "*&+-(":  # as a statement may begin
            return at
        if not carries_on(following.text, self.site.language):
            return at
        end = len(bare) - 1
        return end if self.judge.is_no_worse_than(text[:end], text[:at]) else at

    def _boundaries(self, text: str, at: int) -> list[int]:
        """The last line ends before ``at``, the last first.

        None that tears a pair of brackets of the text's own apart, or the end of the comment or
        string off that the cursor is in: the whole may parse then, but only because the
        surroundings lack a bracket somewhere else, or a longer comment swallows a fault.
        """
        ends: list[int] = []
        most_open = n_open(text[:at], self.site)
        closes = self.site.opaque is not None and not is_in_opaque(text[:at], self.site)
        while len(ends) < _MOST_BOUNDARIES and at > 0:
            at = text.rfind("\n", 0, at)
            if at <= 0:
                break
            end = self.trim(text, at + 1)
            if closes and is_in_opaque(text[:end], self.site):
                break
            if end and end not in ends and end < len(text):
                ends.append(end)
        return [end for end in ends if n_open(text[:end], self.site) <= most_open]

    def trim(self, text: str, at: int) -> int:
        """Without the white space before the cut, but with the line end that the tail needs."""
        bare = len(text[:at].rstrip())
        if not bare:
            return 0
        if not self.site.is_between_lines:
            # White space before the rest of the line is the text's own, unless that brings some.
            tail = self.site.tail
            is_own = bool(tail.strip()) and not tail[0].isspace() and "\n" not in text[bare:at]
            return at if is_own else bare
        newline = text.find("\n", bare)
        if newline < 0:
            return at
        end = newline + 1
        head = self.site.head
        return end + len(head) if text.startswith(head, end) else end
