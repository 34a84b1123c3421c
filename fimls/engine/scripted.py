"""A fake model with a real engine's manners, for tests and demos.

It answers what its script says, token by token and as slowly as told, and
honours everything that a request may ask: ``n_predict``, stops, healing, cancel,
usage. Its vocabulary carries the FIM markers of Qwen2.5-Coder, so the shipped
template of that family fits it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fimls.cancel import Cancel
from fimls.engine.base import ModelInfo, Request, Usage
from fimls.errors import BadRequest, ConfigError, EngineFailed
from fimls.fim import Piece, Prompt

# Ids as in Qwen2.5-Coder's own vocabulary (its tokenizer_config.json).
MARKERS: Mapping[str, int] = {
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<|fim_prefix|>": 151659,
    "<|fim_middle|>": 151660,
    "<|fim_suffix|>": 151661,
    "<|fim_pad|>": 151662,
    "<|repo_name|>": 151663,
    "<|file_sep|>": 151664,
}
# ChatML, which that family chats in.
_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_ENDS = frozenset(MARKERS[m] for m in ("<|endoftext|>", "<|im_end|>"))
# Words are numbered as they come, above every id that the real vocabulary has.
_FIRST_WORD = 200_000
# Small pieces, as a real vocabulary makes them: indentation, parts of words, single signs.
_WORD = re.compile(r"\n+|[ \t\r]+|\w{1,5}|.", re.DOTALL)
_MARKUP = re.compile("|".join(re.escape(marker) for marker in MARKERS))

Script = str | Mapping[str, str] | Callable[[Prompt], str]

MOST_REQUESTS = 100  # that are kept


class ScriptedVocabulary:
    """Numbers words as they come; implements ``fimls.engine.base.Vocabulary``."""

    def __init__(self, name: str = "scripted") -> None:
        self._info = ModelInfo(
            name=name,
            architecture="scripted",
            n_ctx_train=32768,
            metadata={"tokenizer.ggml.eos_token_id": str(MARKERS["<|im_end|>"])},
            chat_template=_CHAT,
        )
        self._lock = threading.Lock()
        self._words: list[str] = []
        self._ids: dict[str, int] = {}
        self._spellings = {token: marker for marker, token in MARKERS.items()}

    @property
    def info(self) -> ModelInfo:
        return self._info

    def tokenize(self, text: str) -> list[int]:
        return [self._number(word) for word in _WORD.findall(text)]

    def tokenize_markup(self, text: str) -> list[int]:
        tokens: list[int] = []
        start = 0
        for match in _MARKUP.finditer(text):
            tokens += [*self.tokenize(text[start : match.start()]), MARKERS[match[0]]]
            start = match.end()
        return tokens + self.tokenize(text[start:])

    def marker(self, text: str) -> int | None:
        return MARKERS.get(text)

    def spelling(self, token: int) -> str:
        marker = self._spellings.get(token)
        return self._words[token - _FIRST_WORD] if marker is None else marker

    def is_control(self, token: int) -> bool:
        return token < _FIRST_WORD

    def is_end(self, token: int) -> bool:
        return token in _ENDS

    @property
    def bos(self) -> int | None:
        return None

    @property
    def add_bos(self) -> bool:
        return False

    def _number(self, word: str) -> int:
        with self._lock:
            if word not in self._ids:
                self._ids[word] = _FIRST_WORD + len(self._words)
                self._words.append(word)
            return self._ids[word]


class ScriptedEngine:
    """Answers from a script; implements ``fimls.engine.base.Engine``.

    ``script`` is one answer for everything, a function of the prompt, or a
    mapping from what a prompt's text contains to the answer: the longest key
    found decides, and a prompt without any is answered by an end token. Answers
    are texts for the cursor, so what ``heal`` covers is not part of them, and of
    the first and the last kind only what was not *begun* before is written; an
    end-token spelling inside one ends it there. ``requests`` keeps what was asked
    last. ``prompt_tokens_per_s`` is a speed to pretend; ``None`` is that of a server which does
    not tell. ``prepares_ahead`` is as in the protocol.
    """

    def __init__(
        self,
        script: Script,
        *,
        delay_ms: float = 0.0,
        n_ctx: int = 4096,
        name: str = "scripted",
        prompt_tokens_per_s: float | None = None,
        prepares_ahead: bool = True,
    ) -> None:
        self._script = script
        self._delay_ms = delay_ms
        self._n_ctx = n_ctx
        self.prompt_tokens_per_s = prompt_tokens_per_s
        self.prepares_ahead = prepares_ahead
        self._vocabulary = ScriptedVocabulary(name)
        self._warm: tuple[int, ...] = ()
        self._closed = False
        self.requests: list[Request] = []

    @property
    def vocabulary(self) -> ScriptedVocabulary:
        return self._vocabulary

    @property
    def n_ctx(self) -> int:
        return self._n_ctx

    def stream(self, request: Request, cancel: Cancel) -> ScriptedStream:
        if self._closed:
            raise EngineFailed("the scripted engine is closed")
        tokens = request.prompt.tokens
        if len(tokens) >= self._n_ctx:
            raise BadRequest(
                f"the prompt has {len(tokens)} tokens and n_ctx is {self._n_ctx}: "
                "shorten the window or raise n_ctx"
            )
        if request.given:
            raise BadRequest("the scripted engine weighs no text")
        self.requests.append(request)
        del self.requests[:-MOST_REQUESTS]
        n_common = _common_prefix(self._warm, tokens)
        self._warm = tokens
        usage = Usage(n_prompt=len(tokens), n_evaluated=max(1, len(tokens) - n_common))
        answer = self._vocabulary.tokenize_markup(self._answer(request.prompt))
        return ScriptedStream(self._vocabulary, answer, request, cancel, usage, self._delay_ms)

    def close(self) -> None:
        self._closed = True

    def _answer(self, prompt: Prompt) -> str:
        if callable(self._script):
            return self._script(prompt)
        if isinstance(self._script, str):
            return _unwritten(self._script, prompt)
        keys = [key for key in self._script if key in prompt.text]
        return _unwritten(self._script[max(keys, key=len)], prompt) if keys else ""


class ScriptedStream:
    """Implements ``fimls.engine.base.Stream``."""

    def __init__(
        self,
        vocabulary: ScriptedVocabulary,
        answer: list[int],
        request: Request,
        cancel: Cancel,
        usage: Usage,
        delay_ms: float,
    ) -> None:
        self._started = time.perf_counter()
        self._vocabulary = vocabulary
        self._answer = iter(answer)
        self._request = request
        self._cancel = cancel
        self._delay_ms = delay_ms
        self._closed = False
        self.usage = usage

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        if self._is_over() or self._cancel.wait(self._delay_ms / 1000):
            raise StopIteration
        token = next(self._answer, None)
        if token is None or self._vocabulary.is_control(token):
            self.usage.ended = self._closed = True
            raise StopIteration
        self.usage.n_generated += 1
        if self.usage.n_generated == 1:
            self.usage.t_first_token_ms = (time.perf_counter() - self._started) * 1000
        confidence = 0.0 if self._request.logprobs else None
        return Piece(self._vocabulary.spelling(token), token, confidence)

    def close(self) -> None:
        self._closed = True

    def _is_over(self) -> bool:
        is_full = self.usage.n_generated >= self._request.n_predict
        return self._closed or is_full or self._cancel.is_set()


def open_scripted(name: str, table: Mapping[str, Any]) -> ScriptedEngine:
    """The engine of an ``[engines.NAME]`` table with ``kind = "scripted"``.

    ``answer`` is given always; a table ``answers`` maps what a prompt contains to the
    answer; ``delay_ms`` passes before each token; ``prompt_tokens_per_s`` is a speed to
    pretend. Raises ``ConfigError``.
    """
    kinds: dict[str, tuple[type, ...]] = {
        "answer": (str,),
        "answers": (Mapping,),
        "delay_ms": (int, float),
        "n_ctx": (int,),
        "prompt_tokens_per_s": (int, float),
    }
    for key, value in table.items():
        if key != "kind" and not isinstance(value, kinds.get(key, ())):
            known = ", ".join(kinds)
            raise ConfigError(f"engines.{name}.{key} = {value!r} is mistaken; keys are {known}")
    script = table.get("answers", table.get("answer", ""))
    return ScriptedEngine(
        script,
        delay_ms=table.get("delay_ms", 0.0),
        n_ctx=table.get("n_ctx", 4096),
        prompt_tokens_per_s=table.get("prompt_tokens_per_s"),
    )


def _unwritten(answer: str, prompt: Prompt) -> str:
    """What is left of an answer of which some was begun, and some of that typed meanwhile."""
    window = prompt.window
    if window is not None and window.begun:
        for n_written in range(len(answer), len(window.begun) - 1, -1):
            if window.typed.endswith(answer[:n_written]):
                return answer[n_written:]
    return answer


def _common_prefix(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))
