"""Recognises a model that repeats itself."""

from __future__ import annotations

import re

# A repetition is a loop when it fills that many characters, that many times over.
_SHORTEST = 60
_TIMES = 3
# Of many lines, twice is enough: nobody writes them a second time without a change.
_MANY_LINES = 5
_MANY_CHARACTERS = 200
_MOST_LINES = 12
LOOKS_BACK = 1200
# Lines that differ in their numbers or letters alone may well be meant: a row for each month, a
# case for each digit. What has come by then is kept.
_TIMES_COUNTING = 12
_LINES_COUNTING = 36
_COUNTED = re.compile(r"\d+|(?<=['\"])[^\W\d_](?=['\"])")
# A line that has repeated itself for so long, in so short a period: 53 times "0, ", 32 times
# "'x', ". Banners and tables in one line are shorter. Longer periods, four times over.
_LONG_IN_LINE = 160
_SHORT_PERIOD = 20
_LONGEST_PERIOD = 100
_TIMES_IN_LINE = 4
# White space at the start of a line and nothing else: deeper is no code. A line is looked at each
# time it has grown by as much.
DEEPEST = 100


def find_loop(text: str) -> int | None:
    """Where to cut a text that ends in repetitions: after the first of them.

    Give it the last ``LOOKS_BACK`` characters at most, so that watching stays linear.
    """
    lines = text.splitlines(keepends=True)
    bare = [line.strip() for line in lines]
    for period in _periods(bare):
        times = _times(bare, period)
        n_characters = sum(map(len, bare[-period:]))
        if period >= _MANY_LINES and n_characters >= _MANY_CHARACTERS:
            is_loop = times > 1
        else:
            is_long = n_characters * times >= _SHORTEST or times >= 6
            is_loop = times >= _TIMES and is_long and n_characters > 2
        if is_loop:
            return sum(map(len, lines[: len(lines) - period * times + period]))
    return None


def counts_without_end(text: str) -> bool:
    """Whether the last lines of ``text`` are the same again and again, but for what counts."""
    bare = [_COUNTED.sub("0", line.strip()) for line in text.splitlines()]
    return any(
        _times(bare, period) >= max(_TIMES, min(_TIMES_COUNTING, _LINES_COUNTING // period))
        for period in _periods(bare)
    )


def _periods(lines: list[str]) -> list[int]:
    """How many lines before the last one stand lines that are the same as it."""
    longest = min(_MOST_LINES, len(lines) // 2)
    return [period for period in range(1, longest + 1) if lines[-1] == lines[-1 - period]]


def _times(lines: list[str], period: int) -> int:
    """How many times over ``lines`` ends in its last ``period`` ones."""
    last = lines[-period:]
    if not any(last):
        return 0
    times = 1
    while lines[-period * (times + 1) : -period * times] == last:
        times += 1
    return times


def is_stuck(line: str) -> bool:
    """Whether a line ends in the same few characters over and over, or does not begin."""
    if line.isspace():
        return len(line) >= DEEPEST
    return any(_repeats(line, period) for period in range(1, _LONGEST_PERIOD + 1))


def _repeats(line: str, period: int) -> bool:
    length = _LONG_IN_LINE if period <= _SHORT_PERIOD else _TIMES_IN_LINE * period
    end = line[-length:]
    return len(end) == length and end[period:] == end[:-period]
