"""The commands a newcomer starts with: each has a target, and ``make help`` names it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGETS = {
    "setup": "pip install",
    "demo": "fimls complete",
    "test": "-m pytest",
    "lint": "mypy",
    "bench": "fimls bench replay",
    "eval": "fimls eval infilling",
}


def make(*arguments: str) -> str:
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def recipe(*arguments: str) -> str:
    """What would be run, if nothing had been made yet."""
    return make("--always-make", "--dry-run", *arguments)


@pytest.mark.parametrize(("target", "command"), TARGETS.items())
def test_a_target_each(target: str, command: str) -> None:
    assert any(line.split()[0] == target for line in make("help").splitlines())
    assert command in recipe(target)


def test_the_peer_of_a_benchmark_is_asked_for_where_there_is_one() -> None:
    assert "--peer /opt/llama-server --json" in recipe("bench", "PEER=/opt/llama-server")
    assert "--peer" not in recipe("bench", "PEER=")
