"""An engine that is loaded when first needed and unloaded when nobody types."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from fimls.cancel import Cancel
from fimls.engine.base import Engine, ModelInfo, Request, Stream, Usage, Vocabulary
from fimls.errors import EngineFailed, FimlsError
from fimls.fim import Piece

logger = logging.getLogger(__name__)

ProgressCallback = Callable[[float], None]
Open = Callable[[ProgressCallback], Engine]

# Requests that come right after a failed load get its error at once instead of one more load.
_RETRY_S = 5.0


class LazyEngine:
    """Opens an engine in the background, closes it after ``idle_s`` without a request.

    ``progress`` hears 0.0 to 1.0 while a load runs, from its thread. Requests
    that come meanwhile wait for it, or until they are cancelled. A failed load
    is tried again by the first request ``retry_s`` later. ``idle_s`` 0 keeps the
    weights for good. The thread that loads lives exactly as long as the weights
    do and sleeps while nothing changes.
    """

    def __init__(
        self,
        open: Open,  # noqa: A002  # reads as what it is: LazyEngine(open=...)
        idle_s: float = 0.0,
        progress: ProgressCallback | None = None,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._open = open
        self._idle_s = idle_s
        self._progress = progress or _ignore
        self._retry_s = retry_s
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._engine: Engine | None = None
        self._failure: FimlsError | None = None
        self._failed_at = 0.0
        self._used_at = 0.0
        self._n_working = 0  # streams that wait for a piece: a cold prompt may outlast idle_s
        self._released = False
        self._closed = False
        self._vocabulary = _LazyVocabulary(self)

    @property
    def is_loaded(self) -> bool:
        return self._engine is not None

    @property
    def failure(self) -> FimlsError | None:
        """Why the last load failed; ``None`` when it did not."""
        return self._failure

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The same object across unloading and loading; ``None`` as the engine's own is."""
        return None if self.get().vocabulary is None else self._vocabulary

    @property
    def n_ctx(self) -> int:
        return self.get().n_ctx

    @property
    def host_pid(self) -> int | None:
        """The process that computes, where it is another one and has been started."""
        return getattr(self._engine, "host_pid", None)

    @property
    def prompt_tokens_per_s(self) -> float | None:
        return self.get().prompt_tokens_per_s

    @property
    def prepares_ahead(self) -> bool:
        return self.get().prepares_ahead

    def load(self) -> None:
        """Begin to load in the background, if that is not under way or done."""
        with self._changed:
            self._need()

    def get(self, cancel: Cancel | None = None) -> Engine:
        """The loaded engine, waiting for it. Raises what the load raised, or ``EngineFailed``."""
        if cancel is not None:
            cancel.on_set(self._wake)
        with self._changed:
            self._need()
            while self._engine is None:
                if self._failure is not None:
                    raise self._failure
                if self._thread is None:  # unloaded again before this one woke up
                    self._need()
                if self._closed or (cancel is not None and cancel.is_set()):
                    raise EngineFailed("the model was not loaded: the request was taken back")
                self._changed.wait()
            return self._engine

    def stream(self, request: Request, cancel: Cancel) -> Stream:
        """As the engine's own; a request cancelled while loading yields nothing."""
        try:
            engine = self.get(cancel)
        except EngineFailed:
            if cancel.is_set():
                return _Nothing(len(request.prompt.tokens))
            raise
        return _Watched(engine.stream(request, cancel), self._working)

    def release(self) -> None:
        """Unload now; the next request loads again."""
        with self._changed:
            thread, self._released = self._thread, True
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def close(self) -> None:
        """Unload for good. Later calls raise ``EngineFailed``."""
        self._closed = True
        self.release()

    def touch(self) -> None:
        """Put off unloading: somebody needs it."""
        self._used_at = time.monotonic()

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        with self._changed:
            self._n_working += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_working -= 1
                self.touch()

    def _need(self) -> None:
        """Start the thread that loads, unless it runs. Call with the condition held."""
        if self._closed:
            raise EngineFailed("the engine is closed")
        self.touch()
        if self._thread is not None:
            return
        if self._failure is not None and time.monotonic() - self._failed_at < self._retry_s:
            raise self._failure
        self._failure, self._released = None, False
        self._thread = threading.Thread(target=self._live, name="fimls-model", daemon=True)
        self._thread.start()

    def _live(self) -> None:
        """Load, sleep until nobody needs the weights, unload."""
        loaded = self._load()
        with self._changed:
            if isinstance(loaded, FimlsError):
                # Together, so that who comes later finds no thread and starts the next one.
                self._failure, self._failed_at = loaded, time.monotonic()
                self._thread = None
                self._changed.notify_all()
                return
            self._engine = loaded
            self.touch()
            self._changed.notify_all()
            while not (self._closed or self._released or self._is_idle()):
                self._changed.wait(self._idle_s or None)
            self._engine = self._thread = None
        loaded.close()

    def _load(self) -> Engine | FimlsError:
        """The engine, or why there is none."""
        try:
            return self._open(self._progress)
        except FimlsError as error:
            return error
        except Exception as error:  # whatever broke, those who wait must hear of it
            logger.debug("load failed", exc_info=True)
            return EngineFailed(f"the model could not be loaded: {error}")

    def _is_idle(self) -> bool:
        is_quiet = self._idle_s > 0 and time.monotonic() - self._used_at >= self._idle_s
        return is_quiet and not self._n_working

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class _Watched:
    """A stream whose every piece counts as use of the engine, as long as it takes."""

    def __init__(
        self, stream: Stream, working: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> None:
        self._stream = stream
        self._working = working
        self.usage = stream.usage

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        with self._working():
            return next(self._stream)

    def close(self) -> None:
        self._stream.close()


class _Nothing:
    """The stream of a request that was cancelled before the model was there."""

    def __init__(self, n_prompt: int) -> None:
        self.usage = Usage(n_prompt=n_prompt)

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        raise StopIteration

    def close(self) -> None:
        """Nothing is held."""


class _LazyVocabulary:
    """The vocabulary of whatever engine is loaded: the same file, so the same ids."""

    def __init__(self, engine: LazyEngine) -> None:
        self._engine = engine

    @property
    def info(self) -> ModelInfo:
        return self._now.info

    def tokenize(self, text: str) -> list[int]:
        return self._now.tokenize(text)

    def tokenize_markup(self, text: str) -> list[int]:
        return self._now.tokenize_markup(text)

    def marker(self, text: str) -> int | None:
        return self._now.marker(text)

    def spelling(self, token: int) -> str:
        return self._now.spelling(token)

    def is_control(self, token: int) -> bool:
        return self._now.is_control(token)

    def is_end(self, token: int) -> bool:
        return self._now.is_end(token)

    @property
    def bos(self) -> int | None:
        return self._now.bos

    @property
    def add_bos(self) -> bool:
        return self._now.add_bos

    @property
    def _now(self) -> Vocabulary:
        vocabulary = self._engine.get().vocabulary
        if vocabulary is None:
            raise EngineFailed("the engine that was loaded now shows no vocabulary")
        return vocabulary


def _ignore(_fraction: float) -> None:
    """Nobody listens to the progress."""
