"""Text that is given instead of generated: how likely the model would have written it."""

from __future__ import annotations

from collections import deque

from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.engine.embedded.context import Context
from fimls.engine.embedded.runner import Runner
from fimls.engine.embedded.sampler import Sampler, logprobs
from fimls.engine.embedded.slots import GRAIN
from fimls.engine.embedded.stream import EmbeddedStream
from fimls.engine.embedded.vocabulary import LlamaVocabulary
from fimls.fim import Piece

# Tokens whose logits are kept at once: 600 kB each where the vocabulary has 150,000 tokens.
_N_READ = 2 * GRAIN


class GivenStream(EmbeddedStream):
    """Yields ``request.given``, evaluated in aligned batches as prompts are.

    Where these are cut depends on the prompt alone, so the figures do too: see ``slots``.
    """

    def __init__(
        self,
        runner: Runner,
        vocabulary: LlamaVocabulary,
        sampler: Sampler,
        request: Request,
        cancel: Cancel,
        n_ubatch: int,
    ) -> None:
        super().__init__(runner, vocabulary, sampler, request, cancel)
        self._given = request.given
        self._n_read = min(_N_READ, n_ubatch)
        # The last token says nothing of those that are given: it predicts what follows.
        self._tokens = [*request.prompt.tokens, *(one.token for one in self._given[:-1])]
        self._job.n_batched = len(self._tokens)
        self._pieces: deque[Piece] = deque()

    def _is_done(self) -> bool:
        return self._is_gone() or self.usage.n_generated >= len(self._given)

    def _next(self) -> Piece | None:
        if not self._pieces:
            self._read()
        if not self._pieces:
            return None
        self._note_generated()
        return self._pieces.popleft()

    def _read(self) -> None:
        """One more batch; nothing when the stream is gone meanwhile."""
        n_known = self.usage.n_prompt - 1 + self.usage.n_generated
        start = n_known - n_known % GRAIN
        end = min(start + self._n_read, len(self._tokens))
        if end % GRAIN and end - start > GRAIN:
            end -= end % GRAIN  # what is left of a grain is a batch of its own
        self._job.tokens = self._tokens[:end]
        self._job.n_read = end - start
        first = self.usage.n_generated

        def weigh(context: Context) -> list[Piece]:
            pieces = []
            for place in range(n_known, end):
                one = self._given[first + place - n_known]
                told = logprobs(context.logits(place - end), (one.token, *one.rivals))
                pieces.append(Piece(self._text_of(one.token), one.token, told[0], told[1:]))
            return pieces

        self._pieces.extend(self._runner.run(self._job, weigh) or ())
        self.usage.n_evaluated = self._job.n_evaluated
