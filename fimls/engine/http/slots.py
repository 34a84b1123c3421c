"""llama-server's slots: a prompt that was taken back is gone on with where it was being read.

llama-server looks once a second whether a client has hung up, and until then its slot is
busy: the next request, nearly the same prompt, would get another slot, which knows nothing of
it, and both would be read at the same time. So it names the slot, and waits for it. No answer
tells its slot before its end, but ``/slots`` shows the parameters of what runs, or ran last, in
each; at temperature 0 a seed changes nothing, so there it is the name of a request.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.engine.http.client import Client
from fimls.engine.http.stream import Dialect, HttpStream
from fimls.errors import EngineFailed, EngineUnreachable
from fimls.fim import Piece

# A prompt goes on with another one with which it has so much in common. Waiting for a busy slot
# must pay, so it is more than the tenth for which llama-server takes a free one.
LEAST_ALIKE = 0.5
# Of a completion, of a review, and of places that were left before they were read.
MOST_UNREAD = 4


@dataclass(frozen=True, slots=True)
class _Unread:
    """A prompt that was sent, time and again with more at its end, and gave no token yet."""

    tokens: Sequence[int]
    sent: tuple[tuple[int, Cancel], ...]  # by their seeds, and whether they were taken back

    def goes_on_in(self, tokens: Sequence[int]) -> bool:
        pairs = enumerate(zip(self.tokens, tokens, strict=False))
        n_alike = next((n for n, (a, b) in pairs if a != b), min(len(self.tokens), len(tokens)))
        return n_alike > LEAST_ALIKE * len(tokens)


class Slots:
    """Which prompts are being read at a server, for us or by now for nobody. Thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seeds = itertools.count(random.randrange(1 << 30))  # noqa: S311  # unlike others'
        self._unread: list[_Unread] = []
        self._are_shown = True
        self._lock = threading.Lock()

    def find(self, tokens: Sequence[int], cancel: Cancel) -> int | None:
        """The slot where a prompt that goes on in this one is read for nobody. Raises ``Taken``."""
        with self._lock:
            sent = [pair for one in self._unread if one.goes_on_in(tokens) for pair in one.sent]
        seeds = {seed for seed, taken_back in sent if taken_back.is_set()}
        if not seeds or not self._are_shown:
            return None
        try:
            for slot in self._client.fetch("/slots", cancel=cancel):
                if slot.get("params", {}).get("seed") in seeds:
                    return int(slot["id"])
        except EngineUnreachable:
            pass  # the request itself will tell
        except (EngineFailed, KeyError, TypeError, AttributeError):
            self._are_shown = False  # --no-slots, a balancer that hides them, an old server
        return None

    def is_sent(self, tokens: Sequence[int], cancel: Cancel) -> int:
        """A prompt will be read; the seed it is to be known by."""
        with self._lock:
            seed = next(self._seeds)
            begun = [one for one in self._unread if one.goes_on_in(tokens)]
            others = [one for one in self._unread if one not in begun]
            sent = (*(pair for one in begun for pair in one.sent), (seed, cancel))
            self._unread = [_Unread(tokens, sent), *others][:MOST_UNREAD]
            return seed

    def is_read(self, tokens: Sequence[int]) -> None:
        """It gave a token: from then on the server notices at once who hangs up."""
        with self._lock:
            self._unread = [one for one in self._unread if not one.goes_on_in(tokens)]


class SlotStream(HttpStream):
    """A stream that waits for the slot in which its prompt was begun to be read."""

    def __init__(
        self, slots: Slots, client: Client, dialect: Dialect, request: Request, cancel: Cancel
    ) -> None:
        self._slots = slots
        self._is_read = False
        super().__init__(client, dialect, request, cancel)

    def __next__(self) -> Piece:
        try:
            return super().__next__()
        finally:
            if not self._is_read and (self.usage.n_generated or self.usage.ended):
                self._is_read = True
                self._slots.is_read(self._request.prompt.tokens)

    def _body(self) -> dict[str, Any]:
        tokens = self._request.prompt.tokens
        slot = self._slots.find(tokens, self._cancel)
        body = {**super()._body(), "seed": self._slots.is_sent(tokens, self._cancel)}
        return body if slot is None else {**body, "id_slot": slot}
