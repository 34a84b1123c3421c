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
from fimls.scope import grades as grading
from fimls.scope import indentation
from fimls.scope.fence import opening
from fimls.scope.loop import DEEPEST, is_stuck
from fimls.scope.progress import Progress
from fimls.scope.prose import prose_line
from fimls.scope.scan import Kind, Mark, Scanner
from fimls.scope.site import Site, plain
from fimls.scope.statements import first_word
from fimls.scope.survey import survey
from fimls.scope.witnesses import at_bracket, at_line_end, at_line_start

# No completion is that long; it also bounds what one generation can cost here.
MOST_GENERATED = 32_000
# White space in one piece, where the cursor's line is indented already.
_WIDEST = 24
# What is looked through for code that has begun inside a string.
_LONGEST_STRING = 1_000
_STEP = re.compile(r"\W|\b\w")


@dataclass(slots=True)
class Watcher:
    """Follows one generation at one cursor. Made by ``watch``."""

    site: Site
    _progress: Progress = field(init=False)
    _scanner: Scanner = field(init=False)
    _n_opening: int | None = None  # characters of a fence before the code, once it is known
    _lacking: str | None = None  # indentation put before the text, once that is known
    _awaits_head: bool = True  # the first word of the line has not been seen whole
    _unstuck_until: int = 0  # so far the line does not repeat itself
    _cut: Cut | None = None

    def __post_init__(self) -> None:
        self._progress = Progress(self.site)
        site = self.site
        self._scanner = Scanner(site.language, opaque=site.opaque, head=site.head)
        if self.site.half:
            self._lacking = ""
            self._take(self.site.half, final=True)
            self._n_opening = -len(self.site.half)
        elif self.site.opaque is not None or self.site.language.prose or self.site.mark:
            self._n_opening = 0  # there a fence is text, or the end

    # -- what the completer calls

    def feed(self, piece: str) -> Cut | None:
        """Take the next piece of the generation; a ``Cut`` means: decode no further."""
        if self._cut is None and self._take(plain(piece), final=False):
            cut = self._advance()
            self._cut = cut and replace(cut, at=self._in_answer(cut.at))
        return self._cut

    def finish(self, reason: StopReason) -> Cut:
        """The generation ended without our doing: the last clean-up."""
        if self._cut is None:
            self._take("", final=True)
            cut = self._step(len(self._progress.text), final=True) or self._finish(reason)
            self._cut = replace(cut, at=self._in_answer(cut.at))
        return self._cut

    @property
    def is_indented(self) -> bool:
        """Whether white space at the start of the text would be indentation said again."""
        return indentation.is_indented(self.site)

    def indented(self, text: str) -> str:
        """``text``, of what was fed, with the indentation that its first line lacks."""
        return self._lacking + text if self._lacking and text else text

    def part(self) -> int:
        """The length that may be shown before the generation is over: whole lines, 0 for none."""
        progress = self._progress
        if self._cut is not None or self._progress.in_opaque:
            return 0
        return self._in_answer(progress.choice.part(progress.seen, progress.line_start))

    def grades(self, text: str) -> tuple[int, ...]:
        """The lengths at which ``text`` may be offered on its own; the last is all of it."""
        n_half = len(self.site.half)
        ends = grading.grades(self.site.half + text, self.site) if text else ()
        return tuple(end - n_half for end in ends if end > n_half)

    # -- an answer between fences, or without its indentation

    def _take(self, text: str, *, final: bool) -> bool:
        """Add ``text``; false while it is not known how the answer begins."""
        progress = self._progress
        progress.text += text
        if self._n_opening is None:
            self._n_opening = opening(progress.text, self.site.before, final=final)
            progress.text = progress.text[self._n_opening or 0 :]
        if self._n_opening is not None and self._lacking is None:
            self._indent(final=final)
        self._scanner.text = progress.text
        return self._lacking is not None

    def _indent(self, *, final: bool) -> None:
        """Put the indentation before the text that its first line lacks, if it has none."""
        text, language = self._progress.text, self.site.language
        word, left = first_word(text), (*language.goes_on, *language.ends)
        left = left if language.indented else ()
        is_spelt = text == word and any(known.startswith(word) for known in left)
        if (is_spelt or not text) and not final:
            return
        is_directive = text[:1] == "#" and "#" not in language.line_comments
        stands_left = is_directive or (word in left and not self.site.head)
        has_none = bool(text) and text[0] not in " \t\n)]}" and not stands_left
        self._lacking = ""
        if has_none and not self._n_opening:
            self._lacking = indentation.lacking(self.site)
            self._n_opening = -len(self._lacking)
            self._progress.text = self._lacking + text

    def _in_answer(self, at: int) -> int:
        """A place in the text that is watched, as one in the answer that was fed."""
        return max(0, at + (self._n_opening or 0)) if at else 0

    # -- the scan

    def _advance(self) -> Cut | None:
        progress = self._progress
        for found in _STEP.finditer(progress.text, progress.end):
            cut = self._step(found.end(), final=False) or self._within_line()
            if cut is not None:
                return cut
            if progress.end > MOST_GENERATED:
                return progress.at_end(StopReason.BUDGET)
        return None

    def _step(self, end: int, *, final: bool) -> Cut | None:
        """Look at the text up to ``end``."""
        progress = self._progress
        progress.end = self._scanner.end = end
        if self.site.language.prose and not self._progress.in_opaque:
            return self._prose(final=final)
        cut = at_bracket.branch(progress, final=final)
        while cut is None:
            if self._awaits_head and self._scanner.opaque is None:
                if not at_line_start.stands(progress, final=final):
                    break
                self._awaits_head = False
                cut = at_line_start.begun(progress)
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
            return at_bracket.opened(self._progress, mark)
        if mark.kind is Kind.CLOSE:
            return at_bracket.closed(self._progress, mark)
        if mark.kind is Kind.SEMICOLON:
            return at_bracket.semicolon(self._progress, mark)
        if mark.kind is Kind.CLEAR and self._progress.in_opaque:
            return self._on_clear(mark)
        return None

    def _on_clear(self, mark: Mark) -> Cut | None:
        """The string or comment that the cursor was in has ended."""
        if self._is_nested(mark):
            return None
        self._progress.in_opaque = False
        if self.site.opaque_owed:
            return self._progress.stop(mark.start, StopReason.SUFFIX, seen=mark.end)
        is_comment = self.site.opaque is not None and self.site.opaque.is_comment
        if is_comment and not self._progress.is_left_open:
            return self._progress.stop(mark.end, StopReason.SCOPE)
        return None

    def _is_nested(self, quote: Mark) -> bool:
        """Whether a quote is of code inside the string that the cursor was in."""
        opaque, interpolation = self.site.opaque, self.site.language.interpolation
        if opaque is None or opaque.is_comment or interpolation is None:
            return False
        start = max(opaque.start, len(self.site.before) - _LONGEST_STRING)
        text = self._progress.text[max(0, quote.start - _LONGEST_STRING) : quote.start]
        opener, closer = ((self.site.before[start:] + text).count(mark) for mark in interpolation)
        return opener > closer

    def _on_newline(self, mark: Mark) -> Cut | None:
        cut = at_line_end.ended(self._progress, mark)
        self._progress.in_opaque &= self._scanner.opaque is not None
        self._awaits_head = True
        return cut

    def _within_line(self) -> Cut | None:
        """A string or comment over lines, or a line that goes on and on.

        The latter is looked at each time it has grown by as much again.
        """
        progress, opaque = self._progress, self._scanner.opaque
        if opaque is not None and progress.seen_ends_line:
            if progress.in_opaque:
                return at_line_end.ended_in_ours(progress)
            return at_line_end.ended_inside(progress, opaque.start)
        # Behind indentation, there is no reason for much more of it.
        is_first = not progress.line_start and self.site.head.isspace()
        grown = progress.end - max(progress.line_start, self._unstuck_until)
        if grown < (_WIDEST if is_first else DEEPEST):
            return None
        self._unstuck_until = progress.end
        line = progress.text[progress.line_start : progress.end]
        if (is_first and line.isspace()) or is_stuck(line):
            return progress.stop(progress.line_start, StopReason.LOOP)
        return None

    def _prose(self, *, final: bool) -> Cut | None:
        progress = self._progress
        start, end = progress.line_start, progress.end
        if not (final or progress.seen_ends_line):
            return None
        progress.line_start = end
        has_text = bool(progress.text[:start].strip() or self.site.head.strip())
        cut = prose_line(progress.text[start:end], start, progress.choice, has_text=has_text)
        return cut and progress.stop(cut.at, cut.reason)

    def _finish(self, reason: StopReason) -> Cut:
        progress = self._progress
        line = progress.text[progress.line_start :]
        opaque = self._scanner.opaque
        is_whole = opaque is None or opaque.closer == "\n"  # a comment ends with its line
        if line.strip() and not progress.brackets.depth and is_whole:
            cut = progress.add_line(line, progress.end)
            if cut is not None:
                return cut
        return progress.at_end(reason)


def watch(before: str, after: str, language: str) -> Watcher:
    """A watcher for what is generated between ``before`` and ``after``.

    ``language`` is a name from ``language_of``; an unknown one is watched by brackets and
    indentation. Lengths are counted in characters of the text as it is fed. Line ends are
    LF; a carriage return counts as white space. Never raises.
    """
    return Watcher(survey(before, after, language))
