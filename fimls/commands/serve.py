"""``fimls serve``: keep the model loaded for all editors of this user, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fimls.config import Source, load

if TYPE_CHECKING:  # llama.cpp is loaded only where a model is
    from fimls.engine.base import Engine

ALREADY = 1


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    return commands.add_parser(
        "serve",
        parents=[common],
        help="keep one model loaded for all editors of this user",
        description=(
            "Load the model once and serve it, over a socket that only you can open, to all your "
            "editors. They start the same process by themselves, and it ends after the last of "
            "them; this command keeps it until Ctrl-C."
        ),
    )


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    del args
    from fimls import assembly, models  # noqa: PLC0415 - see fimls.cli
    from fimls.engine.shared import place  # noqa: PLC0415
    from fimls.engine.shared.host import Host  # noqa: PLC0415
    from fimls.engine.shared.main import end, serve_listener  # noqa: PLC0415
    from fimls.engine.shared.openers import embedded  # noqa: PLC0415

    config = load(sources)
    model = models.resolve(config.completion.model, models.models_dir(config.models))
    link = assembly.link_to(config, model)
    with place.held(link.path.parent):
        running = place.connect(link.path)
        if running is not None:
            running.close()
            print(f"fimls: {model.name} is served already, at {link.path}", file=sys.stderr)
            return ALREADY
        listener = place.listen(link.path)

    def open_engine(progress: Callable[[float], None]) -> Engine:
        engine = embedded(dict(link.opener.arguments), progress)
        print(f"serving {model.name} at {link.path}; Ctrl-C ends it", flush=True)
        return engine

    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    host = Host()
    serve_listener(host, listener, link.path, open_engine, float("inf"), over)
    if host.error is not None:
        raise host.error
    end(host)
    return 0
