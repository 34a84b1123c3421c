"""The handlers: translate, call, translate back."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from fimls import lsp
from fimls.config import PROJECT_FILE, SourceKind
from fimls.config.schema import SECTIONS
from fimls.errors import FimlsError
from fimls.ignoring import IGNORE_FILE
from fimls.server import review
from fimls.server.session import SETTINGS_S, Session

logger = logging.getLogger(__name__)

P = TypeVar("P")
R = TypeVar("R")
Handler = Callable[[Session, P], Awaitable[R]]

# After these a menu is worth opening in an editor that has no ghost text.
TRIGGERS = [".", "(", "[", "{", "=", ":", ",", " "]


def register(session: Session) -> None:
    """Make ``session`` answer."""
    feature, command = session.feature, session.command
    feature(types.INITIALIZE)(initialize)
    feature(types.INITIALIZED)(initialized)
    feature(types.SHUTDOWN)(shutdown)
    feature(types.TEXT_DOCUMENT_DID_OPEN)(did_open)
    feature(types.TEXT_DOCUMENT_DID_CHANGE)(did_change)
    feature(types.TEXT_DOCUMENT_DID_SAVE)(did_save)
    feature(types.TEXT_DOCUMENT_DID_CLOSE)(did_close)
    feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)(did_open)
    feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)(notebook_did_change)
    feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)(notebook_did_close)
    feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(did_change_configuration)
    feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())(
        inline_completion
    )
    feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=TRIGGERS))(
        completion
    )
    review.register(session)
    command(lsp.ACCEPTED)(accepted)
    command("fimls.explain")(explain)
    command("fimls.metrics")(metrics)
    command("fimls.status")(status)
    command("fimls.pullModel")(pull)


def initialize(ls: Session, params: types.InitializeParams) -> None:
    ls.shows_status = _announces(params, "status")
    ls.completions.grows = _announces(params, "grows")
    ls.pulls_diagnostics = _pulls_diagnostics(params.capabilities)
    ls.settings.take(SourceKind.INITIALIZATION_OPTIONS, params.initialization_options)


async def initialized(ls: Session, params: types.InitializedParams) -> None:
    del params
    await _ask_settings(ls)
    workspace = ls.client_capabilities.workspace
    dynamic = workspace and workspace.did_change_configuration
    if dynamic and dynamic.dynamic_registration:
        # VS Code sends no changes unless asked to.
        told = types.Registration("fimls-settings", types.WORKSPACE_DID_CHANGE_CONFIGURATION)
        try:
            await ls.client_register_capability_async(types.RegistrationParams([told]))
        except JsonRpcException as error:
            logger.warning("no notice of changed settings: %s", error)


def shutdown(ls: Session, params: None) -> None:
    del params
    ls.idle.stir()
    ls.jobs.take_back_all()
    ls.desk.cancel()


def did_open(
    ls: Session, params: types.DidOpenTextDocumentParams | types.DidOpenNotebookDocumentParams
) -> None:
    if isinstance(params, types.DidOpenTextDocumentParams):
        ls.desk.opened(params.text_document.uri)
    if ls.settings.config.completion.enabled:
        ls.backend.start()


def did_change(ls: Session, params: types.DidChangeTextDocumentParams) -> None:
    ls.idle.stir()
    ls.jobs.take_back(params.text_document.uri)
    document = ls.documents.find(params.text_document.uri)
    if document is not None:
        ls.desk.follow(document)


def did_save(ls: Session, params: types.DidSaveTextDocumentParams) -> None:
    name = lsp.path_of(params.text_document.uri).rpartition("/")[2]
    if name in {PROJECT_FILE, IGNORE_FILE, "config.toml"}:
        ls.settings.reload()
        ls.use_settings()


def did_close(ls: Session, params: types.DidCloseTextDocumentParams) -> None:
    ls.idle.stir()
    ls.jobs.take_back(params.text_document.uri)
    ls.backend.forget(params.text_document.uri)
    ls.neighbours.forget(params.text_document.uri)
    ls.desk.closed(params.text_document.uri)


def notebook_did_change(ls: Session, params: types.DidChangeNotebookDocumentParams) -> None:
    ls.idle.stir()
    ls.jobs.take_back(params.notebook_document.uri)


def notebook_did_close(ls: Session, params: types.DidCloseNotebookDocumentParams) -> None:
    ls.idle.stir()
    ls.jobs.take_back(params.notebook_document.uri)
    ls.backend.forget(params.notebook_document.uri)


async def did_change_configuration(ls: Session, params: types.DidChangeConfigurationParams) -> None:
    ls.settings.reload()
    await _ask_settings(ls, pushed=params.settings)


def quietly(handler: Handler[P, R]) -> Handler[P, R | None]:
    """Whatever goes wrong in a keystroke's request is told once and answered with null."""

    @functools.wraps(handler)
    async def guarded(ls: Session, params: P) -> R | None:
        try:
            return await handler(ls, params)
        except FimlsError as error:
            ls.tell(str(error))
        except Exception as error:
            logger.exception("failed")
            ls.tell(f"internal error ({type(error).__name__}); the server's log has the details")
        return None

    return guarded


