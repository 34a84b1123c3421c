"""The editor of the benchmarks beside servers that do not do as they should."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fimls.bench import editor
from fimls.bench.sessions import Event, Session, save
from fimls.cli import main

# Answers `initialize`; what it does when it is asked for a completion is put in.
SERVER = """
import asyncio, os
from lsprotocol import types
from pygls.lsp.server import LanguageServer

server = LanguageServer("odd", "1")

@server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION)
async def complete(params):
    {does}

server.start_io()
"""
SILENT = "import time; time.sleep(1000)"


def running(program: str) -> str:
    return shlex.join([sys.executable, "-c", program])


@pytest.mark.parametrize(
    ("server", "impatience", "says"),
    [
        ("no-such-program --stdio", "", "no-such-program --stdio: cannot be started"),
        ("'unfinished", "", "No closing quotation; quote it as for a shell"),
        (running("raise SystemExit(7)"), "", "ended with status 7"),
        (running(SILENT), "START_S", "no answer in 0.5 s"),
        (running(SERVER.format(does="os._exit(3)")), "", "ended with status 3"),
        (
            running(SERVER.format(does="await asyncio.Event().wait()")),
            "FIRST_ANSWER_S",
            "no answer in 0.5 s",
        ),
    ],
    ids=["missing", "misquoted", "ends at once", "silent", "dies when asked", "never completes"],
)
def test_a_server_that_does_not_work_is_one_line(
    server: str,
    impatience: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And it does not run on."""
    if impatience:
        monkeypatch.setattr(editor, impatience, 0.5)
    model = tmp_path / "any.gguf"
    model.write_bytes(b"GGUF")
    command = ["bench", "replay", "--only", "python-heapq", "--limit", "2"]
    status = main([*command, "--model", str(model), "--server", server])
    assert status == (2 if "quot" in says else 1)
    told = capsys.readouterr().err
    assert told.startswith("fimls: "), told
    assert says in told.splitlines()[-1]
    assert "Traceback" not in told


def test_a_server_of_any_kind_is_measured(tmp_path: Path) -> None:
    """One that answers with nothing, and tells nothing; the folder of the result is made."""
    model = tmp_path / "any.gguf"
    model.write_bytes(b"GGUF")
    out = tmp_path / "new" / "folder" / "out.json"
    command = ["bench", "replay", "--only", "python-heapq", "--limit", "3", "--json", str(out)]
    server = running(SERVER.format(does="return None"))
    assert main([*command, "--model", str(model), "--server", server]) == 0
    facts = json.loads(out.read_text())
    assert [record["text"] for record in facts["records"]] == ["", "", ""]


# Some 30 tokens of 50 ms: more than is waited for before the first lines of it are shown.
LONG = "n = 0\n    for row in rows:\n        n += 1\n    return n\n\n\nprint()\n"
SLOW = f"""
[completion]
engine = "slow"
template = "qwen2.5-coder"
[engines.slow]
kind = "scripted"
delay_ms = 50
answer = {json.dumps(LONG)}
"""
HEAD = "def total(rows):\n    "
ENDS = {"full": " part", "whole": "", "human": " taken back"}


@pytest.mark.parametrize(
    ("pace", "wait_ms", "first"),
    [
        ("full", 0, {"text": "n = 0", "part": True}),
        ("whole", 0, {"text": "n = 0", "part": False}),
        ("human", 100, {"text": "", "cancelled": True, "n_generated": None}),
    ],
)
def test_a_pace_says_what_of_a_suggestion_is_paid_for(
    pace: str,
    wait_ms: int,
    first: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A long one, then a key that is none of it: all is counted, in an answer or not."""
    sessions, config, out = tmp_path / "s", tmp_path / "config.toml", tmp_path / "out.json"
    sessions.mkdir()
    events = (Event(0, len(HEAD)), Event(wait_ms, len(HEAD), 0, "x = 1 + "))
    save(Session("long", "python", "a.py", HEAD, events), sessions / "long.json")
    config.write_text(SLOW)
    model = tmp_path / "any.gguf"
    model.write_bytes(b"GGUF")
    server = shlex.join([sys.executable, "-m", "fimls", "--stdio", "--config", str(config)])
    command = ["bench", "replay", "--sessions", str(sessions), "--model", str(model)]
    command += ["--pace", pace, "--server", server, "--each", "--json", str(out)]
    assert main(command) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("long ")]
    assert [row.split()[2] for row in rows] == ["jump", "accept"]
    assert rows[0].endswith(ENDS[pace])
    facts = json.loads(out.read_text())
    assert facts["pace"] == pace
    record, last = facts["records"]
    told = {name: record[name] for name in first}
    assert told == first
    [cost] = facts["costs"]
    answered = (record["n_generated"] or 0) + last["n_generated"]
    in_no_answer = facts["figures"]["server"]["tokens generated a session"]["in no answer"]
    assert cost["n_generated"] == answered + in_no_answer
    assert in_no_answer == 0 or pace != "whole"
    assert last["cpu_s"] >= 0


HANGS = "await asyncio.Event().wait() if 'two' in params.text_document.uri else None"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell's background jobs ignore SIGINT, and so would all that they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_what_was_measured_is_shown_where_a_run_is_broken_off(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(Session(name, "python", "a.py", "x = ", (Event(0, 4),)), tmp_path / f"{name}.json")
    model = tmp_path / "any.gguf"
    model.write_bytes(b"GGUF")
    command = [sys.executable, "-m", "fimls", "bench", "replay", "--model", str(model)]
    command += ["--sessions", str(tmp_path), "--server", running(SERVER.format(does=HANGS))]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        assert run.stderr.readline() == "1 of 2: one\n"
        run.send_signal(signal.SIGINT)
        try:
            shown, said = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == 128 + signal.SIGINT
    assert said == "broken off\n"
    assert "1 of 2 sessions" in shown
    assert "--each" in shown
