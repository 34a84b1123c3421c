"""From settings to parts: which engine, which model file, which template.

The one place that knows both the settings and the parts; the server, the command line
and the evaluation all build what they need here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fimls import models
from fimls.completer import Completer
from fimls.config import Config, EngineOptions, cache_dir, templates_dir
from fimls.engine.base import Engine
from fimls.engine.embedded import (
    EmbeddedSettings,
    open_embedded,
    open_vocabulary,
    open_weightless,
)
from fimls.engine.embedded.memory import available_bytes
from fimls.errors import (
    ConfigError,
    ModelError,
    ModelRefused,
    ModelUnknown,
    OutOfMemory,
    TemplateError,
)
from fimls.fim import Prompt
from fimls.prompting import ESTIMATED_CHARS_PER_TOKEN, ChooseTemplate, Prompter
from fimls.template import BoundTemplate, UnfilledTemplate, bind, detect, load_all
from fimls.vocabulary import ModelInfo, Vocabulary

if TYPE_CHECKING:  # imported where such engines are opened
    from fimls.engine.http import HttpEngine, HttpSettings
    from fimls.engine.shared import SharedLink
    from fimls.review.reviewer import Reviewer

logger = logging.getLogger(__name__)

Progress = Callable[[float], None]
Notify = Callable[[str], None]


def open_completer(
    config: Config, progress: Progress | None = None, heard: Callable[[str], None] | None = None
) -> Completer:
    """The completer that the settings ask for, its model loaded. Blocks; raises ``FimlsError``.

    ``heard`` gets each piece of a completion as it is generated.
    """
    engine, choose = open_parts(config, progress)
    if heard is not None:
        from fimls.engine.overheard import OverheardEngine  # noqa: PLC0415 - rarely used

        engine = OverheardEngine(engine, heard)
    return Completer(engine, config.completion, choose)


def open_prompter(config: Config) -> Prompter:
    """What makes its prompts: no weights are read. Raises ``FimlsError``."""
    engine, choose = open_parts(config, weightless=True)
    return Prompter(engine, config.completion, choose)


def review_names(config: Config) -> tuple[str, str]:
    """Engine and model for reviews: their own where set, else those of completion."""
    own, general = config.review, config.completion
    return own.engine or general.engine, own.model or general.model


def open_reviewer(config: Config, progress: Progress | None = None) -> Reviewer:
    """A reviewer on an engine of its own. Blocks; raises ``FimlsError``."""
    engine, model = review_names(config)
    return reviewer_on(open_engine(config, engine, model, progress), config)


def slip_confidence(config: Config) -> float:
    """The least confidence at which slips are reported by the model that reviews."""
    if config.review.slip_confidence >= 0:
        return config.review.slip_confidence
    _, model = review_names(config)
    with suppress(ModelUnknown):
        return models.find(Path(model).name).slip_confidence
    return models.SLIP_CONFIDENCE


def reviewer_on(engine: Engine, config: Config) -> Reviewer:
    """A reviewer on this engine. Blocks while a model loads; raises ``FimlsError``."""
    from fimls.review.reviewer import Reviewer  # noqa: PLC0415 - only where reviews are
    from fimls.review.spotting import Spotter  # noqa: PLC0415
    from fimls.review.talk import Talk  # noqa: PLC0415
    from fimls.review.weighing import Weigher  # noqa: PLC0415

    weigher = spotter = None
    vocabulary = engine.vocabulary
    if vocabulary is not None:
        # A model that cannot fill holes is asked instead.
        with suppress(TemplateError, ModelRefused):
            template = choose_template("", "", vocabulary)
            weigher = Weigher(engine, template)
            spotter = Spotter(engine, vocabulary, template, weigher)
    options = replace(config.review, slip_confidence=slip_confidence(config))
    return Reviewer(Talk(engine), options, weigher, spotter)


def open_parts(
    config: Config,
    progress: Progress | None = None,
    notify: Notify | None = None,
    *,
    weightless: bool = False,
) -> tuple[Engine, ChooseTemplate]:
    """The engine for completions, and how to choose its template. Blocks; raises ``FimlsError``.

    ``notify`` hears what the engine has to say while it works: that the local model
    answers for a remote one, that a crashed process is started again. A ``weightless``
    engine is there for its vocabulary.
    """
    options = config.completion
    open_one = partial(
        open_engine, config, model=options.model, notify=notify, weightless=weightless
    )
    engine = open_one(options.engine, progress=progress)
    if not hasattr(engine, "probe"):  # it cannot be away
        return engine, partial(choose_template, options.template, options.model)
    remote = cast("HttpEngine", engine)
    if remote.is_estimating:
        logger.info(
            "engine %s shows no tokenizer: budgets are estimated, at %d characters a token",
            options.engine,
            ESTIMATED_CHARS_PER_TOKEN,
        )
    choose = partial(_choose_beside, config, remote)
    if not options.fallback:
        return remote, choose
    from fimls.engine.fallback import FallbackEngine  # noqa: PLC0415 - rarely used
    from fimls.engine.lazy import LazyEngine  # noqa: PLC0415

    def open_local() -> Engine:
        opened = LazyEngine(
            lambda progress: open_one(options.fallback, progress=progress),
            config.engine.idle_unload_s,
            progress,
        )
        opened.get()
        return opened

    def render(vocabulary: Vocabulary | None, prompt: Prompt) -> Prompt:
        assert prompt.window is not None
        return choose(vocabulary).render(prompt.window, prompt.chunks)

    return FallbackEngine(remote, open_local, render, notify), choose


def open_engine(
    config: Config,
    engine: str,
    model: str,
    progress: Progress | None = None,
    notify: Notify | None = None,
    *,
    weightless: bool = False,
) -> Engine:
    """Open ``embedded`` with a model, or the engine of an ``[engines.NAME]`` table.

    Raises ``ModelMissing``, ``ModelUnusable``, ``OutOfMemory``, or ``ConfigError``.
    Opening a remote engine sends nothing. Of a ``weightless`` one that is embedded only the
    vocabulary is read.
    """
    if engine == "embedded":
        path = models.resolve(model, models.models_dir(config.models))
        if weightless:
            return open_weightless(path, embedded_settings(config.engine), calibrations_dir())
        try:
            return _open_embedded(config.engine, path, progress, notify)
        except OutOfMemory as error:
            raise OutOfMemory(f"{error}{_smaller_than(path)}") from None
    if config.engines[engine]["kind"] == "scripted":
        from fimls.engine.scripted import open_scripted  # noqa: PLC0415 - for tests and demos

        return open_scripted(engine, config.engines[engine])
    from fimls.engine.http import HttpSettings, open_http_engine  # noqa: PLC0415 - rarely used

    settings = HttpSettings.from_table(engine, config.engines[engine])
    return open_http_engine(settings, _vocabulary_of(settings))


def _vocabulary_of(settings: HttpSettings) -> Vocabulary | None:
    if not settings.vocabulary:
        return None
    try:
        return open_vocabulary(Path(settings.vocabulary).expanduser())
    except ModelError as error:
        raise ConfigError(f"engines.{settings.name}.vocabulary: {error}") from None


def link_to(config: Config, path: Path) -> SharedLink:
    """The way to the user's shared process for the model file at ``path``."""
    from fimls.engine.shared import SharedLink, embedded_opener  # noqa: PLC0415

    settings = embedded_settings(config.engine)
    return SharedLink(embedded_opener(path, settings, calibrations_dir()))


