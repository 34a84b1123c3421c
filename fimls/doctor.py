"""Examination of this installation: each check says what it found and what to do about it."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from fimls import __version__
from fimls.config import Config, Source, SourceKind, read, templates_dir, user_file_path
from fimls.errors import FimlsError, ModelError
from fimls.models import State, catalogue, find, models_dir, resolve, state

if TYPE_CHECKING:
    from fimls.engine.base import Engine
    from fimls.vocabulary import Vocabulary

# A line has about ten tokens; people wait a second for one, and notice 150 ms.
GOOD_TOKENS_PER_S = 15.0
POOR_TOKENS_PER_S = 7.0
# A cold window of 1,200 tokens takes 10 s at this rate; it is paid once a file.
GOOD_PROMPT_TOKENS_PER_S = 120.0
# Instructions that llama.cpp's fast kernels for quantised weights are written for.
_FAST_FEATURES = ("AVX2", "AVX512", "NEON", "SVE", "VSX")
_N_GENERATED = 24


class Level(str, Enum):
    """How much a finding matters."""

    GOOD = "good"
    NOTE = "note"  # neither good nor bad
    POOR = "poor"  # works, could be better
    BROKEN = "broken"  # nothing is completed until this is mended


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``remedy`` is the next step, empty when there is none."""

    check: str
    level: Level
    says: str
    remedy: str = ""


def examine(sources: Sequence[Source], *, quick: bool = False) -> Iterator[Finding]:
    """Every check, in the order in which things are needed; ``quick`` loads no model."""
    yield from _installation()
    config, mistakes = read(sources)
    yield from _settings(sources, mistakes)
    yield from _grammars()
    yield from _remote_engines(config)
    if config.completion.engine != "embedded":
        return
    path = None
    for finding, found in _models(config):
        yield finding
        path = found or path
    if path is not None:
        yield from _model(config, path, quick=quick)


def _installation() -> Iterator[Finding]:
    yield Finding(
        "python",
        Level.GOOD,
        f"{platform.python_version()} on {sys.platform} {platform.machine()}: {sys.executable}",
    )
    yield Finding("fimls", Level.GOOD, f"{__version__} in {Path(__file__).parent}")
    try:
        from fimls.engine.embedded import system_info  # noqa: PLC0415 - loads llama.cpp

        features = system_info()
        version = importlib.metadata.version("llama-cpp-python")
    except (ImportError, OSError, RuntimeError, importlib.metadata.PackageNotFoundError) as error:
        yield Finding(
            "llama.cpp",
            Level.BROKEN,
            f"cannot be loaded: {error}",
            f"{sys.executable} -m pip install --force-reinstall --no-cache-dir llama-cpp-python",
        )
        return
    is_fast = any(feature in features for feature in _FAST_FEATURES)
    yield Finding(
        "llama.cpp",
        Level.GOOD if is_fast else Level.POOR,
        f"llama-cpp-python {version}: {', '.join(features) or 'no CPU features'}",
        ""
        if is_fast
        else "Rebuild llama-cpp-python on this machine: it was built without fast kernels.",
    )


def _settings(sources: Sequence[Source], mistakes: Sequence[str]) -> Iterator[Finding]:
    read_from = [
        source.name
        for source in sources
        if source.values or source.kind in {SourceKind.USER_FILE, SourceKind.PROJECT_FILE}
    ]
    says = ", ".join(read_from) or f"all at their defaults (no {user_file_path()})"
    yield Finding("settings", Level.GOOD, says)
    for mistake in mistakes:
        yield Finding("settings", Level.BROKEN, mistake, 'Mend the settings; see "fimls config".')


def _grammars() -> Iterator[Finding]:
    from fimls.scope import grammars  # noqa: PLC0415 - loads tree-sitter

    missing = [name for name in grammars.WHEELS if grammars.load(name) is None]
    present = len(grammars.WHEELS) - len(missing)
    says = f"{present} of {len(grammars.WHEELS)} load"
    if missing:
        says += f"; by brackets and layout alone: {', '.join(missing)}"
    yield Finding(
        "grammars",
        Level.GOOD if present else Level.BROKEN,
        says,
        "" if present else f"{sys.executable} -m pip install --force-reinstall fimls",
    )


def _models(config: Config) -> Iterator[tuple[Finding, Path | None]]:
    """The configured models, and the file of the one that completes."""
    directory = models_dir(config.models)
    here = [m.name for m in catalogue().values() if (directory / m.file).is_file()]
    yield Finding("models", Level.NOTE, f"{', '.join(here) or 'none'} in {directory}"), None
    for role, name in (("completion", config.completion.model), ("review", config.review.model)):
        if not name:
            continue
        try:
            path = resolve(name, directory)
        except ModelError as error:
            remedy = f"fimls models pull {name}" if name in catalogue() else "fimls models list"
            level = Level.BROKEN if role == "completion" else Level.POOR
            yield Finding(f"{role} model", level, str(error), remedy), None
            continue
        yield _integrity(role, name, path, directory), path if role == "completion" else None


