"""llama.cpp in this process. Importing this package is cheap; opening a model is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fimls.engine.embedded.settings import EmbeddedSettings
from fimls.engine.embedded.waiting import settle

if TYPE_CHECKING:
    from fimls.engine.embedded.engine import EmbeddedEngine
    from fimls.engine.embedded.vocabulary import LlamaVocabulary
    from fimls.engine.embedded.weightless import WeightlessEngine

__all__ = [
    "EmbeddedSettings",
    "open_embedded",
    "open_vocabulary",
    "open_weightless",
    "supports_gpu",
    "system_info",
]


def open_embedded(
    path: Path,
    settings: EmbeddedSettings | None = None,
    progress: Callable[[float], None] | None = None,
    calibrations: Path | None = None,
) -> EmbeddedEngine:
    """Load the GGUF file at ``path``; ``progress`` is called with 0.0 to 1.0 meanwhile.

    ``calibrations`` is the folder of what was measured on this machine: it decides what
    ``settings`` leave open, and what is missing there is measured while nobody types.
    Raises ``ModelUnusable`` when the file is none, is cut off, or cannot be run,
    and ``OutOfMemory`` when it or its context does not fit.
    """
    settle()
    from fimls.engine.embedded.engine import EmbeddedEngine  # noqa: PLC0415  # 0.3 s

    engine = EmbeddedEngine(path, settings or EmbeddedSettings(), progress)
    if calibrations is not None:
        from fimls.engine.embedded.measuring import Calibrator  # noqa: PLC0415

        Calibrator(engine, path, settings or EmbeddedSettings(), calibrations).start()
    return engine


def open_weightless(path: Path, settings: EmbeddedSettings, calibrations: Path) -> WeightlessEngine:
    """What ``open_embedded`` opens, but for the weights: it can be asked for prompts only."""
    settle()
    from fimls.engine.embedded.weightless import WeightlessEngine  # noqa: PLC0415  # 0.3 s

    return WeightlessEngine(path, settings, calibrations)


def open_vocabulary(path: Path) -> LlamaVocabulary:
    """Only the vocabulary of the GGUF file at ``path``: no weights are read."""
    settle()
    from fimls.engine.embedded.model import Model  # noqa: PLC0415  # 0.3 s
    from fimls.engine.embedded.vocabulary import LlamaVocabulary  # noqa: PLC0415

    return LlamaVocabulary(Model(path, EmbeddedSettings(), vocab_only=True))


def supports_gpu() -> bool:
    """Whether this build of llama.cpp could use a graphics processor."""
    settle()
    import llama_cpp.llama_cpp as c  # noqa: PLC0415  # 0.3 s

    return bool(c.llama_supports_gpu_offload())


def system_info() -> tuple[str, ...]:
    """The CPU and GPU features that this build of llama.cpp uses here."""
    settle()
    import llama_cpp.llama_cpp as c  # noqa: PLC0415  # 0.3 s

    from fimls.engine.embedded import native  # noqa: PLC0415

    native.start()
    told = c.llama_print_system_info().decode("utf-8", "replace")
    # It reads like this, with one such list for each device: "CPU : AVX2 = 1 | FMA = 1 | ".
    pairs = (part.split(":")[-1].split("=") for part in told.split("|") if "=" in part)
    return tuple(name.strip() for name, value in pairs if value.strip() not in {"0", ""})
