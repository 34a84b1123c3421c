"""What a host's process can open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fimls.engine.base import Engine
from fimls.engine.embedded import EmbeddedSettings, open_embedded
from fimls.engine.shared.links import Opener


def embedded_opener(
    path: Path, settings: EmbeddedSettings, calibrations: Path | None = None
) -> Opener:
    """How a host opens the GGUF file at ``path``; another file there is another engine.

    ``calibrations`` is the folder of what was measured on this machine.
    """
    path = path.resolve()
    facts = path.stat()
    arguments = {
        "path": str(path),
        "file": [facts.st_size, facts.st_mtime_ns],
        "settings": dataclasses.asdict(settings),
        "calibrations": None if calibrations is None else str(calibrations),
    }
    return Opener("fimls.engine.shared.openers:embedded", arguments)


def embedded(arguments: dict[str, Any], progress: Callable[[float], None]) -> Engine:
    """Open what ``embedded_opener`` described; in the host's process."""
    settings = EmbeddedSettings(**arguments["settings"])
    folder = arguments["calibrations"]
    calibrations = None if folder is None else Path(folder)
    return open_embedded(Path(arguments["path"]), settings, progress, calibrations)
