"""The command line: ``fimls --stdio`` for editors, commands for people.

Each command is a module in ``fimls.commands`` with ``add_parser(subparsers)`` and
``run(args, sources) -> exit status``; here they are only listed. Command modules
import what is heavy inside ``run``, so that the server starts at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fimls import __version__
from fimls.config import (
    Source,
    command_line,
    environment,
    find_project,
    gather,
    profile,
    user_file,
)
from fimls.errors import ConfigError, FimlsError

# In the order of --help.
COMMANDS = (
    "complete",
    "review",
    "serve",
    "models",
    "templates",
    "doctor",
    "eval",
    "bench",
    "config",
)

OK = 0
FAILED = 1
MISUSED = 2  # argparse's own status for a command line it does not understand
INTERRUPTED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``fimls``; returns the exit status. Errors are one line each on stderr."""
    try:
        status = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()  # so that a closed pipe is noticed here and not at exit
    except FimlsError as error:
        for line in str(error).splitlines():
            print(f"fimls: {line}", file=sys.stderr)
        return MISUSED if isinstance(error, ConfigError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _dispatch(argv: list[str]) -> int:
    args = _parser(argv).parse_args(argv)
    with _user_file(args):
        return _run(argv, args)


def _run(argv: list[str], args: argparse.Namespace) -> int:
    if args.stdio:
        from fimls.server import serve  # noqa: PLC0415 - only here is the server needed

        # Read one by one, again whenever they change, and told to the editor when mistaken.
        profiles = [partial(profile, name) for name in _profiles(args)]
        return serve([user_file, environment, *profiles, partial(_given, args)])
    if args.run is None:
        _parser(argv).print_help(sys.stderr)
        return MISUSED
    status: int = args.run(args, _sources(args, project=True))
    return status


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--config", metavar="FILE", help="read this instead of the user's file")
    common.add_argument(
        "--profile", metavar="NAME", action="append",
        help="lay profiles/NAME.toml, beside the user's file, over the other settings; repeatable",
    )  # fmt: skip
    common.add_argument(
        "--set", metavar="SECTION.KEY=VALUE", action="append", help="override a setting; repeatable"
    )
    common.add_argument(
        "--model", metavar="NAME", help="a catalogue name or a path of a .gguf file"
    )
    common.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error")
    parser = argparse.ArgumentParser(
        prog="fimls",
        description="Local, private code completion over LSP that stops where it should.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"fimls {__version__}")
    parser.add_argument("--stdio", action="store_true", help="serve an editor on stdin and stdout")
    parser.set_defaults(run=None)
    if "--stdio" not in argv:
        commands = parser.add_subparsers(title="commands", metavar="COMMAND")
        for name in COMMANDS:
            module = importlib.import_module(f"fimls.commands.{name}")
            module.add_parser(commands, common).set_defaults(run=module.run)
    return parser


def _sources(args: argparse.Namespace, *, project: bool) -> list[Source]:
    """Where this run's settings come from; the server learns its project from the editor."""
    root = find_project(Path.cwd()) if project else None
    profiles = [profile(name) for name in _profiles(args)]
    return [*gather(root=root), *profiles, _given(args)]


def _profiles(args: argparse.Namespace) -> list[str]:
    return list(getattr(args, "profile", []))


@contextmanager
def _user_file(args: argparse.Namespace) -> Iterator[None]:
    """``--config`` is ``FIMLS_CONFIG`` for one run: for all that lies beside the file, too."""
    before = os.environ.get("FIMLS_CONFIG")
    if hasattr(args, "config"):
        os.environ["FIMLS_CONFIG"] = str(Path(args.config).expanduser().absolute())
    try:
        yield
    finally:
        if before is not None:
            os.environ["FIMLS_CONFIG"] = before
        elif hasattr(args, "config"):
            del os.environ["FIMLS_CONFIG"]


def _given(args: argparse.Namespace) -> Source:
    """The settings on the command line itself."""
    given = list(getattr(args, "set", []))
    given += [
        f"{name}={value}"
        for name, value in (
            ("completion.model", getattr(args, "model", None)),
            ("log.level", getattr(args, "log_level", None)),
        )
        if value is not None
    ]
    return command_line(given)
