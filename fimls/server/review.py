"""Handlers for code review: code actions, commands, pulled diagnostics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.uris import from_fs_path

from fimls.cancel import Cancel
from fimls.document import Document, Snapshot
from fimls.errors import BadRequest, FimlsError
from fimls.server import review_actions, review_lsp
from fimls.server.desk import BUSY, Work
from fimls.server.jobs import in_thread
from fimls.server.review_actions import CLEAR, DOCUMENT, EXPLAIN, FIX, REVIEW
from fimls.server.session import Session

if TYPE_CHECKING:  # what they import takes longer than initialize may
    from fimls.review.assist import Edit
    from fimls.review.reviewer import Reviewer, Source

CANCEL, DROPPED = "fimls.cancelReview", "fimls.dropped"


def register(session: Session) -> None:
    """Make ``session`` review."""
    options = types.CodeActionOptions(
        code_action_kinds=list(review_actions.KINDS), resolve_provider=True
    )
    session.feature(types.TEXT_DOCUMENT_CODE_ACTION, options)(review_actions.code_action)
    session.feature(types.CODE_ACTION_RESOLVE)(resolve)
    pulled = types.DiagnosticOptions(
        inter_file_dependencies=False, workspace_diagnostics=False, identifier="fimls"
    )
    session.feature(types.TEXT_DOCUMENT_DIAGNOSTIC, pulled)(diagnostic)
    session.command(REVIEW)(review)
    session.command(CANCEL)(cancel_review)
    session.command(CLEAR)(clear_findings)
    session.command(DROPPED)(dropped)
    session.command(EXPLAIN)(explain_code)
    session.command(DOCUMENT)(document_code)
    session.command(FIX)(fix_line)


async def resolve(ls: Session, params: types.CodeAction) -> types.CodeAction:
    data = review_lsp.plain(params.data) or {}
    make = {DOCUMENT: _documentation, FIX: _fix}.get(data.get("command", ""))
    if make is None or params.edit is not None:
        return params
    try:
        params.edit = await _made(ls, make, data["argument"])
    except FimlsError as error:
        ls.desk.say(str(error), types.MessageType.Warning)
    return params


# Commands. They answer at once, since some editors wait for an answer and for nothing else
# meanwhile; what comes of them comes by itself.


async def review(ls: Session, *args: Any) -> Any:
    """Review what the first argument names; see docs/review.md."""
    argument = _argument(args)
    ls.desk.start(lambda: _review(ls, argument))


async def explain_code(ls: Session, *args: Any) -> Any:
    argument = _argument(args)
    ls.desk.start(lambda: _explain(ls, argument))


async def document_code(ls: Session, *args: Any) -> Any:
    argument = _argument(args)
    ls.desk.start(lambda: _apply(ls, _documentation, argument, "Suggest documentation"))


async def fix_line(ls: Session, *args: Any) -> Any:
    argument = _argument(args)
    ls.desk.start(lambda: _apply(ls, _fix, argument, "Fix"))


async def cancel_review(ls: Session, *args: Any) -> bool:
    del args
    return ls.desk.cancel()


async def clear_findings(ls: Session, *args: Any) -> None:
    """Of one document, or of all."""
    uri = _argument(args).get("uri")
    ls.desk.clear([uri] if uri else list(ls.desk.findings.documents()))


async def dropped(ls: Session, *args: Any) -> list[dict[str, Any]]:
    """What the model said about a document and nobody was shown, with the reasons."""
    uri = _argument(args).get("uri")
    uris = [uri] if uri else ls.desk.findings.documents()
    return [
        {
            "uri": at,
            "reason": one.reason.value,
            "confidence": one.confidence,
            **{key: getattr(value, "value", value) for key, value in asdict(one.claim).items()},
        }
        for at in uris
        for one in ls.desk.findings.rejected(at)
    ]


def diagnostic(
    ls: Session, params: types.DocumentDiagnosticParams
) -> types.RelatedFullDocumentDiagnosticReport:
    document = ls.documents.find(params.text_document.uri)
    found = [] if document is None else ls.desk.diagnostics(document.snapshot())
    return types.RelatedFullDocumentDiagnosticReport(items=found)


async def _review(ls: Session, argument: dict[str, Any]) -> None:
    what = argument.get("what", "file")
    if ls.desk.is_busy:
        ls.desk.say(BUSY, types.MessageType.Warning)
        return
    document = await _document(ls, argument)
    seen = document.snapshot()
    focus = review_actions.offsets(document, _range(argument))
    reviewer = await ls.desk.reviewer(seen.path)
    works = await in_thread(lambda: _works(ls, what, seen, focus, ls.documents.snapshots()))
    if not any(work.scopes for work in works):
        notes = [f"{Path(work.source.path).name}: {note}" for work in works for note in work.notes]
        ls.desk.say("; ".join([_NOTHING[what], *notes]), types.MessageType.Warning)
        return
    await ls.desk.review(works, reviewer)


_NOTHING = {
    "function": "there is no function here; review the selection or the file instead",
    "selection": "there is no code in the selection",
    "file": "there is no code in this document",
    "changes": "no function has changed since the last commit",
}


def _works(
    ls: Session, what: str, seen: Snapshot, focus: tuple[int, int], opened: dict[str, Snapshot]
) -> list[Work]:
    """What is to be read. In a thread: parses, and asks git."""
    from fimls.review.reviewer import Source  # noqa: PLC0415 - brings the grammars

    if what == "changes":
        return _changed(ls, seen, opened)
    source = Source.of(seen, focus[0])
    scopes = source.outline.scopes
    if what == "function":
        at = [scope for scope in source.outline.at(*focus) if scope.kind in {"function", "class"}]
        scopes = tuple(at[:1] if focus[0] == focus[1] else at)
    elif what == "selection":
        scopes = source.outline.at(*focus) or review_actions.lines(seen.text, *focus)
    elif what != "file":
        raise BadRequest(f'cannot review "{what}"; say function, selection, file or changes')
    return [Work(seen.uri, source, scopes)]


def _changed(ls: Session, seen: Snapshot, opened: dict[str, Snapshot]) -> list[Work]:
    from fimls.review.changes import changed_files, difference, old_text, repository  # noqa: PLC0415
    from fimls.review.reviewer import Source  # noqa: PLC0415
    from fimls.scope import is_code  # noqa: PLC0415

    if not seen.path:
        raise BadRequest("this document is no file, so git does not know it; review it instead")
    folder = Path(seen.path).parent
    olds = {file.path.resolve(): file.old for file in changed_files(folder)}
    # What is open and not saved has changed too, and git does not know yet.
    by_path = {Path(one.path).resolve(): one for one in opened.values() if one.path}
    root = repository(folder).resolve()
    for path in by_path:
        if path not in olds and is_code(path.name) and path.is_relative_to(root):
            olds[path] = old_text(path)
    works = []
    for path, old in olds.items():
        document = by_path.get(path) or _read(path)
        if document is None or review_actions.why_not(ls, document):
            continue
        source = Source.of(document)
        new = difference(source, old)
        works.append(Work(document.uri, source, new.scopes, tuple(new.notes)))
    return works


def _read(path: Path) -> Snapshot | None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    return Snapshot(from_fs_path(str(path)) or path.as_uri(), text=text, path=str(path))


# Explaining, documenting, fixing.

Make = Callable[["Reviewer", "Source", tuple[int, int], dict[str, Any], Cancel], "Edit | None"]


async def _made(ls: Session, make: Make, argument: dict[str, Any]) -> types.WorkspaceEdit:
    """The edit that ``make`` finds. Raises ``BadRequest`` when there is none."""
    from fimls.review.reviewer import Source  # noqa: PLC0415 - brings the grammars

    document = await _document(ls, argument)
    seen = document.snapshot()
    place = review_actions.offsets(document, _range(argument))
    if ls.desk.is_busy:
        raise BadRequest(BUSY)
    reviewer = await ls.desk.reviewer(seen.path)
    async with ls.desk.turn("thinking") as (_, cancel):
        try:
            edit = await in_thread(
                lambda: make(reviewer, Source.of(seen, place[0]), place, argument, cancel)
            )
        except asyncio.CancelledError:
            cancel.set()
            raise
    if edit is None:
        raise BadRequest("the model has nothing better to offer here")
    now = ls.documents.find(seen.uri)
    if now is None or now.version != seen.version:
        raise BadRequest("the document has changed meanwhile; ask again")
    return review_actions.edit(ls, seen, [(edit.start, edit.end, edit.text)])


async def _apply(ls: Session, make: Make, argument: dict[str, Any], label: str) -> None:
    edit = await _made(ls, make, argument)
    await ls.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit=edit, label=label))


def _documentation(
    reviewer: Reviewer,
    source: Source,
    place: tuple[int, int],
    argument: dict[str, Any],
    cancel: Cancel,
) -> Edit | None:
    from fimls.review import assist  # noqa: PLC0415 - brings the grammars

    del argument
    scopes = [scope for scope in source.outline.at(*place) if scope.kind in {"function", "class"}]
    if not scopes:
        raise BadRequest("there is no function here to document")
    return assist.document(reviewer.talk, source, scopes[0], cancel)


def _fix(
    reviewer: Reviewer,
    source: Source,
    place: tuple[int, int],
    argument: dict[str, Any],
    cancel: Cancel,
) -> Edit | None:
    from fimls.review import assist  # noqa: PLC0415 - brings the grammars

    return assist.fix(reviewer.talk, source, *place, str(argument.get("message", "")), cancel)


async def _explain(ls: Session, argument: dict[str, Any]) -> None:
    from fimls.review import assist  # noqa: PLC0415 - brings the grammars
    from fimls.review.reviewer import Source  # noqa: PLC0415

    document = await _document(ls, argument)
    seen = document.snapshot()
    start, end = review_actions.offsets(document, _range(argument))
    reviewer = await ls.desk.reviewer(seen.path)

    def explanation(cancel: Cancel) -> str:
        source = Source.of(seen, start)
        around = source.outline.at(start, end)
        if start != end:
            return assist.explain(reviewer.talk, source, start, end, cancel)
        first, last = (around[0].start, around[-1].end) if around else (0, len(seen.text))
        return assist.explain(reviewer.talk, source, first, last, cancel)

    async with ls.desk.turn("explaining") as (_, cancel):
        text = await in_thread(lambda: explanation(cancel))
        if cancel.is_set():
            return
    await _show(ls, text)


async def _show(ls: Session, text: str) -> None:
    """In a window of its own, where the editor can; else as a message."""
    window = ls.client_capabilities.window
    if window is not None and window.show_document and window.show_document.support:
        from fimls.config import cache_dir  # noqa: PLC0415

        page = cache_dir() / "explanation.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text + "\n", encoding="utf-8")
        page.chmod(0o600)
        uri = from_fs_path(str(page)) or page.as_uri()
        shown = await ls.window_show_document_async(types.ShowDocumentParams(uri=uri))
        if shown.success:
            return
    ls.desk.say(text)


# What arguments and documents say.


def _argument(args: tuple[Any, ...]) -> dict[str, Any]:
    found = review_lsp.plain(args[0]) if args else {}
    return found if isinstance(found, dict) else {}


async def _document(ls: Session, argument: dict[str, Any]) -> Document:
    """The document that is meant: whatever is asked for, a model may see it, or nothing is done."""
    await ls.settings_known()  # they say what no model may see
    document = ls.documents.find(str(argument.get("uri", "")))
    if document is None:
        raise BadRequest("the document is not open; its URI is the first argument's uri")
    reason = review_actions.why_not(ls, document.snapshot())
    if reason:
        raise BadRequest(f"this document is left alone: {reason}")
    return document


def _range(argument: dict[str, Any]) -> types.Range:
    told = argument.get("range") or {}
    return types.Range(*(_position(told.get(key)) for key in ("start", "end")))


def _position(told: dict[str, int] | None) -> types.Position:
    told = told or {}
    return types.Position(int(told.get("line", 0)), int(told.get("character", 0)))
