"""Where settings lie on a machine: files and the environment."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from fimls.config.reading import Source, SourceKind
from fimls.config.schema import SECTIONS, options
from fimls.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same module under its older name
    import tomli as tomllib

PROJECT_FILE = ".fimls.toml"

# FIMLS_CONFIG names the user file, FIMLS_CACHE_DIR the cache; neither is an option.
_NOT_OPTIONS = frozenset({"FIMLS_CONFIG", "FIMLS_CACHE_DIR"})


def user_file_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's own file, whether it exists or not."""
    named = environ.get("FIMLS_CONFIG")
    if named:
        return Path(named).expanduser()
    return platformdirs.user_config_path("fimls", appauthor=False) / "config.toml"


def templates_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where a user's own FIM templates are: beside the user file."""
    return user_file_path(environ).parent / "templates"


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where models, calibrations and saved states go when no option says otherwise."""
    named = environ.get("FIMLS_CACHE_DIR")
    if named:
        return Path(named).expanduser()
    return platformdirs.user_cache_path("fimls", appauthor=False)


def user_file(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Source | None:
    """The user's file; ``None`` when there is none and none was asked for by name."""
    asked = path is not None or "FIMLS_CONFIG" in environ
    path = path if path is not None else user_file_path(environ)
    if not asked and not path.is_file():
        return None
    return Source(SourceKind.USER_FILE, str(path), read_toml(path))


def profile(
    name: str, config_path: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Source:
    """The profile ``name``: a file like the user's own, in ``profiles`` beside that.

    Raises ``ConfigError`` when there is none, with the names that there are.
    """
    folder = (config_path or user_file_path(environ)).parent / "profiles"
    names = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in names:
        there = f"; there are {', '.join(names)}" if names else ""
        raise ConfigError(f"no profile {name!r}: {folder / name}.toml does not exist{there}")
    path = folder / f"{name}.toml"
    return Source(SourceKind.PROFILE, str(path), read_toml(path))


def project_file(root: Path) -> Source | None:
    """``.fimls.toml`` at the root of a workspace, ``None`` when there is none."""
    path = root / PROJECT_FILE
    if not path.is_file():
        return None
    return Source(SourceKind.PROJECT_FILE, str(path), read_toml(path))


def find_project(start: Path) -> Path | None:
    """The nearest folder at or above ``start`` with a ``.fimls.toml``, within its repository."""
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
        if (folder / ".git").exists():
            return None
    return None


def environment(environ: Mapping[str, str] = os.environ) -> Source:
    """``FIMLS_SECTION_KEY`` variables.

    A variable that begins with one of our sections, or is nearly the name of an option,
    is ours and is kept even if unknown, so that ``load`` can complain; others are not ours.
    """
    names = {found.environment_name: found.name for found in options().values()}
    values: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith("FIMLS_") or variable in _NOT_OPTIONS:
            continue
        section, _, key = variable.removeprefix("FIMLS_").lower().partition("_")
        if variable in names:
            values[names[variable]] = value
        elif (key and section in SECTIONS) or difflib.get_close_matches(
            variable, list(names), 1, 0.85
        ):
            values[f"{section}.{key}"] = value
    return Source(SourceKind.ENVIRONMENT, "environment", values)


def command_line(settings: Sequence[str]) -> Source:
    """``section.key=value`` arguments. Raises ``ConfigError`` for one without ``=``.

    Below ``engines`` any key may stand, and its value is TOML where it can be.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f'--set {setting}: write it as "section.key=value"')
        section, *keys = name.strip().split(".")
        if section == "engines" and keys:
            table = values.setdefault("engines", {})
            for key in keys[:-1]:
                table = table.setdefault(key, {})
                if not isinstance(table, dict):
                    raise ConfigError(f"--set {setting}: {key} has been given a value already")
            table[keys[-1]] = _toml_value(value)
        else:
            values[name.strip()] = value
    return Source(SourceKind.COMMAND_LINE, "command line", values)


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a string without its quotes


def gather(
    config_path: Path | None = None,
    root: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[Source]:
    """The sources of this machine: user file, project file at ``root``, environment.

    Raises ``ConfigError`` for a file that cannot be read or is not TOML.
    """
    found = [
        user_file(config_path, environ),
        project_file(root) if root is not None else None,
        environment(environ),
    ]
    return [source for source in found if source is not None]


def read_toml(path: Path) -> Mapping[str, Any]:
    """The tables of a TOML file."""
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    return tables
