"""What a check says, and how much it matters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    """How much a finding matters."""

    GOOD = "good"
    NOTE = "note"  # neither good nor bad
    POOR = "poor"  # works, could be better
    BROKEN = "broken"  # nothing is completed until this is mended


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``remedy`` is the next step, empty when there is none."""

    check: str
    level: Level
    says: str
    remedy: str = ""
