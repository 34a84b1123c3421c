"""The places of documents where somebody typed, by their anchors."""

from __future__ import annotations

from collections import OrderedDict

from fimls.context.anchor import Anchor

# Anchors are a few kB each, and each that no longer holds is looked at in vain.
MOST_A_DOCUMENT = 12
MOST = 64


class Places:
    """The last anchors of each document, the least recently used forgotten. Not thread-safe."""

    def __init__(self) -> None:
        self._anchors: OrderedDict[tuple[str, Anchor], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._anchors)

    def known(self, document: str) -> list[Anchor]:
        """The anchors of a document, the most recently used first."""
        return [anchor for uri, anchor in reversed(self._anchors) if uri == document]

    def use(self, document: str, anchor: Anchor) -> None:
        self._anchors[document, anchor] = None
        self._anchors.move_to_end((document, anchor))
        for old in self.known(document)[MOST_A_DOCUMENT:]:
            del self._anchors[document, old]
        if len(self._anchors) > MOST:
            self._anchors.popitem(last=False)

    def forget(self, document: str) -> None:
        for anchor in self.known(document):
            del self._anchors[document, anchor]
