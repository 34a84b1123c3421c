"""llama.cpp's own server: our token ids in, tokens out, prompt cache on.

Fields as in tools/server/README.md of llama.cpp; checked against build 11669.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from fimls.engine.base import Request, Usage
from fimls.engine.http.client import Client
from fimls.errors import BadRequest
from fimls.fim import Piece
from fimls.vocabulary import ModelInfo

# Spellings of the tokens that llama.cpp counts as ends of generation, whatever the file
# says (llama-vocab.cpp, "maintain a list of tokens that cause end-of-generation").
# The server does not tell which of them a model has; each is looked up when asked about.
ENDS = frozenset(
    {
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>",
        "<|calls|>", "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>",
        "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>",
        "<｜end▁of▁sentence｜>", "<eos>", "<turn|>", "<|tool_response>", "[e~[",
        "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>",
        "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
    }
)  # fmt: skip

# Longer texts are tokenised again each time.
MOST_KEPT_CHARS = 200

# A prompt of which fewer tokens were evaluated tells the time of a batch, not a speed.
LEAST_MEASURED = 64

# No vocabulary learns these as plain text.
_MARKER = re.compile(
    r"<[|｜].+[|｜]>|<.*(fim|FIM).*>|\[(PREFIX|SUFFIX|MIDDLE)\]|<(PRE|SUF|MID|EOT)>"
)


class LlamaServer:
    """The dialect of ``/completion``, and of ``/infill`` where that was asked for."""

    def __init__(self, params: Mapping[str, Any], *, infill: bool) -> None:
        self.path = "/infill" if infill else "/completion"
        self.prompt_tokens_per_s: float | None = None
        self._infill = infill
        self._params = params

    def body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "n_predict": request.n_predict,
            "stream": True,
            "cache_prompt": True,
            "return_tokens": True,
            "return_progress": True,  # what the cache held; after each batch, what is evaluated
            "temperature": sampling.temperature,
            "top_k": 0,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "seed": sampling.seed,
        }
        if sampling.logit_bias:
            body["logit_bias"] = [[token, bias] for token, bias in sampling.logit_bias.items()]
        if request.logprobs:
            body["n_probs"] = 1
        if sampling.grammar:
            body["grammar"] = sampling.grammar
        if self._infill:
            body |= _parts(request)
        else:
            body |= self._prompt(request)
        return {**body, **self._params}

    def read(self, event: Mapping[str, Any], usage: Usage) -> Iterator[Piece]:
        progress = event.get("prompt_progress")
        if progress:
            usage.n_prompt = progress["total"]
            usage.n_evaluated = progress["total"] - progress["cache"]
            self._measure(progress["processed"] - progress["cache"], progress.get("time_ms", 0))
            return
        if event.get("stop"):
            usage.ended = event.get("stop_type") in {"eos", "word"}
        if event["content"] or event["tokens"]:
            logprob = None
            for probability in event.get("completion_probabilities", ())[-1:]:
                logprob = probability["logprob"]
            yield Piece(event["content"], (event["tokens"] or [-1])[-1], logprob)

    def healed(self, request: Request) -> str:
        """What the first tokens will spell again."""
        return "" if self._infill else request.prompt.heal

    def _measure(self, n_evaluated: int, time_ms: float) -> None:
        """Keep the speed of prompts: half of it the latest, as others' work makes it waver."""
        if self._infill or n_evaluated < LEAST_MEASURED or time_ms <= 0:
            return
        latest = n_evaluated / time_ms * 1000
        known = self.prompt_tokens_per_s or latest
        self.prompt_tokens_per_s = (known + latest) / 2

    @staticmethod
    def _prompt(request: Request) -> dict[str, Any]:
        prompt = request.prompt
        if not prompt.tokens:
            return {"prompt": prompt.text}
        if prompt.heal:
            # The first tokens must spell the tail; the stream takes it off again.
            grammar = f"root ::= {_literal(prompt.heal)} [\\x00-\\U0010FFFF]*"
            return {"prompt": list(prompt.tokens), "grammar": grammar}
        return {"prompt": list(prompt.tokens)}


