"""Prompts as strings, for servers that show no vocabulary.

Such a server may read control tokens out of the text it is sent. So text that
spells one is cut off there: less context is better than a wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from fimls.fim import Chunk, Prompt, Segment, SegmentKind, Window
from fimls.template.binding import BoundTemplate, spell, stop_texts
from fimls.template.family import Template
from fimls.template.form import Marker
from fimls.template.layout import lay_out

# How most vocabularies spell control tokens that a template does not name.
_ANY_CONTROL = r"<[|｜][^<>|｜\s]{1,40}[|｜]>"


class TextTemplate(BoundTemplate):
    """Prompts without token ids. The server adds BOS itself."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.vocabulary = None
        # The server's own tokenizer puts SentencePiece's blanks where it is used to.
        self._layout = replace(template, dummy_space=frozenset())
        self.stop_texts = stop_texts(template)
        spellings = {
            spell(marker).strip()
            for marker in (*template.markers.values(), *template.ends, *template.stops)
        }
        alternatives = [re.escape(s) for s in sorted(spellings, key=len, reverse=True)]
        self._control = re.compile("|".join([*alternatives, _ANY_CONTROL]))

    def render(self, window: Window, chunks: Sequence[Chunk] = (), repository: str = "") -> Prompt:
        """See ``BoundTemplate``.

        Of the text before the cursor only the indentation of a line that is blank so
        far is left to ``Prompt.heal`` (and the blank that a family's middles begin with):
        the engine drops it from what the server sends.
        """
        shown = self._without_control_tokens(window)
        before = shown.prefix + shown.typed
        line = before[before.rfind("\n") + 1 :]
        heal = "" if line.strip(" \t") else line
        if heal:
            kept = before[: len(before) - len(heal)]
            at_anchor = min(len(shown.prefix), len(kept))
            shown = replace(shown, prefix=kept[:at_anchor], typed=kept[at_anchor:])
        safe_chunks = [
            Chunk(self._before_control(chunk.path), self._before_control(chunk.text))
            for chunk in chunks
        ]
        if not shown.typed and "typed" in self.template.dummy_space:
            heal = " " + heal
        items = lay_out(self._layout, shown, safe_chunks, self._before_control(repository))
        segments = [
            Segment(SegmentKind.MARKER, spell(self.template.markers[item.name]))
            if isinstance(item, Marker)
            else Segment(SegmentKind.SOURCE, item.text)
            for item in items
        ]
        return Prompt(
            segments=tuple(segment for segment in segments if segment.text),
            heal=heal,
            template=self.template.name,
            stop_texts=self.stop_texts,
            window=window,
            chunks=tuple(chunks),
        )

    def _without_control_tokens(self, window: Window) -> Window:
        """Keep of the text around the cursor what touches it and spells no control token."""
        before = window.prefix + window.typed
        cut = max((match.end() for match in self._control.finditer(before)), default=0)
        at_anchor = max(len(window.prefix), cut)
        return replace(
            window,
            prefix=before[cut:at_anchor],
            typed=before[at_anchor:],
            suffix=self._before_control(window.suffix),
            path=self._before_control(window.path),
        )

    def _before_control(self, text: str) -> str:
        match = self._control.search(text)
        return text[: match.start()] if match else text
