"""A real editor's announcements, a real server process, and a scripted model."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_lsp
from lsprotocol import types
from lsprotocol.converters import get_converter

CLIENTS = Path(__file__).parent / "clients"
CLIENT_NAMES = sorted(path.stem for path in CLIENTS.glob("*.json"))


def scripted(
    answer: str | dict[str, str], delay_ms: float = 0, **completion: Any
) -> dict[str, Any]:
    """Settings for a model that says ``answer``, or what a table of answers says."""
    key = "answer" if isinstance(answer, str) else "answers"
    return {
        # The template is that of the family whose markers the scripted engine has.
        "completion": {"engine": "scripted", "template": "qwen2.5-coder", **completion},
        "engines": {"scripted": {"kind": "scripted", key: answer, "delay_ms": delay_ms}},
    }


@dataclass
class Asked:
    """A request that is under way."""

    number: int
    answer: asyncio.Future[Any]


class Editor:
    """A client of one server process, which types and asks as editors do."""

    def __init__(self, client: pytest_lsp.LanguageClient, params: types.InitializeParams) -> None:
        self.client = client
        self.params = params
        self.result: types.InitializeResult | None = None
        self.statuses: list[dict[str, Any]] = []
        self.grown: list[dict[str, Any]] = []
        self.questions: list[types.ShowMessageRequestParams] = []
        # The answer to a question of the server's, and what the person does meanwhile.
        self.answer: str | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.versions: dict[str, int] = {}
        self._numbers = itertools.count(1_000)

    @property
    def encoding(self) -> str:
        assert self.result is not None
        kind = self.result.capabilities.position_encoding
        return str(getattr(kind, "value", kind) or "utf-16")

    @property
    def messages(self) -> list[str]:
        return [told.message for told in self.client.messages]

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self.client._server is not None
        return self.client._server

    async def initialize(self) -> types.InitializeResult:
        self.result = await self.client.initialize_session(self.params)
        return self.result

    def open(self, text: str, uri: str = "file:///project/a.py", language: str = "python") -> str:
        """Open a document; returns its URI."""
        self.versions[uri] = 1
        item = types.TextDocumentItem(uri, language, 1, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    def change(self, uri: str, *changes: types.TextDocumentContentChangeEvent) -> None:
        self.versions[uri] += 1
        document = types.VersionedTextDocumentIdentifier(self.versions[uri], uri)
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(document, list(changes))
        )

    def type(self, uri: str, line: int, character: int, text: str) -> None:
        at = types.Position(line, character)
        self.change(uri, types.TextDocumentContentChangePartial(types.Range(at, at), text))

    def units(self, text: str) -> int:
        """The length of ``text`` in the code units agreed upon."""
        width = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[self.encoding]
        codec = self.encoding if width == 1 else f"{self.encoding}-le"
        return len(text.encode(codec)) // width

    def ask(
        self, uri: str, line: int, character: int, *, invoked: bool = False, **context: Any
    ) -> Asked:
        """Send a request for ghost text."""
        kinds = types.InlineCompletionTriggerKind
        params = types.InlineCompletionParams(
            types.InlineCompletionContext(kinds.Invoked if invoked else kinds.Automatic, **context),
            types.TextDocumentIdentifier(uri),
            types.Position(line, character),
        )
        number = next(self._numbers)
        answer = self.client.protocol.send_request(
            types.TEXT_DOCUMENT_INLINE_COMPLETION, params, msg_id=number
        )
        return Asked(number, asyncio.wrap_future(answer))

    def cancel(self, asked: Asked) -> None:
        self.client.cancel_request(types.CancelParams(asked.number))

    async def ghost_texts(self, uri: str, line: int, character: int, **context: Any) -> list[str]:
        return [str(item.insert_text) for item in await self.ghost(uri, line, character, **context)]

    async def explain(self) -> dict[str, Any] | None:
        told = await self.execute("fimls.explain")
        return told if told is None else plain(told)

    async def status_is(self, state: str) -> None:
        """Until this state is the last that was told: for those that last."""
        await self.eventually(lambda: self.statuses and self.statuses[-1]["state"] == state)

    async def status_was(self, state: str) -> None:
        """Until this state has been told, be it for a moment; ``statuses.clear()`` forgets."""
        await self.eventually(lambda: state in [told["state"] for told in self.statuses])

    async def ghost(
        self, uri: str, line: int, character: int, *, invoked: bool = False, **context: Any
    ) -> list[types.InlineCompletionItem]:
        """What is offered as ghost text."""
        answer = await self.ask(uri, line, character, invoked=invoked, **context).answer
        return [] if answer is None else list(getattr(answer, "items", answer))

    async def menu(self, uri: str, line: int, character: int) -> types.CompletionList | None:
        asked = types.CompletionParams(
            types.TextDocumentIdentifier(uri), types.Position(line, character)
        )
        answer = await self.client.text_document_completion_async(asked)
        assert answer is None or isinstance(answer, types.CompletionList)
        return answer

    async def execute(self, command: str, *arguments: Any) -> Any:
        params = types.ExecuteCommandParams(command, list(arguments))
        return await self.client.workspace_execute_command_async(params)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def eventually(self, true: Callable[[], Any], timeout_s: float = 30.0) -> None:
        """Wait until something has arrived."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not true():
            assert asyncio.get_running_loop().time() < deadline, "it did not happen"
            await asyncio.sleep(0.01)


