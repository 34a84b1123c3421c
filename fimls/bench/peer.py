"""The peer: llama.cpp's llama-server, asked the way llama.vim asks it.

The form of the request and of its cache were read in llama.vim's source; 256 lines before
the cursor's line, 64 after, and the line up to the cursor as the prompt are in it. The release
that was read generates up to 256 tokens in 1500 ms; ``n_predict`` 128 and 1000 ms, reported of a
later one, are taken, which saves the peer work. Further: ``cache_prompt``, no streaming, a
lookup of the last ten typed characters in its own cache, no automatic request with more than
eight characters behind the cursor. Its ring of chunks from other places stays empty, which
saves it work too.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx

from fimls.bench.records import Meter, Record, kind_of
from fimls.bench.sessions import Event, Pace, Session
from fimls.errors import EngineFailed, EngineUnreachable

N_PREFIX_LINES, N_SUFFIX_LINES = 256, 64
N_PREDICT = 128
T_MAX_PROMPT_MS = 500
# An automatic request may generate for so long before it has to show something.
T_MAX_PREDICT_MS = 1000
MOST_CHARS_BEHIND = 8
CACHE_LOOK_BACK = 10
START_S = 120.0
# llama.cpp's own server preset for this use: batches of 1024, reuse of shifted chunks.
PRESET = ("--batch-size", "1024", "--ubatch-size", "1024", "--cache-reuse", "256")
# What it counts of prompts, as far as its cache had not got them, and of answers.
COUNTERS = "llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total"


class Peer:
    """A running llama-server."""

    def __init__(self, url: str, pid: int) -> None:
        self.pid = pid
        self._http = httpx.Client(base_url=url, timeout=300.0)
        self._cache: dict[tuple[str, str], str] = {}

    @classmethod
    @contextlib.contextmanager
    def start(cls, program: str, model: Path, n_threads: int, n_ctx: int) -> Iterator[Peer]:
        """Start ``program`` (a path or a name on PATH) with the model file; end it afterwards."""
        found = shutil.which(program)
        if found is None:
            raise EngineUnreachable(f"{program} is not on PATH; install llama.cpp or give its path")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [
            found, "--model", str(model), "--host", "127.0.0.1", "--port", str(port),
            "--threads", str(n_threads), "--ctx-size", str(n_ctx), "--metrics", *PRESET,
        ]  # fmt: skip
        # The program is the user's own choice on the user's own machine.
        with subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                peer = cls(f"http://127.0.0.1:{port}", process.pid)
                peer._wait(process)
                yield peer
            finally:
                process.terminate()

    def computed(self) -> tuple[int | None, int | None]:
        """Tokens evaluated and generated so far; ``None`` where a build does not tell."""
        try:
            told = self._http.get("/metrics").raise_for_status().text
        except httpx.HTTPError as error:
            raise EngineFailed(f"llama-server: {error}") from error
        evaluated, generated = (re.search(rf"{name} (\d+)", told) for name in COUNTERS)
        return evaluated and int(evaluated[1]), generated and int(generated[1])

    def play(
        self, session: Session, server: str, pace: Pace, meter: Meter | None = None
    ) -> list[Record]:
        """One record for each request of ``session`` that llama.vim would make.

        It waits for each answer, which comes whole, at any pace.
        """
        records: list[Record] = []
        self._cache.clear()
        for event, text in session.states():
            if pace is Pace.HUMAN:
                time.sleep(event.wait_ms / 1000)
            if event.ask:
                before_s = None if meter is None else meter()
                record = self._ask(session, server, event, text)
                if record is not None and meter is not None and before_s is not None:
                    record = replace(record, cpu_s=meter() - before_s)
                if record is not None:
                    records.append(record)
        return records

    def _ask(self, session: Session, server: str, event: Event, text: str) -> Record | None:
        before, after = text[: event.cursor], text[event.cursor :]
        rest = after.partition("\n")[0]
        if len(rest) > MOST_CHARS_BEHIND:
            return None
        started_s = time.perf_counter()
        found = self._cached(before, after)
        if found is not None:
            t_ms = (time.perf_counter() - started_s) * 1000
            return Record(
                session.name, server, kind_of(event), found, t_ms,
                n_evaluated=0, n_generated=0, cached=True, t_line_ms=t_ms if found else None,
            )  # fmt: skip
        try:
            answer = self._http.post("/infill", json=_body(before, after)).raise_for_status().json()
        except httpx.HTTPError as error:
            raise EngineFailed(f"llama-server: {error}") from error
        t_ms = (time.perf_counter() - started_s) * 1000
        content, timings = answer["content"], answer["timings"]
        self._cache[before, after] = content
        t_token_ms = timings["predicted_per_token_ms"] if timings["predicted_n"] else None
        t_first_ms = None if t_token_ms is None else timings["prompt_ms"] + t_token_ms
        return Record(
            session.name, server, kind_of(event), content, t_ms,
            n_prompt=answer.get("tokens_evaluated"),
            n_evaluated=timings["prompt_n"],
            n_generated=timings["predicted_n"],
            t_first_token_ms=t_first_ms,
            t_line_ms=_t_line_ms(content, t_first_ms, t_token_ms, timings["predicted_n"]),
        )  # fmt: skip

    def _cached(self, before: str, after: str) -> str | None:
        for n_typed in range(CACHE_LOOK_BACK + 1):
            content = self._cache.get((before[: len(before) - n_typed], after))
            if content is not None:
                typed = before[len(before) - n_typed :]
                return content[n_typed:] if content and content.startswith(typed) else None
        return None

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s and process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if self._http.get("/health").status_code == httpx.codes.OK:
                    return
            time.sleep(0.1)
        raise EngineUnreachable("llama-server did not start; run it by hand to see why")


def _body(before: str, after: str) -> dict[str, object]:
    head, _, line = before.rpartition("\n")
    rest, _, tail = after.partition("\n")
    if not (line + rest).strip():
        line = rest = ""  # llama.vim asks for the whole line where the cursor's is blank
    indent = len(line) - len(line.lstrip())
    return {
        "input_prefix": "\n".join(head.split("\n")[-N_PREFIX_LINES:]) + "\n",
        "input_suffix": rest + "\n" + "\n".join(tail.split("\n")[:N_SUFFIX_LINES]) + "\n",
        "input_extra": [],
        "prompt": line,
        "n_predict": N_PREDICT,
        "n_indent": indent,
        "top_k": 40,
        "top_p": 0.99,
        "samplers": ["top_k", "top_p", "infill"],
        "stream": False,
        "cache_prompt": True,
        "t_max_prompt_ms": T_MAX_PROMPT_MS,
        "t_max_predict_ms": T_MAX_PREDICT_MS,
    }


def _t_line_ms(
    content: str, t_first_ms: float | None, t_token_ms: float | None, n_generated: int
) -> float | None:
    """When the first complete line stood there: by its share of the generated characters."""
    if t_first_ms is None or t_token_ms is None or not content.strip():
        return None
    lead = len(content) - len(content.lstrip("\n"))
    line_end = content.find("\n", lead)
    share = 1.0 if line_end < 0 else line_end / len(content)
    return t_first_ms + t_token_ms * (n_generated - 1) * share
