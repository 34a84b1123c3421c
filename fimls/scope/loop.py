"""Recognises a model that repeats itself."""

from __future__ import annotations

import re

# A repetition is a loop when it fills that many characters, that many times over.
_SHORTEST = 60
_TIMES = 3
LOOKS_BACK = 1200
# Lines that differ in their numbers alone may well be meant: a row for each month, a case for
# each digit. What has come by then is kept.
_TIMES_COUNTING = 12
_NUMBER = re.compile(r"\d+")
# A line that has repeated itself for so long, in so short a period: 53 times "0, ", 32 times
# "'x', ". Banners and tables in one line are shorter.
LONGEST_IN_LINE = 160
_LONGEST_PERIOD = 20


def find_loop(text: str) -> int | None:
    """Where to cut a text that ends in repetitions: after the first of them.

    Give it the last ``LOOKS_BACK`` characters at most, so that watching stays linear.
    """
    lines = text.splitlines(keepends=True)
    bare = [line.strip() for line in lines]
    for period in (1, 2, 3, 4):
        last = bare[-period:]
        times = _times(bare, period)
        n_characters = sum(map(len, last))
        is_long = n_characters * times >= _SHORTEST or times >= 6
        if times >= _TIMES and is_long and n_characters > 2:
            return sum(map(len, lines[: len(lines) - period * times + period]))
    return None


def counts_without_end(text: str) -> bool:
    """Whether the last lines of ``text`` are one, again and again, but for the numbers in it."""
    bare = [_NUMBER.sub("0", line.strip()) for line in text.splitlines()]
    return any(_times(bare, period) >= _TIMES_COUNTING for period in (1, 2, 3, 4))


def _times(lines: list[str], period: int) -> int:
    """How many times over ``lines`` ends in its last ``period`` ones."""
    last = lines[-period:]
    if len(last) < period or not any(last):
        return 0
    times = 1
    while lines[-period * (times + 1) : -period * times or None] == last:
        times += 1
    return times


def is_stuck(line: str) -> bool:
    """Whether a line ends in the same few characters over and over."""
    end = line[-LONGEST_IN_LINE:]
    return len(end) == LONGEST_IN_LINE and any(
        end[period:] == end[:-period] for period in range(1, _LONGEST_PERIOD + 1)
    )