def _literal(text: str) -> str:
    """``text`` as a GBNF string literal."""
    return '"' + "".join(f"\\U{ord(character):08X}" for character in text) + '"'


def _parts(request: Request) -> dict[str, Any]:
    window = request.prompt.window
    if window is None:
        raise BadRequest("this engine fills its own template and needs prefix and suffix")
    extra = [{"filename": chunk.path, "text": chunk.text} for chunk in request.prompt.chunks]
    return {
        "input_prefix": window.prefix,
        "input_suffix": window.suffix,
        "prompt": window.typed,
        "input_extra": extra,
    }


class RemoteVocabulary:
    """The vocabulary of llama-server's model, one question at a time, answers kept.

    Raises ``EngineUnreachable`` from every method while the server is away.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._props: Mapping[str, Any] | None = None
        # Lines of the windows around several cursors; asking costs a round trip.
        self._tokenize = lru_cache(maxsize=20_000)(self._ask_tokens)
        self.spelling = lru_cache(maxsize=20_000)(self._ask_spelling)
        self.marker = lru_cache(maxsize=1_000)(self._ask_marker)
        self.is_control = lru_cache(maxsize=20_000)(self._ask_is_control)

    @property
    def props(self) -> Mapping[str, Any]:
        if self._props is None:
            found: Mapping[str, Any] = self._client.fetch("/props")
            self._props = found
        return self._props

    @property
    def info(self) -> ModelInfo:
        settings = self._client.settings
        path = str(self.props.get("model_path", ""))
        name = settings.model or str(self.props.get("model_alias") or path)
        name = name.replace("\\", "/").rpartition("/")[2].removesuffix(".gguf")
        return ModelInfo(
            name=name,
            architecture="",
            path=path,
            metadata={"general.name": name},
            chat_template=str(self.props.get("chat_template", "")),
        )

    def tokenize(self, text: str) -> list[int]:
        return list(self._ids(text, False))

    def tokenize_markup(self, text: str) -> list[int]:
        return list(self._ids(text, True))

    def _ids(self, text: str, markup: bool) -> tuple[int, ...]:
        # Lines come again at every keystroke; a window's worth of text would fill the memory.
        ask = self._tokenize if len(text) <= MOST_KEPT_CHARS else self._ask_tokens
        return ask(text, markup)

    def _ask_tokens(self, text: str, markup: bool) -> tuple[int, ...]:
        if not text:
            return ()
        # The server's own default is to parse special tokens: source text must never be.
        asked = {"content": text, "add_special": False, "parse_special": markup}
        return tuple(self._client.fetch("/tokenize", asked)["tokens"])

    def _ask_spelling(self, token: int) -> str:
        return str(self._client.fetch("/detokenize", {"tokens": [token]})["content"])

    def _ask_marker(self, text: str) -> int | None:
        found = self._tokenize(text, True)
        alone = len(found) == 1 and self.spelling(found[0]) == text
        return found[0] if alone and self.is_control(found[0]) else None

    def _ask_is_control(self, token: int) -> bool:
        # A control token is what its own spelling gives when it is parsed as markup, only then.
        # User-defined tokens are matched in any text; those that look like markers count too.
        text = self.spelling(token)
        if self._tokenize(text, True) != (token,):
            return False
        return self._tokenize(text, False) != (token,) or bool(_MARKER.fullmatch(text))

    def is_end(self, token: int) -> bool:
        spelling = self.spelling(token)
        return spelling in ENDS or spelling == self.props.get("eos_token")

    @property
    def bos(self) -> int | None:
        text = self.props.get("bos_token")
        return self.marker(text) if isinstance(text, str) and text else None

    @property
    def add_bos(self) -> bool:
        asked = {"content": "a", "add_special": True, "parse_special": False}
        found = self._client.fetch("/tokenize", asked)["tokens"]
        return self.bos is not None and found[:1] == [self.bos]
