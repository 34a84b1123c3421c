"""From sources to settings: check, convert, and lay one source over the other."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from fimls.config.schema import CLIENT_KEYS, SECTIONS, Config, Option, Project, Value, options
from fimls.errors import ConfigError


class SourceKind(IntEnum):
    """Where settings come from: later ones override earlier ones."""

    USER_FILE = 1
    PROJECT_FILE = 2
    ENVIRONMENT = 3
    INITIALIZATION_OPTIONS = 4
    WORKSPACE_CONFIGURATION = 5
    PROFILE = 6
    COMMAND_LINE = 7


# Their values are strings, to be read as what the option needs.
_TEXTUAL = frozenset({SourceKind.ENVIRONMENT, SourceKind.COMMAND_LINE})


@dataclass(frozen=True, slots=True)
class Source:
    """Settings as found: nested tables, dotted keys, or both; ``name`` is for messages."""

    kind: SourceKind
    name: str
    values: Mapping[str, Any]


def load(sources: Iterable[Source] = ()) -> Config:
    """The settings in force. Raises ``ConfigError`` that names every mistake, one a line."""
    config, mistakes = read(sources)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def read(sources: Iterable[Source] = ()) -> tuple[Config, tuple[str, ...]]:
    """Like ``load``, but mistaken settings are left out and listed: a server lives on."""
    values: dict[str, Value] = {}
    engines: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    mistakes: list[str] = []
    for source in sorted(sources, key=lambda source: source.kind):
        for name, raw in _flatten(source, engines, origins, mistakes):
            try:
                found = options().get(name)
                if found is None:
                    raise ConfigError(f"{name} is unknown{_nearest(name)}")  # noqa: TRY301
                value = _convert(found, raw, text=source.kind in _TEXTUAL)
                if source.kind == SourceKind.PROJECT_FILE:
                    value = _within(found, values.get(name, found.default), value)
            except ConfigError as error:
                mistakes.append(f"{source.name}: {error}")
                continue
            values[name] = value
            origins[name] = source.name
    config = Config(
        **{section: _section(section, values) for section in SECTIONS},
        engines=MappingProxyType({k: MappingProxyType(v) for k, v in engines.items()}),
        origins=MappingProxyType(origins),
    )
    mistakes += _contradictions(config)
    return config, tuple(mistakes)


def _section(section: str, values: Mapping[str, Value]) -> Any:
    chosen = {
        found.key: values[name]
        for name, found in options().items()
        if found.section == section and name in values
    }
    return SECTIONS[section](**chosen)


def _flatten(
    source: Source,
    engines: dict[str, dict[str, Any]],
    origins: dict[str, str],
    mistakes: list[str],
) -> Iterable[tuple[str, Any]]:
    """Dotted names and values of a source; ``[engines.NAME]`` tables go straight to ``engines``."""
    client = source.kind in {SourceKind.INITIALIZATION_OPTIONS, SourceKind.WORKSPACE_CONFIGURATION}
    values = source.values
    # Some clients send their whole settings, ours under our name.
    if client and isinstance(values.get("fimls"), Mapping):
        values = values["fimls"]
    for key, value in values.items():
        head, _, rest = key.partition(".")
        if value is None or (client and head in CLIENT_KEYS):
            continue  # null is how JSON clients leave a setting out
        if head == "engines":
            tables = {rest: value} if rest else value
            mistakes += [
                f"{source.name}: {mistake}" for mistake in _engines(source, tables, engines)
            ]
            origins.update({f"engines.{name}": source.name for name in engines if name in tables})
        elif rest or head not in SECTIONS:
            yield key, value
        elif not isinstance(value, Mapping):
            mistakes.append(f"{source.name}: {head} must be a table, not {value!r}")
        else:
            yield from ((f"{head}.{k}", v) for k, v in value.items() if v is not None)


def _engines(source: Source, tables: Any, engines: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Take over ``[engines.NAME]`` tables; their keys are checked by the engine of that kind."""
    if source.kind == SourceKind.PROJECT_FILE:
        yield "engines cannot be set by a project, which could send your code elsewhere"
    elif not isinstance(tables, Mapping):
        yield f"engines must hold tables like [engines.NAME], not {tables!r}"
    else:
        for name, table in tables.items():
            merged = _laid_over(engines.get(name, {}), table if isinstance(table, Mapping) else {})
            if not isinstance(merged.get("kind"), str):
                yield f'engines.{name} must be a table with kind = "…"'
            else:
                engines[name] = merged


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` wins, key by key, in the tables within them too."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            merged[key] = _laid_over(known, value)
        else:
            merged[key] = value
    return merged


def _convert(found: Option, raw: Any, *, text: bool) -> Value:
    """``raw`` as the option's type; ``text`` when it comes as a string, whatever it means."""
    mistake = ConfigError(f"{found.name} must be {found.expected}, not {raw!r}")
    value: Any = _from_text(found.type, raw) if text else raw
    if found.type is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise mistake
        return tuple(value)
    if found.type is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON of some clients has only one kind of number
    if found.type is float and type(value) is int:
        value = float(value)
    if type(value) is not found.type or (found.choices and value not in found.choices):
        raise mistake
    if isinstance(value, int | float):
        # "Not at least" instead of "less than", so that NaN fails too.
        if found.minimum is not None and not value >= found.minimum:
            raise mistake
        if found.maximum is not None and not value <= found.maximum:
            raise mistake
    return typing.cast("Value", value)


def _from_text(kind: type, raw: str) -> Any:
    words = {"true": True, "1": True, "yes": True, "on": True}
    words |= {"false": False, "0": False, "no": False, "off": False}
    if kind is bool:
        return words.get(raw.strip().lower())
    if kind is tuple:
        return [part.strip() for part in raw.split(",") if part.strip()]
    try:
        return kind(raw)
    except ValueError:
        return None


def _within(found: Option, current: Value, value: Value) -> Value:
    """The value that results when a project file asks for ``value``."""
    if found.project == Project.SET:
        return value
    if found.project == Project.NO:
        raise ConfigError(
            f"{found.name} cannot be set by a project; put it into your own configuration file"
        )
    if isinstance(current, tuple) and isinstance(value, tuple):
        return current + tuple(item for item in value if item not in current)
    if isinstance(current, bool | int) and isinstance(value, bool | int):
        return min(current, value)
    raise AssertionError(found.name)


def _contradictions(config: Config) -> Iterable[str]:
    completion, n_ctx = config.completion, config.engine.n_ctx
    wanted = completion.n_prefix + completion.n_suffix + completion.n_predict
    wanted += completion.n_chunks
    if completion.engine == "embedded" and wanted > n_ctx:
        yield (
            f"completion.n_prefix + n_suffix + n_predict = {wanted} tokens do not fit into "
            f"engine.n_ctx = {n_ctx}; lower them or raise it"
        )
    if config.engine.kv_type != "f16" and config.engine.flash_attention == "off":
        yield (
            f'engine.kv_type = "{config.engine.kv_type}" needs flash attention; set '
            'engine.flash_attention = "auto"'
        )
    for name in dict.fromkeys((completion.engine, completion.fallback, config.review.engine)):
        if name not in {"", "embedded", *config.engines}:
            known = ", ".join(["embedded", *config.engines])
            yield f"engine {name!r} is not defined; add a table [engines.{name}] or use {known}"


def _nearest(name: str) -> str:
    """``; did you mean …?`` for a name that is not in the schema."""
    section, _, key = name.partition(".")
    names = list(options())
    if not key:
        near = difflib.get_close_matches(section, [*SECTIONS, "engines"], 1, 0.6)
        best = f"[{near[0]}]" if near else ""
    else:
        # The whole name, else the key in the section that was meant, else in any section.
        ours = [known for known in names if known.startswith(f"{section}.")]
        others = {known.partition(".")[2]: known for known in reversed(names)}
        near = difflib.get_close_matches(name, names, 1, 0.85)
        near = near or difflib.get_close_matches(key, [k.partition(".")[2] for k in ours], 1, 0.75)
        near = near or difflib.get_close_matches(key, list(others), 1, 0.75)
        best = near[0] if near else ""
        if best and best not in names:
            best = f"{section}.{best}" if f"{section}.{best}" in names else others[best]
    return f"; did you mean {best}?" if best else '; see "fimls config" for all settings'
