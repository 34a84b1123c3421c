"""A template on a real vocabulary: from windows to prompts of token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fimls.errors import ModelRefused, TemplateError
from fimls.fim import Chunk, Prompt, Segment, SegmentKind, Window
from fimls.template.family import Bos, Marker, Status, Template
from fimls.template.layout import lay_out
from fimls.template.source import Source
from fimls.vocabulary import Vocabulary


class BoundTemplate:
    """Renders prompts for one model. Safe to use from several threads."""

    def __init__(
        self, template: Template, vocabulary: Vocabulary, markers: Mapping[str, int]
    ) -> None:
        self.template = template
        self.vocabulary = vocabulary
        self.markers = markers
        adds = template.bos is Bos.ADD or (template.bos is Bos.FILE and vocabulary.add_bos)
        self.bos = vocabulary.bos if adds else None
        ends = (vocabulary.marker(text) for text in (*template.ends, *template.stops))
        stops = {token for token in ends if token is not None} | set(markers.values())
        if vocabulary.bos is not None:
            stops.add(vocabulary.bos)
        self.stops = frozenset(stops)
        self.stop_texts = (
            *template.stop_texts,
            *sorted(vocabulary.spelling(token) for token in stops),
        )
        self.source = Source(vocabulary, stops)

    def render(self, window: Window, chunks: Sequence[Chunk] = (), repository: str = "") -> Prompt:
        """The prompt for ``window``, with ``chunks`` of other files, most relevant last.

        The text before the cursor is left out from its last token on and comes back
        as ``Prompt.heal``. What the prefix at the anchor loses this way goes to the
        middle, so that it stays the same however much is typed.
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
            if item.code_at < 0:
                ids = self.source.encode(text)
            else:
                ids, tail = self.source.split(text, item.code_at)
                n_left_out = len(tail)
            if ids:
                text = text[: len(text) - n_left_out]
                segments.append(Segment(SegmentKind.SOURCE, text, ids))
        return Prompt(tuple(segments), self.stops, tail, self.template.name, self.stop_texts)

    def _marker(self, token: int) -> Segment:
        return Segment(SegmentKind.MARKER, self.source.spelling(token), (token,))


def bind(template: Template, vocabulary: Vocabulary) -> BoundTemplate:
    """Check ``template`` against ``vocabulary`` and join them.

    Raises ``ModelRefused`` for a family that cannot fill in the middle and
    ``TemplateError``, with everything that is wrong, when they do not fit.
    """
    if template.forms is None or template.status is Status.REFUSED:
        raise ModelRefused(f"{template.title} cannot fill in the middle: {template.reason}")
    markers: dict[str, int] = {}
    problems = []
    for name, text in template.markers.items():
        token = vocabulary.marker(text)
        if token is None:
            n_tokens = len(vocabulary.tokenize_markup(text))
            problems.append(
                f"marker {name} = {text!r} is {n_tokens} tokens of plain text in this vocabulary, "
                "not one control token"
            )
        else:
            markers[name] = token
    ends = [text for text in template.ends if vocabulary.marker(text) is None]
    problems += [f"end {text!r} is not a control token of this vocabulary" for text in ends]
    if problems:
        raise TemplateError(_explain(template, vocabulary, problems))
    return BoundTemplate(template, vocabulary, markers)


def _explain(template: Template, vocabulary: Vocabulary, problems: Sequence[str]) -> str:
    model = vocabulary.info.name or vocabulary.info.path or "this model"
    return (
        f'template "{template.name}" does not fit {model}: ' + "; ".join(problems) + ". "
        'Choose another with "template = ..." ("fimls templates list" shows them), or take a '
        "GGUF file that was converted with its special tokens"
    )
