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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from fimls import __version__
from fimls.errors import EngineFailed


def socket_path(arguments: Mapping[str, Any], folder: Path | None = None) -> Path:
    """The socket of the engine that ``arguments`` describe."""
    described = json.dumps([__version__, arguments], sort_keys=True)
    digest = hashlib.sha256(described.encode()).hexdigest()[:12]
    # sun_path holds 104 bytes on macOS and 108 on Linux.
    return (folder or runtime_dir()) / f"engine-{digest}.sock"


def runtime_dir() -> Path:
    """The user's own folder for sockets, which the system empties."""
    return platformdirs.user_runtime_path("fimls", appauthor=False)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes; it is made, and nobody else may enter it."""
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # its last user has just removed it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            facts = os.fstat(lock)
            if facts.st_nlink == 0 or not folder.exists():
                continue
            if stat.S_IMODE(facts.st_mode) & 0o077 or not _is_ours(folder):
                raise EngineFailed(
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
    """A connection to whoever listens at ``path``; ``None`` when nobody does."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    if peer_uid(connection) not in {None, os.getuid()}:
        connection.close()
        raise EngineFailed(f"{path} belongs to another user; remove it")
    return connection


def listen(path: Path) -> socket.socket:
    """Listen at ``path``, over a dead one's socket if need be. The folder must be held."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)  # nobody else could enter the folder meanwhile
    listener.listen(64)
    return listener


def leave(path: Path) -> None:
    """Remove the socket, and the folder when it was the last one. The folder must be held."""
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
