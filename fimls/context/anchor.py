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

from fimls.fim import AUTO_CLOSERS

# So many closers that the editor added itself leave the anchor where it is. The prompt need
# not know of them: the scope watcher meets them in the document's own suffix.
MOST_AUTO_CLOSERS = 4


@dataclass(frozen=True, slots=True)
class Budget:
    """How many tokens of the document a prompt may hold.

    ``n_middle`` bounds what was typed since the anchor; ``anchor_lines`` is how many
    whole lines above the cursor's line a new anchor is placed. ``n_cold`` is how many
    tokens a new anchor may leave to be evaluated; ``None`` for any number. Of a file
    whose prompts show the suffix first (``suffix_first``), another place shares nothing.
    """

    n_prefix: int = 900
    n_suffix: int = 300
    n_middle: int = 256
    anchor_lines: int = 3
    n_cold: int | None = None
    suffix_first: bool = False


@dataclass(frozen=True, slots=True)
class Anchor:
    """Prefix and suffix as they stood when the anchor was placed.

    ``from_start`` tells that the prefix begins where the document begins, ``to_end`` that
    the suffix ends where it ends, ``is_whole`` that both are as long as they may be.
    """

    prefix: str
    suffix: str
    from_start: bool
    to_end: bool = False
    is_whole: bool = True

    def typed(self, before: str, after: str) -> str | None:
        """What stands between the anchor and the cursor; ``None`` when it no longer holds.

        It holds while the text before the cursor still contains the prefix and the text
        after it still begins with the suffix, closers that the editor added aside.
        """
        if not self._continues(after):
            return None
        if self.from_start:  # a short prefix may well stand again further down
            return before[len(self.prefix) :] if before.startswith(self.prefix) else None
        at = before.rfind(self.prefix)
        return None if at < 0 else before[at + len(self.prefix) :]

    def _continues(self, after: str) -> bool:
        for n_added in range(min(MOST_AUTO_CLOSERS, len(after)) + 1):
            if n_added and after[n_added - 1] not in AUTO_CLOSERS:
                return False
            is_there = after.startswith(self.suffix, n_added)
            if is_there and (not self.to_end or len(after) == n_added + len(self.suffix)):
                return True
        return False
