"""How a client comes to a host: one of its own, or the user's shared one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fimls import __version__
from fimls.engine.shared import place
from fimls.errors import EngineFailed

# "python -m" looks for modules in the current folder first: not in somebody's project.
NEUTRAL_FOLDER = "/"


@dataclass(frozen=True, slots=True)
class Opener:
    """How a host opens its engine: ``function(arguments, progress)``, by name.

    ``target`` is ``"module:function"``; ``arguments`` must be JSON.
    """

    target: str
    arguments: Mapping[str, Any]

    def command(self, *options: str) -> list[str]:
        """A host's command line."""
        arguments = json.dumps(self.arguments)
        module = "fimls.engine.shared.main"
        start = [sys.executable, "-m", module, "--version", __version__]
        return [*start, self.target, arguments, *options]


def environment() -> dict[str, str]:
    """A host's environment: it finds what we find, also where a launcher extended our path.

    The current folder is not for it: "python -m" puts that in front.
    """
    here = Path.cwd()
    paths = [path for path in sys.path if Path(path).is_absolute() and Path(path) != here]
    paths += [given for given in [os.environ.get("PYTHONPATH")] if given]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


class Link(Protocol):
    """Gets connections to a running host, and starts one when there is none."""

    def connect(self) -> socket.socket: ...

    def why_it_ended(self) -> str:
        """How the host's process ended, in words; empty when unknown."""

    def close(self) -> None: ...


class ChildLink:
    """A host of our own: it ends with us, however we end, and nothing is on disk."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        with self._lock, theirs:
            if self._closed:
                ours.close()
                raise EngineFailed("the engine is closed")
            for attempt in (1, 2):
                control = self._running()
                try:
                    socket.send_fds(control, [b"c"], [theirs.fileno()])
                    break
                except OSError:
                    self._reap()
                    if attempt == 2:
                        ours.close()
                        raise EngineFailed("the engine's process does not start") from None
        return ours

    def why_it_ended(self) -> str:
        return "" if self._process is None else _in_words(self._process)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._reap()

    def _running(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self._reap()
        self._control, theirs = socket.socketpair(socket.AF_UNIX)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                self._opener.command("--control", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # a server's own stdout is its protocol
                # Linux shares processors between sessions (autogroups, sched(7)): its threads
                # delay a server of another session less, at the 95th percentile 7 ms for 11.
                start_new_session=True,
                cwd=NEUTRAL_FOLDER,
            )
        return self._control

    def _reap(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class SharedLink:
    """The user's one host of this kind; whoever finds none starts it, and it outlives them.

    It ends by itself, and removes its socket, when its last client has gone. Raises
    ``CannotShare`` where there is no place for its socket.
    """

    def __init__(self, opener: Opener, folder: Path | None = None) -> None:
        self.opener = opener
        self.path = place.socket_path({"target": opener.target, **opener.arguments}, folder)
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._process = None  # how that one ended is told by now
        connection = place.connect(self.path)
        if connection is not None:
            return connection
        with place.held(self.path.parent):
            connection = place.connect(self.path)
            if connection is None:
                self._start()
                connection = place.connect(self.path)
        if connection is None:
            raise EngineFailed(f"nobody listens at {self.path} although it was started")
        return connection

    def why_it_ended(self) -> str:
        return "" if self._process is None else _in_words(self._process)

    def close(self) -> None:
        """Leave it to the others."""
        if self._process is not None:
            self._process.poll()

    def _start(self) -> None:
        """Listen, and hand the socket to a new host: who connects from now on is served."""
        with place.listen(self.path) as listener:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                self.opener.command("--listener", str(listener.fileno()), str(self.path)),
                pass_fds=[listener.fileno()],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # it must not hold an editor's pipe open
                start_new_session=True,  # nor die with an editor's process group
                cwd=NEUTRAL_FOLDER,
            )


def _in_words(process: subprocess.Popen[bytes]) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)  # the socket closes a little before the process is gone
    status = process.returncode
    if status is None or status == 0:
        return ""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
