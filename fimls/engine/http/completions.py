"""Servers that take one string: OpenAI's ``/v1/completions``, as everybody speaks it.

https://platform.openai.com/docs/api-reference/completions; served by vLLM, SGLang, Ollama,
LM Studio, TGI, llama-cpp-python and llama-server. And servers that take two, prefix and
suffix: https://docs.mistral.ai/api/#tag/fim and
https://api-docs.deepseek.com/guides/fim_completion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fimls.engine.base import Request, Usage, Vocabulary
from fimls.engine.http.settings import HttpSettings
from fimls.errors import BadRequest
from fimls.fim import Piece

# OpenAI and Mistral refuse a request with more; the rest are watched for on our side.
MOST_STOPS = 4


class Completions:
    """The dialect of ``/v1/completions``; the prompt comes from our template."""

    path = "/v1/completions"
    prompt_tokens_per_s = None

    def __init__(self, settings: HttpSettings, vocabulary: Vocabulary | None = None) -> None:
        self._settings = settings
        self._vocabulary = vocabulary

    def body(self, request: Request) -> dict[str, Any]:
        prompt = request.prompt
        body = _common(self._settings, request)
        if self._vocabulary is None:
            body["prompt"] = prompt.text
        else:
            # Such servers cannot be made to spell the tail, so it goes with the prompt.
            body["prompt"] = [*prompt.tokens, *self._vocabulary.tokenize(prompt.heal)]
        if request.logprobs:
            body["logprobs"] = 1
        return {**body, **self._settings.params}

    def read(self, event: Mapping[str, Any], usage: Usage) -> Iterator[Piece]:
        _count(event, usage)
        for choice in event.get("choices") or ():
            reason = choice.get("finish_reason")
            text = choice.get("text") or ""
            if text:
                yield Piece(text, logprob=_logprob(choice.get("logprobs")))
            if reason:
                usage.ended = reason != "length"

    def healed(self, request: Request) -> str:
        """The tail that a string prompt leaves out, because models do better without it."""
        return request.prompt.heal if self._vocabulary is None else ""


class FimEndpoint:
    """The dialect of endpoints that take ``prompt`` and ``suffix`` and own the template."""

    path = "/v1/fim/completions"
    prompt_tokens_per_s = None

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings

    def body(self, request: Request) -> dict[str, Any]:
        window = request.prompt.window
        if window is None:
            raise BadRequest(
                f"engine {self._settings.name} completes between a prefix and a suffix only; "
                "choose another engine for reviews (review.engine)"
            )
        body = {
            **_common(self._settings, request),
            "prompt": window.prefix + window.typed,
            "suffix": window.suffix,
        }
        # Neither family documents min_p or seed here; Mistral calls its seed random_seed.
        for unknown in ("min_p", "seed", "stream_options"):
            body.pop(unknown, None)
        return {**body, **self._settings.params}

    def read(self, event: Mapping[str, Any], usage: Usage) -> Iterator[Piece]:
        _count(event, usage)
        for choice in event.get("choices") or ():
            # DeepSeek answers like a completion, Mistral like a chat.
            delta = choice.get("delta") or choice.get("message") or {}
            text = choice.get("text") or delta.get("content") or ""
            if text:
                yield Piece(text)
            reason = choice.get("finish_reason")
            if reason:
                usage.ended = reason != "length"

    def healed(self, request: Request) -> str:  # noqa: ARG002  # the dialects' common shape
        """Nothing: prefix and suffix go as they are."""
        return ""


class Ollama:
    """The dialect of Ollama's ``/api/generate``, with ``raw``: no template of its own.

    Its ``/v1/completions`` renders the model's chat template around the prompt.
    https://github.com/ollama/ollama/blob/main/docs/api.md
    """

    path = "/api/generate"
    prompt_tokens_per_s = None

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings

    def body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        options = {
            "num_predict": request.n_predict,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "seed": sampling.seed,
            "stop": list(request.prompt.stop_texts),
        }
        if self._settings.n_ctx:
            options["num_ctx"] = self._settings.n_ctx
        body = {
            "model": self._settings.model,
            "prompt": request.prompt.text,
            "raw": True,
            "stream": True,
            **self._settings.params,
        }
        return {**body, "options": {**options, **body.get("options", {})}}

    def read(self, event: Mapping[str, Any], usage: Usage) -> Iterator[Piece]:
        if event["response"]:
            yield Piece(event["response"])
        if event["done"]:
            usage.ended = event.get("done_reason") != "length"
            usage.n_prompt = event.get("prompt_eval_count") or usage.n_prompt
            usage.n_evaluated = usage.n_prompt  # it does not tell what was cached

    def healed(self, request: Request) -> str:
        """The tail that a string prompt leaves out, because models do better without it."""
        return request.prompt.heal


class Chat:
    """The dialect of ``/v1/chat/completions``: for reviews where no vocabulary is shown."""

    path = "/v1/chat/completions"
    prompt_tokens_per_s = None

    def __init__(
        self,
        settings: HttpSettings,
        messages: tuple[Mapping[str, str], ...],
        schema: Mapping[str, Any] | None,
    ) -> None:
        self._settings = settings
        self._messages = messages
        self._schema = schema

    def body(self, request: Request) -> dict[str, Any]:
        body = {**_common(self._settings, request), "messages": list(self._messages)}
        if request.logprobs:
            body["logprobs"] = True
        if self._schema is not None:
            # OpenAI's structured outputs; vLLM, SGLang, llama-server, LM Studio and Ollama know it.
            named = {"name": "answer", "schema": self._schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return {**body, **self._settings.params}

    def read(self, event: Mapping[str, Any], usage: Usage) -> Iterator[Piece]:
        _count(event, usage)
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or choice.get("message") or {}
            if delta.get("content"):
                yield Piece(delta["content"], logprob=_logprob(choice.get("logprobs")))
            reason = choice.get("finish_reason")
            if reason:
                usage.ended = reason != "length"

    def healed(self, request: Request) -> str:  # noqa: ARG002  # the dialects' common shape
        """Nothing: a chat has no text before the cursor."""
        return ""


def _common(settings: HttpSettings, request: Request) -> dict[str, Any]:
    sampling = request.sampling
    body: dict[str, Any] = {
        "max_tokens": request.n_predict,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
    }
    if settings.model:
        body["model"] = settings.model
    if sampling.temperature > 0:
        body["seed"] = sampling.seed
    # Not OpenAI's, but known to all servers that people run themselves.
    if sampling.min_p > 0:
        body["min_p"] = sampling.min_p
    if sampling.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
    if sampling.grammar:
        body["grammar"] = sampling.grammar
    stops = [stop for stop in request.prompt.stop_texts if stop][:MOST_STOPS]
    if stops:
        body["stop"] = stops
    return body


def _count(event: Mapping[str, Any], usage: Usage) -> None:
    """Token counts, where the server tells; vLLM and llama-server also tell what was cached."""
    told = event.get("usage")
    if told:
        usage.n_prompt = told.get("prompt_tokens") or usage.n_prompt
        cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        usage.n_evaluated = usage.n_prompt - cached


def _logprob(told: Any) -> float | None:
    """The last token's, in OpenAI's old shape or in the chat's."""
    if not told:
        return None
    if told.get("token_logprobs"):
        value = told["token_logprobs"][-1]
    elif told.get("content"):
        value = told["content"][-1]["logprob"]
    else:
        return None
    return None if value is None else float(value)
