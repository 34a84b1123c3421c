"""What settings and the catalogue come to, where parts are put together."""

from __future__ import annotations

import pytest

from fimls.assembly import slip_confidence
from fimls.config import Config, ReviewOptions


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ReviewOptions(), 0.98),  # the completion's model, the 0.5B
        (ReviewOptions(model="qwen2.5-coder-1.5b"), 0.95),
        (ReviewOptions(model="/models/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"), 0.95),
        (ReviewOptions(model="/models/my-own.gguf"), 0.98),
        (ReviewOptions(model="qwen2.5-coder-1.5b", slip_confidence=0.7), 0.7),
        (ReviewOptions(slip_confidence=0.0), 0.0),
    ],
)
def test_how_sure_a_review_must_be_of_a_slip(options: ReviewOptions, expected: float) -> None:
    """As measured for the model, unless somebody says otherwise."""
    assert slip_confidence(Config(review=options)) == expected
