"""What a model's file says about itself: its metadata and its vocabulary.

Engines provide it, templates are checked against it, and neither knows the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model's file says about itself (GGUF metadata, values as text)."""

    name: str
    architecture: str
    path: str = ""
    n_ctx_train: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    chat_template: str = ""


class Vocabulary(Protocol):
    """A model's vocabulary. Source text never becomes a control token here."""

    @property
    def info(self) -> ModelInfo: ...

    def tokenize(self, text: str) -> list[int]:
        """Token ids of source text: no BOS, no blank of the tokeniser's own in front.

        Markers inside stay plain text.
        """

    def tokenize_markup(self, text: str) -> list[int]:
        """Token ids of text that may hold markers: only for text of the model's own making."""

    def marker(self, text: str) -> int | None:
        """The id of the control token that is spelt exactly ``text``, else ``None``."""

    def spelling(self, token: int) -> str:
        """How ``token`` is written, control tokens included; invalid UTF-8 is replaced."""

    def is_control(self, token: int) -> bool:
        """Whether ``token`` is a control or user-defined token, not plain text."""

    def is_end(self, token: int) -> bool:
        """Whether the engine itself counts ``token`` as an end of generation."""

    @property
    def bos(self) -> int | None:
        """The id of the beginning-of-sequence token, ``None`` when there is none."""

    @property
    def add_bos(self) -> bool:
        """Whether the model's file asks for BOS at the start of a prompt."""
