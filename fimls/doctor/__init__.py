"""Examination of this installation: each check says what it found and what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fimls import __version__
from fimls.config import Config, Source, SourceKind, read, user_file_path
from fimls.doctor.finding import Finding, Level
from fimls.errors import FimlsError, ModelError
from fimls.models import State, catalogue, find, models_dir, resolve, state

# Instructions that llama.cpp's fast kernels for quantised weights are written for.
_FAST_FEATURES = ("AVX2", "AVX512", "NEON", "SVE", "VSX")

__all__ = ["Finding", "Level", "examine"]


def examine(
    sources: Sequence[Source], *, quick: bool = False, calibrate: bool = False
) -> Iterator[Finding]:
    """Every check, in the order in which things are needed; ``quick`` loads no model.

    ``calibrate`` measures anew what is known of this machine already.
    """
    yield from _installation()
    config, mistakes = read(sources)
    yield from _settings(sources, mistakes)
    yield from _grammars()
    yield from _remote_engines(config)
    completion = config.completion
    used = {completion.engine, completion.fallback, config.review.engine or completion.engine}
    if "embedded" not in used:
        return
    paths: dict[str, Path] = {}
    for finding, found in _models(config):
        yield finding
        paths |= found
    if "completion" in paths:
        from fimls.assembly import review_names  # noqa: PLC0415
        from fimls.doctor import engine  # noqa: PLC0415 - loads llama.cpp

        path = paths.pop("completion")
        yield from sharing(config, path)
        taken = yield from engine.examine(config, path, quick=quick, calibrate=calibrate)
        is_own = review_names(config)[0] == "embedded" and paths.get("review", path) != path
        if is_own and not quick:
            yield from engine.beside(config, paths["review"], taken)


def sharing(config: Config, path: Path) -> Iterator[Finding]:
    """Whether editors can share one engine here."""
    if config.engine.process != "shared" or os.name != "posix":
        return
    from fimls.assembly import link_to  # noqa: PLC0415
    from fimls.engine.shared import CannotShare, place  # noqa: PLC0415

    try:
        socket = link_to(config, path).path
        with place.held(socket.parent):
            running = place.connect(socket)
            place.leave(socket, None)  # only the folder, where nobody uses it
    except CannotShare as error:
        yield Finding("sharing", Level.POOR, f"each editor loads the model for itself: {error}")
        return
    state = "nobody runs it now" if running is None else "it runs"
    if running is not None:
        running.close()
    yield Finding("sharing", Level.GOOD, f"one engine for all editors, at {socket}; {state}")


def _installation() -> Iterator[Finding]:
    yield Finding(
        "python",
        Level.GOOD,
        f"{platform.python_version()} on {sys.platform} {platform.machine()}: {sys.executable}",
    )
    yield Finding("fimls", Level.GOOD, f"{__version__} in {Path(__file__).parent.parent}")
    try:
        from fimls.engine.embedded import supports_gpu, system_info  # noqa: PLC0415 - loads it

        features = system_info()
        gpu = "built for a GPU" if supports_gpu() else "built without support for GPUs"
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
        f"llama-cpp-python {version}: {', '.join(features) or 'no CPU features'}; {gpu}",
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


def _models(config: Config) -> Iterator[tuple[Finding, dict[str, Path]]]:
    """The configured models, and their files by what they are for."""
    directory = models_dir(config.models)
    here = [m.name for m in catalogue().values() if (directory / m.file).is_file()]
    yield Finding("models", Level.NOTE, f"{', '.join(here) or 'none'} in {directory}"), {}
    for role, name in (("completion", config.completion.model), ("review", config.review.model)):
        if not name:
            continue
        try:
            path = resolve(name, directory)
        except ModelError as error:
            remedy = f"fimls models pull {name}" if name in catalogue() else "fimls models list"
            level = Level.BROKEN if role == "completion" else Level.POOR
            yield Finding(f"{role} model", level, str(error), remedy), {}
            continue
        yield _integrity(role, name, path, directory), {role: path}


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


def _remote_engines(config: Config) -> Iterator[Finding]:
    """Whether each engine that is used answers, and can complete where it has to."""
    from fimls.assembly import open_engine, open_prompter  # noqa: PLC0415

    completion = config.completion
    completing = [completion.engine, completion.fallback]
    for name in dict.fromkeys((*completing, config.review.engine)):
        if name not in config.engines:
            continue
        says, remedy = f"{name} answers", f"Mend [engines.{name}]."
        try:
            engine = open_engine(config, name, completion.model)
            if hasattr(engine, "probe"):
                engine.probe()
            if getattr(engine, "is_estimating", False):
                says += "; it shows no tokenizer, so the sizes of prompts are estimated"
            engine.close()
            if name in completing:
                alone = replace(completion, engine=name, fallback="")
                open_prompter(replace(config, completion=alone)).bind()
            yield Finding("engine", Level.GOOD, says)
        except FimlsError as error:
            yield Finding("engine", Level.BROKEN, str(error), remedy)
