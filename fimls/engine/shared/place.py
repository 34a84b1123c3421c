"""Where the shared engine listens: a socket that only this user can open.

The socket's name is a digest of everything that makes two engines different (model,
settings, version), so that servers with other settings get another engine. The folder
itself is the lock, so that no lock file is left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
import struct
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from fimls import __version__
from fimls.errors import EngineFailed

# sun_path holds 104 bytes on macOS and 108 on Linux, a zero byte at its end among them.
MOST_PATH_BYTES = 107 if sys.platform == "linux" else 103


class CannotShare(EngineFailed):  # a state of the machine, as the message says
    """There is no place here for a socket that only this user can open."""


def socket_path(arguments: Mapping[str, Any], folder: Path | None = None) -> Path:
    """The socket of the engine that ``arguments`` describe. Raises ``CannotShare``."""
    described = json.dumps([__version__, arguments], sort_keys=True)
    digest = hashlib.sha256(described.encode()).hexdigest()[:12]
    path = (folder or runtime_dir()) / f"engine-{digest}.sock"
    if len(os.fsencode(path)) > MOST_PATH_BYTES:
        raise CannotShare(
            f"{path} is too long for the name of a socket; set XDG_RUNTIME_DIR to a shorter "
            "folder of your own"
        )
    return path


def runtime_dir() -> Path:
    """The user's own folder for sockets, which the system empties. Raises ``CannotShare``."""
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR (ssh, cron, containers) another folder is as good.
        warnings.simplefilter("ignore")
        try:
            return platformdirs.user_runtime_path("fimls", appauthor=False)
        except OSError as error:
            raise CannotShare(f"{error}; set XDG_RUNTIME_DIR to a folder of your own") from None


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes; it is made, and nobody else may enter it.

    Raises ``CannotShare`` where that is not to be had.
    """
    while True:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # its last user has just removed it
        except OSError as error:
            raise CannotShare(
                f"{folder} cannot be used: {error.strerror}; set XDG_RUNTIME_DIR to a folder of "
                "your own"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            facts = os.fstat(lock)
            if facts.st_nlink == 0 or not folder.exists():
                continue
            if stat.S_IMODE(facts.st_mode) & 0o077 or not _is_ours(folder):
                raise CannotShare(
                    f"{folder} can be entered by others; remove it, or set XDG_RUNTIME_DIR to a "
                    "folder of your own"
                )
            yield
        finally:
            os.close(lock)
        return


def _is_ours(folder: Path) -> bool:
    """Whether nobody but us (and root) can put another folder in this one's place."""
    above = folder.parent.stat()
    shut = not above.st_mode & 0o022 or above.st_mode & stat.S_ISVTX
    return folder.stat().st_uid == os.getuid() and above.st_uid in {0, os.getuid()} and bool(shut)


def connect(path: Path) -> socket.socket | None:
    """A connection to whoever listens at ``path``; ``None`` when nobody does.

    Raises ``CannotShare`` when it is not for us to open.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise CannotShare(f"{path} cannot be opened: {error.strerror}; remove it") from None
    if peer_uid(connection) not in {None, os.getuid()}:
        connection.close()
        raise CannotShare(f"{path} belongs to another user; remove it")
    return connection


def listen(path: Path) -> socket.socket:
    """Listen at ``path``, over a dead one's socket if need be. The folder must be held.

    Raises ``CannotShare``.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)  # nobody else could enter the folder meanwhile
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise CannotShare(f"cannot listen at {path}: {error.strerror}") from None
    return listener


def mark(path: Path) -> int | None:
    """What tells the socket at ``path`` from a later one of that name."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def leave(path: Path, marked: int | None) -> None:
    """Remove the socket that was ``marked``, and the folder when that was the last one.

    Whoever cleans up temporary folders may have removed it long ago, and another host may
    listen there by now. The folder must be held.
    """
    if mark(path) == marked:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def peer_uid(connection: socket.socket) -> int | None:
    """The user at the other end, ``None`` where the system does not tell."""
    if hasattr(socket, "SO_PEERCRED"):  # Linux: struct ucred, pid, uid, gid
        facts = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("iII", facts)[1])
    if sys.platform == "darwin":  # struct xucred: version, uid, …; LOCAL_PEERCRED is 1, level 0
        return int(struct.unpack("II", connection.getsockopt(0, 1, 76)[:8])[1])
    return None
