"""The editor of the benchmarks beside servers that do not do as they should."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from fimls.bench import editor
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
