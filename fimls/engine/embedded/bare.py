"""llama.cpp alone on loaded weights: what our own loop is compared with.

A context of its own and nothing around it: one ``llama_decode`` and one argmax a token,
no turns, no bookkeeping, no cancelling. For measurements.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import llama_cpp.llama_cpp as c
import numpy as np

from fimls.engine.embedded.context import Context
from fimls.engine.embedded.model import Model
from fimls.engine.embedded.settings import EmbeddedSettings
from fimls.errors import EngineFailed


class Bare:
    """One sequence. Not thread-safe; ``close`` it before the engine whose weights it uses."""

    def __init__(self, model: Model, settings: EmbeddedSettings, n_ctx: int) -> None:
        settings = replace(settings, n_ctx=n_ctx, n_sequences=1, memory_mb=0)
        self._context = Context(model, settings)
        self._n_ubatch = self._context.n_ubatch
        self._memory = c.llama_get_memory(self._context.handle)
        self._n_vocab = c.llama_vocab_n_tokens(model.vocab)
        self._batch = c.llama_batch_init(self._n_ubatch, 0, 1)
        self._n_done = 0

    def begin(self, tokens: Sequence[int]) -> int:
        """Evaluate a prompt in an empty sequence; returns the likeliest next token."""
        self._forget(0)
        for start in range(0, len(tokens) - 1, self._n_ubatch):
            self._decode(tokens[: len(tokens) - 1][start : start + self._n_ubatch])
        return self.next(tokens[-1])

    def next(self, token: int) -> int:
        """Evaluate one token; returns the likeliest one after it."""
        self._decode([token])
        pointer = c.llama_get_logits_ith(self._context.handle, -1)
        return int(np.ctypeslib.as_array(pointer, shape=(self._n_vocab,)).argmax())

    def batch_ms(self, tokens: Sequence[int]) -> float:
        """The time to evaluate ``tokens`` at once, with logits for each; forgets them again."""
        n_done = self._n_done
        started_s = time.perf_counter()
        self._decode(tokens, n_logits=len(tokens))
        elapsed_s = time.perf_counter() - started_s
        self._forget(n_done)
        return elapsed_s * 1000

    def close(self) -> None:
        c.llama_batch_free(self._batch)
        self._context.close()

    def _decode(self, tokens: Sequence[int], n_logits: int = 1) -> None:
        batch = self._batch
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = self._n_done + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = index >= len(tokens) - n_logits
        result = c.llama_decode(self._context.handle, batch)
        if result != 0:
            raise EngineFailed(f"llama_decode returned {result}")
        c.llama_synchronize(self._context.handle)
        self._n_done += len(tokens)

    def _forget(self, n_keep: int) -> None:
        c.llama_memory_seq_rm(self._memory, 0, n_keep, -1)
        self._n_done = n_keep
