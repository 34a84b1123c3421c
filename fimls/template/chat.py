"""Instruction prompts, through the model's own chat template.

The template (Jinja, from the GGUF file) is rendered with placeholders in place of
the messages. What stands around them is the model's own and is tokenised with its
control tokens; the messages are tokenised as plain text, so that code under review
cannot end its turn and speak for somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from fimls.errors import ModelRefused, TemplateError
from fimls.fim import Prompt, Segment, SegmentKind
from fimls.template.detection import normalise
from fimls.template.source import Source
from fimls.vocabulary import ModelInfo, Vocabulary

if TYPE_CHECKING:
    import jinja2

# Private-use characters: no template looks for them, strips them or changes them.
_PLACEHOLDER = "\ue000{}\ue001"
_PLACEHOLDERS = re.compile("\ue000(\\d+)\ue001")
_BASE_MODEL = re.compile(r"\bbase\b")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


class ChatTemplate:
    """Renders conversations for one model. Safe to use from several threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Raises ``ModelRefused`` for a model that was not trained to follow instructions."""
        info = vocabulary.info
        _refuse_base(info)
        self._vocabulary = vocabulary
        self._name = info.name or info.path
        self._template = _compile(info.chat_template, self._name)
        self._ends = [
            token for key in ("eos", "eot", "eom") if (token := _token_id(info, key)) is not None
        ]
        self._source = Source(vocabulary, self._ends)

    def render(self, messages: Sequence[Message]) -> Prompt:
        """The prompt that ends where the model's answer begins.

        Raises ``TemplateError`` when the model's template does not take the messages.
        """
        segments: list[Segment] = []
        stops = set(self._ends)
        text = ""
        for part, is_marker in self._parts(list(messages)):
            if not is_marker:
                text += part  # beside a message, tokenised with it as one
                continue
            segments += self._plain(text)
            text = ""
            token = self._vocabulary.marker(part)
            assert token is not None, "markers come from this vocabulary"
            segments.append(Segment(SegmentKind.MARKER, part, (token,)))
            stops.add(token)
        segments += self._plain(text)
        bos = self._vocabulary.bos
        if self._vocabulary.add_bos and bos is not None and segments[0].tokens != (bos,):
            segments.insert(0, Segment(SegmentKind.MARKER, self._source.spelling(bos), (bos,)))
        return Prompt(
            segments=tuple(segments),
            stops=frozenset(stops),
            template="chat",
            stop_texts=tuple(map(self._source.spelling, dict.fromkeys([*self._ends, *stops]))),
        )

    def _plain(self, text: str) -> list[Segment]:
        return [Segment(SegmentKind.SOURCE, text, self._source.encode(text))] if text else []

    def _parts(self, messages: list[Message]) -> Iterator[tuple[str, bool]]:
        """The conversation in order: markers (true), and text (false) of template or messages."""
        rendered = self._rendered(messages)
        shown = {int(number) for number in _PLACEHOLDERS.findall(rendered or "")}
        if rendered is None or len(shown) < len(messages):
            # Some models have no system role, and drop it or complain: the user says it then.
            messages = _without_system(messages)
            rendered = self._rendered(messages)
            shown = {int(number) for number in _PLACEHOLDERS.findall(rendered or "")}
        if rendered is None or len(shown) < len(messages):
            raise TemplateError(
                f"the chat template of {self._name} does not take these messages; "
                'set another model with "review.model"'
            )
        # An odd number of pieces: fixed, number, fixed, number, ..., fixed.
        pieces = _PLACEHOLDERS.split(rendered)
        for index, piece in enumerate(pieces):
            if index % 2:
                yield messages[int(piece)].content, False
            else:
                yield from self._fixed(piece)

    def _fixed(self, text: str) -> Iterator[tuple[str, bool]]:
        """Markers and plain text of the template's own."""
        at = 0
        for token in self._vocabulary.tokenize_markup(text):
            spelling = self._source.spelling(token)
            if not self._vocabulary.is_control(token) or self._vocabulary.marker(spelling) is None:
                continue
            found = text.index(spelling, at)
            if found > at:
                yield text[at:found], False
            yield spelling, True
            at = found + len(spelling)
        if at < len(text):
            yield text[at:], False

    def _rendered(self, messages: Sequence[Message]) -> str | None:
        """The conversation with numbers for contents, ``None`` when the template refuses it."""
        from jinja2 import TemplateError as JinjaError  # noqa: PLC0415 - only reviews need it

        numbered = [
            {"role": message.role, "content": _PLACEHOLDER.format(number)}
            for number, message in enumerate(messages)
        ]
        vocabulary = self._vocabulary
        eos = _token_id(vocabulary.info, "eos")
        try:
            return self._template.render(
                messages=numbered,
                add_generation_prompt=True,
                bos_token="" if vocabulary.bos is None else vocabulary.spelling(vocabulary.bos),
                eos_token="" if eos is None else vocabulary.spelling(eos),
                enable_thinking=False,  # an answer in a grammar has no room for thoughts
            )
        except (JinjaError, TypeError, ValueError, KeyError):
            return None


def _refuse_base(info: ModelInfo) -> None:
    name = info.name or info.path
    if not info.chat_template:
        raise ModelRefused(
            f"{name} has no chat template, so it cannot review; "
            'set an instruct model with "review.model"'
        )
    names = (info.name, info.metadata.get("general.finetune", ""), info.path)
    if any(_BASE_MODEL.search(normalise(called)) for called in names):
        raise ModelRefused(
            f"{name} is a base model, which does not follow instructions; "
            'set an instruct model with "review.model"'
        )


def _compile(source: str, name: str) -> jinja2.Template:
    import jinja2  # noqa: PLC0415 - only reviews need it
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    def refuse(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals |= {
        "raise_exception": refuse,
        "strftime_now": lambda form: datetime.now().astimezone().strftime(form),
    }
    try:
        return environment.from_string(source)
    except jinja2.TemplateError as error:
        raise TemplateError(f"the chat template of {name} is malformed: {error}") from None


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """The system's words in front of the user's first."""
    merged: list[Message] = []
    spoken = ""
    for message in messages:
        if message.role == "system":
            spoken += message.content + "\n\n"
        elif message.role == "user" and spoken:
            merged.append(Message("user", spoken + message.content))
            spoken = ""
        else:
            merged.append(message)
    return merged


def _token_id(info: ModelInfo, key: str) -> int | None:
    value: Any = info.metadata.get(f"tokenizer.ggml.{key}_token_id", "")
    return int(value) if str(value).isdigit() else None
