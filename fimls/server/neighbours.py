"""The other open files of a session, as far as a document's prompts may show them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from fimls.document import Snapshot

if TYPE_CHECKING:  # what they import takes longer than initialize may
    from fimls.fim import Chunk

# As the completer estimates where there is no tokenizer; code has 3 to 4.
_CHARS_PER_TOKEN = 3


class Neighbours:
    """Remembers where the person was, and what was shown there. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._visited: list[str] = []  # URIs, the latest last
        self._shown: dict[str, tuple[int, tuple[Chunk, ...]]] = {}
        self._signatures: dict[str, tuple[str, str]] = {}

    def shown_to(
        self, document: Snapshot, others: Sequence[Snapshot], n_tokens: int
    ) -> tuple[Chunk, ...]:
        """Signatures from ``others`` for ``document``; the same while the person stays in it.

        Parses what has changed, so it is not for the event loop.
        """
        with self._lock:
            known = self._shown.get(document.uri)
            if known and self._visited[-1] == document.uri and known[0] == n_tokens:
                return known[1]
            chunks = self._choose(document, others, n_tokens)
            self._shown[document.uri] = n_tokens, chunks
            self._visited = [uri for uri in self._visited if uri != document.uri]
            self._visited.append(document.uri)
            return chunks

    def forget(self, uri: str) -> None:
        """The document was closed."""
        with self._lock:
            self._visited = [one for one in self._visited if one != uri]
            self._shown.pop(uri, None)
            self._signatures.pop(uri, None)

    def _choose(
        self, document: Snapshot, others: Sequence[Snapshot], n_tokens: int
    ) -> tuple[Chunk, ...]:
        from fimls.context.chunks import Neighbour, choose  # noqa: PLC0415 - see the server

        last = {uri: number for number, uri in enumerate(self._visited)}
        latest_first = sorted(others, key=lambda one: -last.get(one.uri, -1))
        neighbours = [
            Neighbour(PurePath(one.path).name, self._signatures_of(one))
            for one in latest_first
            if one.uri != document.uri
        ]
        return choose(document.text, neighbours, n_tokens, _estimate)

    def _signatures_of(self, document: Snapshot) -> str:
        from fimls import scope  # noqa: PLC0415 - brings the grammars

        known = self._signatures.get(document.uri)
        if known is None or known[0] != document.text:
            language = scope.language_of(document.path, document.language)
            known = document.text, scope.signatures(document.text, language)
            self._signatures[document.uri] = known
        return known[1]


def in_same_root(
    document: Snapshot, others: Sequence[Snapshot], roots: list[str]
) -> list[Snapshot]:
    """Those of ``others`` that are files in the same folder of the workspace."""
    holding = [root for root in roots if document.path and Path(document.path).is_relative_to(root)]
    return [
        one
        for one in others
        if one.path and any(Path(one.path).is_relative_to(root) for root in holding)
    ]


def _estimate(text: str) -> int:
    return len(text) // _CHARS_PER_TOKEN + 1
