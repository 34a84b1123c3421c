"""One editor's session: what its requests share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from fimls import __version__
from fimls.config import Config
from fimls.errors import FimlsError, ModelMissing
from fimls.metrics import Metrics
from fimls.server.backend import Backend, Opened
from fimls.server.completions import Completions
from fimls.server.desk import Desk
from fimls.server.documents import NOTEBOOKS, Documents
from fimls.server.exclusion import Exclusion
from fimls.server.idle import Idle
from fimls.server.jobs import Jobs, in_thread
from fimls.server.neighbours import Neighbours
from fimls.server.opening import open_engine_of
from fimls.server.pace import Pace
from fimls.server.progress import progress
from fimls.server.protocol import Protocol
from fimls.server.pulse import Pulse
from fimls.server.settings import ReadSource, Settings
from fimls.server.status import STATUS, Board, Status

logger = logging.getLogger(__name__)

# An editor that does not tell its settings by then is served with what is known.
SETTINGS_S = 2.0
DOWNLOAD, NOT_NOW = "Download", "Not now"


class Session(LanguageServer):
    """The server, its settings, its engine and its running work.

    ``metrics`` count on this machine only and are forgotten at the end. ``sparing`` says why
    less is done than the settings ask for, empty for no reason.
    """

    protocol: Protocol

    def __init__(self, sources: Sequence[ReadSource]) -> None:
        super().__init__(
            "fimls", __version__, protocol_cls=Protocol, notebook_document_sync=NOTEBOOKS
        )
        self.settings = Settings(sources)
        self.jobs = Jobs()
        self.pace = Pace()
        self.idle = Idle(lambda: self.pace.may_work_idly(self.settings.config.completion))
        self.board = Board(self._show_status)
        self.backend = Backend(self._load, self.board.engine_is, self.failed)
        self.exclusion = Exclusion()
        self.neighbours = Neighbours()
        self.completions = Completions(self)
        self.desk = Desk(self)
        self.ready = asyncio.Event()  # the editor's settings are known
        self.shows_status = False
        self.pulls_diagnostics = False
        self.metrics = Metrics()
        self._pulse = Pulse(self.metrics.late)
        self.sparing = ""
        self._n_thinking = 0
        self._told: set[str] = set()

    @property
    def documents(self) -> Documents:
        """The open documents; there are none before ``initialize``."""
        assert isinstance(self.workspace, Documents)
        return self.workspace

    def config_of(self, path: str) -> Config:
        """The settings for a file; new mistakes in them are told, each once."""
        config = self.settings.of(path)
        self.tell_mistakes()
        return config

    def use_settings(self) -> None:
        """The settings have changed: take them into force."""
        self.ready.set()
        config = self.settings.config
        logging.getLogger("fimls").setLevel(config.log.level.upper())
        self.exclusion.forget()
        self.backend.use(config)
        self.tell_mistakes()
        self.board.off("" if config.completion.enabled else "completion.enabled is false")

    async def settings_known(self) -> None:
        """Wait for the editor's settings, which it is asked for after ``initialized``."""
        if not self.ready.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.ready.wait(), SETTINGS_S)
        if not self.ready.is_set():
            self.use_settings()

    # Telling the person, at most once each.

    def tell(self, message: str, kind: types.MessageType = types.MessageType.Error) -> None:
        """Show a message, unless this very message was shown before."""
        if message in self._told:
            return
        self._told.add(message)
        logger.warning("%s", message)
        self.window_show_message(types.ShowMessageParams(kind, f"fimls: {message}"))

    def tell_mistakes(self) -> None:
        mistakes = self.settings.new_mistakes()
        if mistakes:
            self.tell("\n".join(mistakes), types.MessageType.Warning)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """What pygls could not do. The log gets it; a person could do nothing about it."""
        del source
        logger.error("%s: %s", type(error).__name__, error)

    def failed(self, error: FimlsError) -> None:
        window = self.client_capabilities.window
        asks = window is not None and window.show_message is not None
        if isinstance(error, ModelMissing) and asks:
            asyncio.ensure_future(self._offer(error))  # noqa: RUF006 - kept alive by its request
        else:
            self.tell(str(error))

    def think(self, change: int) -> None:
        """One completion more is made, or one less."""
        self._n_thinking += change
        self._pulse.beats(is_on=self._n_thinking > 0)
        show = self.board.thinking if self._n_thinking else self.board.thought
        condition = "; ".join(filter(None, (self.backend.condition, self.sparing)))
        show(self.settings.config.completion.runs, condition)

    def _show_status(self, status: Status) -> None:
        if self.shows_status:
            self.protocol.notify(STATUS, status.as_params())

    # The model: from disk, or, with consent, from the network.

    async def _load(self, config: Config) -> Opened:
        async with progress(self, f"fimls: loading {config.completion.runs}") as bar:
            loop = asyncio.get_running_loop()

            def notify(news: str) -> None:  # from the engine's threads
                loop.call_soon_threadsafe(self.tell, news, types.MessageType.Warning)

            return await in_thread(partial(open_engine_of, config, bar.report, notify))

    async def _offer(self, error: ModelMissing) -> None:
        """Ask once whether a missing model may be downloaded."""
        if error.name in self._told:
            return
        self._told.add(error.name)
        actions = [types.MessageActionItem(DOWNLOAD), types.MessageActionItem(NOT_NOW)]
        asked = types.ShowMessageRequestParams(
            types.MessageType.Warning, f"fimls: {error}", actions
        )
        try:
            answer = await self.window_show_message_request_async(asked)
        except JsonRpcException:  # the editor shows no buttons after all
            self.tell(str(error))
            return
        if answer is not None and answer.title == DOWNLOAD:
            await self.pull(error.name)

    async def pull(self, name: str) -> bool:
        """Download a model that somebody asked for, and use it; tells how that went."""
        from fimls import models  # noqa: PLC0415 - not needed to answer initialize

        try:
            model = models.find(name)
            directory = models.models_dir(self.settings.config.models)
            self.board.downloading(name)
            async with progress(self, f"fimls: downloading {name}", cancellable=True) as bar:

                def report(at: models.Progress) -> None:
                    fraction = at.done / at.total if at.total else None
                    bar.report(fraction, f"{at.phase} {at.done / 1e6:.0f} MB".strip())

                await in_thread(lambda: models.pull(model, directory, report, bar.cancel))
        except FimlsError as error:
            self.board.engine_is(Status.of(error, name))
            self._told.discard(str(error))  # whoever asks again is told again
            self.tell(str(error))
            return False
        else:
            self.backend.retry()
            return True
        finally:
            self.board.downloading("")

    def explain(self) -> dict[str, Any] | None:
        """The last completion: prompt with markers, why it stopped, what it cost."""
        if self.completions.last is None:
            return None
        uri, completion = self.completions.last
        facts = asdict(completion)
        prompt = facts.pop("prompt")
        facts["stop_reason"] = str(completion.stop_reason)
        facts["prompt"] = "" if completion.prompt is None else completion.prompt.text
        facts["heal"] = "" if prompt is None else prompt["heal"]
        counted = {"n_offered": self.metrics.n_offered, "n_accepted": self.metrics.n_accepted}
        return {"uri": uri, **facts, **counted, "session": str(self.metrics)}
