"""Which anchor serves a cursor: one of those known, or a new one.

Everything here is a function of the document, the budget and the anchors that are known of
this document, the most recent first. What is known is taken to be warm in the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fimls.context.anchor import Anchor, Budget
from fimls.context.window import CountTokens, head, tail

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
# Of a window that must be small, this share is for the suffix.
SMALL_SUFFIX = 0.25
# However long the lines above the cursor are, so much of a small window is for the rest.
LEAST_SMALL = 96
# An anchor is moved when nobody types once its middle is so full, so that no key has to.
FULL_MIDDLE = 0.75


def place(
    before: str,
    after: str,
    budget: Budget,
    count_tokens: CountTokens,
    known: Sequence[Anchor] = (),
) -> tuple[Anchor, str]:
    """The anchor for a cursor between ``before`` and ``after``, and the typed text.

    One that is known is taken while it holds: then the prompt only grows at its end, and
    coming back to a place evaluates nothing.
    """
    held = _holding(before, after, budget, count_tokens, known)
    return held or _new(before, after, budget, count_tokens, known)


def settle(
    before: str,
    after: str,
    budget: Budget,
    count_tokens: CountTokens,
    known: Sequence[Anchor],
) -> tuple[Anchor, str] | None:
    """The anchor to prepare while nobody types; ``None`` when the present one will do.

    A small window gives way to a whole one, an anchor whose middle is nearly full to one
    that is nearer.
    """
    held = _holding(before, after, budget, count_tokens, known)
    if held is not None:
        anchor, typed = held
        if anchor.is_whole and count_tokens(typed) <= FULL_MIDDLE * budget.n_middle:
            return None
    new = _new(before, after, replace(budget, n_cold=None), count_tokens, known)
    return None if held is not None and held[0] == new[0] else new


def _holding(
    before: str,
    after: str,
    budget: Budget,
    count_tokens: CountTokens,
    known: Sequence[Anchor],
) -> tuple[Anchor, str] | None:
    for anchor in known:
        typed = anchor.typed(before, after)
        if typed is not None and _is_near(typed, budget, count_tokens):
            return anchor, typed
    return None


def _new(
    before: str,
    after: str,
    budget: Budget,
    count_tokens: CountTokens,
    known: Sequence[Anchor],
) -> tuple[Anchor, str]:
    at = _anchor_offset(before, budget, count_tokens)
    text, typed = before[:at], before[at:]
    warm = () if budget.suffix_first else tuple(known)
    prefix = _standing_tail(text, budget.n_prefix, count_tokens, known)
    suffix = head(after, budget.n_suffix, count_tokens)
    is_whole = True
    if budget.n_cold is not None:
        n_cold = max(budget.n_cold - count_tokens(typed), LEAST_SMALL)
        if _n_cold(prefix, count_tokens, warm) + count_tokens(suffix) > n_cold:
            prefix, suffix = _small(text, after, n_cold, budget, count_tokens, warm)
            is_whole = False
    anchor = Anchor(
        prefix,
        suffix,
        from_start=len(prefix) == at,
        to_end=len(suffix) == len(after),
        is_whole=is_whole,
    )
    return anchor, typed


def _anchor_offset(before: str, budget: Budget, count_tokens: CountTokens) -> int:
    at = _lines_above(before, budget.anchor_lines)
    if before.count("\n", max(at - 4_000, 0), at) < LEAST_PREFIX_LINES:
        at = _lines_above(before, 0)
        if not before[at:].strip():
            # With so little to go by, indentation in front of the hole shows its place best.
            at = len(before)
    if not _is_near(before[at:], budget, count_tokens):
        at = _lines_above(before, 0)
    if not _is_near(before[at:], budget, count_tokens):
        at = len(before)  # one endless line: anchor at the cursor itself
    return at


def _is_near(typed: str, budget: Budget, count_tokens: CountTokens) -> bool:
    # A token has at least one byte, so a long text needs no counting to be found too long.
    return len(typed) <= budget.n_middle * 8 and count_tokens(typed) <= budget.n_middle


def _lines_above(text: str, n_lines: int) -> int:
    """The offset of the start of the line ``n_lines`` above the last one."""
    at = len(text)
    for _ in range(n_lines + 1):
        at = text.rfind("\n", 0, at)
        if at < 0:
            return 0
    return at + 1


def _standing_tail(
    text: str, n_tokens: int, count_tokens: CountTokens, known: Sequence[Anchor]
) -> str:
    """The end of ``text`` within budget, starting where a whole window starts if it can."""
    whole_ones = [anchor for anchor in known if anchor.is_whole]
    for kept in _standing(text, n_tokens, count_tokens, whole_ones):
        if len(kept) == len(text) or count_tokens(kept) >= LEAST_FILL * n_tokens:
            return kept
    whole = tail(text, n_tokens, count_tokens)
    return whole if len(whole) == len(text) else tail(text, int(NEW_FILL * n_tokens), count_tokens)


def _standing(
    text: str, n_tokens: int, count_tokens: CountTokens, known: Sequence[Anchor]
) -> Iterator[str]:
    """The ends of ``text`` within budget that begin where known windows begin."""
    landmarks = dict.fromkeys(anchor.prefix[:LANDMARK_CHARS] for anchor in known if anchor.prefix)
    for landmark in landmarks:
        at = text.rfind(landmark)
        kept = text[at:] if at >= 0 else ""
        is_some = kept and len(kept) <= 12 * n_tokens and (at == 0 or kept.count("\n") > 0)
        if is_some and count_tokens(kept) <= n_tokens:
            yield kept


def _small(
    text: str,
    after: str,
    n_cold: int,
    budget: Budget,
    count_tokens: CountTokens,
    warm: Sequence[Anchor],
) -> tuple[str, str]:
    """Prefix and suffix of which no more than ``n_cold`` tokens have to be evaluated.

    The beginning of a window of the same file that is warm costs nothing, so the longest
    prefix is taken that is cold in its last part only.
    """
    share = head(after, min(int(SMALL_SUFFIX * n_cold), budget.n_suffix), count_tokens)
    n_before = n_cold - count_tokens(share)
    standing = _standing(text, budget.n_prefix, count_tokens, warm)
    found = [kept for kept in standing if _n_cold(kept, count_tokens, warm) <= n_before]
    found.append(tail(text, min(n_before, budget.n_prefix), count_tokens))
    prefix = max(found, key=len)
    n_left = n_cold - _n_cold(prefix, count_tokens, warm)
    return prefix, head(after, min(n_left, budget.n_suffix), count_tokens)


def _n_cold(prefix: str, count_tokens: CountTokens, warm: Sequence[Anchor]) -> int:
    """How many tokens of ``prefix`` no known window begins with."""
    n_warm = max((_n_in_common(prefix, anchor.prefix) for anchor in warm), default=0)
    return count_tokens(prefix[n_warm:])


def _n_in_common(left: str, right: str) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(left), len(right)))
