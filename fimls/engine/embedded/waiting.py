"""How many threads compute, and how they wait for each other."""

from __future__ import annotations

import os
from pathlib import Path

# GNU OpenMP's threads spin some 300,000 rounds at each barrier before they sleep. With other work
# on the machine they then burn the time that the thread they wait for needs. A token of the 0.5B on
# two cores, in ms: at load 5, 1,179 to 2,312 with 300,000 rounds and 145 to 181 with 1,000; beside
# one busy process (one run each) 141 with 300,000, 151 with 20,000, 111 with 4,000, 93 with 1,000.
# Otherwise idle, all runs of 40 tokens: 300,000: 40, 43; 20,000: 41, 41, 45, 47, 49; 4,000: 42, 43,
# 45; 1,000: 46, 46, 46, 74, 75; never spinning: 68, 124. Few runs: the choice is a compromise.
_ROUNDS = "4000"


def n_cores() -> int:
    """Physical cores this process may use: two threads of one core only wait for its units."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, os.cpu_count() or 1)
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text("ascii"))
        except OSError:
            cores.add(str(cpu))
    return len(cores)


def settle() -> None:
    """Let waiting threads spin briefly and then sleep, unless the user's environment says how.

    To be called before llama.cpp's library is loaded, which reads it once.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _ROUNDS)


def told() -> str:
    """How they wait, in the words of the environment that llama.cpp's library reads."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):  # the first has the last word
        if name in os.environ:
            return f"{name}={os.environ[name]}"
    return "as the library has it"
