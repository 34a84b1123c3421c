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
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from fimls import __version__
from fimls.bench.records import Meter, Record, kind_of
from fimls.bench.sessions import Event, Pace, Session
from fimls.document import Encoding, Snapshot
from fimls.errors import EngineFailed, EngineUnreachable

T = TypeVar("T")

EXPLAIN = "fimls.explain"  # our own server tells what the last completion cost
STATUS = "fimls.status"
METRICS = "fimls.metrics"
GROWN = "fimls/grown"
START_S = 30.0  # a server that has not answered `initialize` by then does not work
FIRST_ANSWER_S = 300.0  # the first request may have to wait for a model
LOOK_S = 0.02  # between two looks at whether a server still computes


class Editor:
    """A running server and the one document that is open in it.

    A server that ends, or does not answer, is ``EngineFailed``.
    """

    def __init__(self, client: LanguageClient, command: Sequence[str], *, asks_costs: bool) -> None:
        process = client._server  # noqa: SLF001 - pygls has no other way
        assert process is not None
        self._client = client
        self._process = process
        self._name = shlex.join(command)
        self._ended = asyncio.ensure_future(process.wait())
        self._asks_costs = asks_costs
        self._is_up = self._explains = False
        self._encoding = Encoding.UTF16
        self._told: Any = None  # of the last completion
        self._has_grown = asyncio.Event()
        client.feature(GROWN)(lambda _: self._has_grown.set())
        self.pid = process.pid

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls, command: Sequence[str], root: Path, *, asks_costs: bool = True
    ) -> AsyncIterator[Editor]:
        """Start ``command`` as a server, and end it politely afterwards.

        Our own tells what each answer cost, where it is asked: one question more a key.
        """
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
        editor = cls(client, command, asks_costs=asks_costs)
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
        knows = commands is not None and EXPLAIN in commands.commands
        self._explains = knows and self._asks_costs
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

    async def computed(self) -> tuple[int | None, int | None]:
        """Tokens evaluated and generated so far, whatever became of them, once none are any more.

        ``None`` where the server does not tell.
        """
        return await self._answer(self._computed())

    async def _computed(self) -> tuple[int | None, int | None]:
        while told := (await self.metrics()).get("computed"):
            if not told["n_running"]:
                return told["n_evaluated"], told["n_generated"]
            await asyncio.sleep(LOOK_S)
        return None, None

    async def play(
        self, session: Session, server: str, pace: Pace, meter: Meter | None = None
    ) -> list[Record]:
        """One record for each request of ``session``; ``meter`` reads the server's CPU seconds."""
        uri = f"file:///bench/{session.name}/{session.path}"
        document = lsp.TextDocumentItem(uri, session.language, 0, session.text)
        self._client.text_document_did_open(lsp.DidOpenTextDocumentParams(document))
        records: list[Record] = []
        running: asyncio.Task[Record] | None = None
        now = Snapshot(language=session.language, text=session.text)
        for version, event in enumerate(session.events, start=1):
            if pace is Pace.HUMAN:
                await asyncio.sleep(event.wait_ms / 1000)
                if running is not None and not running.done():
                    running.cancel()
            if running is not None:
                records.append(await running)
                running = None
            spent = _Spent(meter)
            self._change(uri, version, event, now)
            now = replace(now, text=event.apply(now.text))
            if event.ask:
                record = Record(session.name, server, kind_of(event), "", 0.0)
                cursor = self._position(now, event.cursor)
                ask = self._ask(uri, cursor, record, spent, waits=pace is not Pace.FULL)
                running = asyncio.ensure_future(ask)
        if running is not None:
            records.append(await running)
        self._client.text_document_did_close(
            lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri))
        )
        return records

    def _change(self, uri: str, version: int, event: Event, was: Snapshot) -> None:
        if not event.insert and not event.delete:
            return
        start = self._position(was, event.at)
        end = self._position(was, event.at + event.delete)
        change = lsp.TextDocumentContentChangePartial(lsp.Range(start, end), event.insert)
        self._client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(version, uri), [change]
            )
        )

    def _position(self, document: Snapshot, offset: int) -> lsp.Position:
        return lsp.Position(*document.position(offset, self._encoding))

    async def _ask(
        self, uri: str, cursor: lsp.Position, asked: Record, spent: _Spent, *, waits: bool
    ) -> Record:
        """Ask for a suggestion; where its beginning is shown, who ``waits`` sees the rest come."""
        params = lsp.InlineCompletionParams(
            context=lsp.InlineCompletionContext(lsp.InlineCompletionTriggerKind.Automatic),
            text_document=lsp.TextDocumentIdentifier(uri),
            position=cursor,
        )
        record = replace(asked, cancelled=True)
        self._has_grown.clear()
        spent.begin()
        try:
            answer = await self._answer(self._client.text_document_inline_completion_async(params))
            text, (t_ms, cpu_s) = _text(answer), spent.so_far()
            t_line_ms = t_ms if text else None  # an answer has at least its first line whole
            shown = replace(asked, text=text, t_answer_ms=t_ms, t_line_ms=t_line_ms, cpu_s=cpu_s)
            record = shown
            record = replace(shown, **await self._explain(text, t_ms))
            if waits and record.part:
                await self._answer(self._has_grown.wait())
                t_ms, cpu_s = spent.so_far()
                told = await self._explain(text, t_ms)
                record = replace(shown, t_answer_ms=t_ms, cpu_s=cpu_s, **told)
        except (asyncio.CancelledError, JsonRpcException):
            if record.cancelled:
                t_ms, cpu_s = spent.so_far()
                record = replace(record, t_answer_ms=t_ms, cpu_s=cpu_s)
        return record

    async def _explain(self, shown: str, t_answer_ms: float) -> dict[str, Any]:
        """The figures of a record, as far as the server tells what the last completion cost."""
        if not self._explains:
            return {}
        told, before = await self._execute(EXPLAIN), self._told
        self._told = told
        if not isinstance(told, dict) or (told == before and not shown):
            return {"n_evaluated": 0, "n_generated": 0}  # nothing was tried: inside a word, say
        is_cached = told["cached"]
        is_computed = told["n_generated"] > 0 and not is_cached
        return {
            "n_prompt": told["n_prompt"],
            "n_evaluated": 0 if is_cached else told["n_evaluated"],
            "n_generated": 0 if is_cached else told["n_generated"],
            # From the request on, pauses and all: what came after the first token is taken off.
            # A model that ends at once gives no token, and no time to one.
            "t_first_token_ms": t_answer_ms - told["t_total_ms"] + told["t_first_token_ms"]
            if is_computed
            else None,
            "cached": is_cached,
            "part": told["is_part"],
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


class _Spent:
    """Time since a request, and the server's CPU seconds since the event that made it."""

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter
        self._cpu_s = 0.0 if meter is None else meter()
        self._began_s = time.perf_counter()

    def begin(self) -> None:
        self._began_s = time.perf_counter()

    def so_far(self) -> tuple[float, float | None]:
        """Milliseconds, and CPU seconds where these are read."""
        t_ms = (time.perf_counter() - self._began_s) * 1000
        return t_ms, None if self._meter is None else self._meter() - self._cpu_s
