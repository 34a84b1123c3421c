"""What engines that stand in front of another one have in common: all but their streams."""

from __future__ import annotations

from fimls.engine.base import Engine, Vocabulary


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
