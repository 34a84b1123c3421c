"""Recognises a model that repeats itself."""

from __future__ import annotations

# A repetition is a loop when it fills that many characters, that many times over.
_SHORTEST = 60
_TIMES = 3
LOOKS_BACK = 1200


def find_loop(text: str) -> int | None:
    """Where to cut a text that ends in repetitions: after the first of them.

    Give it the last ``LOOKS_BACK`` characters at most, so that watching stays linear.
    """
    lines = text.splitlines(keepends=True)
    starts = [0]
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