def _open_embedded(
    options: EngineOptions, path: Path, progress: Progress | None, notify: Notify | None
) -> Engine:
    settings = embedded_settings(options)
    # Python has no Unix sockets on Windows.
    if options.process == "inside" or os.name != "posix":
        return open_embedded(path, settings, progress, calibrations_dir())
    from fimls.engine.shared import (  # noqa: PLC0415 - not for the command line's help
        AttachedEngine,
        CannotShare,
        ChildLink,
        SharedLink,
        embedded_opener,
    )

    opener = embedded_opener(path, settings, calibrations_dir())
    if options.process == "shared":
        try:
            return AttachedEngine(SharedLink(opener), notify, progress)
        except CannotShare as error:
            tell = notify or logger.warning
            tell(
                f"the model is loaded for this editor alone: {error} "
                '(engine.process = "own" says that this is meant)'
            )
    return AttachedEngine(ChildLink(opener), notify, progress)


def _smaller_than(path: Path) -> str:
    """Which model to take instead of that at ``path``, in words."""
    found = models.smaller(path.stat().st_size, available_bytes())
    if found is None:
        return "; the catalogue has none that is smaller"
    return f"; {found.name} takes {found.memory_mb / 1000:.1f} GB in all"


def calibrations_dir() -> Path:
    """Where measurements of this machine are kept."""
    return cache_dir() / "calibrations"


def embedded_settings(options: EngineOptions) -> EmbeddedSettings:
    """The engine's own settings, as the user's say."""
    return EmbeddedSettings(
        n_ctx=options.n_ctx,
        n_sequences=options.n_sequences,
        memory_mb=options.memory_mb,
        n_ubatch=options.n_ubatch,
        n_threads=options.n_threads,
        n_threads_batch=options.n_threads_batch,
        n_gpu_layers=options.n_gpu_layers,
        flash_attention={"auto": None, "on": True, "off": False}[options.flash_attention],
        kv_type=options.kv_type,
        mmap=options.mmap,
    )


def unshared(config: Config) -> Config:
    """The same with the model in this process, so that nobody else's work is measured."""
    return replace(config, engine=replace(config.engine, process="inside"))


def choose_template(override: str, model: str, vocabulary: Vocabulary | None) -> BoundTemplate:
    """The FIM template for a loaded model, checked against its vocabulary.

    Without a vocabulary (a remote engine), the model's configured name decides.
    """
    info = ModelInfo(model, architecture="") if vocabulary is None else vocabulary.info
    return bind(detect(info, vocabulary, load_all(templates_dir()), override), vocabulary)


def _choose_beside(
    config: Config, remote: HttpEngine, vocabulary: Vocabulary | None
) -> BoundTemplate:
    """The template for a remote engine's vocabulary, or for that of the engine it falls back to."""
    settings = remote.settings
    if vocabulary is not remote.vocabulary:
        # The general setting is meant for the remote model, unless that has one of its own.
        override = config.completion.template if settings.template else ""
        return choose_template(override, config.completion.model, vocabulary)
    if remote.fills_own_template:
        return UnfilledTemplate()
    override = settings.template or config.completion.template
    return choose_template(override, settings.model or config.completion.model, vocabulary)
