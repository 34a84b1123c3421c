"""Token healing: the first generated tokens must spell the text that was stepped back over.

Text before the cursor often ends inside what the model knows as one token:
``pri`` of ``print``, ``=`` of ``==``. Such a tail is left out of the prompt, and
the first tokens are chosen only among those that spell it, or a beginning of it
(see "The Art of Prompt Design: Prompt Boundaries and Token Healing", S. Lundberg).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


class HealingTable:
    """All tokens sorted by their bytes, so that a prefix is a range."""

    def __init__(self, tokens: Iterable[tuple[int, bytes]]) -> None:
        pairs = sorted((text, token) for token, text in tokens if text)
        self._texts = [text for text, _ in pairs]
        self._ids = np.array([token for _, token in pairs], dtype=np.int64)

    def candidates(self, tail: bytes) -> npt.NDArray[np.int64]:
        """Ids of the tokens that start with ``tail`` or are a non-empty beginning of it."""
        ranges = [self._ids[self._first(tail) : self._first_after(tail)]]
        for length in range(1, len(tail)):
            part = tail[:length]
            first = self._first(part)
            ranges.append(self._ids[first : bisect_left(self._texts, part + b"\0", first)])
        return np.concatenate(ranges)

    def _first(self, prefix: bytes) -> int:
        return bisect_left(self._texts, prefix)

    def _first_after(self, prefix: bytes) -> int:
        """The index after the last text that starts with ``prefix``."""
        stripped = prefix.rstrip(b"\xff")
        if not stripped:
            return len(self._texts)
        return bisect_left(self._texts, stripped[:-1] + bytes([stripped[-1] + 1]))
