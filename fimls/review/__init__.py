"""Code review by a small local model, whose findings are grounded in the code.

``Reviewer`` reads a document scope by scope; every ``Finding`` quotes code that is there.
"""

from fimls.review.findings import (
    Category,
    Claim,
    Finding,
    Reason,
    Rejected,
    ScopeReview,
    Severity,
)

__all__ = ["Category", "Claim", "Finding", "Reason", "Rejected", "ScopeReview", "Severity"]
