"""Logs that nobody has to read: a server whose standard error is full goes on answering."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from logging.handlers import QueueHandler

# Records that wait for whoever reads standard error; more are dropped, and their number told.
MOST_WAITING = 1_000
# How long the last ones may take at the end.
_CLOSE_S = 1.0


class PatientHandler(QueueHandler):
    """Hands records to a thread that writes them to standard error, and drops what it cannot take.

    A pipe holds 64 kB. Writing into one that an editor never reads would stop the event loop,
    and with it every answer.
    """

    def __init__(self) -> None:
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(MOST_WAITING)
        super().__init__(self._waiting)
        self._n_dropped = 0
        self._stream = logging.StreamHandler()
        # A daemon: waiting for a reader must not keep the process alive.
        self._writer = threading.Thread(target=self._write, name="fimls-log", daemon=True)
        self._writer.start()

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if self._n_dropped:
                told = f"{self._n_dropped} records dropped: nobody reads standard error"
                note = logging.LogRecord(__name__, logging.WARNING, "", 0, told, None, None)
                self._waiting.put_nowait(self.prepare(note))
                self._n_dropped = 0
            self._waiting.put_nowait(record)
        except queue.Full:
            self._n_dropped += 1

    def close(self) -> None:
        """Write what waits, where somebody reads it."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
            self._writer.join(_CLOSE_S)
        super().close()

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._stream.handle(record)
