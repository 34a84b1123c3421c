"""An engine whose every piece is told to somebody else as well."""

from __future__ import annotations

from collections.abc import Callable

from fimls.cancel import Cancel
from fimls.engine.around import AroundEngine, AroundStream
from fimls.engine.base import Engine, Request, Stream
from fimls.fim import Piece


class OverheardEngine(AroundEngine):
    """``engine``; ``heard`` gets the text of each piece as it is pulled."""

    def __init__(self, engine: Engine, heard: Callable[[str], None]) -> None:
        super().__init__(engine)
        self._heard = heard

    def stream(self, request: Request, cancel: Cancel) -> Stream:
        return _OverheardStream(self._engine.stream(request, cancel), self._heard)


class _OverheardStream(AroundStream):
    def __init__(self, stream: Stream, heard: Callable[[str], None]) -> None:
        super().__init__(stream)
        self._heard = heard

    def __next__(self) -> Piece:
        piece = next(self._stream)
        self._heard(piece.text)
        return piece
