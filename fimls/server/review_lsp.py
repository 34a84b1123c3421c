"""Findings and edits as the protocol's types."""

from __future__ import annotations

from typing import Any

from lsprotocol import types

from fimls.document import Encoding, Snapshot
from fimls.review.findings import Severity
from fimls.review.store import Shown

SOURCE = "fimls review"
_SEVERITIES = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.INFO: types.DiagnosticSeverity.Information,
    Severity.HINT: types.DiagnosticSeverity.Hint,
}


def range_of(document: Snapshot, start: int, end: int, encoding: Encoding) -> types.Range:
    first, last = document.position(start, encoding), document.position(end, encoding)
    return types.Range(
        types.Position(first.line, first.character), types.Position(last.line, last.character)
    )


def diagnostic(
    document: Snapshot, one: Shown, encoding: Encoding, *, related: bool
) -> types.Diagnostic:
    """A finding; its confidence is part of the message, which is all that editors show."""
    finding = one.finding
    sure = "" if finding.confidence is None else f" (confidence {finding.confidence:.0%})"
    # What shall be removed is shown faded.
    tags = [types.DiagnosticTag.Unnecessary] if finding.replacement == "" else None
    around = None
    if related and one.review.name:
        begin = one.review.start
        begin += len(one.review.text) - len(one.review.text.lstrip())
        header = range_of(document, begin, begin, encoding)
        place = types.Location(document.uri, header)
        around = [types.DiagnosticRelatedInformation(place, f"reviewed: {one.review.name}")]
    return types.Diagnostic(
        range=range_of(document, one.start, one.end, encoding),
        message=f"{finding.message}{sure}",
        severity=_SEVERITIES[finding.severity],
        code=finding.category.value,
        source=SOURCE,
        tags=tags,
        related_information=around,
    )


def workspace_edit(
    document: Snapshot,
    changes: list[tuple[int, int, str]],
    encoding: Encoding,
    *,
    versioned: bool,
) -> types.WorkspaceEdit:
    """Replacements as an edit, which a ``versioned`` client refuses when it has moved on."""
    edits = [
        types.TextEdit(range_of(document, start, end, encoding), text)
        for start, end, text in changes
    ]
    if not versioned:
        return types.WorkspaceEdit(changes={document.uri: edits})
    named = types.OptionalVersionedTextDocumentIdentifier(document.uri, document.version)
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(named, list(edits))])


def plain(found: Any) -> Any:
    """Pygls makes named tuples of JSON objects whose shape it does not know."""
    if hasattr(found, "_asdict"):
        return {key: plain(value) for key, value in found._asdict().items()}
    if isinstance(found, dict):
        return {key: plain(value) for key, value in found.items()}
    return [plain(item) for item in found] if isinstance(found, list | tuple) else found
