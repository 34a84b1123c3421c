"""Drafts looked up in the text: what they are, and what is made of them."""

from __future__ import annotations

import pytest

from fimls.bench.speculation import Sample, draft, gain

FREE = dict.fromkeys((1, 2, 3, 4, 6, 8), 1.0)


def numbers(text: str) -> list[int]:
    return [ord(character) for character in text]


@pytest.mark.parametrize(
    ("text", "longest", "shortest", "n_draft", "expected"),
    [
        ("abcdab", 2, 2, 3, "cda"),
        ("abcdabxyab", 2, 2, 2, "xy"),  # the latest place
        ("xabc.zabd.xab", 3, 2, 1, "c"),  # the longest of what fits
        ("xabc.zabd.xab", 2, 2, 1, "d"),
        ("abcd", 2, 2, 3, ""),
        ("a", 2, 2, 3, ""),
    ],
)
def test_drafts(text: str, longest: int, shortest: int, n_draft: int, expected: str) -> None:
    assert list(draft(numbers(text), longest, shortest, n_draft)) == numbers(expected)


@pytest.mark.parametrize(
    ("costs", "logprob", "speedup", "exact"),
    [
        (FREE, 0.0, 4.0, 4.0),  # three drafted and one more, at the price of one
        (FREE, -1.0, 4.0, 0.8),  # each token unsure: all is computed again, one by one
        ({**FREE, 4: 4.0}, 0.0, 1.0, 1.0),
        ({**FREE, 4: 2.0}, 0.0, 2.0, 2.0),
    ],
)
def test_gain(costs: dict[int, float], logprob: float, speedup: float, exact: float) -> None:
    """A text that goes on as it did before."""
    sample = Sample(numbers("abcdefgh.ab"), numbers("cdef"), [logprob] * 4)
    found = gain([sample], costs, 2, 2, 3)
    assert (found.speedup, found.exact_speedup, found.accepted) == (speedup, exact, 1.0)


def test_wrong_drafts_cost() -> None:
    """What was drafted in vain was computed all the same."""
    sample = Sample(numbers("abcd.ab"), numbers("xyz"), [0.0] * 3)
    found = gain([sample], {**FREE, 4: 3.0}, 2, 2, 3)
    assert found.accepted == 0.0
    assert found.speedup == pytest.approx(3 / (3 + 1 + 1))
