"""``fimls bench engine``: each part measures what it says, on the real thing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from fimls.bench import engine as bench
from fimls.bench.engine import Figure
from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.engine.embedded import EmbeddedSettings, open_embedded


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (Figure("a", 1.0, "ms", 2.0), True),
        (Figure("a", 2.5, "ms", 2.0), False),
        (Figure("a", 2.5, "ms"), None),
        (Figure("a", None, "ms", 2.0, "no model"), None),
    ],
)
def test_targets(figure: Figure, expected: bool | None) -> None:
    assert figure.is_met is expected


def test_the_watcher_on_a_long_file() -> None:
    """Its share is of a token's time; without one it is said that it is not known."""
    found = {figure.name: figure for figure in bench.watching(25.0)}
    each, first, first_share, again, again_share = (figure.value for figure in found.values())
    assert first > again > each > 0, "what was read before the cursor is not read again"
    assert first_share == pytest.approx(100 * (each + first / 20) / 25.0)
    assert again_share == pytest.approx(100 * (each + again / 20) / 25.0)
    *_, unknown = bench.watching(None)
    assert unknown.value is None
    assert unknown.why


@pytest.mark.model
def test_the_loop_and_cancelling(default_model: Path) -> None:
    """The bare loop computes the same text as ours, and each cancel ends its stream."""
    engine = open_embedded(default_model, EmbeddedSettings(n_ctx=1024, n_sequences=1))
    try:
        tokens = bench.code_tokens(engine)
        prompt = tokens[:33]
        bare = engine.bare(256)
        try:
            theirs = [bare.begin(prompt)]
            while len(theirs) < 5:
                theirs.append(bare.next(theirs[-1]))
            assert bare.batch_ms(prompt[:4]) > 0
            assert bare.next(theirs[-1]) >= 0  # what was evaluated at once is forgotten
        finally:
            bare.close()
        stream = engine.stream(Request(bench._prompt(prompt), 5), Cancel())
        assert [piece.token for piece in stream] == theirs
        found = [
            *bench.loop(engine, tokens, 3, n_prompt=32),
            *bench.cancelling(engine, tokens[:400], 1, target_ms=20.0),
        ]
    finally:
        engine.close()
    for figure in found:
        assert figure.value is not None or figure.why, figure


async def test_a_servers_delay_while_it_works(tmp_path: Path) -> None:
    """Measured on a real server whose scripted model takes its time for each token."""
    config = tmp_path / "user.toml"
    config.write_text(
        '[completion]\nengine = "slow"\ntemplate = "qwen2.5-coder"\n'
        '[engines.slow]\nkind = "scripted"\n'
        f"answer = {json.dumps('x = [' + '1, ' * 40)}\ndelay_ms = 5\n"
    )
    command = [sys.executable, "-m", "fimls", "--stdio", "--config", str(config)]
    found = await bench.lag("there", command, 10)
    assert [figure.value is not None for figure in found] == [True] * 4
    assert "while the engine works there" in found[-1].name
