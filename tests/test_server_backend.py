"""The engine's life in a session, as far as it needs no server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from fimls.config import Config
from fimls.errors import EngineFailed, FimlsError, ModelMissing, ModelRefused, ModelUnusable
from fimls.server import backend as module
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


@pytest.mark.parametrize(
    ("error", "n_loads"),
    [
        (ModelMissing("tiny"), 5),  # every two seconds: somebody may have pulled it
        (ModelRefused("cannot fill in the middle"), 2),  # half a gigabyte was loaded to know that
        (ModelUnusable("llama.cpp cannot run it"), 2),
    ],
)
def test_what_costs_a_load_is_tried_less_often(
    error: FimlsError, n_loads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds of typing with an engine that cannot be had."""
    loads: list[float] = []
    now_s = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now_s))

    async def load(_config: Config) -> Opened:
        loads.append(now_s)
        raise error

    async def type_for_ten_seconds() -> None:
        nonlocal now_s
        backend = Backend(load, lambda _: None, lambda _: None)
        backend.use(Config())
        now_s = module.RETRY_ENGINE_S  # never tried before
        for _ in range(50):
            assert await backend.engine() is None
            now_s += 0.2

    asyncio.run(type_for_ten_seconds())
    assert len(loads) == n_loads
