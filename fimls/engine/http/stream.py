"""A running generation at a server: pull a piece, and no more is read than it takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from fimls.cancel import Cancel
from fimls.engine.base import Request, Usage
from fimls.engine.http import events, failures
from fimls.engine.http.client import Answer, Client, Taken
from fimls.errors import EngineFailed
from fimls.fim import Piece


class Dialect(Protocol):
    """What one kind of server wants to be sent, and how its events read."""

    path: str

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """How fast prompts are evaluated, as the server tells; ``None`` where it does not."""

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of a request."""

    def read(self, event: Mapping[str, Any], usage: Usage) -> Iterator[Piece]:
        """The pieces in an event; keeps ``usage``, and sets its ``ended`` at an end."""

    def healed(self, request: Request) -> str:
        """Text that the server may generate although it stands before the cursor already."""


class HttpStream:
    """Implements ``fimls.engine.base.Stream``."""

    def __init__(self, client: Client, dialect: Dialect, request: Request, cancel: Cancel) -> None:
        self.usage = Usage(n_prompt=len(request.prompt.tokens))
        self._client = client
        self._dialect = dialect
        self._request = request
        self._cancel = cancel
        self._started_s = time.perf_counter()
        self._ready: deque[Piece] = deque()
        self._filter = StopFilter(request.prompt.stop_texts)
        self._healed = dialect.healed(request)
        self._over = False
        self._answer: Answer | None = None
        try:
            self._answer = client.send(dialect.path, self._body(), cancel)
        except Taken:
            self._over = True
        else:
            self._events = events.documents(client.who, self._answer.chunks(cancel))

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        if self._cancel.is_set():
            self.close()
        while not self._ready and not self._over:
            self._pull()
        if not self._ready:
            self.close()
            raise StopIteration
        usage = self.usage
        usage.n_generated += 1
        if usage.n_generated == 1:
            usage.t_first_token_ms = (time.perf_counter() - self._started_s) * 1000
        piece = self._ready.popleft()
        if usage.n_generated >= self._request.n_predict:
            self.close()  # some servers do not count as we do
        return piece

    def close(self) -> None:
        """Hang up; the server stops computing at its next token."""
        self._over = True
        self._ready.clear()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    def _body(self) -> dict[str, Any]:
        """What is sent. Raises ``Taken``."""
        return self._dialect.body(self._request)

    def _pull(self) -> None:
        """Take one event from the network.

        The server's own last event is not the end of its answer: counts may follow, and
        with the end of the body the connection is free for the next request.
        """
        try:
            event = next(self._events, None)
            if event is None:
                self._finish()
                return
            self._check(event)
            for piece in self._dialect.read(event, self.usage):
                if piece.token in self._request.prompt.stops or self._take(piece):
                    self.usage.ended = True
                    self._finish()
                    return
        except Taken:
            self.close()
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            self.close()
            raise EngineFailed(
                f"{self._client.who} answers in a form unknown to kind = "
                f'"{self._client.settings.kind}" ({error!r}); check kind and path'
            ) from error
        except BaseException:
            self.close()
            raise

    def _take(self, piece: Piece) -> bool:
        """Make a piece ready; whether a stop string ended the text in it."""
        text = piece.text
        if self._healed:
            # A grammar lets nothing else through; a server without one may begin otherwise.
            known = _common(self._healed, text)
            self._healed = self._healed[known:] if known == len(text) else ""
            text = text[known:]
        text = self._filter.feed(text)
        # A piece held back whole comes later, with the text that decides about it.
        if text or not piece.text:
            self._ready.append(Piece(text, piece.token, piece.logprob))
        return self._filter.met

    def _finish(self) -> None:
        """Nothing more will be read."""
        rest = self._filter.rest()
        if rest:
            self._ready.append(Piece(rest))
        self._over = True

    def _check(self, event: Any) -> None:
        if not isinstance(event, Mapping):
            raise EngineFailed(f"{self._client.who} sends JSON that is no event; check kind")
        error = event.get("error")
        if error:
            import json  # noqa: PLC0415  # the error path only

            said = self._client.settings.mask(failures.words(json.dumps({"error": error})))
            raise EngineFailed(f"{self._client.who} gave up: {said or 'no reason given'}")


class StopFilter:
    """Ends text at the first stop string, for servers that were sent it and did not.

    Text that may be the beginning of a stop string is held back until it is decided.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.met = False

    def feed(self, text: str) -> str:
        """As much of the text so far as can be shown now."""
        if not self._stops or self.met:
            return "" if self.met else text
        text = self._held + text
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.met, self._held = True, ""
            return text[: min(found)]
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """What was held back and turned out to be text."""
        rest, self._held = self._held, ""
        return "" if self.met else rest


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that begins ``stop`` without being all of it."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


def _common(one: str, other: str) -> int:
    """Length of the longest common beginning."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
