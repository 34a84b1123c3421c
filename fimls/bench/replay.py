"""``fimls bench replay``: recorded typing against a language server, and against the peer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fimls.bench.editor import Editor
from fimls.bench.family import cpu_s, rss_mb
from fimls.bench.peer import Peer
from fimls.bench.records import Cost, Record
from fimls.bench.sessions import Event, Pace, Session

OURS, PEER = "server", "peer"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is replayed. ``command`` starts the server; an empty ``peer`` means none."""

    sessions: Sequence[Session]
    command: Sequence[str]
    peer: str
    model: Path
    n_threads: int
    n_ctx: int
    pace: Pace


@dataclass(slots=True)
class Outcome:
    """Everything that was measured, in the order in which it was."""

    records: list[Record] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    def of(self, server: str) -> tuple[list[Record], list[Cost]]:
        return (
            [record for record in self.records if record.server == server],
            [cost for cost in self.costs if cost.server == server],
        )


async def replay(plan: Plan, outcome: Outcome) -> AsyncIterator[str]:
    """Replay all sessions side by side into ``outcome``; yields the name of each one done.

    Both servers are up during the whole run and only one works at a time; who goes first
    changes with every session.
    """
    async with contextlib.AsyncExitStack() as stack:
        editor = await stack.enter_async_context(Editor.start(plan.command, Path.cwd()))
        peer = None
        if plan.peer:
            peer = stack.enter_context(
                Peer.start(plan.peer, plan.model, plan.n_threads, plan.n_ctx)
            )
        await _warm_up(editor, peer)
        for number, session in enumerate(plan.sessions):
            players = [OURS, PEER] if number % 2 == 0 else [PEER, OURS]
            for player in players:
                if player == OURS:
                    await _measure(outcome, session, editor, plan)
                elif peer is not None:
                    await _measure(outcome, session, peer, plan)
            yield session.name


async def _measure(outcome: Outcome, session: Session, player: Editor | Peer, plan: Plan) -> None:
    """A session from one end to the other, until nothing is computed for it any more."""
    meter = partial(cpu_s, player.pid)
    n_before, before_s = await _computed(player), meter()
    if isinstance(player, Editor):
        name = OURS
        records = await player.play(session, name, plan.pace, meter)
    else:
        name = PEER
        records = await asyncio.to_thread(player.play, session, name, plan.pace, meter)
    n_after = await _computed(player)
    n_tokens = [
        None if before is None or after is None else after - before
        for before, after in zip(n_before, n_after, strict=True)
    ]
    outcome.records.extend(records)
    outcome.costs.append(
        Cost(session.name, name, meter() - before_s, rss_mb(player.pid), *n_tokens)
    )


async def _computed(player: Editor | Peer) -> tuple[int | None, int | None]:
    if isinstance(player, Editor):
        return await player.computed()
    return await asyncio.to_thread(player.computed)


async def _warm_up(editor: Editor, peer: Peer | None) -> None:
    """Loading the model is no part of typing: one short document for each, not recorded."""
    tiny = Session("warm-up", "python", "warm.py", "x = 1\ny = \n", (Event(0, 10),))
    await editor.play(tiny, OURS, Pace.WHOLE)
    if peer is not None:
        await asyncio.to_thread(peer.play, tiny, PEER, Pace.WHOLE)
