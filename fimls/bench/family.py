"""What a server's processes use: it and its children, which come and go."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import psutil

from fimls.errors import EngineFailed

MEGABYTE = 1024 * 1024


def cpu_s(pid: int) -> float:
    """Processor time so far, in steps of the system's tick (10 ms on Linux).

    Raises ``EngineFailed`` where the process is gone.
    """
    return _sum(pid, lambda process: sum(process.cpu_times()[:2]))


def rss_mb(pid: int) -> float:
    """Resident memory. Raises ``EngineFailed`` where the process is gone."""
    return _sum(pid, lambda process: process.memory_info().rss) / MEGABYTE


def _sum(pid: int, figure: Callable[[psutil.Process], float]) -> float:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess as error:
        raise EngineFailed("the measured server has ended") from error
    total = 0.0
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += figure(member)
    return total
