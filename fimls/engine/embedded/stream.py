"""A running generation: each ``next`` decodes one token and yields what it spells."""

from __future__ import annotations

import codecs
import threading
import time
import weakref
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fimls.cancel import Cancel
from fimls.engine.base import Request, Usage
from fimls.engine.embedded.context import Context
from fimls.engine.embedded.runner import Runner
from fimls.engine.embedded.sampler import Sampler, logprob
from fimls.engine.embedded.slots import n_batched
from fimls.engine.embedded.vocabulary import LlamaVocabulary
from fimls.fim import Piece, Prompt, SegmentKind


class EmbeddedStream:
    """Implements ``fimls.engine.base.Stream``; any thread may cancel or close it."""

    def __init__(
        self,
        runner: Runner,
        vocabulary: LlamaVocabulary,
        sampler: Sampler,
        request: Request,
        cancel: Cancel,
    ) -> None:
        self._started = time.perf_counter()
        self._runner = runner
        self._vocabulary = vocabulary
        self._sampler = sampler
        self._request = request
        self._cancel = cancel
        self._ended = False
        self._busy = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._heal = request.prompt.heal.encode("utf-8", "replace")
        tokens = list(request.prompt.tokens)
        self.usage = Usage(n_prompt=len(tokens))
        batched = n_batched(len(tokens), _n_anchored(request.prompt))
        self._job = runner.job(request.priority, tokens, batched, self._is_gone)
        weakref.finalize(self, runner.release, self._job.number)
        cancel.on_set(self._interrupt)

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        with self._busy:
            piece = None if self._is_done() else self._next()
        if piece is None:
            self.close()
            raise StopIteration
        return piece

    def close(self) -> None:
        self._ended = True
        self._interrupt()
        self._runner.release(self._job.number)

    @property
    def is_over(self) -> bool:
        """Whether nothing will be computed for it any more."""
        return self._is_gone()

    def _is_gone(self) -> bool:
        return self._ended or self._cancel.is_set()

    def _is_done(self) -> bool:
        return self._is_gone() or self.usage.n_generated >= self._request.n_predict

    def _interrupt(self) -> None:
        self._runner.interrupt(self._job.number)

    def _next(self) -> Piece | None:
        chosen = self._runner.run(self._job, self._choose)
        self._count_evaluated()
        if chosen is None:
            return None
        token, confidence = chosen
        if token in self._request.prompt.stops or self._vocabulary.is_unwritable(token):
            # Control tokens that are no ends (file separators, padding) end the middle as well:
            # there is no text that they could stand for.
            self.usage.ended = True
            return None
        self._job.tokens.append(token)
        self._note_generated()
        return Piece(self._text_of(token), token, confidence)

    def _note_generated(self) -> None:
        self.usage.n_generated += 1
        if self.usage.n_generated == 1:
            self.usage.t_first_token_ms = (time.perf_counter() - self._started) * 1000

    def _choose(self, context: Context) -> tuple[int, float | None]:
        logits = context.logits(-1)
        # Before the sampler, which adds its biases in place.
        raw = logits.copy() if self._request.logprobs else None
        token = self._heal_choice(logits) if self._heal else self._sampler.choose(logits)
        return token, None if raw is None else logprob(raw, token)

    def _heal_choice(self, logits: npt.NDArray[np.float32]) -> int:
        """The likeliest token that spells what is left to heal, or a beginning of it."""
        candidates = self._vocabulary.healing.candidates(self._heal)
        if not len(candidates):
            # A vocabulary without a token for these bytes: give up on them.
            self._heal = b""
            return self._sampler.choose(logits)
        return int(candidates[logits[candidates].argmax()])

    def _text_of(self, token: int) -> str:
        """The text that ``token`` completes, without what only heals."""
        spelt = self._vocabulary.bytes_of(token)
        n_healed = min(len(self._heal), len(spelt))
        self._heal = self._heal[n_healed:]
        return self._decoder.decode(spelt[n_healed:])

    def _count_evaluated(self) -> None:
        """Prompt tokens alone: each generated one is evaluated too, to get the next.

        Never less than before: one that was taken back is generated, and not evaluated.
        """
        n_evaluated = self._job.n_evaluated - self.usage.n_generated
        self.usage.n_evaluated = max(n_evaluated, self.usage.n_evaluated)


def _n_anchored(prompt: Prompt) -> int:
    """The number of tokens up to and with the last marker: what typing leaves as it is."""
    n_tokens = n_anchored = 0
    for segment in prompt.segments:
        n_tokens += len(segment.tokens)
        if segment.kind is SegmentKind.MARKER:
            n_anchored = n_tokens
    return n_anchored
