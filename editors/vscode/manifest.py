# ruff: noqa: INP001 - a script
"""Writes the settings of package.json from the server's own schema.

python editors/vscode/manifest.py           # rewrite
python editors/vscode/manifest.py --check   # exit status 1 when it is out of date
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fimls.config.schema import SECTIONS, Option, options

MANIFEST = Path(__file__).with_name("package.json")

# What the extension itself needs to know. Not of one folder: it decides what is run.
CLIENT = {
    "fimls.client.command": {
        "type": "array",
        "items": {"type": "string"},
        "default": [],
        "scope": "machine-overridable",
        "markdownDescription": "The server's command and its arguments, without `--stdio`. Empty: "
        "the workspace's `.venv`, then the environment that this extension made, then `fimls` on "
        "PATH, then `python -m fimls`.",
    },
    "fimls.client.python": {
        "type": "string",
        "default": "",
        "scope": "machine-overridable",
        "markdownDescription": "The Python (3.10 or newer) to install the server with. Empty: the "
        "first that is found on PATH.",
    },
    "fimls.client.package": {
        "type": "string",
        "default": "",
        "scope": "machine",
        "markdownDescription": "What `pip install` is given when the extension installs the "
        "server: a name, a wheel or a folder. Empty: the server that came with the extension.",
    },
    "fimls.trace.server": {
        "type": "string",
        "enum": ["off", "messages", "verbose"],
        "default": "off",
        "scope": "window",
        "markdownDescription": "Write the messages between editor and server to the log. "
        "`verbose` includes your code.",
    },
}

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", tuple: "array"}


def property_of(option: Option) -> dict[str, Any]:
    """One option as VS Code describes settings."""
    kind = _TYPES[option.type]
    default = list(option.default) if isinstance(option.default, tuple) else option.default
    described: dict[str, Any] = {"type": kind, "default": default}
    if kind == "array":
        described["items"] = {"type": "string"}
    if option.choices:
        described["enum"] = list(option.choices)
    if option.minimum is not None:
        described["minimum"] = option.minimum
    if option.maximum is not None:
        described["maximum"] = option.maximum
    # What a project may not set in its own file, its .vscode folder may not set either.
    described["scope"] = "resource" if option.project.value != "no" else "machine"
    unit = f" In {option.unit}." if option.unit else ""
    described["markdownDescription"] = option.doc + unit
    return described


def configuration() -> list[dict[str, Any]]:
    """The groups of settings, the extension's own first."""
    groups = [{"title": "Client", "properties": CLIENT}]
    for section in SECTIONS:
        properties = {
            f"fimls.{option.name}": property_of(option)
            for option in options().values()
            if option.section == section
        }
        groups.append({"title": section.capitalize(), "properties": properties})
    return groups


def current(text: str) -> str:
    """``package.json`` with its settings as the schema has them now."""
    manifest = json.loads(text)
    manifest["contributes"]["configuration"] = configuration()
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    text = MANIFEST.read_text(encoding="utf-8")
    wanted = current(text)
    if "--check" in arguments:
        if text != wanted:
            print(f"{MANIFEST} is out of date: run python {sys.argv[0]}", file=sys.stderr)
        return int(text != wanted)
    MANIFEST.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
