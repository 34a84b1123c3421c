"""A model file of which only the vocabulary is read: prompts can be made for it, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.engine.embedded import calibration
from fimls.engine.embedded.model import Model
from fimls.engine.embedded.settings import EmbeddedSettings
from fimls.engine.embedded.vocabulary import LlamaVocabulary
from fimls.errors import EngineFailed


class WeightlessEngine:
    """Tells of itself what the loaded engine would, since prompts depend on that."""

    prepares_ahead = True

    def __init__(self, path: Path, settings: EmbeddedSettings, calibrations: Path) -> None:
        self._model = Model(path, settings, vocab_only=True)
        self.vocabulary = LlamaVocabulary(self._model)
        self.n_ctx = settings.n_ctx_within(self.vocabulary.info.n_ctx_train)
        known = calibration.load(calibrations, path, settings)
        self.prompt_tokens_per_s = None if known is None else known.prompt_tokens_per_s

    def stream(self, request: Request, cancel: Cancel) -> NoReturn:
        """Raises ``EngineFailed``."""
        del request, cancel
        raise EngineFailed("only the model's vocabulary is loaded: it can write nothing")

    def close(self) -> None:
        self._model.close()
