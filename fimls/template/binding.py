"""A template made ready to render: on a vocabulary, or as strings for servers without one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from fimls.fim import Chunk, Prompt, Segment, SegmentKind, Window
from fimls.template.family import Bos, Template
from fimls.template.form import Marker
from fimls.template.layout import lay_out
from fimls.template.source import Source
from fimls.vocabulary import Vocabulary


class BoundTemplate(ABC):
    """Renders prompts for one model. Safe to use from several threads."""

    template: Template
    vocabulary: Vocabulary | None

    @property
    def suffix_first(self) -> bool:
        """Whether prompts show the suffix before the prefix, so that the prefix is cached last."""
        return self.template.suffix_first

    @property
    def n_ctx(self) -> int:
        """Tokens that the family was trained for; 0 when nobody tells."""
        return self.template.context

    @abstractmethod
    def render(self, window: Window, chunks: Sequence[Chunk] = (), repository: str = "") -> Prompt:
        """The prompt for ``window``, with ``chunks`` of other files in the order given."""


class TokenTemplate(BoundTemplate):
    """Prompts of token ids: markers from the vocabulary, the user's text as plain text."""

    def __init__(self, template: Template, vocabulary: Vocabulary) -> None:
        self.template = template
        self.vocabulary: Vocabulary = vocabulary
        self.markers = {
            name: token
            for name, text in template.markers.items()
            if (token := vocabulary.marker(text)) is not None
        }
        adds = template.bos is Bos.ADD or (template.bos is Bos.FILE and vocabulary.add_bos)
        self.bos = vocabulary.bos if adds else None
        ends = (vocabulary.marker(text) for text in (*template.ends, *template.stops))
        stops = {token for token in ends if token is not None} | set(self.markers.values())
        if vocabulary.bos is not None:
            stops.add(vocabulary.bos)
        self.stops = frozenset(stops)
        self.stop_texts = stop_texts(template)
        self.source = Source(vocabulary, stops)

    def render(self, window: Window, chunks: Sequence[Chunk] = (), repository: str = "") -> Prompt:
        """See ``BoundTemplate``.

        The text before the cursor is left out from its last token on and comes back
        as ``Prompt.heal``. What the prefix at the anchor loses this way goes to the
        middle, so that it stays the same however much is typed. What the model has
        begun ends with a token of its own choice: nothing of that is left out.
        """
        segments: list[Segment] = []
        if self.bos is not None:
            segments.append(self._marker(self.bos))
        tail = ""
        for item in lay_out(self.template, window, chunks, repository):
            if isinstance(item, Marker):
                segments.append(self._marker(self.markers[item.name]))
                continue
            text, n_left_out = item.text, 0
            if item.is_open:
                text = text[: item.code_at] + tail + text[item.code_at :]
            if item.is_open and window.begun:
                ids, tail = self.source.encode(text), ""
            elif item.code_at < 0:
                ids = self.source.encode(text)
            else:
                ids, tail = self.source.split(text, item.code_at)
                n_left_out = len(tail)
            if ids:
                text = text[: len(text) - n_left_out]
                segments.append(Segment(SegmentKind.SOURCE, text, ids))
        return Prompt(
            segments=tuple(segments),
            stops=self.stops,
            heal=tail,
            template=self.template.name,
            stop_texts=self.stop_texts,
            window=window,
            chunks=tuple(chunks),
        )

    def _marker(self, token: int) -> Segment:
        return Segment(SegmentKind.MARKER, self.source.spelling(token), (token,))


def stop_texts(template: Template) -> tuple[str, ...]:
    """Strings that end a middle, the most needed first: some servers take only four."""
    spellings = (*template.ends, *template.markers.values(), *template.stops)
    return tuple(dict.fromkeys((*template.stop_texts, *map(spell, spellings))))


def spell(marker: str) -> str:
    """A marker as it stands in a string: SentencePiece writes its blank as ``▁``."""
    return " " + marker[1:] if marker.startswith("▁") else marker
