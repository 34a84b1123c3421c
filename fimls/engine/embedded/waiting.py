"""How llama.cpp's threads wait for each other; to be settled before its library is loaded."""

from __future__ import annotations

import os

# GNU OpenMP's threads spin some 300,000 rounds (18 ms) at each barrier before they sleep. With
# other work on the machine they then burn the time that the thread they wait for needs: measured
# on two cores at load 5, a token of the 0.5B takes 1,179 to 2,312 ms so, 145 to 181 ms with 1,000
# rounds (60 us, still longer than an even barrier takes), 125 to 189 ms without any.
_ROUNDS = "1000"


def settle() -> None:
    """Let waiting threads spin briefly and then sleep, unless the user's environment says how."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _ROUNDS)
