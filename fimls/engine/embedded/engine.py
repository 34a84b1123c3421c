"""The embedded engine: llama.cpp in this process, behind the engine protocol."""

from __future__ import annotations

import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.engine.embedded import native
from fimls.engine.embedded.calibration import Calibration
from fimls.engine.embedded.context import Context
from fimls.engine.embedded.given import GivenStream
from fimls.engine.embedded.model import Model, ProgressCallback
from fimls.engine.embedded.runner import Runner
from fimls.engine.embedded.sampler import Sampler
from fimls.engine.embedded.settings import EmbeddedSettings
from fimls.engine.embedded.stream import EmbeddedStream
from fimls.engine.embedded.vocabulary import LlamaVocabulary
from fimls.engine.embedded.waiting import n_cores
from fimls.errors import BadRequest

if TYPE_CHECKING:
    from fimls.engine.embedded.bare import Bare


class EmbeddedEngine:
    """A loaded model and its warm sequences; implements ``fimls.engine.base.Engine``.

    Streams compute in the thread that iterates them, one micro-batch or token
    per turn. ``settings`` are those in force; ``calibration`` is what is known
    of their speed; ``store`` keeps the states of overwritten sequences; ``flash_attention`` is
    what llama.cpp made of the setting: enabled or disabled.
    """

    prepares_ahead = True

    def __init__(
        self, path: Path, settings: EmbeddedSettings, progress: ProgressCallback | None = None
    ) -> None:
        n_threads = settings.n_threads or n_cores()
        self.settings = replace(settings, n_threads=n_threads)
        native.forget_buffers()
        self._model = Model(path, self.settings, progress)
        try:
            self._vocabulary = LlamaVocabulary(self._model)
            context = Context(self._model, self.settings)
        except BaseException:
            self._model.close()
            raise
        self._n_ctx = context.n_ctx
        self.n_ubatch = context.n_ubatch
        self.buffers = native.buffers()
        self.flash_attention = native.flash_attention()
        self.store = context.store
        self._runner = Runner(context)
        self.calibration: Calibration | None = None
        self.closing = Cancel()
        self._asked = threading.Lock()  # guards what follows
        self._asked_at_s = time.monotonic()
        self._streams: weakref.WeakSet[EmbeddedStream] = weakref.WeakSet()
        self._idle_work: Cancel | None = None

    @property
    def vocabulary(self) -> LlamaVocabulary:
        return self._vocabulary

    @property
    def n_ctx(self) -> int:
        return self._n_ctx

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """As calibrated for this model and machine; before that, as it was so far."""
        if self.calibration is not None:
            return self.calibration.prompt_tokens_per_s
        return self._runner.prompt_tokens_per_s

    def stream(self, request: Request, cancel: Cancel) -> EmbeddedStream:
        """Start generating; nothing is computed before the first piece is asked for.

        Raises ``BadRequest`` for a prompt that is empty, holds unknown tokens or
        does not fit, and for a malformed grammar; ``EngineFailed`` when closed.
        """
        self._runner.check_open()
        tokens = request.prompt.tokens
        room = self._n_ctx - len(tokens)
        if room < 1:
            raise BadRequest(
                f"the prompt has {len(tokens)} tokens and n_ctx is {self._n_ctx}: "
                "shorten the window or raise n_ctx"
            )
        if not tokens:
            raise BadRequest("the prompt is empty: nothing to continue")
        if min(tokens) < 0 or max(tokens) >= self._vocabulary.n_tokens:
            raise BadRequest("the prompt holds token ids that this model does not have")
        sampler = Sampler(self._model.vocab, request.sampling)
        # The last token that fits is the last that is generated.
        request = replace(request, n_predict=min(request.n_predict, room))
        parts = self._runner, self._vocabulary, sampler, request, cancel
        if request.given:
            self._check_given(request, room)
            stream: EmbeddedStream = GivenStream(*parts, self.n_ubatch)
        else:
            stream = EmbeddedStream(*parts)
        self._note(stream, cancel)
        return stream

    def _check_given(self, request: Request, room: int) -> None:
        ids = [token for one in request.given for token in (one.token, *one.rivals)]
        if len(request.given) > room:
            raise BadRequest(f"{len(request.given)} given tokens do not fit; raise n_ctx")
        if min(ids) < 0 or max(ids) >= self._vocabulary.n_tokens:
            raise BadRequest("a given token or a rival is none that this model has")
        if request.prompt.heal:
            raise BadRequest("given tokens heal nothing: end the prompt between two tokens")

    def bare(self, n_ctx: int) -> Bare:
        """llama.cpp alone on the same weights, to compare with; close it before the engine."""
        from fimls.engine.embedded.bare import Bare  # noqa: PLC0415 - for measurements only

        return Bare(self._model, self.settings, n_ctx)

    def use_threads(self, n_threads: int, n_threads_batch: int) -> None:
        """Compute with so many from the next turn on; texts do not depend on it."""
        self._runner.alter(lambda context: context.use_threads(n_threads, n_threads_batch))
        self.settings = replace(self.settings, n_threads=n_threads, n_threads_batch=n_threads_batch)

    def idle_work(self, quiet_s: float) -> Cancel | None:
        """The right to stream while nobody else does, taken back as soon as somebody asks.

        ``None`` while others stream, or began to less than ``quiet_s`` ago.
        """
        with self._asked:
            is_quiet = time.monotonic() - self._asked_at_s >= quiet_s
            if not is_quiet or not all(stream.is_over for stream in self._streams):
                return None
            self._idle_work = Cancel()
            return self._idle_work

    def _note(self, stream: EmbeddedStream, cancel: Cancel) -> None:
        """Somebody asks: who works only while nobody does has to stop."""
        with self._asked:
            if cancel is self._idle_work:
                return
            self._streams.add(stream)
            self._asked_at_s = time.monotonic()
            work, self._idle_work = self._idle_work, None
        if work is not None:
            work.set()

    def close(self) -> None:
        self.closing.set()
        self._runner.close()
        self._model.close()
