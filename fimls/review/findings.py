"""The values of a review: what a model claims, what of it is shown, and what is not and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

# How scopes without a name are called.
NAMELESS = "the code outside of functions"
_MOST_NAMES = 5  # in one sentence


class Category(str, Enum):
    """What kind of fault. The names are those that suppressing comments use."""

    BUG = "bug"
    SECURITY = "security"
    RESOURCE = "resource"
    ERROR_HANDLING = "error-handling"
    PERFORMANCE = "performance"
    CLARITY = "clarity"

    def __str__(self) -> str:
        return self.value


class Severity(str, Enum):
    """How bad. The order is that of the members, the worst first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    HINT = "hint"

    def __str__(self) -> str:
        return self.value

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


class Reason(str, Enum):
    """Why something that the model said is not shown, in words for people."""

    NOT_FOUND = "quoted code not found"
    NOTHING_SAID = "no message"
    REPEATED = "said twice"
    NO_CHANGE = "replacement changes nothing"
    BREAKS = "replacement does not parse"
    DENIED = "denied at the second look"
    SUPPRESSED = "suppressed by a comment"
    CATEGORY_OFF = "category is off"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Claim:
    """A finding as the model states it; nothing of it is verified. No replacement: ``None``."""

    category: Category
    severity: Severity
    quote: str
    message: str
    replacement: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim about code that is there: ``start:end`` of its scope's text, in characters.

    ``replacement`` takes the place of exactly that range. ``confidence`` is the probability
    of "yes" at the second look, or of the code with the replacement against the code as it is;
    ``None`` where nobody looked.
    """

    category: Category
    severity: Severity
    quote: str
    message: str
    start: int
    end: int
    replacement: str | None = None
    confidence: float | None = None

    @property
    def claim(self) -> Claim:
        """What was claimed, without where it stands."""
        return Claim(self.category, self.severity, self.quote, self.message, self.replacement)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A claim that is not shown, or only without its replacement, and why."""

    claim: Claim
    reason: Reason
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class ScopeReview:
    """One scope, reviewed. ``text`` is what was read, found at ``start`` at that time.

    ``is_cut`` when an answer was; ``n_parts`` above 1 when the scope was too long to be read at
    once, without ``n_left_out`` lines that are too long themselves. ``key`` is the hash that
    makes it good for another time.
    """

    name: str
    text: str
    start: int
    key: str = ""
    findings: tuple[Finding, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    is_cut: bool = False
    n_parts: int = 1
    n_left_out: int = 0
    t_total_ms: float = 0.0

    @property
    def notes(self) -> list[str]:
        """What is partial about it, in sentences."""
        what = self.name or NAMELESS
        notes = []
        if self.n_parts > 1:
            notes.append(f"{what} is long and was reviewed in {self.n_parts} parts")
        if self.n_left_out:
            lines = "1 line is" if self.n_left_out == 1 else f"{self.n_left_out} lines are"
            notes.append(f"{lines} too long to be read and left out of {what}")
        if self.is_cut:
            notes.append(
                f"the answer about {what} was cut, by review.n_predict or a full context; "
                "what was whole in it is shown"
            )
        return notes


def not_reviewed(failed: Mapping[str, Sequence[str]]) -> list[str]:
    """Sentences about what could not be reviewed: names of scopes, by what went wrong."""
    return [
        f"not reviewed: {', '.join(names[:_MOST_NAMES])}"
        f"{f' and {more} more' if (more := len(names) - _MOST_NAMES) > 0 else ''} ({error})"
        for error, names in failed.items()
    ]


def told(rejected: Iterable[Rejected]) -> str:
    """A sentence about what was dropped: ``3 findings dropped: quoted code not found``."""
    counts = Counter(one.reason for one in rejected)
    parts = []
    for reason in Reason:
        n = counts[reason]
        if not n:
            continue
        what = ("replacement" if reason is Reason.BREAKS else "finding") + ("s" if n > 1 else "")
        parts.append(f"{n} {what} dropped: {reason}")
    return "; ".join(parts)
