"""How the next token is chosen from the logits; no Python loop over the vocabulary."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as c
import numpy as np
import numpy.typing as npt

from fimls.engine.base import Sampling
from fimls.errors import BadRequest

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Sampler:
    """One request's way of choosing; greedy without a grammar is a plain argmax.

    ``banned`` tokens are never chosen. Otherwise the order is llama.cpp's own:
    bias, grammar, top-p, min-p, temperature, draw. A grammar is asked about the
    winner alone first, and about the whole vocabulary only when it says no.
    """

    def __init__(
        self, vocab: c.llama_vocab_p, sampling: Sampling, banned: Sequence[int] = ()
    ) -> None:
        self._bias = dict(sampling.logit_bias)
        self._biased = np.array([*self._bias, *banned], dtype=np.int64)
        self._offsets = np.array([*self._bias.values(), *[-np.inf] * len(banned)], dtype=np.float32)
        self._draw = _draw_chain(sampling) if sampling.temperature > 0 else None
        self._grammar = _grammar(vocab, sampling.grammar) if sampling.grammar else None
        for handle in (self._draw, self._grammar):
            if handle is not None:
                weakref.finalize(self, c.llama_sampler_free, handle)

    @property
    def is_greedy(self) -> bool:
        """Whether the choice depends on the logits alone."""
        return self._draw is None and self._grammar is None

    def choose(self, logits: npt.NDArray[np.float32]) -> int:
        """The next token. ``logits`` are llama.cpp's own and may be overwritten."""
        if len(self._biased):
            logits[self._biased] += self._offsets
        token = self._pick(logits)
        if self._grammar is not None:
            if not self._grammar_allows(token):
                token = self._pick_by_grammar(logits)
            c.llama_sampler_accept(self._grammar, token)
        return token

    def _pick(self, logits: npt.NDArray[np.float32]) -> int:
        if self._draw is None:
            return int(logits.argmax())
        return self._apply(self._draw, _candidates(logits))

    def _grammar_allows(self, token: int) -> bool:
        one = np.array([(token, 0.0, 0.0)], dtype=_CANDIDATE)
        self._filter(one)
        return bool(np.isfinite(one["logit"][0]))

    def _pick_by_grammar(self, logits: npt.NDArray[np.float32]) -> int:
        candidates = _candidates(logits)
        self._filter(candidates)
        allowed = candidates[np.isfinite(candidates["logit"])]
        if not len(allowed):
            raise BadRequest("the grammar allows no token that this model has")
        if self._draw is None:
            return int(allowed["id"][allowed["logit"].argmax()])
        return self._apply(self._draw, allowed)

    def _filter(self, candidates: npt.NDArray[np.void]) -> None:
        """Let the grammar set the logits of what it forbids to minus infinity."""
        c.llama_sampler_apply(self._grammar, ctypes.byref(_as_array(candidates)))

    @staticmethod
    def _apply(chain: c.llama_sampler_p, candidates: npt.NDArray[np.void]) -> int:
        array = _as_array(candidates)
        c.llama_sampler_apply(chain, ctypes.byref(array))
        return int(array.data[array.selected].id)


def logprob(logits: npt.NDArray[np.float32], token: int) -> float:
    """Natural logarithm of ``token``'s probability under the model (temperature 1)."""
    return logprobs(logits, (token,))[0]


def logprobs(logits: npt.NDArray[np.float32], tokens: Sequence[int]) -> tuple[float, ...]:
    """The same for several tokens at one place."""
    top = float(logits.max())
    rest = top + float(np.log(np.exp(logits - top).sum()))
    return tuple(float(logits[token]) - rest for token in tokens)


def _candidates(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.void]:
    candidates = np.zeros(len(logits), dtype=_CANDIDATE)
    candidates["id"] = np.arange(len(logits), dtype=np.int32)
    candidates["logit"] = logits
    return candidates


def _as_array(candidates: npt.NDArray[np.void]) -> Any:
    array: Any = c.llama_token_data_array()  # its pointers are annotated as arrays
    array.data = candidates.ctypes.data_as(c.llama_token_data_p)
    array.size = len(candidates)
    array.selected = -1
    array.sorted = False
    return array


def _draw_chain(sampling: Sampling) -> c.llama_sampler_p:
    chain: c.llama_sampler_p = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
    if sampling.top_p < 1:
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_min_p(sampling.min_p, 1))
    c.llama_sampler_chain_add(chain, c.llama_sampler_init_temp(sampling.temperature))
    c.llama_sampler_chain_add(chain, c.llama_sampler_init_dist(sampling.seed))
    return chain


def _grammar(vocab: c.llama_vocab_p, gbnf: str) -> c.llama_sampler_p:
    grammar: c.llama_sampler_p | None = c.llama_sampler_init_grammar(vocab, gbnf.encode(), b"root")
    if not grammar:
        raise BadRequest("the grammar is not valid GBNF with a rule named root")
    return grammar
