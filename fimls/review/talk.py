"""Talking with an instruct model: one question, one answer, through its own chat template.

Where an engine shows its vocabulary the template is ours to render, and answers are held
to a grammar. Remote servers that do not are asked through their chat endpoint, with a JSON
schema in place of the grammar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from fimls.cancel import Cancel
from fimls.engine.base import Engine, Priority, Request, Sampling, Stream
from fimls.errors import EngineFailed, ModelRefused
from fimls.fim import Prompt
from fimls.template.chat import ChatTemplate, Message

# Without a tokenizer budgets are estimates: code has 3 to 4 characters a token.
CHARS_PER_TOKEN = 3
_EMPTY = Prompt(())


class _ChatEngine(Protocol):
    """A remote engine with a chat endpoint, such as ``engine.http``'s."""

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        request: Request,
        cancel: Cancel,
        schema: Mapping[str, Any] | None = None,
    ) -> Stream: ...


@dataclass(frozen=True, slots=True)
class Said:
    """An answer; ``is_cut`` when it reached the token budget, or the context was full."""

    text: str
    is_cut: bool = False
    n_generated: int = 0


class Talk:
    """Asks one model. Thread-safe; raises ``ModelRefused`` for one that cannot chat."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        vocabulary = engine.vocabulary
        self._vocabulary = vocabulary
        self._template = None if vocabulary is None else ChatTemplate(vocabulary)
        # Asked for once: the weights may be unloaded when it is needed, and would be loaded.
        self._name = "" if vocabulary is None else vocabulary.info.name
        if vocabulary is None and not hasattr(engine, "chat"):
            raise ModelRefused(
                "this engine cannot hold a conversation; choose another with review.engine"
            )

    @property
    def name(self) -> str:
        """Of the model, as far as the engine tells."""
        return self._name

    @property
    def n_ctx(self) -> int:
        return self._engine.n_ctx

    @property
    def weighs(self) -> bool:
        """Whether probabilities are cheap: the question's beginning is in the cache."""
        return self._vocabulary is not None

    def count_tokens(self, text: str) -> int:
        if self._vocabulary is None:
            return len(text) // CHARS_PER_TOKEN + 1
        return len(self._vocabulary.tokenize(text))

    def ask(
        self,
        messages: Sequence[Message],
        n_predict: int,
        cancel: Cancel,
        *,
        grammar: str = "",
        schema: Mapping[str, Any] | None = None,
        heard: Callable[[str], None] | None = None,
    ) -> Said:
        """The whole answer. ``heard`` is told each piece as it comes. Raises ``FimlsError``."""
        # Servers refuse a grammar and a schema together.
        sampling = Sampling(grammar=grammar) if self.weighs else Sampling()
        request = Request(self._prompt(messages), n_predict, sampling, Priority.REVIEW)
        stream = self._stream(messages, request, cancel, schema)
        pieces: list[str] = []
        try:
            for piece in stream:
                pieces.append(piece.text)
                if heard is not None:
                    heard(piece.text)
        finally:
            stream.close()
        usage = stream.usage
        # Engines lower the budget to the room in the context, so it is not counted here.
        return Said("".join(pieces), not (usage.ended or cancel.is_set()), usage.n_generated)

    def probability(self, messages: Sequence[Message], cancel: Cancel) -> float:
        """The probability of "Yes" against "No" as the answer's first word, 0 to 1."""
        first, likely = self._word(messages, ("Yes", "No"), cancel)
        other = "No" if first == "Yes" else "Yes"
        found, unlikely = self._word(messages, (other,), cancel) if self.weighs else ("", 0.0)
        if found != other:  # the engine cannot be made to say it
            unlikely = 1.0 - likely
        yes, no = (likely, unlikely) if first == "Yes" else (unlikely, likely)
        return yes / (yes + no) if yes + no > 0 else 0.0

    def _word(
        self, messages: Sequence[Message], words: tuple[str, ...], cancel: Cancel
    ) -> tuple[str, float]:
        """Which of ``words`` the model says first, and how likely that was among all tokens."""
        bias = {}
        if self._vocabulary is not None:
            # More than any logit: of these, the likeliest is chosen, and its own probability
            # is read from the logits as they were before.
            bias = {
                ids[0]: 1_000.0
                for word in words
                if len(ids := self._vocabulary.tokenize(word)) == 1
            }
        request = Request(
            self._prompt(messages), 1, Sampling(logit_bias=bias), Priority.REVIEW, logprobs=True
        )
        stream = self._stream(messages, request, cancel, None)
        try:
            piece = next(iter(stream), None)
        finally:
            stream.close()
        if piece is None:
            return "", 0.0
        word = piece.text.strip().strip('"').capitalize()
        return word, 1.0 if piece.logprob is None else math.exp(piece.logprob)

    def _prompt(self, messages: Sequence[Message]) -> Prompt:
        return _EMPTY if self._template is None else self._template.render(messages)

    def _stream(
        self,
        messages: Sequence[Message],
        request: Request,
        cancel: Cancel,
        schema: Mapping[str, Any] | None,
    ) -> Stream:
        if self._template is not None:
            return self._engine.stream(request, cancel)
        chat = getattr(self._engine, "chat", None)
        if chat is None:
            raise EngineFailed("the engine has lost its chat endpoint; restart the server")
        plain = [{"role": message.role, "content": message.content} for message in messages]
        return cast("_ChatEngine", self._engine).chat(plain, request, cancel, schema)
