"""The language server: ``serve`` speaks LSP on standard input and output until told to exit."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Sequence

from fimls.server.features import register
from fimls.server.logs import PatientHandler
from fimls.server.session import Session
from fimls.server.settings import ReadSource

__all__ = ["serve"]

# How long an engine may take to let go at the end. A prompt evaluation ends within 30 ms.
_CLOSE_S = 2.0


def serve(sources: Sequence[ReadSource]) -> int:
    """Serve one editor; returns the exit status: 0 after ``shutdown``, 1 without."""
    session = Session(sources)
    register(session)
    _log(session)
    # Nothing but the protocol may reach the editor: what else prints goes to standard error.
    wire = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    session.start_io(sys.stdin.buffer, wire)
    session.jobs.take_back_all()
    closing = threading.Thread(target=session.backend.close, daemon=True)
    closing.start()
    closing.join(_CLOSE_S)
    logging.shutdown()
    if threading.active_count() > 1:
        # A thread is still inside llama.cpp, loading perhaps: taking the interpreter down
        # around it can crash, and waiting for it would keep the editor from closing.
        os._exit(session.protocol.exit_status)
    return session.protocol.exit_status


def _log(session: Session) -> None:
    """Where the settings say; pygls' own lines hold source code, so they are for ``debug``."""
    log = session.settings.config.log
    handler: logging.Handler
    handler = logging.FileHandler(log.file) if log.file else PatientHandler()
    logging.basicConfig(
        handlers=[handler], format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("fimls").setLevel(log.level.upper())
    is_debug = log.level == "debug"
    logging.getLogger("pygls").setLevel(logging.DEBUG if is_debug else logging.CRITICAL)
