"""The engine's life in a session, as far as it needs no server."""

from __future__ import annotations

import asyncio

from fimls.config import Config
from fimls.errors import EngineFailed, FimlsError
from fimls.server.backend import Backend, Opened
from fimls.server.status import State, Status


def test_whatever_breaks_while_an_engine_is_opened_is_told_once() -> None:
    """Also what nobody thought of: silence would look like an engine with nothing to say."""
    told: list[Status] = []
    failed: list[FimlsError] = []

    async def load(_config: Config) -> Opened:
        raise ZeroDivisionError("by chance")

    async def ask() -> None:
        backend = Backend(load, told.append, failed.append)
        backend.use(Config())
        for _ in range(3):  # keys
            assert await backend.engine() is None

    asyncio.run(ask())
    [error] = failed
    assert isinstance(error, EngineFailed)
    assert "by chance" in str(error)
    assert told[0].state is State.LOADING
    assert told[-1].state is not State.LOADING
