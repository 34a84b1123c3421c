"""Documents to leave alone, and why: secrets, what the settings say, what is no text."""

from __future__ import annotations

from fimls import ignoring
from fimls.config import Config
from fimls.document import Snapshot


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
        return ignoring.why_ignored(document.path, config.files.ignore, roots)

    def forget(self) -> None:
        """Ignore files may have changed."""
        ignoring.forget()


def _size(text: str, enough: int) -> int:
    """Bytes of ``text`` in UTF-8; counted only where the answer is near ``enough``."""
    if text.isascii() or len(text) > enough or 4 * len(text) <= enough:
        return len(text)
    return len(text.encode())
