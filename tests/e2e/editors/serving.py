"""The server that the editors start: the real program, on a script or on the real model."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from editors import install

LOG = "server.log"
COMMAND = (sys.executable, "-m", "fimls", "--stdio")


# A function with a fault, and a model that finds it.
FAULTY = """\
def mean(values):
    total = 0
    for i in range(1, len(values)):
        total += values[i]
    return total / len(values)
"""
LINE, FIXED = "for i in range(1, len(values)):", "for i in range(len(values)):"
FAULT = "The first value is skipped."
_FOUND = {"line": LINE, "fixed": FIXED, "message": FAULT, "category": "bug", "severity": "error"}
REVIEWER = {
    "Find the faults": "[]",
    "for i in range(1, len": json.dumps([_FOUND]),
    "A reviewer says about the line": "Yes",  # the longest key decides
}


def scripted(
    home: Path, answers: Mapping[str, str], *, delay_ms: float = 0, **completion: object
) -> dict[str, str]:
    """The environment in which ``fimls`` answers from a script and knows no other settings.

    ``answers`` maps what the prompt holds to what is generated; the longest key decides.
    """
    quoted = functools.partial(json.dumps, ensure_ascii=False)  # TOML's strings but for surrogates
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in completion.items())
    table = "".join(f"{quoted(key)} = {quoted(text)}\n" for key, text in answers.items())
    return _configured(
        home,
        '[completion]\nengine = "script"\ntemplate = "qwen2.5-coder"\n'
        f"{more}"
        f'[engines.script]\nkind = "scripted"\ndelay_ms = {delay_ms}\n'
        f"[engines.script.answers]\n{table}",
    )


def real_model(home: Path, model: Path) -> dict[str, str]:
    """The environment in which ``fimls`` runs the default model, which is this file."""
    # Its folder is named, because the editors run in a home of their own.
    return _configured(
        home,
        "[completion]\nt_max_predict_ms = 30000\n"
        f"[models]\ndirectory = {json.dumps(str(model.parent))}\n",
    )


def no_model(home: Path) -> dict[str, str]:
    """The environment in which ``fimls`` finds no model at all."""
    empty = home / "models"
    empty.mkdir(parents=True)
    return _configured(home, f"[models]\ndirectory = {json.dumps(str(empty))}\n")


def _configured(home: Path, toml: str) -> dict[str, str]:
    home.mkdir(parents=True, exist_ok=True)
    file = home / "fimls.toml"
    log = f'[log]\nlevel = "debug"\nfile = {json.dumps(str(home / LOG))}\n'
    file.write_text(toml + log, encoding="utf-8")
    package = Path(__file__).parents[3]
    return {"FIMLS_CONFIG": str(file), "PYTHONPATH": str(package)}


def program(home: Path) -> str:
    """A PATH on which the command ``fimls``, as the pages call it, is the one under test."""
    file = home / "bin/fimls"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND[:-1])} "$@"\n', encoding="utf-8")
    file.chmod(0o755)
    return f"{file.parent}:/usr/bin:/bin"


def n_asked(env: Mapping[str, str], method: str = "textDocument/inlineCompletion") -> int:
    """How often the server of this environment has been asked."""
    log = Path(env["FIMLS_CONFIG"]).with_name(LOG)
    return log.read_text(encoding="utf-8").count(f"Request '{method}' received")


def is_ready(env: Mapping[str, str]) -> bool:
    """Whether the server of this environment knows a document and has its engine."""
    log = Path(env["FIMLS_CONFIG"]).with_name(LOG)
    return log.exists() and " is ready" in log.read_text(encoding="utf-8")


def editor(name: str) -> install.Editor:
    """An editor by its name in ``install.EDITORS``; skips, saying what is missing."""
    try:
        return install.EDITORS[name]()
    except install.Missing as missing:
        pytest.skip(f"{name.upper()} IS MISSING: {missing}")


def servers_below(pid: int) -> list[int]:
    """The processes that descend from ``pid`` and run the server."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, rest = [], [pid]
    while rest:
        children = parents.get(rest.pop(), [])
        rest += children
        found += [child for child in children if _is_server(child)]
    return found


def _is_server(pid: int) -> bool:
    try:
        return b"--stdio" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def kill_servers_below(pid: int) -> None:
    """Kill the server of an editor the hard way, and wait until it is gone."""
    doomed = servers_below(pid)
    assert doomed, "no server is running"
    for server in doomed:
        os.kill(server, signal.SIGKILL)
    until = time.monotonic() + 5
    while set(servers_below(pid)) & set(doomed) and time.monotonic() < until:
        time.sleep(0.02)
