"""Recognises a model that repeats itself."""

from __future__ import annotations

# A repetition is a loop when it fills that many characters, that many times over.
_SHORTEST = 60
_TIMES = 3
_LONGEST_PERIOD = 160


def find_loop(text: str) -> int | None:
    """Where to cut a text that ends in repetitions: after the first of them.

    Looks at the last lines only, so that watching stays linear.
    """
    lines = text[-1200:].splitlines(keepends=True)
    offset = len(text) - sum(map(len, lines))
    starts = [offset]
    for line in lines:
        starts.append(starts[-1] + len(line))
    bare = [line.strip() for line in lines]
    for period in (1, 2, 3, 4):
        last = bare[-period:]
        if len(last) < period or not any(last):
            continue
        times = 1
        while bare[-period * (times + 1) : -period * times or None] == last:
            times += 1
        size = sum(map(len, last)) * times
        if times >= _TIMES and (size >= _SHORTEST or times >= 6) and sum(map(len, last)) > 2:
            return starts[len(lines) - period * times + period]
    return None
