"""What is offered: code actions. No inference and no parsing; some editors ask all the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from fimls import lsp
from fimls.document import Document, Snapshot
from fimls.review.suppression import comment
from fimls.server import review_lsp
from fimls.server.session import Session

if TYPE_CHECKING:
    from fimls.scope import Scope

REVIEW, CLEAR = "fimls.review", "fimls.clearFindings"
EXPLAIN, DOCUMENT, FIX = "fimls.explainCode", "fimls.document", "fimls.fix"

# Kinds of their own, so that an editor can ask for them, or for none of them.
ACTION = "refactor.fimls"
QUICK_FIX = types.CodeActionKind.QuickFix
KINDS = (QUICK_FIX, ACTION)
_MOST_TITLE_CHARS = 60


def code_action(ls: Session, params: types.CodeActionParams) -> list[types.CodeAction] | None:
    document = ls.documents.find(params.text_document.uri)
    if document is None or why_not(ls, document.snapshot()):
        return None
    seen = document.snapshot()
    start, end = offsets(document, params.range)
    actions = [*_quick_fixes(ls, seen, start, end), *_fixes_of_others(ls, seen, params)]
    # A light bulb at every line would say nothing.
    if params.context.trigger_kind != types.CodeActionTriggerKind.Automatic:
        actions += _commands(ls, seen, params.range)
    only = params.context.only
    return [action for action in actions if only is None or _is_asked(action.kind, only)]


def _quick_fixes(ls: Session, seen: Snapshot, start: int, end: int) -> Iterable[types.CodeAction]:
    """For our own findings on these lines: all that is needed is known."""
    start = seen.text.rfind("\n", 0, start) + 1
    end = _end_of_line(seen.text, end)
    for one in ls.desk.findings.shown(seen.uri, seen.text):
        if one.end < start or one.start > end:
            continue
        about = [review_lsp.diagnostic(seen, one, ls.desk.encoding, related=False)]
        finding = one.finding
        if finding.replacement is None:
            yield _fix(ls, seen, about[0], finding.message)
        else:
            yield types.CodeAction(
                title=f"Replace by: {_short(finding.replacement)}",
                kind=QUICK_FIX,
                diagnostics=about,
                edit=edit(ls, seen, [(one.start, one.end, finding.replacement)]),
            )
        at = _end_of_line(seen.text, one.end)
        sign = comment(_line_comment(seen), finding.category)
        yield types.CodeAction(
            title=f"Ignore this {finding.category} finding with a comment",
            kind=QUICK_FIX,
            diagnostics=about,
            edit=edit(ls, seen, [(at, at, sign)]),
        )


def _fixes_of_others(
    ls: Session, seen: Snapshot, params: types.CodeActionParams
) -> Iterable[types.CodeAction]:
    for told in params.context.diagnostics:
        if told.source != review_lsp.SOURCE:  # ours are known, whether the editor tells them or not
            yield _fix(ls, seen, told, told.message)


def _fix(ls: Session, seen: Snapshot, told: types.Diagnostic, complaint: str) -> types.CodeAction:
    argument = {"uri": seen.uri, "range": _plain_range(told.range), "message": complaint}
    return _lazy(ls, f"Fix with fimls: {_short(complaint)}", QUICK_FIX, FIX, argument, [told])


def _commands(ls: Session, seen: Snapshot, at: types.Range) -> Iterable[types.CodeAction]:
    here: dict[str, Any] = {"uri": seen.uri, "range": _plain_range(at)}
    whats = [("Review this function", "function")]
    if at.start != at.end:
        whats.append(("Review selection", "selection"))
    whats += [("Review file", "file"), ("Review changes", "changes")]
    for title, what in whats:
        yield _command(title, REVIEW, {**here, "what": what})
    yield _command("Explain this code", EXPLAIN, here)
    yield _lazy(ls, "Suggest documentation", ACTION, DOCUMENT, here)
    if ls.desk.findings.shown(seen.uri, seen.text):
        yield _command("Clear findings", CLEAR, {"uri": seen.uri})


def _command(title: str, name: str, argument: dict[str, Any]) -> types.CodeAction:
    return types.CodeAction(
        title=title, kind=ACTION, command=types.Command(title, name, arguments=[argument])
    )


def _lazy(
    ls: Session,
    title: str,
    kind: str,
    name: str,
    argument: dict[str, Any],
    about: list[types.Diagnostic] | None = None,
) -> types.CodeAction:
    """An edit that is computed when it is chosen; for editors that do not resolve, a command."""
    action = types.CodeAction(title=title, kind=kind, diagnostics=about)
    if _resolves_edits(ls):
        action.data = {"command": name, "argument": argument}
    else:
        action.command = types.Command(title, name, arguments=[argument])
    return action


def _plain_range(at: types.Range) -> dict[str, dict[str, int]]:
    return {
        "start": {"line": at.start.line, "character": at.start.character},
        "end": {"line": at.end.line, "character": at.end.character},
    }


def offsets(document: Document, at: types.Range) -> tuple[int, int]:
    start = document.offset(lsp.position(at.start))
    return start, max(start, document.offset(lsp.position(at.end)))


def lines(text: str, start: int, end: int) -> tuple[Scope, ...]:
    """The whole lines of a range as a scope; none where they are blank."""
    from fimls.scope import Scope  # noqa: PLC0415 - brings the grammars

    start, end = text.rfind("\n", 0, start) + 1, _end_of_line(text, end)
    return (Scope("statements", "", start, end, start),) if text[start:end].strip() else ()


def why_not(ls: Session, seen: Snapshot) -> str:
    """Why a document may not be shown to a model; completion's own switches are not asked."""
    config = ls.settings.of(seen.path)
    asked = replace(config.completion, enabled=True, languages_off=())
    return ls.exclusion.why_not(seen, replace(config, completion=asked), ls.documents.roots())


def edit(ls: Session, seen: Snapshot, changes: list[tuple[int, int, str]]) -> types.WorkspaceEdit:
    workspace = ls.client_capabilities.workspace
    able = workspace is not None and workspace.workspace_edit
    versioned = bool(able and able.document_changes)
    return review_lsp.workspace_edit(seen, changes, ls.desk.encoding, versioned=versioned)


def _resolves_edits(ls: Session) -> bool:
    text_document = ls.client_capabilities.text_document
    able = text_document and text_document.code_action
    resolves = able and able.data_support and able.resolve_support
    return bool(resolves and "edit" in resolves.properties)


def _is_asked(kind: str | None, only: Iterable[str]) -> bool:
    kind = getattr(kind, "value", kind) or ""
    wanted = [str(getattr(one, "value", one)) for one in only]
    return any(not one or kind == one or kind.startswith(f"{one}.") for one in wanted)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_TITLE_CHARS else line[: _MOST_TITLE_CHARS - 1] + "…"


def _end_of_line(text: str, at: int) -> int:
    found = text.find("\n", at)
    found = len(text) if found < 0 else found
    return found - 1 if text[found - 1 : found] == "\r" else found


def _line_comment(seen: Snapshot) -> str:
    from fimls.scope.languages import language_of, lookup  # noqa: PLC0415 - brings the grammars

    known = lookup(language_of(seen.path, seen.language))
    return known.line_comments[0] if known.line_comments else known.block_comments[0][0]
