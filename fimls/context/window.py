"""How much of the document fits: whole lines, counted in tokens.

The edges of a window are line breaks wherever a line break is near, since half
a line at the top of a prompt is noise to the model.
"""

from __future__ import annotations

from collections.abc import Callable

CountTokens = Callable[[str], int]

# No tokenizer packs more than this many characters of code into a token on average
# (Qwen2.5: 3 to 4; long runs of spaces reach 30), so more text than this cannot fit and
# is not looked at. It keeps the cost independent of the size of the file.
MOST_CHARS_PER_TOKEN = 12
# A single line longer than this is cut inside: minified code has no better place.
MOST_LINE_CHARS = 4_000


def tail(text: str, n_tokens: int, count_tokens: CountTokens) -> str:
    """The longest run of whole lines at the end of ``text`` within ``n_tokens``."""
    lines = _lines(text[-n_tokens * MOST_CHARS_PER_TOKEN :] if n_tokens > 0 else "")
    start = len(lines)
    while start > 0:
        n_tokens -= count_tokens(lines[start - 1])
        if n_tokens < 0:
            break
        start -= 1
    if start == len(lines) and lines:  # not even the last line fits: its end is still worth most
        return _shrink(lines[-1], n_tokens + count_tokens(lines[-1]), count_tokens, keep_end=True)
    return "".join(lines[start:])


def head(text: str, n_tokens: int, count_tokens: CountTokens) -> str:
    """The longest run of whole lines at the start of ``text`` within ``n_tokens``."""
    lines = _lines(text[: n_tokens * MOST_CHARS_PER_TOKEN] if n_tokens > 0 else "")
    end = 0
    while end < len(lines):
        n_tokens -= count_tokens(lines[end])
        if n_tokens < 0:
            break
        end += 1
    if end == 0 and lines:
        return _shrink(lines[0], n_tokens + count_tokens(lines[0]), count_tokens, keep_end=False)
    return "".join(lines[:end])


def _lines(text: str) -> list[str]:
    """Lines with their ends, a very long one cut into pieces."""
    lines: list[str] = []
    for line in text.split("\n"):
        whole = line + "\n"
        lines.extend(
            whole[at : at + MOST_LINE_CHARS] for at in range(0, len(whole), MOST_LINE_CHARS)
        )
    lines[-1] = lines[-1][:-1]  # the last line has no line break of its own
    return lines if lines[-1] else lines[:-1]


def _shrink(text: str, n_tokens: int, count_tokens: CountTokens, *, keep_end: bool) -> str:
    """One end of a line that does not fit, by halving: a handful of counts."""
    while text and count_tokens(text) > n_tokens:
        half = len(text) // 2
        text = text[-half:] if keep_end and half else text[:half]
    return text
