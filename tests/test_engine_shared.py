"""An engine in a process of its own: same answers, no look-ahead, and crashes that stay there."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from fimls.cancel import Cancel
from fimls.engine.base import Given, Priority, Request, Sampling
from fimls.engine.embedded import EmbeddedSettings
from fimls.engine.shared import (
    AttachedEngine,
    CannotShare,
    ChildLink,
    Opener,
    SharedLink,
    embedded_opener,
    links,
    place,
    wire,
)
from fimls.errors import EngineFailed, ModelMissing, OutOfMemory
from fimls.fim import Piece, Prompt, Segment, SegmentKind

ROOT = Path(__file__).parents[1]
PROMPT = Prompt((Segment(SegmentKind.SOURCE, "ab", (97, 98)),), frozenset({0}), heal="b")


@pytest.fixture(autouse=True)
def _hosts_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def opener(function: str = "counting", **arguments: Any) -> Opener:
    return Opener(f"tests.hosted_engines:{function}", arguments)


def child(function: str = "counting", **arguments: Any) -> AttachedEngine:
    return AttachedEngine(ChildLink(opener(function, **arguments)))


def generate(engine: AttachedEngine, n_predict: int = 4, cancel: Cancel | None = None) -> str:
    return "".join(p.text for p in engine.stream(Request(PROMPT, n_predict), cancel or Cancel()))


def eventually(what: Callable[[], Any], within_s: float = 30.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False  # it ended, perhaps between opening the file and reading it


def test_requests_survive_the_wire() -> None:
    """What the host sees is what the client meant, token by token."""
    sampling = Sampling(0.5, 0.9, 0.1, 7, {5: -1.5}, "root ::= .")
    given = (Given(97, (98, 99)), Given(98))
    request = Request(PROMPT, 9, sampling, Priority.REVIEW, logprobs=True, given=given)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(ours, {"request": wire.from_request(request)})
        message = wire.receive(theirs)
    assert message is not None
    assert wire.to_request(message["request"]) == request


def test_pieces_survive_the_wire() -> None:
    for piece in (Piece("a"), Piece("é", 7, -0.25), Piece("", 7, -0.25, (-1.5, -2.0))):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            wire.send(ours, {"piece": wire.from_piece(piece)})
            message = wire.receive(theirs)
        assert message is not None
        assert wire.to_piece(message["piece"]) == piece


def test_errors_survive_the_wire() -> None:
    """The class decides what the server does, the message is for the person."""
    for error in (ModelMissing("tiny"), OutOfMemory("too big; choose a smaller model")):
        back = wire.to_error(wire.from_error(error))
        assert (type(back), str(back)) == (type(error), str(error))
    assert "ZeroDivisionError" in str(wire.to_error(wire.from_error(ZeroDivisionError())))


def test_a_child_answers_like_an_engine() -> None:
    """Pieces with ids and probabilities, usage, vocabulary, room."""
    with closing(child()) as engine:
        stream = engine.stream(Request(PROMPT, 3), Cancel())
        assert next(stream) == Piece("0 ", 0, -0.5)
        assert (stream.usage.n_prompt, stream.usage.n_generated) == (2, 1)
        assert [piece.token for piece in stream] == [1, 2]
        vocabulary = engine.vocabulary
        assert vocabulary is not None
        assert vocabulary.tokenize("ab") == [97, 98]
        assert (vocabulary.marker("<s>"), vocabulary.marker("a")) == (1, None)
        assert (vocabulary.spelling(1), vocabulary.is_control(1), vocabulary.is_end(0)) == (
            "<s>", True, True,
        )  # fmt: skip
        assert (vocabulary.info.name, vocabulary.bos, vocabulary.add_bos) == ("letters", 1, True)
        assert engine.n_ctx == 4096


def test_the_speed_is_known_as_soon_as_the_host_knows_it() -> None:
    """It is measured while nobody types, long after the engine was opened."""
    with closing(child()) as engine:
        assert engine.prompt_tokens_per_s is None
        next(engine.stream(Request(PROMPT, 3), Cancel()))
        assert engine.prompt_tokens_per_s == 200.0


def test_no_token_is_computed_before_it_is_asked_for() -> None:
    """A stream that nobody pulls costs nothing."""
    with closing(child()) as engine:
        stream = engine.stream(Request(PROMPT, 100), Cancel())
        next(stream)
        time.sleep(0.2)
        next(stream)
        assert stream.usage.n_generated == 2


def test_cancel_reaches_a_computation_that_runs() -> None:
    """From another thread, while the host works on the next token."""
    with closing(child(pause_s=30)) as engine:
        cancel = Cancel()
        threading.Timer(0.2, cancel.set).start()
        started = time.perf_counter()
        assert generate(engine, cancel=cancel) == ""
        assert time.perf_counter() - started < 15  # of thirty for a token


def test_a_late_cancel_does_not_hurt_the_next_request() -> None:
    """A stream that is over has given its connection away."""
    with closing(child()) as engine:
        cancel = Cancel()
        generate(engine, cancel=cancel)
        stream = engine.stream(Request(PROMPT, 3), Cancel())
        cancel.set()
        assert len(list(stream)) == 3


def test_several_at_once() -> None:
    """Streams of one client do not wait for each other's end."""
    with closing(child()) as engine:
        streams = [engine.stream(Request(PROMPT, 5), Cancel()) for _ in range(8)]
        for _ in range(5):
            assert len({next(stream).text for stream in streams}) == 1


