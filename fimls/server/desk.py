"""The review of a session: its engine, what it has found, and the one piece of work it does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from fimls import lsp
from fimls.cancel import Cancel
from fimls.config import Config
from fimls.document import Document, Encoding, Snapshot
from fimls.engine.counted import Count, CountedEngine
from fimls.engine.yielding import Gate
from fimls.errors import BadRequest, EngineFailed, FimlsError
from fimls.review.findings import NAMELESS, Rejected, ScopeReview, not_reviewed, told
from fimls.review.store import Findings
from fimls.server import review_lsp
from fimls.server.jobs import in_thread
from fimls.server.progress import Bar, progress

if TYPE_CHECKING:  # what they import takes longer than initialize may
    from fimls.engine.base import Engine
    from fimls.review.reviewer import Reviewer, Source
    from fimls.scope import Scope
    from fimls.server.session import Session

logger = logging.getLogger(__name__)

# Editors move diagnostics with the text by themselves. 300 findings take 12 ms to be found again
# and told, so that is done when nobody has typed for so long.
PAUSE_S = 0.3

BUSY = "a review is under way; wait for it or cancel it (fimls.cancelReview)"


@dataclass(slots=True)
class Tally:
    """What a review has come to, for the sentence at its end."""

    n_scopes: int = 0
    n_unchanged: int = 0
    n_stale: int = 0
    n_findings: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: dict[str, list[str]] = field(default_factory=dict)  # names of scopes, by error

    def sentence(self, *, cancelled: bool) -> str:
        parts = [f"{self.n_scopes} {'part' if self.n_scopes == 1 else 'parts'} reviewed"]
        if self.n_unchanged:
            parts[0] += f" ({self.n_unchanged} unchanged since the last time)"
        parts.append(f"{self.n_findings or 'no'} finding{'' if self.n_findings == 1 else 's'}")
        dropped = told(self.rejected)
        parts += [dropped] if dropped else []
        if self.n_stale:
            parts.append(f"{self.n_stale} changed meanwhile, their findings were dropped")
        parts += [*self.notes, *not_reviewed(self.failed)]
        return ("cancelled: " if cancelled else "") + "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Work:
    """A document and those of its scopes that are to be reviewed."""

    uri: str
    source: Source
    scopes: tuple[Scope, ...]
    notes: tuple[str, ...] = ()


class Desk:
    """Where a session's reviews are done, one at a time. For the event loop only."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.findings = Findings()
        self.gate = Gate()
        self._cancel: Cancel | None = None
        self._own: tuple[object, Engine] | None = None  # an engine that only reviews use
        self._opening = asyncio.Lock()
        self._reviewer: tuple[object, Reviewer] | None = None
        self._published: dict[str, list[types.Diagnostic]] = {}
        self._moving: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # What runs.

    @property
    def is_busy(self) -> bool:
        return self._cancel is not None

    def cancel(self) -> bool:
        """Take back what runs; false when nothing does."""
        if self._cancel is None:
            return False
        self._cancel.set()
        return True

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something in the background; failures are told, never raised."""

        async def guarded() -> None:
            try:
                await work()
            except FimlsError as error:
                self.say(str(error), types.MessageType.Error)
            except Exception as error:
                logger.exception("review failed")
                self.say(
                    f"internal error ({type(error).__name__}); the server's log has the details",
                    types.MessageType.Error,
                )

        task = asyncio.ensure_future(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextlib.asynccontextmanager
    async def turn(self, title: str) -> AsyncIterator[tuple[Bar, Cancel]]:
        """The right to work with the model, with a bar; raises ``BadRequest`` when it is taken."""
        if self._cancel is not None:
            raise BadRequest(BUSY)
        cancel = self._cancel = Cancel()
        try:
            async with progress(self._session, f"fimls: {title}", cancellable=True) as bar:
                bar.cancel.on_set(cancel.set)
                yield bar, cancel
        finally:
            cancel.set()
            self._cancel = None

    def say(self, message: str, kind: types.MessageType = types.MessageType.Info) -> None:
        self._session.window_show_message(types.ShowMessageParams(kind, f"fimls: {message}"))

    async def reviewer(self, path: str) -> Reviewer:
        """The reviewer for a file's settings. Raises ``FimlsError``."""
        await self._session.settings_known()
        config = self._session.config_of(path)
        engine = await self._engine(config)
        key = (id(engine), config.review)
        if self._reviewer is None or self._reviewer[0] != key:
            from fimls.assembly import reviewer_on  # noqa: PLC0415 - loaded with the engine

            self._reviewer = key, await in_thread(lambda: reviewer_on(engine, config))
        return self._reviewer[1]

    async def review(self, works: Sequence[Work], reviewer: Reviewer) -> None:
        """Read scope by scope; findings show as they come, and a sentence at the end."""
        tally = Tally()
        n_all = sum(len(work.scopes) for work in works)
        async with self.turn("reviewing") as (bar, cancel):
            for work in works:
                name = Path(work.source.path).name or "the document"
                if not work.source.outline.is_sound:
                    tally.notes.append(f"{name} has syntax errors, so this is partial")
                tally.notes += [f"{name}: {note}" for note in work.notes]
                for scope in await self._unknown(work, reviewer, tally):
                    if cancel.is_set():
                        break
                    bar.report(tally.n_scopes / n_all, scope.name or scope.kind)
                    await self._read(work, scope, reviewer, cancel, tally)
            cancelled = cancel.is_set()
        kind = types.MessageType.Warning if tally.failed else types.MessageType.Info
        self.say(tally.sentence(cancelled=cancelled), kind)

    async def _unknown(self, work: Work, reviewer: Reviewer, tally: Tally) -> list[Scope]:
        """The scopes that must be read; what is known of the others is shown at once."""
        keys = await in_thread(lambda: [reviewer.key(work.source, s) for s in work.scopes])
        unknown: list[Scope] = []
        for scope, key in zip(work.scopes, keys, strict=True):
            seen = self.findings.known(key)
            if seen is None:
                unknown.append(scope)
                continue
            tally.n_unchanged += 1
            self._take(work, replace(seen, start=scope.start), tally)
            await asyncio.sleep(0)  # keys go first
        self.show(self._snapshot(work))
        return unknown

    async def _read(
        self, work: Work, scope: Scope, reviewer: Reviewer, cancel: Cancel, tally: Tally
    ) -> None:
        try:
            seen = await in_thread(lambda: reviewer.review(work.source, scope, cancel))
        except FimlsError as error:  # what has been found so far stays, and the others are read
            tally.failed.setdefault(str(error), []).append(scope.name or NAMELESS)
            return
        if seen is not None:
            self._take(work, seen, tally)
            self.show(self._snapshot(work))

    def _take(self, work: Work, seen: ScopeReview, tally: Tally) -> None:
        tally.n_scopes += 1
        tally.rejected += seen.rejected
        tally.notes += seen.notes
        placed = self.findings.put(work.uri, seen, self._snapshot(work).text)
        if placed is None:
            tally.n_stale += 1
            return
        shown, silenced = self.findings.split(work.uri, placed)
        tally.n_findings += len(shown)
        tally.rejected += silenced

    def _snapshot(self, work: Work) -> Snapshot:
        """The document as it is now, or as it was read where nobody has it open."""
        document = self._session.documents.find(work.uri)
        if document is not None:
            return document.snapshot()
        return Snapshot(work.uri, work.source.language, 0, work.source.text, work.source.path)

    # The engine.

    async def _engine(self, config: Config) -> Engine:
        from fimls.assembly import review_names  # noqa: PLC0415 - loaded with the engine

        name, model = review_names(config)
        completion = config.completion
        if (name, model) == (completion.engine, completion.model) and not completion.fallback:
            shared = await self._session.backend.engine()
            if shared is None:
                raise EngineFailed(self._session.backend.trouble or "the model could not be loaded")
            return shared
        key = (name, model, config.engine, config.models, repr(config.engines))
        async with self._opening:  # whoever asks meanwhile waits for the same one
            if self._own is None or self._own[0] != key:
                self.close()
                title = f"fimls: loading {model if name == 'embedded' else name}"
                async with progress(self._session, title) as bar:
                    count = self._session.backend.count
                    engine = await in_thread(lambda: _open(config, self.gate, count, bar.report))
                self._own = key, engine
            return self._own[1]

    def close(self) -> None:
        """Free an engine of its own."""
        own, self._own = self._own, None
        self._reviewer = None
        if own is not None:
            in_thread(own[1].close)

    # What is shown.

    @property
    def encoding(self) -> Encoding:
        return lsp.encoding(self._session.workspace.position_encoding)

    def diagnostics(self, document: Snapshot) -> list[types.Diagnostic]:
        text_document = self._session.client_capabilities.text_document
        pushed = text_document and text_document.publish_diagnostics
        related = bool(pushed and pushed.related_information)
        return [
            review_lsp.diagnostic(document, one, self.encoding, related=related)
            for one in self.findings.shown(document.uri, document.text)
        ]

    def follow(self, document: Document) -> None:
        """A document has changed: its findings move along, or go, when the keys pause.

        Who asks for them meanwhile is answered about the text as it is.
        """
        moving = self._moving.pop(document.uri, None)
        if moving is not None:
            moving.cancel()
        if document.uri in self.findings.documents():
            loop = asyncio.get_running_loop()
            self._moving[document.uri] = loop.call_later(PAUSE_S, self._move, document.uri)

    def _move(self, uri: str) -> None:
        self._moving.pop(uri, None)
        document = self._session.documents.find(uri)
        if document is not None:
            self.show(document.snapshot())

    def show(self, document: Snapshot) -> None:
        """Tell the editor, where that is news to it."""
        found = self.diagnostics(document)
        if found == self._published.get(document.uri, []):
            return
        self._published[document.uri] = found
        if self._session.pulls_diagnostics and self._session.documents.find(document.uri):
            self._session.workspace_diagnostic_refresh(None)
            return
        self._push(document.uri, found, document.version)

    def clear(self, uris: Sequence[str]) -> None:
        for uri in uris:
            self.findings.clear(uri)
            document = self._session.documents.find(uri)
            self.show(document.snapshot() if document is not None else Snapshot(uri))

    def opened(self, uri: str) -> None:
        """What was pushed for a file that nobody had open is pulled from now on, or stale."""
        document = self._session.documents.find(uri)
        if document is None:
            return
        if self._session.pulls_diagnostics and uri in self._published:
            self._push(uri, [], document.version)
        self.show(document.snapshot())

    def closed(self, uri: str) -> None:
        if self._published.pop(uri, None):
            self._push(uri, [], None)
        self.findings.close(uri)

    def _push(self, uri: str, found: list[types.Diagnostic], version: int | None) -> None:
        told = types.PublishDiagnosticsParams(uri=uri, diagnostics=found, version=version)
        self._session.text_document_publish_diagnostics(told)


def _open(config: Config, gate: Gate, count: Count, report: Callable[[float], None]) -> Engine:
    """An engine beside that for completion: released when idle, and pausing for keystrokes."""
    from fimls.assembly import open_engine, review_names  # noqa: PLC0415
    from fimls.engine.lazy import LazyEngine  # noqa: PLC0415
    from fimls.engine.yielding import YieldingEngine  # noqa: PLC0415

    name, model = review_names(config)
    if name != "embedded":  # another machine's processors, or another's turns
        return CountedEngine(open_engine(config, name, model), count)
    lazy = LazyEngine(
        lambda progress: open_engine(config, name, model, progress),
        idle_s=config.engine.idle_unload_s,
        progress=report,
    )
    lazy.get()
    return YieldingEngine(CountedEngine(lazy, count), gate)
