"""An editor without a screen: plays a session against any language server.

It behaves as editors do: sends ``didChange`` for every edit, asks for an inline
completion after those that ask, and takes back a request that is still running when
the person goes on typing. Of our own server it takes the first lines of a long completion
before its end, as our extensions do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from fimls import __version__
from fimls.bench.records import Record, kind_of
from fimls.bench.sessions import Event, Session
from fimls.document import Encoding, Snapshot
from fimls.errors import EngineFailed, EngineUnreachable

T = TypeVar("T")

EXPLAIN = "fimls.explain"  # our own server tells what the last completion cost
STATUS = "fimls.status"
METRICS = "fimls.metrics"
GROWN = "fimls/grown"
START_S = 30.0  # a server that has not answered `initialize` by then does not work
FIRST_ANSWER_S = 300.0  # the first request may have to wait for a model


class Editor:
    """A running server and the one document that is open in it.

    A server that ends, or does not answer, is ``EngineFailed``.
    """

    def __init__(self, client: LanguageClient, command: Sequence[str]) -> None:
        process = client._server  # noqa: SLF001 - pygls has no other way
        assert process is not None
        self._client = client
        self._process = process
        self._name = shlex.join(command)
        self._ended = asyncio.ensure_future(process.wait())
        self._is_up = self._explains = False
        self._encoding = Encoding.UTF16
        self._t_total_ms = -1.0  # of the last completion that was computed
        self._has_grown = asyncio.Event()
        client.feature(GROWN)(lambda _: self._has_grown.set())
        self.pid = process.pid

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, command: Sequence[str], root: Path) -> AsyncIterator[Editor]:
        """Start ``command`` as a server, and end it politely afterwards."""
        # Late answers to what was taken back are no news.
        logging.getLogger("pygls").setLevel(logging.CRITICAL)
        client = LanguageClient("fimls-bench", __version__)
        try:
            await client.start_io(*command)
        except OSError as error:
            raise EngineUnreachable(
                f"{shlex.join(command)}: cannot be started ({error.strerror}); "
                "give --server a command that you can run"
            ) from error
        editor = cls(client, command)
        logs = asyncio.ensure_future(editor._pass_over())
        try:
            await editor._initialize(root)
            yield editor
        finally:
            await editor._end()
            logs.cancel()

    async def _initialize(self, root: Path) -> None:
        encodings = [lsp.PositionEncodingKind.Utf32, lsp.PositionEncodingKind.Utf16]
        params = lsp.InitializeParams(
            capabilities=lsp.ClientCapabilities(
                general=lsp.GeneralClientCapabilities(position_encodings=encodings),
                experimental={"fimls": {"grows": True}},
            ),
            root_uri=root.as_uri(),
        )
        try:
            answer = await self._answer(self._client.initialize_async(params), START_S)
        except JsonRpcException as error:
            raise EngineFailed(f"{self._name}: refuses to initialize: {error}") from error
        self._client.initialized(lsp.InitializedParams())
        capabilities = answer.capabilities
        self._encoding = Encoding(str(capabilities.position_encoding or Encoding.UTF16.value))
        commands = capabilities.execute_command_provider
        self._explains = commands is not None and EXPLAIN in commands.commands
        self._is_up = True

    async def _end(self) -> None:
        """Politely, where it has ever answered; what then still runs is killed."""
        if self._is_up:
            with contextlib.suppress(EngineFailed, JsonRpcException):
                await self._answer(self._client.shutdown_async(None), START_S)
                self._client.exit(None)
                await asyncio.wait({self._ended}, timeout=START_S)
        if not self._ended.done():
            self._process.kill()
        await self._ended
        await self._client.stop()  # type: ignore[no-untyped-call]  # pygls leaves it unannotated

    async def _answer(self, request: Awaitable[T], within_s: float = 0.0) -> T:
        """What the server answers; ``JsonRpcException`` where that is an error."""
        within_s = within_s or FIRST_ANSWER_S
        answer = asyncio.ensure_future(request)
        try:
            await asyncio.wait(
                {answer, self._ended}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED
            )
            if answer.done() and not self._ended.done():
                return answer.result()
        finally:
            answer.cancel()  # who does not wait any more takes it back
        if self._ended.done():
            raise EngineFailed(f"{self._name}: ended with status {self._ended.result()}")
        raise EngineFailed(f"{self._name}: no answer in {within_s:g} s")

    async def _execute(self, command: str) -> Any:
        """What one of our own server's commands tells; ``None`` where it has none."""
        params = lsp.ExecuteCommandParams(command)
        with contextlib.suppress(JsonRpcException):
            return await self._answer(self._client.workspace_execute_command_async(params))
        return None

    async def ping_ms(self) -> float | None:
        """The time to the answer of a question that costs nothing; ``None`` if it has none."""
        started_s = time.perf_counter()
        told = await self._execute(STATUS)
        return None if told is None else (time.perf_counter() - started_s) * 1000

    async def metrics(self) -> dict[str, Any]:
        """What our own server has counted since it began; nothing from any other."""
        told = await self._execute(METRICS) if self._explains else None
        return told if isinstance(told, dict) else {}

    async def play(self, session: Session, server: str, *, at_human_pace: bool) -> list[Record]:
        """One record for each request of ``session``."""
        uri = f"file:///bench/{session.name}/{session.path}"
        document = lsp.TextDocumentItem(uri, session.language, 0, session.text)
        self._client.text_document_did_open(lsp.DidOpenTextDocumentParams(document))
        records: list[Record] = []
        running: asyncio.Task[Record] | None = None
        text = session.text
        for version, event in enumerate(session.events, start=1):
            if at_human_pace:
                await asyncio.sleep(event.wait_ms / 1000)
                if running is not None and not running.done():
                    running.cancel()
            if running is not None:
                records.append(await running)
                running = None
            self._change(uri, session, version, event, text)
            text = event.apply(text)
            if event.ask:
                running = asyncio.ensure_future(self._ask(uri, session, server, event, text))
        if running is not None:
            records.append(await running)
        self._client.text_document_did_close(
            lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri))
        )
        return records

    def _change(self, uri: str, session: Session, version: int, event: Event, text: str) -> None:
        if not event.insert and not event.delete:
            return
        was = Snapshot(uri=uri, language=session.language, version=version, text=text)
        start = was.position(event.at, self._encoding)
        end = was.position(event.at + event.delete, self._encoding)
        change = lsp.TextDocumentContentChangePartial(
            lsp.Range(lsp.Position(*start), lsp.Position(*end)), event.insert
        )
        self._client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(version, uri), [change]
            )
        )

    async def _ask(
        self, uri: str, session: Session, server: str, event: Event, text: str
    ) -> Record:
        now = Snapshot(uri=uri, language=session.language, version=0, text=text)
        position = lsp.Position(*now.position(event.cursor, self._encoding))
        params = lsp.InlineCompletionParams(
            context=lsp.InlineCompletionContext(lsp.InlineCompletionTriggerKind.Automatic),
            text_document=lsp.TextDocumentIdentifier(uri),
            position=position,
        )
        kind, shown, t_shown_ms = kind_of(event), None, 0.0
        self._has_grown.clear()
        started_s = time.perf_counter()
        try:
            shown = await self._answer(self._client.text_document_inline_completion_async(params))
            t_shown_ms = t_ms = (time.perf_counter() - started_s) * 1000
            if await self._is_thinking():
                await self._answer(self._has_grown.wait())
                t_ms = (time.perf_counter() - started_s) * 1000
        except (asyncio.CancelledError, JsonRpcException):
            t_ms = t_shown_ms or (time.perf_counter() - started_s) * 1000
            text, is_cancelled = _text(shown), not t_shown_ms
            t_line_ms = t_shown_ms if text else None
            return Record(
                session.name, server, kind, text, t_ms, t_line_ms=t_line_ms, cancelled=is_cancelled
            )
        text = _text(shown)
        t_line_ms = t_shown_ms if text else None  # an answer has at least its first line whole
        told = await self._explain(t_ms)
        return Record(session.name, server, kind, text, t_ms, t_line_ms=t_line_ms, **told)

    async def _is_thinking(self) -> bool:
        """Whether what was answered is a part, and the rest is still being computed."""
        if not self._explains:
            return False
        told = await self._execute(STATUS)
        return isinstance(told, dict) and told.get("state") == "thinking"

    async def _explain(self, t_answer_ms: float) -> dict[str, Any]:
        if not self._explains:
            return {}
        told = await self._execute(EXPLAIN)
        if not isinstance(told, dict):
            return {}
        if not told["cached"]:
            if told["t_total_ms"] == self._t_total_ms:
                return {"n_evaluated": 0, "n_generated": 0}  # nothing was tried: inside a word, say
            self._t_total_ms = told["t_total_ms"]
        is_computed = told["n_generated"] > 0 and not told["cached"]
        return {
            "n_prompt": told["n_prompt"],
            "n_evaluated": 0 if told["cached"] else told["n_evaluated"],
            "n_generated": 0 if told["cached"] else told["n_generated"],
            # From the request on, pauses and all: what came after the first token is taken off.
            # A model that ends at once gives no token, and no time to one.
            "t_first_token_ms": t_answer_ms - told["t_total_ms"] + told["t_first_token_ms"]
            if is_computed
            else None,
            "cached": told["cached"],
        }

    async def _pass_over(self) -> None:
        """Read what a server logs: some stop when nobody does."""
        logged = self._process.stderr
        while logged is not None and await logged.read(65536):
            pass


def _text(answer: Any) -> str:
    """What would be shown as ghost text."""
    items = answer.items if isinstance(answer, lsp.InlineCompletionList) else answer or ()
    return str(getattr(items[0].insert_text, "value", items[0].insert_text)) if items else ""
