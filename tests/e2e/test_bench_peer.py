"""The peer of the benchmarks is the real one: llama-server, as an editor's plugin drives it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import servers

from editors import install
from fimls.bench.family import cpu_s
from fimls.bench.peer import Peer
from fimls.bench.sessions import Event, Pace, Session

pytestmark = pytest.mark.model

TEXT = "def add(a, b):\n    \n"
# A place, a key there, the same place again (which its client remembers), text behind the cursor.
# The key is one that no model's answer begins with: one that it does is answered from the cache.
EVENTS = (Event(0, 19), Event(0, 19, 0, "\N{SNOWMAN}"), Event(0, 19, 1), Event(0, 2))


def test_it_tells_what_it_computes(default_model: Path) -> None:
    """Its own count of tokens is what its answers say: it computes for nobody else."""
    try:
        program = servers.llama_server()
    except install.Missing as missing:
        pytest.skip(f"LLAMA-SERVER IS MISSING: {missing}")
    with Peer.start(program, default_model, 1, 2048) as peer:
        assert peer.computed() == (0, 0)
        session = Session("tiny", "python", "a.py", TEXT, EVENTS)
        records = peer.play(session, "peer", Pace.FULL, partial(cpu_s, peer.pid))
        assert [record.cached for record in records] == [False, False, True]
        evaluated, generated = peer.computed()
    assert evaluated == sum(record.n_evaluated or 0 for record in records) > 0
    assert generated == sum(record.n_generated or 0 for record in records) > 0
    assert sum(record.cpu_s or 0 for record in records) > 0
    assert not any(record.part for record in records)
