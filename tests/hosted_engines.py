"""Engines for hosts' processes: real ones behind the protocol, without a model.

``opening`` functions are named in an ``Opener`` as ``"tests.hosted_engines:…"``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from fimls.cancel import Cancel
from fimls.engine.base import Request, Usage
from fimls.errors import ModelMissing, OutOfMemory
from fimls.fim import Piece
from fimls.vocabulary import ModelInfo

Progress = Callable[[float], None]


class Counting:
    """Counts: each token is the number of the tokens before it, and takes ``pause_s``."""

    def __init__(self, pause_s: float = 0.0, crash_at: int = -1) -> None:
        self.pause_s = pause_s
        self.crash_at = crash_at
        self.n_ctx = 4096
        self.prompt_tokens_per_s: float | None = None
        self.vocabulary = Letters()

    def stream(self, request: Request, cancel: Cancel) -> CountingStream:
        if not request.prompt.tokens:
            raise OutOfMemory("no tokens, no engine; send some")
        return CountingStream(self, request, cancel)

    def close(self) -> None:
        """There is nothing to free."""


class CountingStream:
    def __init__(self, engine: Counting, request: Request, cancel: Cancel) -> None:
        self.usage = Usage(n_prompt=len(request.prompt.tokens), n_evaluated=1)
        self._engine, self._request, self._cancel = engine, request, cancel

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        number = self.usage.n_generated
        if self._cancel.wait(self._engine.pause_s) or number >= self._request.n_predict:
            raise StopIteration
        if number == self._engine.crash_at:
            os.kill(os.getpid(), signal.SIGSEGV)
        self.usage.n_generated += 1
        self._engine.prompt_tokens_per_s = 200.0  # now it is known
        return Piece(f"{number} ", number, -0.5)

    def close(self) -> None:
        """There is nothing to give back."""


class Letters:
    """A vocabulary of code points, with one control token."""

    bos, add_bos = 1, True
    info = ModelInfo("letters", "test", n_ctx_train=4096, metadata={"general.name": "letters"})

    def tokenize(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def tokenize_markup(self, text: str) -> list[int]:
        return [1] if text == "<s>" else self.tokenize(text)

    def marker(self, text: str) -> int | None:
        return 1 if text == "<s>" else None

    def spelling(self, token: int) -> str:
        return "<s>" if token == 1 else chr(token)

    def is_control(self, token: int) -> bool:
        return token == 1

    def is_end(self, token: int) -> bool:
        return token == 0


def counting(arguments: dict[str, Any], progress: Progress) -> Counting:
    progress(0.25)
    time.sleep(arguments.get("load_s", 0.0))
    progress(0.75)
    return Counting(arguments.get("pause_s", 0.0), arguments.get("crash_at", -1))


def missing(arguments: dict[str, Any], progress: Progress) -> Counting:
    raise ModelMissing(arguments["model"])


def dying(arguments: dict[str, Any], progress: Progress) -> Counting:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
