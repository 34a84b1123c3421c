"""What is counted, and how: definitions that know nothing of the watcher.

Over-generation is judged against the ground truth and the code around the hole,
by counting brackets and indentation (``lexis``). See docs/evaluation.md.
"""

from __future__ import annotations

import math
import re

from fimls.evaluation.datasets import Hole
from fimls.evaluation.lexis import INDENTATION_LANGUAGES, Line, brackets, lines_of_code

# A repeated line with less in it (`}`, `});`) happens by right.
FEWEST_TELLING_CHARACTERS = 4
# So much of the suffix is looked at for repetition.
SUFFIX_LINES = 12
_DEFINITION = re.compile(r"\s*(?:async\s+def|def|class)\b")
# 95% of a normal distribution lies within this many standard deviations.
Z_95 = 1.959964


def exact(text: str, truth: str) -> bool:
    """Equal but for the amount of white space."""
    return text.split() == truth.split()


def over_generation(hole: Hole, text: str) -> tuple[str, ...]:
    """In which ways ``text`` goes beyond the hole; those of the ground truth do not count."""
    return tuple(sorted(_excesses(hole, text) - _excesses(hole, hole.truth)))


def fits_brackets(hole: Hole, text: str) -> bool:
    """Whether ``text`` leaves the same brackets open as the ground truth does."""
    start = len(hole.before)
    return brackets(hole.before + text, start, hole.language) == brackets(
        hole.before + hole.truth, start, hole.language
    )


def wilson(passed: int, n: int) -> tuple[float, float]:
    """The 95% interval of a share (E. B. Wilson 1927); it stays sensible near 0 and 1."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = passed / n, Z_95**2
    centre = share + z2 / (2 * n)
    spread = Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, (centre - spread) / (1 + z2 / n)), min(1.0, (centre + spread) / (1 + z2 / n))


def _excesses(hole: Hole, text: str) -> set[str]:
    found = set()
    if _closes_too_much(hole, text):
        found.add("closes what the suffix closes")
    if _leaves_definition(hole, text):
        found.add("leaves the definition")
    if _repeats_suffix(hole, text):
        found.add("repeats the suffix")
    if "```" in text or "<|" in text:
        found.add("markup")
    return found


def _closes_too_much(hole: Hole, text: str) -> bool:
    start = len(hole.before)
    ours = brackets(hole.before + text, start, hole.language)
    truth = brackets(hole.before + hole.truth, start, hole.language)
    return ours.closed > truth.closed


def _leaves_definition(hole: Hole, text: str) -> bool:
    """A line at or above the level of the `def` or `class` around the hole."""
    if hole.language not in INDENTATION_LANGUAGES:
        return False
    floor = _definition_level(hole)
    if floor is None:
        return False
    start = len(hole.before)
    return any(
        line.indentation <= floor
        for line in lines_of_code(hole.before + text, hole.language)
        if _first_letter(line) >= start
    )


def _definition_level(hole: Hole) -> int | None:
    """The indentation of the innermost definition around the whole ground truth.

    ``None`` at top level.
    """
    start, end = len(hole.before), len(hole.before) + len(hole.truth)
    lines = lines_of_code(hole.program(hole.truth), hole.language)
    above = [line for line in lines if _first_letter(line) < start]
    inside = [line for line in lines if start <= _first_letter(line) < end]
    if above and hole.before.rpartition("\n")[2].strip():
        inside.append(above[-1])  # the hole begins in the middle of this line
    if not inside:
        inside = [line for line in lines if _first_letter(line) >= end][:1]
    level = min((line.indentation for line in inside), default=0)
    for line in reversed(above):
        if line.indentation < level:
            level = line.indentation
            if _DEFINITION.match(line.text):
                return level
    return None


def _first_letter(line: Line) -> int:
    return line.start + len(line.text) - len(line.text.lstrip())


def _repeats_suffix(hole: Hole, text: str) -> bool:
    """Whole lines of ``text`` are, from some line on, the lines that follow the hole.

    A single line must also be indented alike: the same statement in another block is
    another statement.
    """
    kept = text.split("\n")
    rest, _, following = hole.after.partition("\n")
    if hole.before.rpartition("\n")[2].strip():  # the hole begins within a line
        if _telling([rest]) and any(line.strip().endswith(rest.strip()) for line in kept):
            return True
        seam = _squeezed(rest + following.lstrip().partition("\n")[0])
        if rest.strip() and _telling([seam]) and seam in _squeezed(text):
            return True
        kept = kept[1:]
    if kept and rest.strip():
        kept = kept[:-1]  # one line with what follows
    ours = [line.rstrip() for line in kept if line.strip()]
    suffix = [line.rstrip() for line in hole.after.split("\n") if line.strip()][:SUFFIX_LINES]
    return any(_is_run(ours[first:], suffix) for first in range(len(ours)))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _is_run(ours: list[str], suffix: list[str]) -> bool:
    run = 0
    for our, following in zip(ours, suffix, strict=False):
        if our.strip() != following.strip():
            break
        run += 1
    if run == 0 or not _telling(suffix[:run]):
        return False
    return run > 1 or (run == len(ours) and ours[0] == suffix[0])


def _telling(lines: list[str]) -> bool:
    letters = sum(character.isalnum() for line in lines for character in line)
    return letters >= FEWEST_TELLING_CHARACTERS
