"""All that an engine computes is counted, whatever becomes of it."""

from __future__ import annotations

import pytest

from fimls.cancel import Cancel
from fimls.engine.base import Given, Request
from fimls.engine.counted import Computed, Count, CountedEngine
from fimls.engine.scripted import ScriptedEngine
from fimls.errors import BadRequest
from fimls.fim import Prompt, Segment, SegmentKind

ANSWER = "a b c d"


def asking(engine: CountedEngine, n_predict: int = 100) -> Request:
    vocabulary = engine.vocabulary
    assert vocabulary is not None
    tokens = tuple(vocabulary.tokenize("x = "))
    return Request(Prompt((Segment(SegmentKind.SOURCE, "x = ", tokens),)), n_predict)


@pytest.mark.parametrize(
    ("n_pulled", "cancels"),
    [(0, False), (2, False), (2, True), (100, False)],
    ids=["never begun", "closed", "taken back", "to its end"],
)
def test_every_stream_counts_however_it_ends(n_pulled: int, cancels: bool) -> None:
    """As soon as it is closed, and once."""
    count, cancel = Count(), Cancel()
    engine = CountedEngine(ScriptedEngine(ANSWER), count)
    stream = engine.stream(asking(engine), cancel)
    assert count.so_far == Computed(n_streams=1, n_running=1)
    for _ in range(n_pulled):
        next(stream, None)
    if cancels:
        cancel.set()
        assert next(stream, None) is None
    stream.close()
    stream.close()
    usage = stream.usage
    assert usage.n_evaluated > 0
    assert count.so_far == Computed(1, 0, usage.n_evaluated, usage.n_generated)
    assert (usage.n_generated > 0) == (n_pulled > 0)


def test_streams_add_up() -> None:
    count = Count()
    engine = CountedEngine(ScriptedEngine(ANSWER), count)
    for _ in range(3):
        stream = engine.stream(asking(engine, n_predict=2), Cancel())
        assert len(list(stream)) == 2
        stream.close()
    assert count.so_far.n_streams == 3
    assert count.so_far.n_generated == 6
    assert count.facts()["n_generated"] == 6


def test_what_was_refused_does_not_run() -> None:
    count = Count()
    engine = CountedEngine(ScriptedEngine(ANSWER), count)
    given = Request(asking(engine).prompt, 1, given=(Given(7),))
    with pytest.raises(BadRequest):
        engine.stream(given, Cancel())
    assert count.so_far == Computed()


class Hosted(ScriptedEngine):
    """As one in a process of its own, that answers for another."""

    host_pid = 7
    condition = "the local model answers"


def test_it_is_what_the_engine_behind_it_is() -> None:
    """A pause depends on what that process uses, a status line on that condition."""
    plain, hosted = (CountedEngine(engine, Count()) for engine in (ScriptedEngine(""), Hosted("")))
    assert (plain.host_pid, plain.condition) == (None, "")
    assert (hosted.host_pid, hosted.condition) == (7, "the local model answers")