def test_an_engine_error_is_raised_here_and_the_host_lives() -> None:
    """The message arrives as it is; the next request is served."""
    with closing(child()) as engine:
        with pytest.raises(OutOfMemory, match="no tokens, no engine; send some"):
            engine.stream(Request(Prompt(()), 3), Cancel())
        assert generate(engine, 2) == "0 1 "


def test_loading_reports_progress_and_errors() -> None:
    """What the model's loading says reaches whoever waits for it."""
    seen: list[float] = []
    link = ChildLink(opener(load_s=0.3))
    with closing(AttachedEngine(link, progress=seen.append)):
        assert 0.25 in seen
    with pytest.raises(ModelMissing, match="fimls models pull tiny"):
        child("missing", model="tiny")


def test_a_crash_is_said_once_and_the_engine_started_again() -> None:
    """A segmentation fault in the engine ends a stream, not the server."""
    said: list[str] = []
    link = ChildLink(opener(crash_at=2))
    with closing(AttachedEngine(link, said.append)) as engine:
        first = link.pid
        other = engine.stream(Request(PROMPT, 9), Cancel())
        with pytest.raises(EngineFailed, match=r"ended unexpectedly .killed by SIGSEGV."):
            generate(engine, 9)
        with pytest.raises(EngineFailed):
            next(other)
        assert len(said) == 1
        assert "it is started again" in said[0]
        assert generate(engine, 2) == "0 1 "
        assert link.pid != first
        for _ in range(2):
            with pytest.raises(EngineFailed, match="ended unexpectedly"):
                generate(engine, 9)
        with pytest.raises(EngineFailed, match=r"crashed 3 times .* try another model"):
            generate(engine, 2)


def test_a_crash_while_loading_is_an_error() -> None:
    """It is not tried for ever."""
    with pytest.raises(EngineFailed, match="killed by SIGKILL"):
        child("dying")


