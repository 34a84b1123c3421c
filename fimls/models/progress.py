"""What a download tells whoever waits for it, and how it fails."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fimls.errors import DownloadFailed


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is: bytes done of ``total`` (``None``: unknown), doing ``phase``.

    ``note`` is a sentence to show once, such as a source that could not be reached.
    """

    phase: str = ""
    done: int = 0
    total: int | None = None
    note: str = ""


Report = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """Nobody is waiting."""


class SourceFailed(DownloadFailed):
    """One source could not deliver; another may."""


class Cancelled(DownloadFailed):
    """The download was taken back; what has arrived is kept and will be used."""

    def __init__(self) -> None:
        super().__init__("download stopped; it will be resumed where it was")


def disk_full(error: OSError, directory: Path) -> DownloadFailed | None:
    """The error to raise in place of ``error`` when there is no room left, else ``None``."""
    # EFBIG: the limit of the file system or of the process on a single file's size.
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return DownloadFailed(
            f"no room left in {directory} ({error.strerror}); free some and run the same "
            "command again, it goes on from here"
        )
    return None
