"""Files that no model may see: what the settings say, and what a folder says of itself."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

IGNORE_FILE = ".fimlsignore"


def why_ignored(path: str, patterns: tuple[str, ...], roots: Iterable[str]) -> str:
    """The reason in a few words, or nothing.

    ``patterns`` are those of ``files.ignore``; each of ``roots`` may have an ignore file. All
    see a path from its root on: what lies above is not the project's choice.
    """
    if not path:
        return ""
    file, matches = Path(path), _matcher(patterns)
    inside = [(root, str(file.relative_to(root))) for root in roots if file.is_relative_to(root)]
    if matches(file.name) or any(matches(relative) for _, relative in inside):
        return f"{file.name} matches files.ignore"
    if any(_matcher(_ignore_file(root))(relative) for root, relative in inside):
        return f"{file.name} matches {IGNORE_FILE}"
    return ""


def roots_of(path: Path) -> list[str]:
    """For the command line: the folders from that of ``path`` up to its repository's.

    Outside of a repository, up to the current folder, or that of ``path`` alone.
    """
    above = list(path.parents)
    tops = [folder for folder in above if (folder / ".git").exists()] or [Path.cwd()]
    n_roots = above.index(tops[0]) + 1 if tops[0] in above else 1
    return [str(folder) for folder in above[:n_roots]]


def forget() -> None:
    """Ignore files may have changed."""
    _ignore_file.cache_clear()


@functools.lru_cache(maxsize=64)
def _ignore_file(root: str) -> tuple[str, ...]:
    try:
        return tuple((Path(root) / IGNORE_FILE).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return ()


@functools.lru_cache(maxsize=64)
def _matcher(patterns: tuple[str, ...]) -> functools.partial[bool]:
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - not needed to answer initialize

    return functools.partial(GitIgnoreSpec.from_lines(patterns).match_file)
