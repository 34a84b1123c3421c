"""The load test: people are processes, and what they wait is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fimls.bench.load import percentile

SETTINGS = """
[completion]
engine = "slow"
template = "qwen2.5-coder"

[engines.slow]
kind = "scripted"
answer = "value"
delay_ms = 20
"""


def test_counts_what_people_wait(tmp_path: Path) -> None:
    """Two people at full speed: every key is a request, and none is answered in no time."""
    config, out = tmp_path / "config.toml", tmp_path / "out.json"
    config.write_text(SETTINGS)
    command = [sys.executable, "-m", "fimls", "bench", "load", "--config", str(config)]
    options = ["--people", "1,2", "--events", "6", "--pace", "full", "--json", str(out)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = json.loads(out.read_text())
    assert (one["n_people"], two["n_people"]) == (1, 2)
    assert two["n_requests"] == 2 * one["n_requests"] > 0
    assert two["t_p50_ms"] is None or two["t_p99_ms"] >= two["t_p50_ms"] >= 15
    assert len(done.stdout.splitlines()) == 3


def test_nobody_loads_a_model_for_each_person() -> None:
    """The embedded engine would be loaded N times: refused, with the way out."""
    command = [sys.executable, "-m", "fimls", "bench", "load", "--people", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'engine.process = "shared"' in done.stderr


def test_percentiles_are_observed_values() -> None:
    assert percentile([], 50) is None
    assert [percentile([4.0, 1.0, 3.0, 2.0], p) for p in (50, 90, 99)] == [2.0, 4.0, 4.0]