@quietly
async def inline_completion(
    ls: Session, params: types.InlineCompletionParams
) -> types.InlineCompletionList | None:
    asked = ls.documents.place(
        params.text_document.uri, params.position, params.context.selected_completion_info
    )
    if asked is None:
        return None
    invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
    # What has grown is told of a document; a cell is none of those that the model sees.
    is_document = asked.snapshot.uri == params.text_document.uri
    found = await ls.completions.complete(asked, invoked=invoked, may_grow=is_document)
    if found is None:
        return None
    return lsp.inline_items(asked, found, ls.metrics.n_offered)


@quietly
async def completion(ls: Session, params: types.CompletionParams) -> types.CompletionList | None:
    uri = params.text_document.uri
    asked = ls.documents.place(uri, params.position)
    document = ls.documents.find(uri)
    if asked is None or document is None:
        return None
    found = await ls.completions.complete(asked, invoked=False)
    if found is None:
        return None
    return lsp.menu_items(
        document, asked, found, ls.metrics.n_offered, markdown=_takes_markdown(ls)
    )


async def accepted(ls: Session, *args: Any) -> None:
    """An item was taken: its number, and which grade of it."""
    ls.metrics.accept(*args[1:2])
    logger.info("accepted %s", args)


async def explain(ls: Session, *args: Any) -> Any:
    del args
    return ls.explain()


async def metrics(ls: Session, *args: Any) -> Any:
    """What this session's completions cost and how they ended, and all that was computed."""
    del args
    return {**ls.metrics.facts(), "computed": ls.backend.count.facts()}


async def status(ls: Session, *args: Any) -> Any:
    del args
    return ls.board.shown.as_params()


async def pull(ls: Session, *args: Any) -> bool:
    """Download a model, by default the one that the settings name."""
    return await ls.pull(str(args[0]) if args else ls.settings.config.completion.model)


async def _ask_settings(ls: Session, pushed: Any = None) -> None:
    """The editor's settings for us: asked for where it can tell, else what it pushed."""
    values = _ours(pushed)
    workspace = ls.client_capabilities.workspace
    if workspace is not None and workspace.configuration:
        item = types.ConfigurationItem(section="fimls")
        answer = ls.workspace_configuration_async(types.ConfigurationParams([item]))
        asked = asyncio.ensure_future(answer)
        # Not ``wait_for``: pygls fails on late answers to cancelled requests.
        await asyncio.wait({asked}, timeout=SETTINGS_S)
        if asked.done() and not asked.cancelled() and asked.exception() is None:
            told = next(iter(asked.result()), None)
            values = values if told is None else told
        else:
            logger.warning("the editor did not tell its settings")
    ls.settings.take(SourceKind.WORKSPACE_CONFIGURATION, values)
    ls.use_settings()
    if ls.settings.config.completion.enabled and ls.documents.n_open:
        ls.backend.start()


def _ours(pushed: Any) -> Any:
    """Our part of pushed settings; eglot sends those of all servers to each."""
    if not isinstance(pushed, dict) or "fimls" in pushed:
        return pushed["fimls"] if isinstance(pushed, dict) else None
    return pushed if any(key.partition(".")[0] in SECTIONS for key in pushed) else None


def _announces(params: types.InitializeParams, ability: str) -> bool:
    """Whether the editor asks for notifications of ours: others complain about unknown ones."""
    options = params.initialization_options
    client = options.get("client") if isinstance(options, dict) else None
    experimental = params.capabilities.experimental
    ours = experimental.get("fimls") if isinstance(experimental, dict) else None
    return any(isinstance(asks, dict) and asks.get(ability) is True for asks in (client, ours))


def _pulls_diagnostics(able: types.ClientCapabilities) -> bool:
    """Whether findings are pulled: only from those who can be told that there are new ones."""
    pulls = able.text_document is not None and able.text_document.diagnostic is not None
    refreshes = able.workspace is not None and able.workspace.diagnostics
    return bool(pulls and refreshes and refreshes.refresh_support)


def _takes_markdown(ls: Session) -> bool:
    """Whether documentation is drawn as Markdown.

    Editors that name no formats (Helix) draw plain strings as Markdown, too: ``x**2`` as x2.
    """
    text_document = ls.client_capabilities.text_document
    item = text_document and text_document.completion and text_document.completion.completion_item
    formats = item.documentation_format if item else None
    return formats is None or types.MarkupKind.Markdown in formats
