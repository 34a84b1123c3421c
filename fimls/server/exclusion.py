"""Documents to leave alone, and why: secrets, what the settings say, what is no text."""

from __future__ import annotations

import functools
from pathlib import Path

from fimls.config import Config
from fimls.document import Snapshot

IGNORE_FILE = ".fimlsignore"


class Exclusion:
    """Answers why a document is not completed in. Nothing here is an error."""

    def why_not(self, document: Snapshot, config: Config, roots: list[str]) -> str:
        """The reason in a few words, or nothing."""
        if not config.completion.enabled:
            return "completion.enabled is false"
        if document.language in config.completion.languages_off:
            return f"{document.language} is in completion.languages_off"
        if _size(document.text, config.files.max_bytes) > config.files.max_bytes:
            return f"larger than files.max_bytes = {config.files.max_bytes:,}"
        if "\0" in document.text:
            return "binary content"
        return self._ignored(document.path, config.files.ignore, roots)

    def forget(self) -> None:
        """Ignore files may have changed."""
        _ignore_file.cache_clear()

    def _ignored(self, path: str, patterns: tuple[str, ...], roots: list[str]) -> str:
        """Patterns see a path from its root on: what lies above is not the project's choice."""
        if not path:
            return ""
        file, matches = Path(path), _matcher(patterns)
        inside = [
            (root, str(file.relative_to(root))) for root in roots if file.is_relative_to(root)
        ]
        if matches(file.name) or any(matches(relative) for _, relative in inside):
            return f"{file.name} matches files.ignore"
        if any(_matcher(_ignore_file(root))(relative) for root, relative in inside):
            return f"{file.name} matches {IGNORE_FILE}"
        return ""


def _size(text: str, enough: int) -> int:
    """Bytes of ``text`` in UTF-8; counted only where the answer is near ``enough``."""
    if text.isascii() or len(text) > enough or 4 * len(text) <= enough:
        return len(text)
    return len(text.encode())


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
