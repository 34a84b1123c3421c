"""The completions of a session: whether to make one, how eagerly, and what is shown meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from fimls.cancel import Cancel
from fimls.config import Config
from fimls.document import Snapshot
from fimls.errors import BadRequest, FimlsError
from fimls.fim import Chunk, Completion
from fimls.lsp import Place
from fimls.server.neighbours import in_same_root
from fimls.server.status import Status

if TYPE_CHECKING:  # what they import takes longer than initialize may
    from fimls.completer import Completer, OnPart
    from fimls.server.session import Session

logger = logging.getLogger(__name__)

# Told when a completion is whole of which a part was answered: who asks again gets it at once.
GROWN = "fimls/grown"


@dataclass(frozen=True, slots=True)
class _Ask:
    """A request that is worked on."""

    place: Place
    config: Config
    completer: Completer
    chunks: Callable[[], tuple[Chunk, ...]]
    cancel: Cancel
    n_predict: int
    invoked: bool

    def complete(self, cancel: Cancel, on_part: OnPart | None) -> Completion | None:
        """For a thread."""
        return self.completer.complete(
            self.place.snapshot,
            self.place.offset,
            cancel,
            invoked=self.invoked,
            chunks=self.chunks(),
            n_predict=self.n_predict,
            on_part=on_part,
        )

    def prepare(self, cancel: Cancel) -> None:
        """For a thread, while nobody types."""
        self.completer.prepare(self.place.snapshot, self.place.offset, cancel, self.chunks())


class Completions:
    """Answers one editor's requests. For the event loop only.

    ``last`` is the last completion that was given, with its document. An editor that ``grows``
    what it shows gets the first lines of a long completion as soon as they stand.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.grows = False
        self.last: tuple[str, Completion] | None = None
        self._working: set[asyncio.Future[Completion | None]] = set()

    async def complete(
        self, asked: Place, *, invoked: bool, may_grow: bool = False
    ) -> Completion | None:
        """The completion for a place, ``None`` when there is none or something is in the way.

        Its first lines will do where it ``may_grow`` and the editor lets it.
        """
        session, document = self._session, asked.snapshot
        cancel = session.jobs.claim(document.uri)
        session.idle.stir()
        await session.settings_known()
        config = session.config_of(document.path)
        if not self._may_see(document, config):
            return None
        options = config.completion
        t_max_ms = options.t_max_invoked_ms if invoked else options.t_max_predict_ms
        completer = await session.backend.completer(options, t_max_ms / 1000)
        if completer is None:
            return None
        eager = session.pace.eagerness(options, session.backend.pids)
        known = completer.recall(document, asked.offset)
        if eager.pause_ms > 0 and not (invoked or known):
            await asyncio.sleep(eager.pause_ms / 1000)
        if cancel.is_set():  # a newer keystroke came meanwhile
            return None
        session.sparing = eager.reason
        n_predict = options.n_predict if invoked else eager.n_predict
        chunks = self._chunks(document, config)
        ask = _Ask(asked, config, completer, chunks, cancel, n_predict, invoked)
        if self.grows and may_grow and not invoked:
            found = await self._first_of(known, ask)
        else:
            found = await self._compute(ask)
        return found if found is not None and found.text else None

    async def _compute(self, ask: _Ask, on_part: OnPart | None = None) -> Completion | None:
        """The whole completion; ``None`` when it was taken back or could not be made."""
        session, uri, options = self._session, ask.place.snapshot.uri, ask.config.completion
        session.think(+1)
        session.desk.gate.hold()
        try:
            completion = await session.jobs.run(
                uri, ask.cancel, lambda cancel: ask.complete(cancel, on_part)
            )
        except FimlsError as error:
            self._could_not(error, ask.config)
            return None
        finally:
            session.desk.gate.free()
            session.think(-1)
        if options.t_idle_ms and not ask.cancel.is_set():
            session.idle.after(options.t_idle_ms / 1000, ask.prepare)
        if completion is not None:
            self.last = (uri, completion)
            session.metrics.add(completion)
            session.pace.add(completion)
            level = logging.DEBUG if completion.cached else logging.INFO
            logger.log(level, "%s", _summary(completion))
        return completion

    async def _first_of(self, known: Completion | None, ask: _Ask) -> Completion | None:
        """The completion, or a part of it that can be shown long before; it then goes on."""
        loop = asyncio.get_running_loop()
        part: asyncio.Future[Completion] = loop.create_future()

        def show(found: Completion) -> None:
            if not part.done():
                part.set_result(found)

        def on_part(found: Completion) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody to show it to
                loop.call_soon_threadsafe(show, found)

        if known is not None and known.is_part:
            show(known)
        whole = asyncio.ensure_future(self._compute(ask, on_part))
        self._working.add(whole)
        whole.add_done_callback(self._working.discard)
        try:
            first: set[asyncio.Future[Any]] = {whole, part}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            whole.cancel()
            raise
        if whole.done():
            return whole.result()
        shown = part.result()
        whole.add_done_callback(partial(self._grown, ask, shown))
        self.last = (ask.place.snapshot.uri, shown)
        return shown

    def _grown(
        self, ask: _Ask, shown: Completion, whole: asyncio.Future[Completion | None]
    ) -> None:
        """The rest of what is shown has come, unless it was taken back."""
        if whole.cancelled():
            return
        if whole.exception() is not None:
            logger.error("failed", exc_info=whole.exception())
            return
        found = whole.result()
        if found is not None:
            document = ask.place.snapshot
            told = {"uri": document.uri, "version": document.version}
            self._session.protocol.notify(GROWN, {**told, "changed": found.text != shown.text})

    def _may_see(self, document: Snapshot, config: Config) -> bool:
        """Whether a document may be shown to a model; why not goes into the status."""
        session = self._session
        reason = session.exclusion.why_not(document, config, session.documents.roots())
        session.board.off(reason)
        return not reason

    def _chunks(self, document: Snapshot, config: Config) -> Callable[[], tuple[Chunk, ...]]:
        """How to find out what the prompt shows of other open files; for a thread."""
        session = self._session
        n_chunks, roots = config.completion.n_chunks, session.documents.roots()
        if not n_chunks:
            return tuple
        others = in_same_root(document, list(session.documents.snapshots().values()), roots)
        allowed = [
            one
            for one in others
            if not session.exclusion.why_not(one, session.settings.of(one.path), roots)
        ]
        return cache(partial(session.neighbours.shown_to, document, allowed, n_chunks))

    def _could_not(self, error: FimlsError, config: Config) -> None:
        if isinstance(error, BadRequest):
            logger.info("%s", error)  # this place cannot be completed in; others can
            return
        self._session.board.engine_is(Status.of(error, config.completion.runs))
        self._session.failed(error)


def _summary(completion: Completion) -> str:
    """A log line without source code."""
    return (
        f"{len(completion.text)} characters, stopped by {completion.stop_reason}"
        f"{' (cached)' if completion.cached else ''}: {completion.n_evaluated} of "
        f"{completion.n_prompt} prompt tokens evaluated, {completion.n_generated} generated "
        f"({completion.n_discarded} not shown), first token {completion.t_first_token_ms:.0f} ms, "
        f"in all {completion.t_total_ms:.0f} ms, {completion.t_scope_ms:.1f} ms in the watcher"
    )
