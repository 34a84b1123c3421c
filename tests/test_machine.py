"""What this machine says of itself: battery and other load, on made-up and on real readings."""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

import psutil
import pytest

from fimls.machine import CpuMeter, CpuReading, cpu_name, on_battery, usable_cpus


def battery(status: str, **more: str) -> dict[str, str]:
    return {"type": "Battery", "status": status, **more}


def plug(online: int, kind: str = "Mains") -> dict[str, str]:
    return {"type": kind, "online": str(online)}


@pytest.mark.skipif(sys.platform != "linux", reason="/sys/class/power_supply IS LINUX'S")
@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        ({}, False),  # a desktop
        ({"AC": plug(0), "BAT0": battery("Discharging")}, True),
        ({"AC": plug(1), "BAT0": battery("Charging")}, False),
        ({"ADP1": plug(1), "BAT0": battery("Not charging")}, False),
        ({"AC": plug(1), "BAT0": battery("Discharging")}, False),  # the plug gives too little
        ({"ucsi-source-psy": plug(1, "USB"), "BAT0": battery("Full")}, False),
        ({"BAT1": battery("Discharging")}, True),  # says nothing of its plug
        ({"BAT0": battery("Full"), "BAT1": battery("Discharging")}, True),
        ({"BAT0": battery("Unknown")}, False),
        ({"BAT0": {"type": "Battery"}}, False),
        # A wireless mouse on a desktop.
        ({"hidpp_battery_0": battery("Discharging", scope="Device")}, False),
    ],
)
def test_on_battery(supplies: dict[str, dict[str, str]], expected: bool, tmp_path: Path) -> None:
    """Read from a folder like Linux's own."""
    for name, files in supplies.items():
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(content + "\n")
    assert on_battery(tmp_path) is expected
    assert on_battery(tmp_path / "missing") is False


@pytest.mark.parametrize(
    ("busy_s", "ours_s", "expected"),
    [
        (0.0, 0.0, 0.0),
        (2.0, 2.0, 0.0),  # all of it was ours
        (2.0, 1.0, 0.5),
        (1.0, 0.0, 0.5),
        (2.0, 2.2, 0.0),  # readings of two clocks do not agree to the last tick
        (9.0, 0.0, 1.0),
    ],
)
def test_the_share_of_others(busy_s: float, ours_s: float, expected: float) -> None:
    """Two processors, one second."""
    meter = CpuMeter()
    meter.cpus = frozenset({0, 1})
    before, after = CpuReading(10.0, 100.0, 50.0), CpuReading(11.0, 100.0 + busy_s, 50.0 + ours_s)
    assert meter.others_share(before, after) == pytest.approx(expected)
    assert meter.others_share(before, before) == 0.0


def burn(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def test_another_process_is_seen_and_our_own_are_not() -> None:
    """The same second of a real process's work counts as ours when its number is given."""
    meter = CpuMeter()
    process = multiprocessing.get_context("spawn").Process(target=burn, args=(60.0,))
    process.start()
    try:
        pid = process.pid
        assert pid is not None
        started_s = psutil.Process(pid).cpu_times().user
        before, before_ours = meter.read(), meter.read([pid])
        while psutil.Process(pid).cpu_times().user - started_s < 0.5:
            time.sleep(0.05)
        after, after_ours = meter.read(), meter.read([pid])
        used_s = psutil.Process(pid).cpu_times().user - started_s
    finally:
        process.kill()
        process.join()
    theirs = meter.others_share(before, after)
    assert theirs > 0.0
    spent_s = (after_ours.ours_s - after.ours_s) - (before_ours.ours_s - before.ours_s)
    assert 0.4 <= spent_s <= used_s + 0.1


def test_the_processor_has_a_name() -> None:
    assert cpu_name()
    assert usable_cpus()
