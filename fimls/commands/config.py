"""``fimls config``: what is set, by whom, and what could be."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from typing import Any

from fimls.config import (
    Config,
    Option,
    Project,
    Source,
    load,
    options,
    user_file_path,
)
from fimls.errors import BadRequest


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "config",
        parents=[common],
        help="show the settings in force and where they come from",
        description="Show the settings in force and where they come from.",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--path", action="store_true", help="print the path of the user's file")
    form.add_argument(
        "--markdown", nargs="*", metavar="OPTION", help="print options as tables, all or these"
    )
    form.add_argument("--json-schema", action="store_true", help="print all options as JSON Schema")
    return parser


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    if args.path:
        print(user_file_path())
    elif args.markdown is not None:
        print(brief(args.markdown) if args.markdown else markdown())
    elif args.json_schema:
        print(json.dumps(json_schema(), indent=2))
    else:
        print(in_force(load(sources)))
    return 0


def in_force(config: Config) -> str:
    """The settings as TOML, each that is not at its default with its origin."""
    lines: list[str] = []
    section = ""
    for found in options().values():
        if found.section != section:
            section = found.section
            lines += ["", f"[{section}]"]
        value = getattr(getattr(config, section), found.key)
        origin = config.origins.get(found.name)
        lines.append(f"{found.key} = {toml(value)}" + (f"  # {origin}" if origin else ""))
    for name, table in config.engines.items():
        lines += ["", f"[engines.{name}]  # {config.origins[f'engines.{name}']}"]
        # Values may be secrets (headers, keys): names suffice to see what is set.
        lines += [f"kind = {toml(table['kind'])}", *(f"# {key}" for key in table if key != "kind")]
    return "\n".join(lines[1:])


def brief(names: Iterable[str]) -> str:
    """One table of some options, for the README. Raises ``BadRequest`` for a name that is none."""
    rows = ["| Option | Default | Meaning |", "| --- | --- | --- |"]
    for name in names:
        found = options().get(name)
        if found is None:
            raise BadRequest(f'{name} is no option; "fimls config" shows them all')
        rows.append(f"| `{found.name}` | `{toml(found.default)}` | {found.doc} |")
    return "\n".join(rows)


def markdown() -> str:
    """The tables of docs/configuration.md."""
    rows: list[str] = []
    section = ""
    for found in options().values():
        if found.section != section:
            section = found.section
            rows += ["", f"### `[{section}]`", ""]
            rows += ["| Key | Default | Allowed | Project file | Meaning |"]
            rows += ["| --- | --- | --- | --- | --- |"]
        cells = (
            f"`{found.key}`",
            f"`{toml(found.default)}`",
            found.expected,
            {Project.NO: "no", Project.SET: "yes", Project.NARROW: "may narrow"}[found.project],
            found.doc,
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows[1:])


def json_schema() -> dict[str, Any]:
    """The options as JSON Schema, for editors' settings."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            section: {
                "type": "object",
                "additionalProperties": False,
                "properties": {found.key: _property(found) for found in group},
            }
            for section, group in _by_section().items()
        },
    }


def _by_section() -> dict[str, list[Option]]:
    groups: dict[str, list[Option]] = {}
    for found in options().values():
        groups.setdefault(found.section, []).append(found)
    return groups


def _property(found: Option) -> dict[str, Any]:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", tuple: "array"}
    schema: dict[str, Any] = {
        "type": names[found.type],
        "default": list(found.default) if isinstance(found.default, tuple) else found.default,
        "description": f"{found.doc} [{found.unit}]" if found.unit else found.doc,
    }
    if found.type is tuple:
        schema["items"] = {"type": "string"}
    if found.choices:
        schema["enum"] = list(found.choices)
    if found.minimum is not None:
        schema["minimum"] = found.minimum
    if found.maximum is not None:
        schema["maximum"] = found.maximum
    return schema


def toml(value: object) -> str:
    """``value`` as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Iterable):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return str(value)
