"""The protocol itself, byte by byte: framing, errors, order, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from session import scripted

NOT_INITIALIZED, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32002, -32600, -32601, -32602


class Wire:
    """A server process and nothing between us and its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin, process.stdout

    def raw(self, body: bytes) -> None:
        self.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def send(self, method: str, params: Any = None, number: Any = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.raw(json.dumps(message if number is None else {**message, "id": number}).encode())

    async def receive(self) -> dict[str, Any]:
        length = 0
        while (line := await self.stdout.readline()).strip():
            name, _, value = line.decode("ascii").partition(":")
            if name.lower() == "content-length":
                length = int(value)
        message: dict[str, Any] = json.loads(await self.stdout.readexactly(length))
        return message

    async def answer(self, number: Any) -> dict[str, Any]:
        """The answer to a request; what the server asks or tells meanwhile is passed over."""
        while True:
            message = await asyncio.wait_for(self.receive(), 20)
            if message.get("id") == number and "method" not in message:
                return message

    async def hello(self, options: Any = None) -> dict[str, Any]:
        params = {"processId": None, "rootUri": None, "capabilities": {}}
        if options is not None:
            params["initializationOptions"] = options
        self.send("initialize", params, 1)
        answer = await self.answer(1)
        self.send("initialized", {})
        return answer

    async def goodbye(self) -> int:
        self.send("shutdown", None, 99)
        assert (await self.answer(99))["result"] is None
        self.send("exit")
        return await asyncio.wait_for(self.process.wait(), 10)


@asynccontextmanager
async def wire(root: Path) -> AsyncIterator[Wire]:
    config = root / "user.toml"
    config.touch()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fimls", "--stdio",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "FIMLS_CONFIG": str(config), "FIMLS_CACHE_DIR": str(root)},
    )  # fmt: skip
    try:
        yield Wire(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_shutdown_then_exit_is_success(tmp_path: Path) -> None:
    """0 after shutdown."""
    async with wire(tmp_path) as server:
        await server.hello()
        assert await server.goodbye() == 0


async def test_exit_without_shutdown_is_failure(tmp_path: Path) -> None:
    """1 without."""
    async with wire(tmp_path) as server:
        await server.hello()
        server.send("exit")
        assert await asyncio.wait_for(server.process.wait(), 10) == 1


async def test_exit_before_initialize(tmp_path: Path) -> None:
    """An editor may change its mind."""
    async with wire(tmp_path) as server:
        server.send("exit")
        assert await asyncio.wait_for(server.process.wait(), 10) == 1


@pytest.mark.parametrize("delay_ms", [0, 200])
async def test_an_editor_that_dies(tmp_path: Path, delay_ms: float) -> None:
    """The end of the stream ends the server, whatever it is doing."""
    async with wire(tmp_path) as server:
        await server.hello(scripted("x = 1\n" * 100, delay_ms=delay_ms))
        document = {"uri": "file:///a.py", "languageId": "python", "version": 1, "text": "y = 2\n"}
        server.send("textDocument/didOpen", {"textDocument": document})
        server.send("textDocument/inlineCompletion", _asked(1, 0), 2)
        await asyncio.sleep(1)
        server.stdin.close()
        assert await asyncio.wait_for(server.process.wait(), 10) == 1


async def test_shutdown_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    """A slow generation does not hold up the end of the session."""
    async with wire(tmp_path) as server:
        await server.hello(scripted("x = [" + "1, " * 500, delay_ms=500, t_max_predict_ms=60_000))
        document = {"uri": "file:///a.py", "languageId": "python", "version": 1, "text": ""}
        server.send("textDocument/didOpen", {"textDocument": document})
        server.send("textDocument/inlineCompletion", _asked(0, 0), 2)
        await asyncio.sleep(1)
        assert await asyncio.wait_for(server.goodbye(), 20) == 0


async def test_requests_before_initialize(tmp_path: Path) -> None:
    """Are refused with the code that LSP names; notifications are dropped."""
    async with wire(tmp_path) as server:
        server.send("textDocument/didOpen", {"textDocument": {}})
        server.send("textDocument/inlineCompletion", _asked(0, 0), 5)
        assert (await server.answer(5))["error"]["code"] == NOT_INITIALIZED
        await server.hello()
        assert await server.goodbye() == 0


async def test_a_second_initialize(tmp_path: Path) -> None:
    """Is refused."""
    async with wire(tmp_path) as server:
        await server.hello()
        server.send("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, 7)
        assert (await server.answer(7))["error"]["code"] == INVALID_REQUEST


async def test_requests_after_shutdown(tmp_path: Path) -> None:
    """Are refused, not left without an answer."""
    async with wire(tmp_path) as server:
        await server.hello()
        server.send("shutdown", None, 2)
        await server.answer(2)
        server.send("textDocument/inlineCompletion", _asked(0, 0), 3)
        assert (await server.answer(3))["error"]["code"] == INVALID_REQUEST
        server.send("exit")
        assert await asyncio.wait_for(server.process.wait(), 10) == 0


async def test_unknown_methods(tmp_path: Path) -> None:
    """Requests are refused, notifications passed over."""
    async with wire(tmp_path) as server:
        await server.hello()
        server.send("window/danceNow", {"fast": True})
        server.send("$/danceNow", {"fast": True})
        server.send("textDocument/dance", {"fast": True}, 3)
        error = (await server.answer(3))["error"]
        assert error["code"] == METHOD_NOT_FOUND
        assert "data" not in error
        assert await server.goodbye() == 0


async def test_malformed_parameters(tmp_path: Path) -> None:
    """Are answered with what is wrong, and no traceback."""
    async with wire(tmp_path) as server:
        await server.hello()
        document = {"uri": "file:///a.py"}
        for number, params in enumerate(
            [None, [], {}, {"textDocument": 3}, {"textDocument": document, "position": -1}]
        ):
            server.send("textDocument/inlineCompletion", params, f"an id {number}")
            error = (await server.answer(f"an id {number}"))["error"]
            assert error["code"] == INVALID_PARAMS, params
            assert "Traceback" not in json.dumps(error)
            server.send("textDocument/didChange", params)
        assert await server.goodbye() == 0


async def test_garbage_in_a_frame(tmp_path: Path) -> None:
    """Whatever the bytes are, the next message is read."""
    garbage = [
        b"", b"{", b"null", b"[]", b"7", b'"text"', b"\xff\xfe", b'{"jsonrpc": "1.0"}', b"{}",
        b'{"jsonrpc": "2.0"}', b'{"jsonrpc": "2.0", "id": 3, "result": 1}',
        b'{"jsonrpc": "2.0", "id": null, "error": {"code": 1, "message": "x"}}',
        b'{"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 12345}}',
    ]  # fmt: skip
    async with wire(tmp_path) as server:
        await server.hello()
        for number, body in enumerate(garbage, 100):
            server.raw(body)
            server.send("workspace/executeCommand", {"command": "fimls.status"}, number)
            assert "state" in (await server.answer(number))["result"], body
        assert await server.goodbye() == 0


async def test_garbage_between_frames(tmp_path: Path) -> None:
    """Lines that are no header are passed over."""
    async with wire(tmp_path) as server:
        await server.hello()
        server.stdin.write(b"hello?\r\nContent-Length: many\r\n\r\n\x00\x01\r\n")
        assert await server.goodbye() == 0


async def test_a_header_may_say_more(tmp_path: Path) -> None:
    """Content-Type before or after Content-Length."""
    async with wire(tmp_path) as server:
        await server.hello()
        body = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "workspace/executeCommand",
                           "params": {"command": "fimls.status"}}).encode()  # fmt: skip
        kind = b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n"
        for head in (
            kind + b"Content-Length: %d\r\n" % len(body),
            b"Content-Length: %d\r\n" % len(body) + kind,
        ):
            server.stdin.write(head + b"\r\n" + body)
            assert "state" in (await server.answer(2))["result"]


async def test_nothing_but_the_protocol_on_standard_output(tmp_path: Path) -> None:
    """A whole session parses as frames, and no source code is logged."""
    async with wire(tmp_path) as server:
        await server.hello(scripted("return sesame\n\n\nprint()\n"))
        document = {"uri": "file:///a.py", "languageId": "python", "version": 1,
                    "text": "def open_it():\n    "}  # fmt: skip
        server.send("textDocument/didOpen", {"textDocument": document})
        server.send("textDocument/inlineCompletion", _asked(1, 4), 2)
        assert (await server.answer(2))["result"]["items"][0]["insertText"] == "return sesame"
        server.send("textDocument/inlineCompletion", {"text": "open_it"}, 3)
        await server.answer(3)
        assert await server.goodbye() == 0
        assert await server.stdout.read() == b""
        assert server.process.stderr is not None
        log = (await server.process.stderr.read()).decode()
        assert "sesame" not in log
        assert "open_it" not in log
        assert "Traceback" not in log


def _asked(line: int, character: int) -> dict[str, Any]:
    return {
        "textDocument": {"uri": "file:///a.py"},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": 2},
    }
