"""Checking a template against a real vocabulary, and saying what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from fimls.errors import ModelRefused, TemplateError
from fimls.fim import Chunk, Prompt, SegmentKind, Window
from fimls.template.binding import BoundTemplate, TokenTemplate
from fimls.template.family import Status, Template
from fimls.template.form import Forms, Marker, Part, is_trained, order
from fimls.template.known import contradictions, ends, fim_tokens, roles
from fimls.template.text import TextTemplate
from fimls.vocabulary import Vocabulary

# A hole as they come: text on both sides, something typed since the anchor.
PROBE = Window(
    prefix="def add(a, b):\n    return ",
    typed="a +",
    suffix="\n\n\nprint(add(1, 2))\n",
    path="src/add.py",
    language="python",
)
PROBE_CHUNKS = (Chunk("src/one.py", "ONE = 1\n"), Chunk("src/two.py", "TWO = 2\n"))


class Level(str, Enum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"  # works, and worth knowing
    FAULT = "fault"  # completes, and not as it should
    ERROR = "error"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    level: Level
    subject: str
    message: str


def bind(template: Template, vocabulary: Vocabulary | None) -> BoundTemplate:
    """Join a template with a vocabulary, or make it render strings when there is none.

    Raises ``ModelRefused`` for a family that cannot fill in the middle and
    ``TemplateError``, with everything that is wrong, when the two do not fit.
    """
    if template.forms is None or template.status is Status.REFUSED:
        raise ModelRefused(f"{template.title} cannot fill in the middle: {template.reason}")
    if vocabulary is None:
        return TextTemplate(template)
    errors = [f.message for f in examine(template, vocabulary) if f.level is Level.ERROR]
    if errors:
        model = vocabulary.info.name or vocabulary.info.path or "this model"
        raise TemplateError(
            f'template "{template.name}" does not fit {model}: {"; ".join(errors)}. Set another '
            'with "completion.template" ("fimls templates list" shows them), or take a GGUF file '
            "that was converted with its special tokens"
        )
    return TokenTemplate(template, vocabulary)


def examine(template: Template, vocabulary: Vocabulary) -> tuple[Finding, ...]:
    """Every check of ``template`` on ``vocabulary``; renders only when the markers are there."""
    findings = [*_markers(template, vocabulary), *_ends(template, vocabulary)]
    if not any(f.level is Level.ERROR and f.subject == "markers" for f in findings):
        bound = TokenTemplate(template, vocabulary)
        findings += [*_bos(bound), _order(bound), _text(bound), _empty_suffix(bound)]
        findings.append(_injection(bound))
    return tuple(findings)


def _markers(template: Template, vocabulary: Vocabulary) -> Iterator[Finding]:
    role_of = roles(template.markers, vocabulary)
    for name, text in template.markers.items():
        token = vocabulary.marker(text)
        if token is None:
            n_tokens = len(vocabulary.tokenize_markup(text))
            yield Finding(
                Level.ERROR,
                "markers",
                f"marker {name} = {text} is no control token of this vocabulary "
                f"(as text it is {n_tokens} tokens)",
            )
        else:
            yield Finding(Level.OK, "markers", f"{name} = {text} is token {token}")
            for message in contradictions(role_of.get(name, ""), token, vocabulary):
                yield Finding(Level.NOTE, "markers", message)


def _ends(template: Template, vocabulary: Vocabulary) -> Iterator[Finding]:
    for text in template.ends:
        token = vocabulary.marker(text)
        if token is None:
            yield Finding(Level.ERROR, "ends", f"end {text} is no control token of this vocabulary")
        elif vocabulary.is_end(token):
            yield Finding(Level.OK, "ends", f"{text} is token {token}, an end to llama.cpp too")
        else:
            yield Finding(
                Level.NOTE,
                "ends",
                f"{text} is token {token}, which llama.cpp does not count as an end: "
                "fimls stops there by itself",
            )
    for text in template.stops:
        if vocabulary.marker(text) is None:
            yield Finding(Level.NOTE, "ends", f"stop {text} is not in this vocabulary")
    yield from _missing_ends(template, vocabulary)


def _missing_ends(template: Template, vocabulary: Vocabulary) -> Iterator[Finding]:
    """What ends a text in this vocabulary and the template does not know."""
    spellings = (*template.markers.values(), *template.ends, *template.stops)
    named = {vocabulary.marker(text) for text in spellings}
    fim = fim_tokens(vocabulary)
    for token in sorted((fim | ends(vocabulary)) - named):
        says = f"{vocabulary.spelling(token)} is token {token}"
        if token in fim:
            message = f"{says}, made for fill-in-the-middle: add it to tokens.stops"
            yield Finding(Level.FAULT, "ends", message)
        else:
            message = f"{says}, an end that the template does not name"
            yield Finding(Level.NOTE, "ends", message)


def _bos(bound: TokenTemplate) -> Iterator[Finding]:
    tokens = bound.render(PROBE, PROBE_CHUNKS).tokens
    vocabulary = bound.vocabulary
    n_bos = tokens.count(vocabulary.bos) if vocabulary.bos is not None else 0
    if vocabulary.bos in bound.markers.values():
        yield Finding(Level.OK, "bos", "serves as a marker, where the form puts it")
    elif bound.bos is None and n_bos == 0:
        yield Finding(Level.OK, "bos", "none, as the template says")
    elif n_bos == 1 and tokens[0] == vocabulary.bos:
        yield Finding(Level.OK, "bos", f"{vocabulary.spelling(tokens[0])} once and first")
    else:
        yield Finding(Level.ERROR, "bos", f"the beginning token stands {n_bos} times in a prompt")
    if bound.bos is None and vocabulary.add_bos:
        yield Finding(
            Level.NOTE, "bos", "the file asks for one, the template says none: none it is"
        )


def _order(bound: TokenTemplate) -> Finding:
    """Markers stand where this vocabulary means them, and where the form puts them."""
    forms = _forms(bound)
    role_of = roles(bound.template.markers, bound.vocabulary)
    for key, parts in forms.with_code().items():
        meant = order(parts, role_of)
        if not is_trained(meant):
            return Finding(Level.ERROR, "order", f"of form.{key} is {meant} in this vocabulary")
    wanted = _marker_names(forms.file)
    found = _found_markers(bound, bound.render(Window(PROBE.prefix, PROBE.typed, PROBE.suffix)))
    if found == wanted:
        return Finding(Level.OK, "order", bound.template.order)
    return Finding(Level.ERROR, "order", f"markers come as {found}, not as {wanted}")


def _text(bound: TokenTemplate) -> Finding:
    """Token ids spell the text and nothing else: no blank beside a marker."""
    prompt = bound.render(PROBE, PROBE_CHUNKS)
    for segment in prompt.segments:
        spelt = "".join(bound.source.spelling(token) for token in segment.tokens)
        if segment.kind is SegmentKind.SOURCE and spelt != segment.text:
            return Finding(Level.ERROR, "text", f"{segment.text!r} is tokenised as {spelt!r}")
    beside = ", ".join(sorted(_forms(bound).white_space))
    nothing = f"nothing but what {beside} was trained with" if beside else "nothing"
    return Finding(Level.OK, "text", f"tokens spell the code exactly, {nothing} beside the markers")


def _empty_suffix(bound: TokenTemplate) -> Finding:
    found = _found_markers(bound, bound.render(Window(PROBE.prefix, PROBE.typed, "")))
    if found == _marker_names(_forms(bound).file):
        return Finding(Level.OK, "empty suffix", "is still a fill-in-the-middle prompt")
    return Finding(Level.ERROR, "empty suffix", f"loses markers: {found}")


def _injection(bound: TokenTemplate) -> Finding:
    """Code that spells every control token of the template adds none to the prompt."""
    template, vocabulary = bound.template, bound.vocabulary
    spellings = {*template.markers.values(), *template.ends, *template.stops, "</s>", "<s>"}
    evil = " ".join(sorted(spellings)) + "x"
    honest = bound.render(PROBE, PROBE_CHUNKS)
    prompt = bound.render(
        Window(evil, evil, evil, evil, "python"), (Chunk(evil, evil), Chunk(evil, evil)), evil
    )

    def is_control(token: int) -> bool:
        return token in bound.stops or vocabulary.is_end(token)

    n_honest = sum(map(is_control, honest.tokens))
    n_found = sum(map(is_control, prompt.tokens))
    if n_found == n_honest:
        return Finding(Level.OK, "injection", "code that spells control tokens stays text")
    return Finding(
        Level.ERROR, "injection", f"code makes {n_found - n_honest} control tokens of its own"
    )


def _forms(bound: TokenTemplate) -> Forms:
    assert bound.template.forms is not None, "only families with forms are bound"
    return bound.template.forms


def _marker_names(form: tuple[Part, ...]) -> list[str]:
    return [part.name for part in form if isinstance(part, Marker)]


def _found_markers(bound: TokenTemplate, prompt: Prompt) -> list[str]:
    names = {token: name for name, token in bound.markers.items()}
    return [names[token] for token in prompt.tokens if token in names]
