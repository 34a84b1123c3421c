"""``fimls bench engine``: what is ours in the time of a token, and how soon it lets go.

Everything is measured in one run. Where two things are compared they take turns, token by
token, so that whatever else the machine does slows down both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fimls.bench.load import percentile
from fimls.bench.sessions import SHIPPED, Event, Pace, Session
from fimls.bench.sessions import load_all as load_sessions
from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.fim import Prompt, Segment, SegmentKind

if TYPE_CHECKING:
    from fimls.bench.editor import Editor
    from fimls.engine.embedded.engine import EmbeddedEngine

N_CTX = 4096
N_PROMPT = 512
# A keystroke's answer is due within these, on two cores.
CANCEL_MS = {"0.5b": 20.0, "1.5b": 50.0}
LAG_MS = 10.0
OURS_SHARE, WATCHER_SHARE = 0.02, 0.02
N_LINES = 5_000
# An event loop is asked this often how it is.
PING_S = 0.02


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. ``value`` is ``None`` where it could not be measured, ``why`` says so."""

    name: str
    value: float | None
    unit: str
    target: float | None = None
    why: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; ``None`` without value or target."""
        return None if self.value is None or self.target is None else self.value <= self.target


def code_tokens(engine: EmbeddedEngine) -> list[int]:
    """Tokens of real code: the texts of the shipped sessions."""
    text = "\n".join(session.text for session in load_sessions(SHIPPED))
    return engine.vocabulary.tokenize(text)


def loop(
    engine: EmbeddedEngine, tokens: Sequence[int], n_tokens: int, n_prompt: int = N_PROMPT
) -> Iterator[Figure]:
    """Our loop and a bare one on the same weights: a token each, in turn."""
    ours_ms: list[float] = []
    bare_ms: list[float] = []
    bare = engine.bare(N_CTX)
    try:
        for start in range(0, len(tokens) - n_prompt, n_prompt):
            prompt = tokens[start : start + n_prompt]
            stream = engine.stream(Request(_prompt(prompt), n_tokens), Cancel())
            token, piece = bare.begin(prompt), next(stream, None)
            while piece is not None:
                started_s = time.perf_counter()
                token = bare.next(token)
                between_s = time.perf_counter()
                piece = next(stream, None)
                ended_s = time.perf_counter()
                if piece is not None:
                    bare_ms.append((between_s - started_s) * 1000)
                    ours_ms.append((ended_s - between_s) * 1000)
            stream.close()
            if len(ours_ms) >= n_tokens:
                break
    finally:
        bare.close()
    if not ours_ms:
        yield Figure("our share of a token", None, "%", why="the model ends at once")
        return
    ratio = statistics.median(our / their for our, their in zip(ours_ms, bare_ms, strict=True))
    yield Figure("a token, bare llama_decode and argmax", statistics.median(bare_ms), "ms")
    yield Figure("a token, our loop", statistics.median(ours_ms), "ms")
    yield Figure("our share of a token", 100 * (ratio - 1), "%", 100 * OURS_SHARE)


def cancelling(
    engine: EmbeddedEngine, tokens: Sequence[int], n_times: int, target_ms: float | None
) -> Iterator[Figure]:
    """From ``Cancel.set`` to the end of ``next``, in the middle of a prompt and of a token."""
    chance = random.Random(1)  # noqa: S311 - when to cancel is no secret
    n_prompt = min(900, len(tokens) // 4)
    # A prompt that is cancelled stays warm in part: each one begins elsewhere.
    starts = [chance.randrange(len(tokens) - n_prompt) for _ in range(n_times)]
    whole_s = _seconds(lambda: _first(engine, tokens[7 : 7 + n_prompt]))
    in_prompt = []
    for start in starts:
        request = Request(_prompt(tokens[start : start + n_prompt]), 1)
        in_prompt.append(_cancel(engine, request, 0, chance.uniform(0.1, 0.7) * whole_s))
    in_tokens = [
        _cancel(
            engine,
            Request(_prompt(tokens[start : start + 64]), 1000),
            3,
            chance.uniform(0.0, 0.05),
        )
        for start in starts
    ]
    for what, times in (("a prompt", in_prompt), ("decoding", in_tokens)):
        seen = [one for one in times if one is not None]
        why = "" if seen else "everything was over before it was cancelled"
        yield Figure(f"cancel in {what}, median", percentile(seen, 50), "ms", why=why)
        yield Figure(f"cancel in {what}, p95", percentile(seen, 95), "ms", target_ms, why)


def watching(token_ms: float | None) -> Iterator[Figure]:
    """The watcher on a file of 5,000 lines of the standard library, its survey included."""
    from fimls import scope  # noqa: PLC0415 - loads tree-sitter

    sources = [argparse.__file__, random.__file__, statistics.__file__, threading.__file__]
    text = "".join(Path(str(source)).read_text(encoding="utf-8") for source in sources)
    lines = (text * (1 + N_LINES // text.count("\n"))).splitlines(keepends=True)[:N_LINES]
    at = next(n for n in range(N_LINES // 2, N_LINES) if lines[n].startswith("        return"))
    before, after = "".join(lines[:at]) + "        ", "".join(lines[at + 1 :])
    body = (
        "value = self._lookup(name, default=None)\n        if value is None:\n"
        "            raise KeyError(name)\n        for item in value:\n            print(item)\n"
    )
    first, next_key, tokens = [], [], []
    for _ in range(9):
        scope.forget()
        first.append(_seconds(partial(scope.watch, before, after, "python")) * 1000)
        next_key.append(_seconds(partial(scope.watch, before + "v", after, "python")) * 1000)
        watcher = scope.watch(before, after, "python")
        for start in range(0, len(body), 4):  # as small as a model's tokens
            began_s = time.perf_counter()
            cut = watcher.feed(body[start : start + 4])
            tokens.append((time.perf_counter() - began_s) * 1000)
            if cut is not None:
                break
    per_token = statistics.mean(tokens)
    yield Figure("the watcher, each token, mean", per_token, "ms")
    why = "" if token_ms is not None else "no token was measured"
    n_usual = 20  # tokens of a usual completion, over which the survey is spread
    for when, times in (("the first time", first), ("at the next key", next_key)):
        per_request = statistics.median(times)
        yield Figure(f"the watcher's survey of 5,000 lines, {when}", per_request, "ms")
        share = token_ms and 100 * (per_token + per_request / n_usual) / token_ms
        name = f"the watcher's share of a token, a survey {when} over {n_usual} tokens"
        yield Figure(name, share, "%", 100 * WATCHER_SHARE, why)


async def lag(where: str, command: Sequence[str], n_pings: int) -> list[Figure]:
    """How late a server answers a trivial question while its engine works ``where``."""
    from fimls.bench.editor import Editor  # noqa: PLC0415 - brings pygls

    session = max(load_sessions(SHIPPED), key=lambda session: len(session.text))
    async with Editor.start(command, Path.cwd()) as editor:
        warm = Session("warm-up", "python", "warm.py", "x = 1\ny = \n", (Event(0, 10),))
        await editor.play(warm, "server", Pace.WHOLE)
        if await editor.ping_ms() is None:
            why = "the server knows no fimls.status"
            return [Figure("an answer's delay", None, "ms", LAG_MS, why)]
        idle = [await _ping(editor) for _ in range(n_pings // 2)]
        busy: list[float] = []
        places = iter(range(0, len(session.text), max(1, len(session.text) // 50)))
        while len(busy) < n_pings and (at := next(places, None)) is not None:
            jump = Session(session.name, session.language, session.path, session.text,
                           (Event(0, at, 0, "\n"),))  # fmt: skip
            working = asyncio.ensure_future(editor.play(jump, "server", Pace.WHOLE))
            while not working.done() and len(busy) < n_pings:
                busy.append(await _ping(editor))
            await working
        told = await editor.metrics()
    loop = told.get("t_lag_ms")
    return [
        Figure("an answer's delay with nothing to do, p99", percentile(idle, 99), "ms"),
        Figure(f"the same while the engine works {where}, median", percentile(busy, 50), "ms"),
        Figure(f"the same while the engine works {where}, p99", percentile(busy, 99), "ms", LAG_MS),
        Figure(f"the event loop's lag while the engine works {where}, p99",
               loop and loop["p99"], "ms", LAG_MS, "" if loop else "the server tells no lag"),
    ]  # fmt: skip


async def _ping(editor: Editor) -> float:
    await asyncio.sleep(PING_S)
    return await editor.ping_ms() or 0.0


def measure(engine: EmbeddedEngine, model: str, *, short: bool) -> Iterator[Figure]:
    """Every figure, in turn; ``short`` only shows that it works."""
    tokens = code_tokens(engine)
    token_ms = None
    for figure in loop(engine, tokens, 12 if short else 200):
        if figure.name.endswith("our loop"):
            token_ms = figure.value
        yield figure
    target_ms = next((ms for size, ms in CANCEL_MS.items() if size in model.lower()), None)
    yield from cancelling(engine, tokens, 3 if short else 40, target_ms)
    yield from watching(token_ms)
    engine.close()  # the server loads the model for itself
    for where, process in (("in a process of its own", "own"), ("inside the server", "inside")):
        command = server_command(model, process)
        yield from asyncio.run(lag(where, command, 20 if short else 500))


def _prompt(tokens: Sequence[int]) -> Prompt:
    return Prompt((Segment(SegmentKind.SOURCE, "", tuple(tokens)),))


def _first(engine: EmbeddedEngine, tokens: Sequence[int]) -> None:
    stream = engine.stream(Request(_prompt(tokens), 1), Cancel())
    next(stream, None)
    stream.close()


def _cancel(
    engine: EmbeddedEngine, request: Request, n_before: int, after_s: float
) -> float | None:
    """Milliseconds from the cancel, ``after_s`` after ``n_before`` tokens, to the end of ``next``.

    ``None`` when the stream was over by then.
    """
    cancel, began, ended = Cancel(), threading.Event(), threading.Event()
    at_s = 0.0

    def pull() -> None:
        nonlocal at_s
        stream = engine.stream(request, cancel)
        for _ in range(n_before):
            next(stream, None)
        began.set()
        for _ in stream:
            pass
        at_s = time.perf_counter()
        stream.close()
        ended.set()

    threading.Thread(target=pull, daemon=True).start()
    began.wait()
    if ended.wait(after_s):
        return None
    set_s = time.perf_counter()
    cancel.set()
    ended.wait()
    return (at_s - set_s) * 1000


def _seconds(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def server_command(model: str, process: str) -> list[str]:
    """A server of ours, which does not spare a busy machine."""
    return [sys.executable, "-m", "fimls", "--stdio", "--model", model,
            "--set", f"engine.process={process}", "--set", "completion.economy=false"]  # fmt: skip
