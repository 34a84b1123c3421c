"""Every failure that fimls reports, in one tree.

    FimlsError
      ConfigError            a setting is unknown, mistyped or contradictory
      BadRequest             a cursor or file that cannot be completed in
      ModelError
        ModelMissing         the weights are not on this machine yet
        ModelUnknown         no catalogue entry has that name
        ModelUnusable        not a GGUF, truncated, or not runnable
        ModelRefused         runs, but cannot fill in the middle (or cannot chat)
        DownloadFailed       no source could deliver the file
        ChecksumMismatch     a file was delivered and is not the official one
      TemplateError          a template is malformed or does not fit the vocabulary
      EngineError
        EngineUnreachable    a remote engine does not answer
        EngineFailed         the engine broke down while it worked
        OutOfMemory          the model or its context does not fit

A message says what happened and names the next move. "No completion" is not a
failure: stages return ``None`` for it.
"""

from __future__ import annotations


class FimlsError(Exception):
    """Base of all errors; ``str(error)`` is fit for a person to read."""


class ConfigError(FimlsError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class BadRequest(FimlsError):
    """The request points at something that is not there or cannot be completed in."""


class ModelError(FimlsError):
    """Something is wrong with a model file."""


class ModelMissing(ModelError):
    """The weights are not on this machine yet."""

    def __init__(self, name: str) -> None:
        super().__init__(f'model {name} is not here yet; run "fimls models pull {name}"')
        self.name = name


class ModelUnknown(ModelError):
    """No catalogue entry has that name."""


class ModelUnusable(ModelError):
    """The file is not a GGUF, is truncated, or cannot be run by this llama.cpp."""


class ModelRefused(ModelError):
    """The model runs, but was not trained for what is asked of it."""


class DownloadFailed(ModelError):
    """No source could deliver the file."""


class ChecksumMismatch(ModelError):
    """A file was delivered whole and its sha256 is not the official one."""


class TemplateError(FimlsError):
    """A template is malformed, or does not fit the loaded model's vocabulary."""


class EngineError(FimlsError):
    """The engine could not do its work."""


class EngineUnreachable(EngineError):
    """A remote engine does not answer."""


class EngineFailed(EngineError):
    """The engine broke down while it worked."""


class OutOfMemory(EngineError):
    """The model or its context does not fit into memory."""
