"""The protocol, checked by a client that shares no code with the server: vscode-jsonrpc.

What it reads it has framed and parsed itself, so every byte on the wire is to the letter.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from editors import install, serving

DRIVER = Path(__file__).parent / "editors/client.mjs"
JSONRPC = "vscode-jsonrpc@10.0.0"
BODY = "größe = w * h  # 面積 𝔘\n    return größe"

# JSON-RPC's and LSP's own numbers.
METHOD_NOT_FOUND, INVALID_REQUEST, INVALID_PARAMS = -32601, -32600, -32602
NOT_INITIALIZED, CANCELLED = -32002, -32800


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client saw in one session with a server that needs 20 ms for a token."""
    try:
        node = install.node()
        modules = install.packages("jsonrpc", JSONRPC)
    except install.Missing as missing:
        pytest.skip(f"VSCODE-JSONRPC IS MISSING: {missing}")
    answers = {"def area(w, h):": BODY, "def slow(w, h):": "a = 1\n    " * 200}
    env = serving.scripted(tmp_path_factory.mktemp("client"), answers, delay_ms=20)
    done = subprocess.run(
        [str(node.command), str(DRIVER), str(modules / "package.json"), *serving.COMMAND],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_says_who_it_is_and_what_it_can(seen: dict[str, Any]) -> None:
    assert seen["serverInfo"]["name"] == "fimls"
    capabilities = seen["capabilities"]
    assert capabilities["positionEncoding"] == "utf-16"
    assert "inlineCompletionProvider" in capabilities
    assert "completionProvider" in capabilities


def test_completes_beyond_ascii(seen: dict[str, Any]) -> None:
    """Lengths are counted in bytes on the wire, and every character arrives."""
    for answer in (seen["answer"], seen["afterCancel"]):
        first = answer["items"][0]
        assert first["insertText"] == BODY
        here = {"line": 1, "character": 4}
        assert first["range"] == {"start": here, "end": here}
        assert first["command"]["command"] == "fimls.accepted"


def test_unknown_and_mistaken_requests_are_refused_by_number(seen: dict[str, Any]) -> None:
    assert seen["tooEarly"]["code"] == NOT_INITIALIZED
    assert seen["unknownRequest"]["code"] == METHOD_NOT_FOUND
    assert seen["malformed"]["code"] == INVALID_PARAMS
    assert "Traceback" not in json.dumps(seen)


def test_a_request_is_taken_back_while_it_is_worked_on(seen: dict[str, Any]) -> None:
    """The answer to a cancelled request comes at once, as the error that LSP names."""
    assert seen["cancelled"]["code"] == CANCELLED
    assert seen["cancelledAfterMs"] < 5000  # of twenty seconds


def test_shuts_down_in_order(seen: dict[str, Any]) -> None:
    assert seen["shutdown"] is None
    assert seen["afterShutdown"]["code"] == INVALID_REQUEST
    assert seen["exit"] == 0
