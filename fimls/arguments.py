"""Numbers on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def at_least(minimum: int) -> Callable[[str], int]:
    """A ``type`` for arguments: an integer that is no smaller than ``minimum``."""

    def integer(text: str) -> int:  # its name is what argparse says of "x": "invalid integer value"
        number = int(text)
        if number < minimum:
            raise argparse.ArgumentTypeError(f"must be at least {minimum}")
        return number

    return integer
