"""States of overwritten sequences, kept to be put back instead of evaluated again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """What a ``Slot`` held: its tokens, how they were computed, their keys and values."""

    tokens: Sequence[int]
    n_aligned: int
    n_batched: int
    state: npt.NDArray[np.uint8] = field(repr=False)


class Store:
    """At most ``capacity_bytes`` of states; the least recently used go first.

    Of prompts that differ only in what was typed, the last one is kept: a token or two is
    all that another one would save.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._n_bytes = 0
        self._saved: list[Saved] = []  # the most recently used last

    def __iter__(self) -> Iterator[Saved]:
        return iter(self._saved)

    @property
    def n_bytes(self) -> int:
        return self._n_bytes

    def has_room(self, n_bytes: int) -> bool:
        """Whether a state of ``n_bytes`` could be kept at all."""
        return n_bytes <= self._capacity_bytes

    def put(self, saved: Saved) -> None:
        for old in [old for old in self._saved if _is_same_place(old, saved)]:
            self.remove(old)
        self._saved.append(saved)
        self._n_bytes += saved.state.nbytes
        while self._n_bytes > self._capacity_bytes:
            self.remove(self._saved[0])

    def use(self, saved: Saved) -> None:
        """It has served: let it go last."""
        self._saved.remove(saved)
        self._saved.append(saved)

    def remove(self, saved: Saved) -> None:
        self._saved.remove(saved)
        self._n_bytes -= saved.state.nbytes


def _is_same_place(left: Saved, right: Saved) -> bool:
    n = left.n_batched
    return n == right.n_batched and left.tokens[:n] == right.tokens[:n]
