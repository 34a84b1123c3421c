"""Progress on long work, shown by editors that can."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from fimls.cancel import Cancel

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

# Editors redraw for each report.
_SECONDS_BETWEEN = 0.1
_numbers = itertools.count(1)


class Bar:
    """Where work reports how far it is, from any thread. Silent until the editor shows it."""

    def __init__(self, server: LanguageServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._token: str | None = None
        self._is_over = False
        self._last_s = 0.0
        self.cancel = Cancel()

    def report(self, fraction: float | None, message: str = "") -> None:
        now_s = time.monotonic()
        if self._token is None or now_s - self._last_s < _SECONDS_BETWEEN:
            return
        self._last_s = now_s
        percentage = None if fraction is None else min(max(round(100 * fraction), 0), 100)
        told = types.WorkDoneProgressReport(message=message or None, percentage=percentage)
        self._loop.call_soon_threadsafe(self._send, told)

    async def show(self, title: str, *, cancellable: bool) -> None:
        token, shown = f"fimls-{next(_numbers)}", self._server.work_done_progress
        try:
            await shown.create_async(token)
        except JsonRpcException:
            return  # the editor would rather not
        if self._is_over:
            shown.tokens.pop(token, None)
            return
        # pygls cancels this future when the person presses the bar's button.
        shown.tokens[token].add_done_callback(
            lambda future: self.cancel.set() if future.cancelled() else None
        )
        begin = types.WorkDoneProgressBegin(title=title, cancellable=cancellable, percentage=0)
        shown.begin(token, begin)
        self._token = token

    def hide(self) -> None:
        self._is_over = True
        token, self._token = self._token, None
        if token is not None:
            self._server.work_done_progress.end(token, types.WorkDoneProgressEnd())
            self._server.work_done_progress.tokens.pop(token, None)

    def _send(self, told: types.WorkDoneProgressReport) -> None:
        if self._token is not None:
            self._server.work_done_progress.report(self._token, told)


@asynccontextmanager
async def progress(
    server: LanguageServer, title: str, *, cancellable: bool = False
) -> AsyncIterator[Bar]:
    """A progress bar for the length of the block; the block never waits for the editor."""
    bar = Bar(server)
    window = server.client_capabilities.window
    if window is None or not window.work_done_progress:
        yield bar
        return
    # Not cancelled when the work is over first: pygls fails on answers to cancelled requests.
    showing = asyncio.ensure_future(bar.show(title, cancellable=cancellable))
    try:
        yield bar
    finally:
        bar.hide()
        del showing
