"""pygls, made to keep our documents and to answer what it would leave unanswered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

import cattrs
from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import LanguageServerProtocol, lsp_method
from pygls.protocol.json_rpc import MsgId, RPCMessage, RPCRequest

from fimls.server.documents import Documents

logger = logging.getLogger(__name__)


class _Unreadable:
    """Stands for a message that was answered, or given up, while it was parsed."""


class Protocol(LanguageServerProtocol):
    """What LSP 3.18 asks for and pygls 2.1 leaves open.

    - Requests with malformed parameters, before ``initialize`` and after ``shutdown`` get
      the error that the specification names, instead of none.
    - Errors carry a sentence and no traceback.
    - What has been handled is forgotten. pygls 2.1 keeps the future of every notification, and
      of every step of its own handlers: two kilobytes a key, for ever.
    - ``exit_status`` says how the session ended; pygls swallows its own ``SystemExit``.
    """

    exit_status = 1  # the stream ended without ``exit``

    def structure_message(self, data: dict[str, Any]) -> Any:
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            mistakes = "; ".join(cattrs.transform_error(error.__cause__)) if error.__cause__ else ""
            logger.warning("unreadable %s: %s", data.get("method", "message"), mistakes)
            if "id" in data and "method" in data:
                told = JsonRpcInvalidParams(mistakes or None)
                self._send_response(data["id"], error=told.to_response_error())
            return _Unreadable()

    def handle_message(self, message: RPCMessage) -> None:
        if isinstance(message, _Unreadable) or not hasattr(message, "jsonrpc"):
            return
        if isinstance(message, RPCRequest):
            refusal = self._refusal(message.method)
            if refusal is not None:
                self._send_response(message.id, error=refusal.to_response_error())
                return
        elif self._workspace is None and getattr(message, "method", "") != types.EXIT:
            return  # notifications before ``initialize`` are to be dropped
        super().handle_message(message)

    def _execute_handler(
        self,
        msg_id: MsgId,
        handler: Callable[..., Any],
        callback: Callable[[Future[Any]], None],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        def done(future: Future[Any]) -> None:
            if not future.cancelled():  # pygls walks through them while it cancels
                self._request_futures.pop(msg_id, None)
            callback(future)

        super()._execute_handler(msg_id, handler, done, args, kwargs)

    def _refusal(self, method: str) -> JsonRpcException | None:
        if self._shutdown:
            return JsonRpcInvalidRequest("the server is shutting down")
        if self._workspace is None and method != types.INITIALIZE:
            return JsonRpcServerNotInitialized("initialize comes first")
        if self._workspace is not None and method == types.INITIALIZE:
            return JsonRpcInvalidRequest("initialize was sent before")
        return None

    def _send_response(
        self, msg_id: MsgId, result: Any | None = None, error: types.ResponseError | None = None
    ) -> None:
        if error is not None:
            error.data = None  # pygls puts tracebacks there
        super()._send_response(msg_id, result, error)

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(
        self, params: types.InitializeParams
    ) -> Generator[Any, Any, types.InitializeResult]:
        # pygls makes its own workspace, lets our handler run, then states the capabilities.
        result = yield from super().lsp_initialize(params)
        self._workspace = Documents(
            self.workspace.root_uri,
            types.TextDocumentSyncKind.Incremental,
            list(self.workspace.folders.values()),
            self.workspace.position_encoding,
        )
        text_document = params.capabilities.text_document
        if text_document is not None and text_document.inline_completion is not None:
            # The same text twice, and menus that wait for the model: ghost text is enough.
            result.capabilities.completion_provider = None
        if not getattr(self._server, "pulls_diagnostics", False):
            result.capabilities.diagnostic_provider = None  # they are pushed, and not twice
        return result

    @lsp_method(types.EXIT)
    def lsp_exit(self, *args: Any) -> Generator[Any, Any, None]:
        self.exit_status = 0 if self._shutdown else 1
        yield from super().lsp_exit(*args)
