"""``fimls bench replay --check-text``: what is kept warm changes no text.

Sessions are played through the completer, on an engine that keeps sequences and states as
it does for a person. Then each prompt is computed again by an engine that has nothing, and
the tokens are compared, with their probabilities: bit for bit, so that a difference that
has not yet changed a text is seen as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from fimls.bench.sessions import Session
from fimls.cancel import Cancel
from fimls.completer import Completer
from fimls.config import CompletionOptions
from fimls.document import Snapshot
from fimls.engine.around import AroundEngine
from fimls.engine.base import Engine, Priority, Request, Stream, Usage, Vocabulary
from fimls.fim import Piece, Prompt, Segment, SegmentKind
from fimls.prompting import ChooseTemplate

# A person pauses now and then: after so many requests there is time to prepare a window.
PAUSE_EVERY = 5
# So that the prompts of a check do not depend on the machine it runs on.
PROMPT_TOKENS_PER_S = 200.0


@dataclass(frozen=True, slots=True)
class Take:
    """One generation as it was recorded."""

    session: str
    request: Request
    pieces: tuple[Piece, ...]
    usage: Usage


class Recorder(AroundEngine):
    """Keeps what the engine behind it generated; whoever opened that closes it."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.streams: list[RecordedStream] = []

    @property
    def prompt_tokens_per_s(self) -> float | None:
        return PROMPT_TOKENS_PER_S

    def stream(self, request: Request, cancel: Cancel) -> RecordedStream:
        request = replace(request, logprobs=True)
        self.streams.append(RecordedStream(request, self._engine.stream(request, cancel)))
        return self.streams[-1]


class RecordedStream:
    """Implements ``fimls.engine.base.Stream``."""

    def __init__(self, request: Request, stream: Stream) -> None:
        self.request = request
        self.pieces: list[Piece] = []
        self._stream = stream
        self.usage: Usage = stream.usage

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        self.pieces.append(next(self._stream))
        return self.pieces[-1]

    def close(self) -> None:
        self._stream.close()


def record(
    engine: Engine,
    options: CompletionOptions,
    choose_template: ChooseTemplate,
    sessions: Sequence[Session],
) -> Iterator[Take]:
    """Every generation of ``sessions``, as the completer asks for them one after another."""
    recorder = Recorder(engine)
    completer = Completer(recorder, options, choose_template)
    for session in sessions:
        uri = f"file:///bench/{session.name}/{session.path}"
        asked = (pair for pair in session.states() if pair[0].ask)
        for number, (event, text) in enumerate(asked, start=1):
            document = Snapshot(uri, session.language, number, text, session.path)
            completer.complete(document, event.cursor, Cancel())
            if number % PAUSE_EVERY == 0:
                completer.prepare(document, event.cursor, Cancel())
            for stream in recorder.streams:
                yield Take(session.name, stream.request, tuple(stream.pieces), stream.usage)
            recorder.streams.clear()


def computed_cold(takes: Sequence[Take], cold: Engine) -> Iterator[tuple[Take, bool]]:
    """Each of ``takes``, and whether ``cold`` computes just the same.

    ``cold`` has one sequence and keeps no states.
    """
    for take in takes:
        assert cold.vocabulary is not None
        _generate(cold, _something_else(cold.vocabulary, take.request), 1)
        # Where the model ended, it has to end again.
        pieces = _generate(cold, take.request, len(take.pieces) + take.usage.ended)
        yield take, pieces == take.pieces


def _generate(engine: Engine, request: Request, n_pieces: int) -> tuple[Piece, ...]:
    stream = engine.stream(request, Cancel())
    try:
        return tuple(islice(stream, n_pieces))
    finally:
        stream.close()


def _something_else(vocabulary: Vocabulary, request: Request) -> Request:
    """A request that shares no beginning with ``request``, so that nothing of it is warm."""
    first = request.prompt.tokens[0]
    token = next(token for token in vocabulary.tokenize("\n x") if token != first)
    return Request(Prompt((Segment(SegmentKind.SOURCE, "", (token,)),)), 1, priority=Priority.IDLE)