def test_a_child_ends_with_its_owner() -> None:
    """However the owner ends."""
    script = (
        "import time\n"
        "from tests.test_engine_shared import *\n"
        "link = ChildLink(opener(pause_s=30))\n"
        "engine = AttachedEngine(link)\n"
        "print(link.pid, flush=True)\n"
        "generate(engine)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert eventually(lambda: not alive(pid))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the hosts of a test listen; they end soon after their last client."""
    command = Opener.command
    monkeypatch.setattr(Opener, "command", lambda *args: command(*args, "--linger", "0.2"))
    made = tmp_path / "run"
    yield made
    assert eventually(lambda: not made.exists()), "a host was left behind"


def shared(folder: Path, said: list[str] | None = None, **arguments: Any) -> AttachedEngine:
    notify = said.append if said is not None else None
    return AttachedEngine(SharedLink(opener(**arguments), folder), notify)


def test_editors_share_one_engine(folder: Path) -> None:
    """The second attaches to the first one's; other settings get another engine."""
    with closing(shared(folder)) as one, closing(shared(folder)) as two:
        assert generate(one) == generate(two) == "0 1 2 3 "
        assert len(list(folder.glob("*.sock"))) == 1
        with closing(shared(folder, pause_s=0.001)):
            assert len(list(folder.glob("*.sock"))) == 2


def test_what_is_shared_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file by whatever name; another file, other settings, another version are not."""

    def where(name: str = "a.gguf", **settings: Any) -> Path:
        described = embedded_opener(tmp_path / name, EmbeddedSettings(**settings))
        return SharedLink(described, tmp_path).path

    (tmp_path / "a.gguf").write_bytes(b"weights")
    (tmp_path / "copy.gguf").write_bytes(b"weights")
    (tmp_path / "link.gguf").symlink_to("a.gguf")
    first = where()
    assert where("link.gguf") == first
    assert where("copy.gguf") != first
    assert where(n_ctx=2048) != first
    (tmp_path / "a.gguf").write_bytes(b"other weights")
    assert where() != first
    second = where()
    monkeypatch.setattr(place, "__version__", "0.0.1")
    assert where() != second


def test_only_this_user_can_open_the_socket(folder: Path) -> None:
    """Socket and folder are closed to others, and a folder that is not is refused."""
    with closing(shared(folder)):
        [path] = folder.glob("*.sock")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(EngineFailed, match="can be entered by others; remove it"):
        shared(folder, pause_s=0.002)
    folder.chmod(0o700)


def test_five_at_the_same_moment_start_one(folder: Path) -> None:
    """Whoever is first starts it, the others wait for that one."""
    engines: list[AttachedEngine] = []
    threads = [
        threading.Thread(target=lambda: engines.append(shared(folder, load_s=0.3)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({engine.host_pid for engine in engines}) == 1
    assert [generate(engine, 1) for engine in engines] == ["0 "] * 5
    for engine in engines:
        engine.close()


def test_the_next_one_takes_over(folder: Path) -> None:
    """The host is killed: each says so, one starts it again, all attach to that one."""
    said_one: list[str] = []
    said_two: list[str] = []
    with closing(shared(folder, said_one)) as one, closing(shared(folder, said_two)) as two:
        first = one.host_pid
        stream = two.stream(Request(PROMPT, 9), Cancel())
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: not alive(first))
        assert generate(one) == "0 1 2 3 "  # was idle: attaches to the new one in silence
        with pytest.raises(EngineFailed, match="ended unexpectedly"):
            list(stream)
        assert generate(two) == "0 1 2 3 "
        assert one.host_pid == two.host_pid != first
        assert (len(said_one), len(said_two)) == (0, 1)


def test_nothing_is_left_behind(folder: Path) -> None:
    """When the last one has gone, the host ends, and socket and folder with it."""
    one, two = shared(folder), shared(folder)
    pid = one.host_pid
    one.close()
    time.sleep(0.6)
    assert generate(two, 1) == "0 "
    two.close()
    assert eventually(lambda: not folder.exists())
    assert eventually(lambda: not alive(pid))


def test_a_dead_ones_socket_is_no_obstacle(folder: Path) -> None:
    """A socket file that nobody listens to is replaced."""
    link = SharedLink(opener(), folder)
    folder.mkdir(mode=0o700)
    place.listen(link.path).close()
    assert link.path.exists()
    with closing(AttachedEngine(link)) as engine:
        assert generate(engine, 1) == "0 "


def test_a_later_ones_socket_is_not_removed(folder: Path) -> None:
    """Temporary folders are cleaned up now and then; whoever listens there next is let be."""
    one = shared(folder)
    [path] = folder.glob("*.sock")
    path.unlink()
    with closing(shared(folder)) as two:
        assert two.host_pid != one.host_pid
        one.close()
        assert eventually(lambda: not alive(one.host_pid))
        with closing(shared(folder)) as three:
            assert three.host_pid == two.host_pid


def test_a_client_is_killed_while_it_is_answered(folder: Path) -> None:
    """The one who started the host, even: the others are served on, and then it ends."""
    script = (
        "import sys\n"
        "from tests.test_engine_shared import *\n"
        "engine = AttachedEngine(SharedLink(opener(pause_s=0.2), Path(sys.argv[1])))\n"
        "print(engine.host_pid, flush=True)\n"
        "generate(engine, 1000)\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        with closing(shared(folder, pause_s=0.2)) as other:
            assert other.host_pid == pid
            starter.kill()
            assert generate(other, 3) == "0 1 2 "
    os.kill(pid, signal.SIGTERM)  # it was started by another process, and stays for 10 s


@pytest.mark.parametrize("kind", ["too long", "a file"])
def test_no_place_for_a_socket(tmp_path: Path, kind: str) -> None:
    """Said as what it is, so that the engine can be had without sharing it."""
    folder = tmp_path / ("x" * 120 if kind == "too long" else "here")
    if kind == "a file":
        folder.touch()
    with pytest.raises(CannotShare, match="XDG_RUNTIME_DIR"):
        AttachedEngine(SharedLink(opener(), folder))


def test_after_an_upgrade(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is older than what it would start is told to be restarted, and nothing else."""
    monkeypatch.setattr(links, "__version__", "0.0.1")
    with pytest.raises(EngineFailed, match=r"fimls 0.0.1 was replaced by .* restart the editor"):
        shared(folder)


def test_a_host_finds_what_its_starter_finds(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Launchers extend the path of one process; the engine's must not miss it."""
    (tmp_path / "far_away.py").write_text("from tests.hosted_engines import counting\n")
    monkeypatch.syspath_prepend(tmp_path)
    with closing(AttachedEngine(SharedLink(Opener("far_away:counting", {}), folder))) as engine:
        assert generate(engine, 2) == "0 1 "


def test_overhead_per_token() -> None:
    """The wire costs far less than a token of the smallest model (24 ms).

    What both processes compute is counted: how long they wait is up to what else runs here.
    """
    link = ChildLink(opener())
    with closing(AttachedEngine(link)) as engine:
        stream = engine.stream(Request(PROMPT, 3000), Cancel())
        next(stream)
        host = psutil.Process(link.pid)

        def used_s() -> float:
            there = host.cpu_times()
            return time.thread_time() + there.user + there.system

        began_s = used_s()
        for _ in range(2000):
            next(stream)
        per_token_ms = (used_s() - began_s) / 2000 * 1000
    print(f"per token: {per_token_ms:.3f} ms")
    assert per_token_ms < 1.0
