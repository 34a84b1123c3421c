"""An engine of which all that it computes is added up, whatever becomes of it."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

from fimls.cancel import Cancel
from fimls.engine.around import AroundEngine, AroundStream
from fimls.engine.base import Engine, Request, Stream, Usage


@dataclass(frozen=True, slots=True)
class Computed:
    """What streams have cost, in tokens: of prompts, as far as no cache had them, and generated.

    Those that are over count, however they ended; ``n_running`` are not.
    """

    n_streams: int = 0
    n_running: int = 0
    n_evaluated: int = 0
    n_generated: int = 0


class Count:
    """Adds up what the engines of one server compute. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._so_far = Computed()

    @property
    def so_far(self) -> Computed:
        return self._so_far

    def facts(self) -> dict[str, int]:
        return asdict(self._so_far)

    def began(self) -> None:
        self._add(n_streams=1, n_running=1)

    def ended(self, request: Request, usage: Usage) -> None:
        # Given tokens are read in batches, and counted there.
        n_generated = 0 if request.given else usage.n_generated
        self._add(n_running=-1, n_evaluated=usage.n_evaluated, n_generated=n_generated)

    def _add(self, **more: int) -> None:
        with self._lock:
            known = asdict(self._so_far)
            self._so_far = Computed(**{name: n + more.get(name, 0) for name, n in known.items()})


class CountedEngine(AroundEngine):
    """``engine``; what its streams cost goes into ``count`` as soon as they are closed."""

    def __init__(self, engine: Engine, count: Count) -> None:
        super().__init__(engine)
        self._count = count

    def stream(self, request: Request, cancel: Cancel) -> Stream:
        stream = self._engine.stream(request, cancel)
        self._count.began()
        return _CountedStream(stream, request, self._count)


class _CountedStream(AroundStream):
    def __init__(self, stream: Stream, request: Request, count: Count) -> None:
        super().__init__(stream)
        self._request = request
        self._count = count
        self._is_open = True

    def close(self) -> None:
        super().close()
        if self._is_open:
            self._is_open = False
            self._count.ended(self._request, self._stream.usage)
