"""A host's process: ``python -m fimls.engine.shared.main MODULE:FUNCTION ARGUMENTS …``."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from fimls import __version__
from fimls.engine.base import Engine
from fimls.engine.shared import place
from fimls.engine.shared.host import Host, OpenEngine
from fimls.errors import EngineFailed

# An editor that restarts its server finds the model still loaded.
LINGER_S = 10.0
# What a running computation may take to notice that it is over.
END_S = 3.0


def main() -> None:
    """Serve until the owner or the last client has gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target", help="what opens the engine, as MODULE:FUNCTION")
    parser.add_argument("arguments", help="what it is called with, as JSON")
    parser.add_argument("--version", help="of the one who starts this")
    parser.add_argument("--control", type=int)
    parser.add_argument("--listener", nargs=2)
    parser.add_argument("--linger", type=float, default=LINGER_S)
    args = parser.parse_args()

    def open_engine(progress: Callable[[float], None]) -> Engine:
        if args.version != __version__:
            # A server that runs since before an upgrade speaks another protocol, perhaps.
            raise EngineFailed(
                f"fimls {args.version} was replaced by {__version__} meanwhile; restart the "
                "editor's language server"
            )
        module, _, function = args.target.partition(":")
        opener = getattr(importlib.import_module(module), function)
        engine: Engine = opener(json.loads(args.arguments), progress)
        return engine

    # The terminal's Ctrl-C is for the one in front; we end with our clients.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host = Host()
    if args.control is not None:
        serve_control(host, socket.socket(fileno=args.control), open_engine)
    else:
        listener = socket.socket(fileno=int(args.listener[0]))
        over = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: over.set())
        serve_listener(host, listener, Path(args.listener[1]), open_engine, args.linger, over)
    end(host)


def serve_control(host: Host, control: socket.socket, open_engine: OpenEngine) -> None:
    """Serve the connections that the owner sends over ``control``, until it closes."""
    threading.Thread(target=host.load, args=(open_engine,), daemon=True).start()
    while True:
        try:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except OSError:
            return
        if not descriptors:
            return
        host.serve(socket.socket(fileno=descriptors[0]))


def serve_listener(
    host: Host,
    listener: socket.socket,
    path: Path,
    open_engine: OpenEngine,
    linger_s: float,
    over: threading.Event,
) -> None:
    """Serve whoever connects, until nobody has been there for ``linger_s`` or ``over`` is set.

    A model that cannot be loaded is told to those who wait, and ends it.
    """
    marked = place.mark(path)
    threading.Thread(target=host.load, args=(open_engine,), daemon=True).start()
    while not over.is_set():
        if select.select([listener], [], [], 0.2)[0]:
            connection, _ = listener.accept()
            if place.peer_uid(connection) in {None, os.getuid()}:
                host.serve(connection)
            else:
                connection.close()
        elif host.error is not None and host.idle_s > 0:
            break
        elif host.idle_s > linger_s:
            # Nobody can connect between the last look and the end of the socket.
            with place.held(path.parent):
                if not select.select([listener], [], [], 0)[0]:
                    place.leave(path, marked)
                    listener.close()
                    return
    with place.held(path.parent):
        place.leave(path, marked)
    listener.close()


def end(host: Host) -> None:
    """Free the model; if a computation does not let go of it, end without."""
    closing = threading.Thread(target=host.close, daemon=True)
    closing.start()
    closing.join(END_S)
    os._exit(0)


if __name__ == "__main__":
    main()
