"""What this machine is and does besides us: processors, their load, the battery.

psutil reads it on Linux, macOS and Windows; it is imported with the first question.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

POWER_SUPPLIES = Path("/sys/class/power_supply")


def cpu_name() -> str:
    """The processor's name as its maker gives it; its architecture where nobody tells."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cpus() -> frozenset[int]:
    """The numbers of the logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def on_battery(supplies: Path | None = None) -> bool:
    """Whether the machine runs on its battery; false where there is none, or nobody knows.

    Linux tells in files (Documentation/ABI/testing/sysfs-class-power); psutil reads them too,
    but takes the battery of a wireless mouse for the machine's.
    """
    supplies = supplies or POWER_SUPPLIES
    if supplies.is_dir():
        found = [_supply(folder) for folder in supplies.iterdir()]
        if any(one["type"] in {"mains", "usb"} and one["online"] == "1" for one in found):
            return False
        batteries = [one for one in found if one["type"] == "battery" and one["scope"] != "device"]
        return any(one["status"] == "discharging" for one in batteries)
    import psutil  # noqa: PLC0415  # 30 ms

    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, RuntimeError):  # not on this system, or unreadable
        return False
    # ``None``: the system cannot tell whether it is plugged in.
    return battery is not None and battery.power_plugged is False


def _supply(folder: Path) -> dict[str, str]:
    """One battery or plug; what it does not tell is empty."""
    told = dict.fromkeys(("type", "scope", "online", "status"), "")
    for name in told:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            told[name] = (folder / name).read_text("ascii").strip().lower()
    return told


@dataclass(frozen=True, slots=True)
class CpuReading:
    """Processor seconds since the machine was started: of everybody, and of us."""

    at_s: float
    busy_s: float
    ours_s: float


class CpuMeter:
    """How much of the processors others have used between two readings.

    Others are all processes but this one and ``pids``; time that a hypervisor gives to
    another machine ("steal") counts as theirs.
    """

    def __init__(self) -> None:
        self.cpus = usable_cpus()

    def read(self, pids: Iterable[int] = ()) -> CpuReading:
        import psutil  # noqa: PLC0415  # 30 ms

        busy_s = 0.0
        for number, times in enumerate(psutil.cpu_times(percpu=True)):
            if number in self.cpus:
                # Guest time is part of user time, waiting for a disk is no work.
                idle = times.idle + getattr(times, "iowait", 0.0)
                guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
                busy_s += sum(times) - idle - guests
        ours_s = 0.0
        for pid in {os.getpid(), *pids}:
            with contextlib.suppress(psutil.Error):
                spent = psutil.Process(pid).cpu_times()
                ours_s += spent.user + spent.system
        return CpuReading(time.monotonic(), busy_s, ours_s)

    def others_share(self, before: CpuReading, after: CpuReading) -> float:
        """Of the processors' time between two readings, the part that others used: 0 to 1."""
        available_s = (after.at_s - before.at_s) * len(self.cpus)
        if available_s <= 0:
            return 0.0
        others_s = (after.busy_s - before.busy_s) - (after.ours_s - before.ours_s)
        return min(1.0, max(0.0, others_s / available_s))