def plain(found: Any) -> Any:
    """pygls makes named tuples of objects that it does not know."""
    if hasattr(found, "_asdict"):
        return {key: plain(value) for key, value in found._asdict().items()}
    return [plain(item) for item in found] if isinstance(found, list) else found


def captured(name: str, settings: dict[str, Any] | None, root: Path) -> types.InitializeParams:
    """What a real editor sent, with our settings and a project that exists."""
    params = json.loads((CLIENTS / f"{name}.json").read_text(encoding="utf-8"))
    params["processId"] = os.getpid()
    params["rootPath"] = str(root)
    params["rootUri"] = root.as_uri()
    if params.get("workspaceFolders"):
        params["workspaceFolders"] = [{"uri": root.as_uri(), "name": root.name}]
    if settings is not None:
        client = {"status": True, **settings.get("client", {})}
        params["initializationOptions"] = {**settings, "client": client}
    found = get_converter().structure(params, types.InitializeParams)
    assert isinstance(found, types.InitializeParams)
    return found


@asynccontextmanager
async def editing(
    settings: dict[str, Any] | None,
    root: Path,
    client: str = "neovim-0.12.4",
    configuration: Any = None,
    environ: dict[str, str] | None = None,
    *arguments: str,
    initialize: bool = True,
) -> AsyncIterator[Editor]:
    """Start a server, say hello as ``client`` does; at the end shut it down properly."""
    made = pytest_lsp.make_test_lsp_client()
    editor = Editor(made, captured(client, settings, root))
    made.feature("fimls/status")(lambda told: editor.statuses.append(told._asdict()))
    made.feature("fimls/grown")(lambda told: editor.grown.append(told._asdict()))
    made.feature(types.CLIENT_REGISTER_CAPABILITY)(lambda _: None)

    def question(asked: types.ShowMessageRequestParams) -> types.MessageActionItem | None:
        editor.questions.append(asked)
        editor.meanwhile()
        return None if editor.answer is None else types.MessageActionItem(editor.answer)

    made.feature(types.WINDOW_SHOW_MESSAGE_REQUEST)(question)
    if configuration is not None:
        made.set_configuration({"fimls": configuration})
    # Neither the developer's own settings nor the models that lie on this machine.
    private = {
        "FIMLS_CONFIG": str(root / "user.toml"),
        "FIMLS_CACHE_DIR": str(root / "cache"),
        "PYTHONWARNINGS": "default",
    }
    (root / "user.toml").touch()
    env = {**os.environ, **private, **(environ or {})}
    await made.start_io(sys.executable, "-m", "fimls", "--stdio", *arguments, env=env)
    try:
        if initialize:
            await editor.initialize()
        yield editor
        if initialize and editor.process.returncode is None:
            await asyncio.wait_for(made.shutdown_session(), 30)
            assert editor.process.returncode == 0
    finally:
        if editor.process.returncode is None:
            editor.process.kill()
        await made.stop()
