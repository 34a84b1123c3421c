"""The load test: people are processes, and what they wait is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fimls.bench.load import percentile
from tests.tiny_server import TinyServer

SETTINGS = """
[completion]
engine = "team"
template = "qwen2.5-coder"

[engines.team]
kind = "openai"
url = "http://127.0.0.1:{port}"
"""


def test_counts_what_people_wait_for_one_server(tmp_path: Path) -> None:
    """One person, then two, at full speed: every key is a request, answered by the same server."""
    config, out = tmp_path / "config.toml", tmp_path / "out.json"
    command = [sys.executable, "-m", "fimls", "bench", "load", "--config", str(config)]
    options = ["--people", "1,2", "--events", "6", "--pace", "full", "--json", str(out)]
    with TinyServer([{"choices": [{"text": "value"}]}], pause_s=0.02) as server:
        config.write_text(SETTINGS.format(port=server.port))
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = json.loads(out.read_text())
    assert (one["n_people"], two["n_people"]) == (1, 2)
    assert two["n_requests"] == 2 * one["n_requests"] > 0
    assert two["t_p99_ms"] >= two["t_p50_ms"] > 0
    assert len(done.stdout.splitlines()) == 3
    assert server.paths.count("/v1/completions") >= 3
    assert len(server.ports) >= 3  # a connection for each person at least


def test_nobody_loads_a_model_for_each_person() -> None:
    """The embedded engine would be loaded N times: refused, with the way out."""
    command = [sys.executable, "-m", "fimls", "bench", "load", "--people", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'engine.process = "shared"' in done.stderr


def test_percentiles_are_observed_values() -> None:
    assert percentile([], 50) is None
    assert [percentile([4.0, 1.0, 3.0, 2.0], p) for p in (50, 90, 99)] == [2.0, 4.0, 4.0]
