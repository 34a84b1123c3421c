"""Reviews of files as text, JSON and SARIF 2.1.0."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fimls import __version__
from fimls.document import Encoding, Snapshot
from fimls.review.findings import Category, Rejected, Severity, told
from fimls.review.store import Shown

# SARIF knows three levels; https://docs.oasis-open.org/sarif/sarif/v2.1.0/ section 3.27.10.
LEVELS = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "note",
    Severity.HINT: "note",
}
ABOUT = {
    Category.BUG: "Code that behaves wrongly",
    Category.SECURITY: "Code that can be abused",
    Category.RESOURCE: "A resource that is not given back",
    Category.ERROR_HANDLING: "A failure that is not handled",
    Category.PERFORMANCE: "Work that is done needlessly",
    Category.CLARITY: "Code that misleads its reader",
}
_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


@dataclass(frozen=True, slots=True)
class FileReview:
    """A file as it was reviewed. ``notes`` say what is partial about it."""

    path: str
    text: str
    shown: tuple[Shown, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = ()
    n_scopes: int = 0
    t_total_ms: float = 0.0
    is_failed: bool = False  # something of it could not be reviewed

    def places(self) -> Iterable[tuple[Shown, tuple[int, int], tuple[int, int]]]:
        """Findings with 1-based line and column (in characters) of start and end."""
        document = Snapshot(text=self.text)
        for one in self.shown:
            start = document.position(one.start, Encoding.UTF32)
            end = document.position(one.end, Encoding.UTF32)
            yield one, (start.line + 1, start.character + 1), (end.line + 1, end.character + 1)


def as_text(review: FileReview, *, verbose: bool) -> list[str]:
    """Lines as compilers write them, which editors can jump to."""
    lines = []
    for one, (line, column), _ in review.places():
        finding = one.finding
        sure = "" if finding.confidence is None else f" ({finding.confidence:.0%})"
        lines.append(
            f"{review.path}:{line}:{column}: {finding.severity}: {finding.message} "
            f"[{finding.category}]{sure}"
        )
        lines += [f"    {shown}" for shown in finding.quote.splitlines()]
        if finding.replacement is not None:
            lines += [f"  → {shown}" for shown in finding.replacement.splitlines()]
    lines += [f"{review.path}: {note}" for note in review.notes]
    if review.rejected:
        lines.append(f"{review.path}: {told(review.rejected)}")
    if verbose:
        for rejected in review.rejected:
            claim = rejected.claim
            lines.append(f"    dropped ({rejected.reason}): {claim.quote!r}: {claim.message}")
    return lines


def as_json(reviews: Sequence[FileReview], model: str) -> dict[str, Any]:
    return {"model": model, "files": [_file(review) for review in reviews]}


def _file(review: FileReview) -> dict[str, Any]:
    return {
        "path": review.path,
        "n_scopes": review.n_scopes,
        "t_total_ms": round(review.t_total_ms, 1),
        "notes": list(review.notes),
        "findings": [
            {
                "category": one.finding.category.value,
                "severity": one.finding.severity.value,
                "message": one.finding.message,
                "scope": one.review.name,
                "quote": one.finding.quote,
                "replacement": one.finding.replacement,
                "confidence": one.finding.confidence,
                "line": start[0],
                "column": start[1],
                "end_line": end[0],
                "end_column": end[1],
            }
            for one, start, end in review.places()
        ],
        "dropped": [
            {
                "reason": one.reason.value,
                "quote": one.claim.quote,
                "message": one.claim.message,
                "confidence": one.confidence,
            }
            for one in review.rejected
        ],
    }


def as_sarif(reviews: Sequence[FileReview]) -> dict[str, Any]:
    """SARIF 2.1.0, as code scanning services read it. Columns count characters."""
    rules = [
        {
            "id": f"fimls/{category}",
            "name": "".join(part.title() for part in category.value.split("-")),
            "shortDescription": {"text": ABOUT[category]},
        }
        for category in Category
    ]
    results = []
    for review in reviews:
        for one, start, end in review.places():
            results.append(_result(review, one, start, end))
    driver = {"name": "fimls", "version": __version__, "rules": rules}
    notes = [
        {"level": "warning", "message": {"text": f"{review.path}: {note}"}}
        for review in reviews
        for note in review.notes
    ]
    is_whole = not any(review.is_failed for review in reviews)
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": is_whole, "toolExecutionNotifications": notes}],
        "results": results,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(
    review: FileReview, one: Shown, start: tuple[int, int], end: tuple[int, int]
) -> dict[str, Any]:
    finding = one.finding
    path = Path(review.path)
    place = {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix())}
    region = {
        "startLine": start[0], "startColumn": start[1], "endLine": end[0], "endColumn": end[1],
        "snippet": {"text": finding.quote},
    }  # fmt: skip
    # The same code with the same complaint is the same finding, wherever it moves.
    print_of = f"{path.as_posix()}\n{finding.category}\n{''.join(finding.quote.split())}"
    result: dict[str, Any] = {
        "ruleId": f"fimls/{finding.category}",
        "ruleIndex": list(Category).index(finding.category),
        "level": LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": {"artifactLocation": place, "region": region}}],
        "partialFingerprints": {
            "fimlsQuote/v1": hashlib.sha256(print_of.encode("utf-8", "replace")).hexdigest()
        },
        "properties": {"confidence": finding.confidence, "scope": one.review.name},
    }
    if finding.confidence is not None:
        result["rank"] = round(100 * finding.confidence, 1)
    if finding.replacement is not None:
        removed = {key: value for key, value in region.items() if key != "snippet"}
        change = {"deletedRegion": removed, "insertedContent": {"text": finding.replacement}}
        result["fixes"] = [
            {"artifactChanges": [{"artifactLocation": place, "replacements": [change]}]}
        ]
    return result
