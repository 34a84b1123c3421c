"""What engines that stand in front of another one have in common, and their streams."""

from __future__ import annotations

from collections.abc import Iterator

from fimls.engine.base import Engine, Stream, Usage, Vocabulary
from fimls.fim import Piece


class AroundEngine:
    """Tells of itself what the engine behind it does; closing it closes that."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def vocabulary(self) -> Vocabulary | None:
        return self._engine.vocabulary

    @property
    def n_ctx(self) -> int:
        return self._engine.n_ctx

    @property
    def prompt_tokens_per_s(self) -> float | None:
        return self._engine.prompt_tokens_per_s

    @property
    def prepares_ahead(self) -> bool:
        return self._engine.prepares_ahead

    @property
    def condition(self) -> str:
        """What is unusual about it; empty where nothing is, or it does not tell."""
        return str(getattr(self._engine, "condition", ""))

    @property
    def host_pid(self) -> int | None:
        """The process that computes, where it is another one and has been started."""
        return getattr(self._engine, "host_pid", None)

    def close(self) -> None:
        self._engine.close()


class AroundStream:
    """Tells of itself what the stream behind it does; closing it closes that."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @property
    def usage(self) -> Usage:
        return self._stream.usage

    @usage.setter
    def usage(self, usage: Usage) -> None:
        self._stream.usage = usage

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        return next(self._stream)

    def close(self) -> None:
        self._stream.close()
