"""From settings to parts: which engine, which model file, which template.

The one place that knows both the settings and the parts; the server, the command line
and the evaluation all build what they need here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fimls import models
from fimls.completer import Completer
from fimls.config import Config, EngineOptions, templates_dir
from fimls.engine.base import Engine
from fimls.engine.embedded import EmbeddedSettings, open_embedded
from fimls.template import BoundTemplate, bind, detect, load_all
from fimls.vocabulary import ModelInfo, Vocabulary

Progress = Callable[[float], None]


def open_completer(config: Config, progress: Progress | None = None) -> Completer:
    """The completer that the settings ask for, its model loaded. Blocks; raises ``FimlsError``."""
    options = config.completion
    engine = open_engine(config, options.engine, options.model, progress)
    return Completer(engine, options, partial(choose_template, options.template, options.model))


def open_engine(
    config: Config, engine: str, model: str, progress: Progress | None = None
) -> Engine:
    """Open ``embedded`` with a model, or the engine of an ``[engines.NAME]`` table.

    Raises ``ModelMissing``, ``ModelUnusable``, ``OutOfMemory``, or ``ConfigError``.
    """
    if engine == "embedded":
        path = models.resolve(model, models.models_dir(config.models))
        return open_embedded(path, embedded_settings(config.engine), progress)
    if config.engines[engine]["kind"] == "scripted":
        from fimls.engine.scripted import open_scripted  # noqa: PLC0415 - for tests and demos

        return open_scripted(engine, config.engines[engine])
    from fimls.engine.http import HttpSettings, open_http_engine  # noqa: PLC0415 - rarely used

    return open_http_engine(HttpSettings.from_table(engine, config.engines[engine]))


def embedded_settings(options: EngineOptions) -> EmbeddedSettings:
    """The engine's own settings, as the user's say."""
    return EmbeddedSettings(
        n_ctx=options.n_ctx,
        n_sequences=options.n_sequences,
        n_ubatch=options.n_ubatch,
        n_threads=options.n_threads,
        n_gpu_layers=options.n_gpu_layers,
        flash_attention={"auto": None, "on": True, "off": False}[options.flash_attention],
        kv_type=options.kv_type,
        mmap=options.mmap,
    )


def choose_template(override: str, model: str, vocabulary: Vocabulary | None) -> BoundTemplate:
    """The FIM template for a loaded model, checked against its vocabulary.

    Without a vocabulary (a remote engine), the model's configured name decides.
    """
    info = ModelInfo(model, architecture="") if vocabulary is None else vocabulary.info
    return bind(detect(info, vocabulary, load_all(templates_dir()), override), vocabulary)
