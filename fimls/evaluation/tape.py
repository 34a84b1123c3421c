"""An engine that plays a generation back, so that all modes share one.

Decoding is greedy, so a prompt has one continuation. It is generated once, to
the cap, and the product's own pipeline then runs on the recording: what it
would have pulled from the model it pulls from the tape, and no more.
"""

from __future__ import annotations

from collections.abc import Iterator

from fimls.cancel import Cancel
from fimls.engine.around import AroundEngine
from fimls.engine.base import Engine, Request, Usage
from fimls.errors import EngineFailed
from fimls.evaluation.records import Generation
from fimls.fim import Piece


class Tape(AroundEngine):
    """Implements ``fimls.engine.base.Engine``; vocabulary and context are the real engine's."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._generation: Generation | None = None
        self.usage = Usage()

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """None: nothing is evaluated, so windows are always whole."""
        return None

    def insert(self, generation: Generation) -> None:
        """What the next stream plays; ``usage`` then tells how much of it was pulled."""
        self._generation = generation
        self.usage = Usage()

    def stream(self, request: Request, cancel: Cancel) -> TapeStream:
        if self._generation is None:
            raise EngineFailed("the tape is empty: insert a generation first")
        self.usage = Usage(n_prompt=len(request.prompt.tokens))
        return TapeStream(self._generation, request.n_predict, cancel, self.usage)

    def close(self) -> None:
        """The real engine is closed by whoever opened it."""


class TapeStream:
    """Implements ``fimls.engine.base.Stream``."""

    def __init__(
        self, generation: Generation, n_predict: int, cancel: Cancel, usage: Usage
    ) -> None:
        self._pieces = iter(generation.pieces[:n_predict])
        self._ends = generation.ended and len(generation.pieces) <= n_predict
        self._cancel = cancel
        self.usage = usage

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        if self._cancel.is_set():
            raise StopIteration
        text = next(self._pieces, None)
        if text is None:
            self.usage.ended = self._ends
            raise StopIteration
        self.usage.n_generated += 1
        return Piece(text)

    def close(self) -> None:
        self._pieces = iter(())
