"""The engine's life in a session: loaded in the background, replaced, missing, found again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fimls.config import CompletionOptions, Config
from fimls.engine.counted import Count, CountedEngine
from fimls.errors import EngineFailed, FimlsError, ModelMissing, ModelUnknown
from fimls.server.jobs import in_thread
from fimls.server.status import State, Status

if TYPE_CHECKING:  # what they import takes longer than initialize may
    from fimls.completer import Completer
    from fimls.engine.base import Engine
    from fimls.prompting import ChooseTemplate

logger = logging.getLogger(__name__)

# A model that was missing is looked for at most this often; looking costs two system calls.
RETRY_MODEL_S = 2.0
# Other failures (no memory, no server, a model that is refused or cannot be run, which is found
# out by loading it) cost more to find out about: the pause doubles.
RETRY_ENGINE_S, RETRY_ENGINE_MOST_S = 5.0, 80.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A ready engine, and how to choose its template."""

    engine: Engine
    choose_template: ChooseTemplate


class Backend:
    """Hands out completers on the engine that the settings name. For the event loop only.

    ``load`` opens an engine with a progress bar; ``tell`` hears every change of status;
    ``failed`` hears each new error once. ``count`` adds up all that the engines compute.
    """

    def __init__(
        self,
        load: Callable[[Config], Awaitable[Opened]],
        tell: Callable[[Status], None],
        failed: Callable[[FimlsError], None],
    ) -> None:
        self._load_engine = load
        self._tell = tell
        self._failed = failed
        self.count = Count()
        self._config: Config | None = None
        self._opened: Opened | None = None
        self._loading: asyncio.Future[None] | None = None
        self._completers: dict[CompletionOptions, Completer] = {}
        self._retry_at_s = 0.0
        self._pause_s = RETRY_ENGINE_S
        self._last_error = ""

    def use(self, config: Config) -> None:
        """Take other settings; the engine is replaced when they mean another one."""
        if self._config is None or _engine_settings(config) != _engine_settings(self._config):
            self._drop()
            self._retry_at_s, self._last_error = 0.0, ""
            self._pause_s = RETRY_ENGINE_S
        self._config = config

    def start(self) -> None:
        """Begin to load, unless that is done, under way, or has failed a moment ago."""
        if self._config is None or self._opened is not None or self._loading is not None:
            return
        if time.monotonic() >= self._retry_at_s:
            if not self._last_error:  # a silent retry does not flicker
                self._tell(Status(State.LOADING, model=self._config.completion.runs))
            self._loading = asyncio.ensure_future(self._load(self._config))

    def retry(self) -> None:
        """Load at once: something has changed, such as a model that was pulled."""
        self._retry_at_s, self._last_error = 0.0, ""
        self.start()

    async def completer(self, options: CompletionOptions, patience_s: float) -> Completer | None:
        """A completer with ``options``; ``None`` when no engine is ready within ``patience_s``."""
        self.start()
        if self._loading is not None:
            # ``wait`` neither cancels the loading when time is up nor when the caller gives up.
            await asyncio.wait({self._loading}, timeout=patience_s)
        if self._opened is None:
            return None
        if options not in self._completers:
            from fimls.completer import Completer  # noqa: PLC0415 - loaded with the engine

            opened = self._opened
            self._completers[options] = Completer(opened.engine, options, opened.choose_template)
        return self._completers[options]

    async def engine(self) -> Engine | None:
        """The engine, as soon as it is loaded; ``None`` when it cannot be: see ``trouble``."""
        self.start()
        if self._loading is not None:
            await asyncio.wait({self._loading})
        return None if self._opened is None else self._opened.engine

    @property
    def trouble(self) -> str:
        """Why no engine could be loaded, and what to do about it."""
        return self._last_error

    @property
    def condition(self) -> str:
        """What is unusual about the engine, such as the local one answering for a remote one."""
        engine = None if self._opened is None else self._opened.engine
        return str(getattr(engine, "condition", ""))

    @property
    def pids(self) -> tuple[int, ...]:
        """Processes of ours that compute, besides this one."""
        engine = None if self._opened is None else self._opened.engine
        pid = getattr(engine, "host_pid", None)
        return () if pid is None else (pid,)

    def forget(self, uri: str) -> None:
        """A document was closed."""
        for completer in self._completers.values():
            completer.forget(uri)

    def close(self) -> None:
        """Free the engine."""
        if self._opened is not None:
            self._opened.engine.close()
            self._opened = None

    async def _load(self, config: Config) -> None:
        model = config.completion.runs
        try:
            opened = await self._load_engine(config)
        except FimlsError as error:
            self._fail(error, model)
            return
        except Exception as error:  # whatever broke, the person who waits must hear of it
            logger.debug("load failed", exc_info=True)
            self._fail(EngineFailed(f"the engine could not be opened: {error!r}"), model)
            return
        finally:
            self._loading = None
        if self._config is None or _engine_settings(config) != _engine_settings(self._config):
            in_thread(opened.engine.close)  # other settings came meanwhile
            self.start()
            return
        self._opened = Opened(CountedEngine(opened.engine, self.count), opened.choose_template)
        self._last_error, self._pause_s = "", RETRY_ENGINE_S
        logger.info("%s is ready", model)
        self._tell(Status(State.IDLE, model=model))

    def _fail(self, error: FimlsError, model: str) -> None:
        is_missing = isinstance(error, ModelMissing | ModelUnknown)
        self._retry_at_s = time.monotonic() + (RETRY_MODEL_S if is_missing else self._pause_s)
        if not is_missing:
            self._pause_s = min(2 * self._pause_s, RETRY_ENGINE_MOST_S)
        if str(error) != self._last_error:
            self._last_error = str(error)
            self._tell(Status.of(error, model))
            self._failed(error)

    def _drop(self) -> None:
        opened, self._opened = self._opened, None
        self._completers.clear()
        if opened is not None:
            in_thread(opened.engine.close)


def _engine_settings(config: Config) -> tuple[object, ...]:
    """The settings that decide which engine runs, and how."""
    completion = config.completion
    return (
        completion.engine,
        completion.fallback,
        completion.model,
        completion.template,
        config.engine,
        config.models,
        {name: dict(table) for name, table in config.engines.items()},
    )
