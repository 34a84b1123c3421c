"""A team's set-up: deploy/nginx.conf in front of servers, with the real nginx."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import free_port

from editors import install
from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.engine.http import HttpEngine, HttpSettings, open_http_engine
from fimls.fim import Prompt, Segment, SegmentKind
from tests.tiny_server import TinyServer

CONFIGURATION = Path(__file__).parents[2] / "deploy/nginx.conf"
PROMPT = Prompt((Segment(SegmentKind.SOURCE, "x = "),))


@pytest.fixture(scope="module")
def nginx() -> str:
    found = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(found).exists():
        try:
            install._system("nginx-light")
        except install.Missing as missing:
            pytest.skip(f"NGINX IS MISSING: {missing}")
    return found


@pytest.fixture
def team(nginx: str, tmp_path: Path) -> Iterator[tuple[HttpEngine, list[TinyServer]]]:
    """Two servers, the balancer, and somebody's engine."""
    events: list[Any] = [
        {"choices": [{"text": f"{n} ", "finish_reason": None}]} for n in range(400)
    ]
    with ExitStack() as stack:
        servers = [stack.enter_context(TinyServer(events, pause_s=0.01)) for _ in range(2)]
        port = free_port()
        text = CONFIGURATION.read_text().replace("listen 8080", f"listen 127.0.0.1:{port}")
        for number, server in enumerate(servers, start=1):
            server.documents["/v1/models"] = {}
            text = text.replace(f"llama-{number}:8080", f"127.0.0.1:{server.port}")
        path = tmp_path / "nginx.conf"
        path.write_text(text)
        settings = f"daemon off; pid {tmp_path}/pid; error_log stderr warn;"
        if os.geteuid() == 0:
            settings += " user root;"
        process = subprocess.Popen([nginx, "-c", str(path), "-p", str(tmp_path), "-g", settings])
        stack.callback(process.wait)
        stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"
        wait_for(url)
        for server in servers:
            server.paths.clear()
        table = {"kind": "openai", "url": url, "retries": 1}
        yield open_http_engine(HttpSettings.from_table("team", table)), servers


def wait_for(url: str) -> None:
    end = time.monotonic() + 30
    while not answers(url):
        assert time.monotonic() < end, "nginx does not start"
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        httpx.get(f"{url}/v1/models")
    except httpx.TransportError:
        return False
    return True


def generate(engine: HttpEngine, n_predict: int) -> str:
    stream = engine.stream(Request(PROMPT, n_predict), Cancel())
    try:
        return "".join(piece.text for piece in stream)
    finally:
        stream.close()


def test_tokens_come_as_they_are_made(team: tuple[HttpEngine, list[TinyServer]]) -> None:
    """Nothing waits in the balancer: the first token is here long before the last is made."""
    engine, _ = team
    stream = engine.stream(Request(PROMPT, 400), Cancel())
    next(stream)
    assert stream.usage.t_first_token_ms < 3000  # all 400 take four seconds and more
    stream.close()


def test_the_same_person_comes_to_the_same_server(
    team: tuple[HttpEngine, list[TinyServer]],
) -> None:
    """Whose prompt cache is warm."""
    engine, servers = team
    for _ in range(6):
        assert generate(engine, 2) == "0 1 "
    assert sorted(len(server.paths) for server in servers) == [0, 6]


def test_people_behind_one_proxy_are_spread(team: tuple[HttpEngine, list[TinyServer]]) -> None:
    """Whoever ends TLS says who asks; each of them stays where they were."""
    engine, servers = team
    counts = []
    for _ in range(2):
        for person in range(12):
            forwarded = {"X-Forwarded-For": f"10.0.0.{person}"}
            generate(open_http_engine(replace(engine.settings, headers=forwarded)), 1)
        counts.append([len(server.paths) for server in servers])
    assert min(counts[0]) > 0
    assert counts[1] == [2 * n for n in counts[0]]


def test_hanging_up_reaches_the_server(team: tuple[HttpEngine, list[TinyServer]]) -> None:
    """A person who goes on typing frees the server behind the balancer."""
    engine, servers = team
    generate(engine, 2)
    [server] = [server for server in servers if server.paths]
    assert server.left.wait(30)
    assert server.n_sent < 400


def test_a_server_that_is_gone_is_replaced(team: tuple[HttpEngine, list[TinyServer]]) -> None:
    """Its people move to the next one, in the same request."""
    engine, servers = team
    generate(engine, 1)
    [gone] = [server for server in servers if server.paths]
    gone.__exit__()
    assert generate(engine, 2) == "0 1 "
