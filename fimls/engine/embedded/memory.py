"""How much memory this machine could give to a model."""

from __future__ import annotations

import os
from pathlib import Path


def available_bytes() -> int | None:
    """Memory that could be had without swapping; ``None`` where the system does not say.

    Linux tells (``MemAvailable`` counts caches that can be dropped); elsewhere
    the machine's whole memory is the bound.
    """
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
