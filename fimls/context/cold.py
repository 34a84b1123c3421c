"""How large a window is where nothing is warm: what can be evaluated in the time there is."""

from __future__ import annotations

# The smallest window: 144 tokens, about 14 lines, and from there on in powers of two. Coarse, so
# that the noise of a measured speed does not change what the model is shown.
LEAST = 144
# A speed that goes up or down by so much between two places changes nothing either.
SLACK = 1.25


def cold_budget(n_affordable: float, n_whole: int, present: int | None) -> int:
    """Tokens that a new place may have evaluated: a step of the ladder, at most ``n_whole``.

    ``n_affordable`` tokens can be evaluated in time; ``present`` is the last answer.
    """
    if present is not None and present / SLACK <= n_affordable < 2 * present * SLACK:
        return min(present, n_whole)
    step = LEAST
    while 2 * step <= n_affordable and step < n_whole:
        step *= 2
    return min(step, n_whole)