def _integrity(role: str, name: str, path: Path, directory: Path) -> Finding:
    check = f"{role} model"
    size = f"{path.stat().st_size / 1e6:,.0f} MB"
    if name not in catalogue():
        return Finding(check, Level.NOTE, f"{path}, {size}, not from the catalogue")
    found = state(find(name), directory, verify=True)
    if found is State.WRONG:
        remedy = f"fimls models rm {name} && fimls models pull {name}"
        return Finding(check, Level.BROKEN, f"{path} is not the official file", remedy)
    verified = "sha256 is the official one" if found is State.VERIFIED else "sha256 unknown"
    return Finding(check, Level.GOOD, f"{name}, {size}, {verified}")


def _model(config: Config, path: Path, *, quick: bool) -> Iterator[Finding]:
    """Whether the model can fill in the middle, and how fast."""
    from fimls.assembly import embedded_settings  # noqa: PLC0415
    from fimls.engine.embedded import open_embedded, open_vocabulary  # noqa: PLC0415

    try:
        if quick:
            yield from _template(config, open_vocabulary(path))
            return
        started_s = time.perf_counter()
        engine = open_embedded(path, embedded_settings(config.engine))
    except FimlsError as error:
        yield Finding("engine", Level.BROKEN, str(error), "fimls models list")
        return
    try:
        load_ms = (time.perf_counter() - started_s) * 1000
        settings = engine.settings
        yield Finding(
            "engine",
            Level.GOOD,
            f"loaded in {load_ms:,.0f} ms: {settings.n_threads} threads, {engine.n_ctx} tokens of "
            f"context in each of {settings.n_sequences} sequences, {settings.kv_type} cache",
        )
        yield from _template(config, engine.vocabulary)
        yield from _speed(engine)
    except FimlsError as error:
        yield Finding("engine", Level.BROKEN, str(error), "fimls models list")
    finally:
        engine.close()


def _template(config: Config, vocabulary: Vocabulary) -> Iterator[Finding]:
    from fimls.template import detect, load_all  # noqa: PLC0415
    from fimls.template.examine import Level as Outcome  # noqa: PLC0415
    from fimls.template.examine import examine as examine_template  # noqa: PLC0415

    try:
        templates = load_all(templates_dir())
        template = detect(vocabulary.info, vocabulary, templates, config.completion.template)
    except FimlsError as error:
        yield Finding("template", Level.BROKEN, str(error), "fimls templates list")
        return
    wrong = [
        finding.message
        for finding in examine_template(template, vocabulary)
        if finding.level is Outcome.ERROR
    ]
    if wrong:
        remedy = f"fimls templates check {config.completion.model}"
        yield Finding("template", Level.BROKEN, f"{template.name}: {'; '.join(wrong)}", remedy)
    else:
        says = f"{template.name} ({template.status}), every marker is one token of this model"
        yield Finding("template", Level.GOOD, says)


def _speed(engine: Engine) -> Iterator[Finding]:
    """A short measurement: this file as the prompt, a few tokens after it."""
    from fimls.cancel import Cancel  # noqa: PLC0415
    from fimls.engine.base import Request  # noqa: PLC0415
    from fimls.fim import Prompt, Segment, SegmentKind  # noqa: PLC0415

    assert engine.vocabulary is not None
    text = Path(__file__).read_text(encoding="utf-8")
    tokens = tuple(engine.vocabulary.tokenize(text)[:256])
    prompt = Prompt((Segment(SegmentKind.SOURCE, "", tokens),))
    # Once to touch the weights: read from disk, the first tokens say nothing about the CPU.
    few = Prompt((Segment(SegmentKind.SOURCE, "", tokens[-8:]),))
    for _ in engine.stream(Request(few, 1), Cancel()):
        pass
    stream = engine.stream(Request(prompt, _N_GENERATED), Cancel())
    started_s = time.perf_counter()
    next(stream)
    first_s = time.perf_counter() - started_s
    n_more = sum(1 for _ in stream)
    rest_s = time.perf_counter() - started_s - first_s
    prompt_rate = len(tokens) / first_s
    rate = n_more / rest_s if n_more else 0.0
    level = Level.GOOD
    remedy = ""
    if rate < GOOD_TOKENS_PER_S or prompt_rate < GOOD_PROMPT_TOKENS_PER_S:
        level = Level.POOR
        remedy = "Close what keeps the CPU busy and run this again; else take a smaller model."
    verdict = "fast enough" if level is Level.GOOD else "slow"
    if rate < POOR_TOKENS_PER_S:
        verdict = "too slow to type with"
    yield Finding(
        "speed",
        level,
        f"{verdict}: a prompt at {prompt_rate:,.0f} tokens/s, a completion at {rate:,.0f} tokens/s "
        f"(a keystroke waits about {1000 / max(rate, 0.1):,.0f} ms)",
        remedy,
    )


def _remote_engines(config: Config) -> Iterator[Finding]:
    from fimls.assembly import open_engine  # noqa: PLC0415

    for name in dict.fromkeys((config.completion.engine, config.review.engine)):
        if name not in config.engines:
            continue
        try:
            engine = open_engine(config, name, config.completion.model)
            if hasattr(engine, "probe"):
                engine.probe()
            engine.close()
            yield Finding("engine", Level.GOOD, f"{name} answers")
        except FimlsError as error:
            yield Finding("engine", Level.BROKEN, str(error), f"Mend [engines.{name}].")
