"""No template of ours: for servers that take prefix and suffix and fill in their own."""

from __future__ import annotations

from collections.abc import Sequence

from fimls.fim import Chunk, Prompt, Window
from fimls.template.binding import BoundTemplate


class UnfilledTemplate(BoundTemplate):
    """Passes the window on as it is."""

    def __init__(self) -> None:
        self.vocabulary = None

    @property
    def suffix_first(self) -> bool:
        return False

    @property
    def n_ctx(self) -> int:
        return 0

    def render(self, window: Window, chunks: Sequence[Chunk] = (), repository: str = "") -> Prompt:  # noqa: ARG002  # the protocol's
        """A prompt without segments; the engine takes its window."""
        return Prompt((), template="the server's own", window=window, chunks=tuple(chunks))
