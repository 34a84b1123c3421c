"""How much memory this machine, or the container this runs in, could give to a model."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class _Group:
    """Where the control groups of one version keep their memory's limit, use and kinds.

    ``cache`` is what the kernel gives back before it ends a process: files, mapped ones
    included. Sources: the kernel's cgroup-v2.rst and cgroup-v1/memory.rst.
    """

    mount: str
    limit: str
    used: str
    cache: tuple[str, ...]


_V1 = _Group(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)  # fmt: skip
_V2 = _Group(
    "sys/fs/cgroup", "memory.max", "memory.current",
    ("inactive_file", "active_file", "slab_reclaimable"),
)  # fmt: skip


def available_bytes(root: Path = ROOT) -> int | None:
    """Memory that could be had without swapping; ``None`` where the system does not say.

    Linux tells, of the machine (``MemAvailable`` counts caches that can be dropped) and of
    every control group around this process: the least of them is what there is. Elsewhere
    the machine's whole memory is the bound.
    """
    rooms = [*_of_machine(root), *_of_groups(root)]
    if rooms:
        return max(0, min(rooms))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _of_machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_groups(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        kind = _V2 if not controllers else _V1
        if controllers and "memory" not in controllers.split(","):
            continue
        # A container may see its own group mounted at the top, under the path it has outside.
        names = path.strip("/").split("/")
        for folder in accumulate(names, operator.truediv, initial=root / kind.mount):
            limit = "".join(_lines(folder / kind.limit))
            used = "".join(_lines(folder / kind.used))
            if limit.isdecimal() and used.isdecimal():  # "max" is none
                counts = dict(line.split() for line in _lines(folder / "memory.stat"))
                yield int(limit) - int(used) + sum(int(counts.get(n, 0)) for n in kind.cache)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii", "replace").splitlines()
    except OSError:
        return []
