"""The engine protocol: what the completer and the reviewer ask of a model.

Implementations: ``embedded`` (llama.cpp in this process), ``scripted`` (a
shipped fake for tests and demos), ``http`` (llama-server and OpenAI-compatible
servers).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from fimls.cancel import Cancel
from fimls.fim import Piece, Prompt
from fimls.vocabulary import ModelInfo, Vocabulary

__all__ = [
    "Engine",
    "Given",
    "ModelInfo",
    "Priority",
    "Request",
    "Sampling",
    "Stream",
    "Usage",
    "Vocabulary",
]


class Priority(IntEnum):
    """Who goes first: a keystroke pre-empts a review between two tokens."""

    COMPLETION = 0
    REVIEW = 1
    IDLE = 2  # warming up caches while nobody types


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. The default is greedy and deterministic."""

    temperature: float = 0.0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    grammar: str = ""  # GBNF; empty means free text


@dataclass(frozen=True, slots=True)
class Given:
    """A token that is not chosen but given; ``rivals`` are others that could stand there."""

    token: int
    rivals: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One generation: at most ``n_predict`` tokens after ``prompt``.

    With ``given`` tokens nothing is generated: the stream yields these, a piece each, with
    how likely the model would have written them, and their rivals. They are evaluated in
    batches: weighing text costs what reading it does. Who cannot do this raises ``BadRequest``.
    """

    prompt: Prompt
    n_predict: int
    sampling: Sampling = Sampling()
    priority: Priority = Priority.COMPLETION
    logprobs: bool = False
    given: tuple[Given, ...] = ()


@dataclass(slots=True)
class Usage:
    """What a generation has cost so far; the engine keeps it up to date."""

    n_prompt: int = 0  # tokens in the prompt
    n_evaluated: int = 0  # of these, not found in the KV cache
    n_generated: int = 0  # tokens decoded, end tokens not counted
    t_first_token_ms: float = 0.0  # from the call of stream() on
    ended: bool = False  # the model itself emitted an end token


class Stream(Protocol):
    """A running generation. Iterating decodes the next token: no look-ahead.

    The iterator ends at an end token, at ``n_predict``, or when cancelled;
    ``close`` (or leaving it) gives the engine back to others. Errors are
    ``EngineError``.
    """

    usage: Usage

    def __iter__(self) -> Iterator[Piece]: ...

    def __next__(self) -> Piece: ...

    def close(self) -> None: ...


class Engine(Protocol):
    """Something that continues prompts. Safe to call from several threads."""

    @property
    def vocabulary(self) -> Vocabulary | None:
        """``None`` where the engine (a remote one) does not show its vocabulary."""

    @property
    def n_ctx(self) -> int:
        """Tokens that a prompt and its continuation may have together."""

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """How fast a prompt is evaluated, as measured where it is; ``None`` while unknown."""

    @property
    def prepares_ahead(self) -> bool:
        """Whether its idle time is ours to spend: true of an engine on this machine only."""

    def stream(self, request: Request, cancel: Cancel) -> Stream:
        """Start generating. Raises ``EngineError``; a set ``cancel`` ends it within a token."""

    def close(self) -> None:
        """Free the model. Later calls raise ``EngineError``."""
