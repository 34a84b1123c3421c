"""Where the figures of a long run go: known to be there before it begins."""

from __future__ import annotations

import os
from pathlib import Path

from fimls.errors import BadRequest


def make_room(path: Path | None) -> None:
    """Make the folder of a ``--json``; raises ``BadRequest`` where nothing can be written."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(
            f"--json {path}: {path.parent} cannot be made ({error.strerror}); name another file"
        ) from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise BadRequest(f"--json {path}: no file can be written there; name another one")
