"""How far a generation has been read, and what is known by then."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fimls.fim import Cut, StopReason
from fimls.scope import conditionals, members
from fimls.scope.brackets import Brackets, Branches
from fimls.scope.choice import Choice
from fimls.scope.floor import Floor
from fimls.scope.scan import matches
from fimls.scope.site import Line, Site, width
from fimls.scope.suffix import meets_tail


@dataclass(slots=True)
class Progress:
    """Shared by the witnesses: where the text stands, and what they have seen so far."""

    site: Site
    text: str = ""  # without the fence that the answer began with
    end: int = 0  # of the text that has been looked at
    choice: Choice = field(init=False)
    brackets: Brackets = field(init=False)
    branches: Branches = field(init=False)
    floor: Floor | None = None
    line_start: int = 0
    head_start: int = 0  # of what follows the white space that the line begins with
    line_depth: int = 0  # brackets of the generated text that the line began in
    statement_end: int | None = None  # where the statement ended, unless the next line goes on
    block: int | None = None  # indentation of the cursor's statement, which turned out a header
    in_opaque: bool = field(init=False)  # still in the string or comment the cursor was in
    begins_anew: bool = False  # the cursor's statement was complete before the cursor
    awaits_rest: bool = False  # lines were unfinished: the rest of the cursor's is still to come
    has_closed: bool = False  # on this line, everything that the text had opened on others
    member_done: bool = False
    was_blank: bool = False

    def __post_init__(self) -> None:
        self.in_opaque = self.site.opaque is not None
        self.choice = Choice(self.site)
        self.brackets = Brackets(self.site)
        self.branches = Branches(self.site)

    @property
    def seen(self) -> str:
        """The text that has been looked at."""
        return self.text[: self.end]

    @property
    def seen_ends_line(self) -> bool:
        return self.text[self.end - 1 : self.end] == "\n"

    @property
    def floor_indent(self) -> int:
        """A line left of this column is outside."""
        return self.floor.indent if self.floor else 0

    @property
    def is_left_open(self) -> bool:
        """Whether brackets of the cursor's statement are left to the text to close."""
        return any(not bracket.owed for bracket in self.site.stack[self.site.n_outer :])

    @property
    def is_in_tail_bracket(self) -> bool:
        """Whether the cursor's line opened the bracket that its rest closes: lines go on in it.

        Or that a line below closes, where no bracket is a block.
        """
        inner, site = self.brackets.inner, self.site
        if inner is None or not inner.owed or inner.start < len(site.before) - len(site.head):
            return False
        tail = site.tail.strip()
        return matches(inner.name, tail[0]) if tail else site.language.indented

    def in_statement(self) -> bool:
        """Whether the rest of a statement is asked for, and everything it opened is closed."""
        if self.begins_anew or not self.brackets.is_statement_closed:
            return False
        is_begun = not (self.site.is_fresh or self.site.is_first_word)
        is_inside = bool(self.site.half) or self.site.opaque is not None
        is_open = self.is_left_open and not self.asks_for_body
        return is_open or is_begun or is_inside

    @property
    def asks_for_body(self) -> bool:
        """Whether the cursor's line is one of a function's body, which indentation alone tells.

        Also where it stands in brackets: when the text has closed these, the body goes on.
        """
        floor, language = self.floor, self.site.language
        is_in_body = floor is not None and floor.in_definition and not floor.member
        return is_in_body and language.indented and not language.ends and self.site.is_fresh

    def holds_members(self) -> bool:
        """Whether the cursor is at the top level or in a class body."""
        if self.site.is_snippet:
            return False
        if self.site.language.indented:
            is_inside = self.brackets.inner is not None and not self.site.language.ends
            return self.floor is not None and self.floor.member and not is_inside
        begins = self.begins_anew or self.site.is_fresh or self.site.is_first_word
        if not begins or conditionals.n_open(self.choice.lines, branches=True):
            return False
        inner = self.brackets.inner
        return inner is None or (
            inner.name == "{" and members.is_container(inner.header, self.site.language)
        )

    def leave_inner(self, floor: Floor) -> None:
        """The inner function is complete; if what follows is met, the text led up to it."""
        if floor.outer is not None:
            self.choice.held = self.line_start
            self.floor = replace(floor, indent=floor.outer, outer=None)

    def begin_line(self, start: int) -> None:
        """The next line begins at ``start``."""
        self.line_start = self.head_start = start
        self.line_depth = len(self.brackets.depth)
        self.has_closed = False

    def add_line(self, line: str, end: int) -> Cut | None:
        """Take a whole line, unless it is inside what the text opened; perhaps it repeats."""
        start = self.line_start
        is_in_body = self.brackets.body is not None and self.line_depth == self.brackets.n_body
        is_from_start = start or self.site.is_fresh or self.site.is_first_word
        if (self.line_depth and not is_in_body) or not is_from_start:
            return None
        if conditionals.is_owed_end(line, self.choice.lines, self.site):
            return self.stop(start, StopReason.SUFFIX, seen=end)
        line = line if start else self.site.head + line
        run = self.choice.add(Line(start, width(line), line.strip()))
        if run is None:
            return None
        self.choice.held = None
        return self.stop(run.start, StopReason.SUFFIX, seen=end)

    def stop_unless_hanging(self, at: int) -> Cut | None:
        """Stop where the statement is complete, unless the lines after it need a header."""
        ahead = self.site.ahead
        if self.site.language.indented and ahead and ahead[0].indent > self.site.level:
            return None
        return self.stop(at, StopReason.SCOPE)

    def stop(self, at: int, reason: StopReason, *, seen: int | None = None) -> Cut:
        """Strong evidence: the text has run past ``at``."""
        if seen is not None and reason is StopReason.SUFFIX:
            met = meets_tail(self.text[:seen], self.site, certain=True)
            at = min(at, met) if met is not None and self.site.has_rest else at
        return self.choice.cut(self.seen, at, reason, self.floor_indent)

    def at_end(self, reason: StopReason) -> Cut:
        """The generation ended without strong evidence."""
        return self.choice.at_end(self.seen, reason, self.floor_indent)
