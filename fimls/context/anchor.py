"""The anchored middle: where the prompt is nailed down while a person types.

In PSM order a prompt is ``PRE prefix SUF suffix MID``. Text typed at the cursor
would change the prefix, in the middle of what the KV cache holds, and the suffix
would be evaluated again at every keystroke. So prefix and suffix are kept as they
were at an anchor some lines above the cursor, and what stands between the anchor
and the cursor is placed after ``MID``: typing appends a token or two to the end of
the sequence, a backspace removes them, and reuse is exact.

The model also completes better this way: it has begun the middle itself, so to
speak (figures in ARCHITECTURE.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from fimls.context.window import CountTokens, head, tail
from fimls.fim import AUTO_CLOSERS

# So many closers that the editor added itself leave the anchor where it is. The prompt need
# not know of them: the scope watcher meets them in the document's own suffix.
MOST_AUTO_CLOSERS = 4
# A window whose start was kept is taken as long as it holds this share of the budget, so
# that the start moves in coarse steps and not with every line.
LEAST_FILL = 0.3
# A new window leaves this share of the prefix budget free to grow downwards before its
# start has to move.
NEW_FILL = 0.75
# A new anchor leaves at least so many lines to the prefix: a model that is shown hardly any
# of the file completes some other file.
LEAST_PREFIX_LINES = 4
# The first characters of a window, by which its start is found again after edits above it.
LANDMARK_CHARS = 160


@dataclass(frozen=True, slots=True)
class Budget:
    """How many tokens of the document a prompt may hold.

    ``n_middle`` bounds what was typed since the anchor; ``anchor_lines`` is how many
    whole lines above the cursor's line a new anchor is placed.
    """

    n_prefix: int = 900
    n_suffix: int = 300
    n_middle: int = 256
    anchor_lines: int = 3


@dataclass(frozen=True, slots=True)
class Anchor:
    """Prefix and suffix as they stood when the anchor was placed.

    ``from_start`` tells that the prefix begins where the document begins.
    """

    prefix: str
    suffix: str
    from_start: bool

    def typed(self, before: str, after: str) -> str | None:
        """What stands between the anchor and the cursor; ``None`` when it no longer holds.

        It holds while the text before the cursor still contains the prefix and the text
        after it still begins with the suffix, closers that the editor added aside.
        """
        if not _continues(self.suffix, after):
            return None
        if self.from_start:  # a short prefix may well stand again further down
            return before[len(self.prefix) :] if before.startswith(self.prefix) else None
        at = before.rfind(self.prefix)
        return None if at < 0 else before[at + len(self.prefix) :]


def place(
    before: str, after: str, budget: Budget, count_tokens: CountTokens, previous: Anchor | None
) -> tuple[Anchor, str]:
    """The anchor for a cursor between ``before`` and ``after``, and the typed text.

    Returns ``previous`` while it holds: then the prompt only grows at its end.
    """
    if previous is not None:
        typed = previous.typed(before, after)
        if typed is not None and _is_near(typed, budget, count_tokens):
            return previous, typed
    at = _lines_above(before, budget.anchor_lines)
    if before.count("\n", max(at - 4_000, 0), at) < LEAST_PREFIX_LINES:
        at = _lines_above(before, 0)
        if not before[at:].strip():
            # With so little to go by, indentation in front of the hole shows its place best.
            at = len(before)
    if count_tokens(before[max(at, len(before) - 8 * budget.n_middle) :]) > budget.n_middle:
        at = _lines_above(before, 0)
    typed = before[at:]
    if count_tokens(typed[-8 * budget.n_middle :]) > budget.n_middle:
        at, typed = len(before), ""  # one endless line: anchor at the cursor itself
    prefix = _standing_tail(before[:at], budget.n_prefix, count_tokens, previous)
    suffix = head(after, budget.n_suffix, count_tokens)
    return Anchor(prefix, suffix, from_start=len(prefix) == at), typed


def _is_near(typed: str, budget: Budget, count_tokens: CountTokens) -> bool:
    # A token has at least one byte, so a long text needs no counting to be found too long.
    return len(typed) <= budget.n_middle * 8 and count_tokens(typed) <= budget.n_middle


def _continues(suffix: str, after: str) -> bool:
    if after.startswith(suffix) and (suffix or not after):
        return True
    for extra in range(1, MOST_AUTO_CLOSERS + 1):
        if extra > len(after) or after[extra - 1] not in AUTO_CLOSERS:
            return False
        if after.startswith(suffix, extra) and (suffix or extra == len(after)):
            return True
    return False


def _lines_above(text: str, n_lines: int) -> int:
    """The offset of the start of the line ``n_lines`` above the last one."""
    at = len(text)
    for _ in range(n_lines + 1):
        at = text.rfind("\n", 0, at)
        if at < 0:
            return 0
    return at + 1


def _standing_tail(
    text: str, n_tokens: int, count_tokens: CountTokens, previous: Anchor | None
) -> str:
    """The end of ``text`` within budget, starting where the previous window started if it can."""
    if previous is not None and previous.prefix:
        at = text.rfind(previous.prefix[:LANDMARK_CHARS])
        kept = text[at:] if at >= 0 else ""
        if kept and len(kept) <= 12 * n_tokens and (at == 0 or kept.count("\n") > 0):
            n_kept = count_tokens(kept)
            if n_kept <= n_tokens and (at == 0 or n_kept >= LEAST_FILL * n_tokens):
                return kept
    whole = tail(text, n_tokens, count_tokens)
    return whole if len(whole) == len(text) else tail(text, int(NEW_FILL * n_tokens), count_tokens)
