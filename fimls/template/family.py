"""What a template says: a family of models, as data.

A template is one TOML file. ``parse`` turns it into a ``Template`` or says, by
file and key, what is wrong with it. Forms are strings in which ``{PRE}``
(upper case) is a marker of the ``[markers]`` table and ``{prefix}`` (lower
case) is the user's text; everything between them is fixed plain text:

    {PRE}{prefix}{SUF}{suffix}{MID}{typed}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from fimls.template.reader import Table


class Status(str, Enum):
    """How far a family's facts can be trusted, and so whether it is used unasked."""

    VERIFIED = "verified"  # markers, order and ends agree with a real vocabulary or reference code
    DOCUMENTED = "documented"  # the vendor documents the form; no file of it was at hand
    UNVERIFIED = "unverified"  # something essential rests on hearsay: used only when named
    REFUSED = "refused"  # not trained to fill in the middle: never used

    def __str__(self) -> str:
        return self.value


class Bos(str, Enum):
    """Who decides whether a prompt begins with the beginning-of-sequence token."""

    ADD = "add"
    NEVER = "never"
    FILE = "file"  # as the model's file says (tokenizer.ggml.add_bos_token)


@dataclass(frozen=True, slots=True)
class Marker:
    """A control token's place in a form, by its name in ``[markers]``."""

    name: str


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a piece of the user's text in a form."""

    name: str


Part = Marker | Slot | str  # a bare string is fixed text

# What a form may show. ``comment`` and ``comment_end`` are the document's language's own,
# ``text_comment`` is the text commented out, for families that know no other files.
_COMMON_SLOTS = frozenset({"path", "comment", "comment_end", "language", "mode"})
FILE_SLOTS = _COMMON_SLOTS | {"prefix", "suffix", "typed"}
REPOSITORY_SLOTS = FILE_SLOTS | {"repository", "chunks"}
CHUNK_SLOTS = frozenset({"path", "comment", "comment_end", "text", "text_comment"})

# Without a repository form, other files stand as comments in front of the prefix:
# it stays valid code, and a model that never saw several files reads it as one.
COMMENTED_CHUNK = "{comment}{path}{comment_end}\n{text_comment}\n\n"

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_FIM_ROLES = ("PRE", "SUF", "MID")


@dataclass(frozen=True, slots=True)
class Forms:
    """The layouts of a family: the plain one, and those that show more."""

    file: tuple[Part, ...]
    with_path: tuple[Part, ...] = ()  # the file alone, with its name
    without_suffix: tuple[Part, ...] = ()  # when nothing stands after the cursor
    repository: tuple[Part, ...] = ()  # with chunks of other files
    chunk: tuple[Part, ...] = ()
    use_path: bool = False  # show the path even when there are no chunks

    def all(self) -> tuple[tuple[Part, ...], ...]:
        return (self.file, self.with_path, self.without_suffix, self.repository, self.chunk)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A variant within a family that cannot fill in the middle."""

    name: re.Pattern[str]
    reason: str


@dataclass(frozen=True, slots=True)
class Detection:
    """How a model of the family is known.

    Patterns see names in lower case, their words apart by single blanks. A higher
    ``rank`` is asked first.
    """

    name: re.Pattern[str]
    architectures: frozenset[str] = frozenset()
    vocabulary: tuple[str, ...] = ()
    rank: int = 0
    refuse: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """A family of models. ``forms`` is ``None`` exactly when it is refused."""

    name: str
    title: str
    status: Status
    verdict: str
    detect: Detection
    reason: str = ""
    licence: str = ""
    context: int = 0  # tokens it was trained for, 0 when unknown
    markers: Mapping[str, str] = field(default_factory=dict)
    forms: Forms | None = None
    bos: Bos = Bos.FILE
    ends: tuple[str, ...] = ()  # how the family ends a middle: must be in the vocabulary
    stops: tuple[str, ...] = ()  # never part of a middle; stopped at where the vocabulary has them
    stop_texts: tuple[str, ...] = ()  # plain text that ends a middle
    dummy_space: frozenset[str] = frozenset()  # slots trained with SentencePiece's extra space
    sampling: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)  # fact -> where it is from
    unverified: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    origin: str = ""  # the file it was read from

    @property
    def order(self) -> str:
        """The order of a prompt for people: ``PRE prefix SUF suffix MID``."""
        if self.forms is None:
            return ""
        names = [p.name for p in self.forms.file if isinstance(p, Marker | Slot)]
        return " ".join(name for name in names if name != "typed")

    @property
    def suffix_first(self) -> bool:
        """Whether the suffix stands before the prefix."""
        slots = [p.name for p in self.forms.file if isinstance(p, Slot)] if self.forms else []
        return "suffix" in slots and slots.index("suffix") < slots.index("prefix")


def parse(document: Mapping[str, Any], origin: Path) -> Template:
    """Check a TOML document against the format. Raises ``TemplateError``."""
    top = Table(document, str(origin))
    name = top.text("name")
    status = top.choice("status", Status)
    reason = top.text("reason", "")
    if status in {Status.UNVERIFIED, Status.REFUSED} and not reason:
        raise top.error("reason", f'is missing: say why the family is "{status}"')
    refused = status is Status.REFUSED
    markers = top.table("markers").texts()
    tokens = top.table("tokens")
    template = Template(
        name=name,
        title=top.text("title"),
        status=status,
        verdict=top.text("verdict"),
        detect=_detection(top.table("detect")),
        reason=reason,
        licence=top.text("licence", ""),
        context=top.integer("context", 0),
        markers=markers,
        forms=None if refused else _forms(top.table("form"), markers),
        bos=tokens.choice("bos", Bos, Bos.FILE),
        # Nobody knows how some unverified families end; llama.cpp's own ends must do there.
        ends=tokens.text_list("ends", required=status in {Status.VERIFIED, Status.DOCUMENTED}),
        stops=tokens.text_list("stops"),
        stop_texts=tokens.text_list("stop_texts"),
        dummy_space=frozenset(tokens.text_list("dummy_space", {"prefix", "typed"})),
        sampling=top.table("sampling").numbers({"temperature", "top_p", "top_k", "min_p"}),
        sources=top.table("sources").texts(),
        unverified=top.text_list("unverified"),
        notes=top.text_list("notes"),
        origin=str(origin),
    )
    tokens.finish()
    top.finish()
    return template


def _detection(table: Table) -> Detection:
    refuse = []
    for entry in table.tables("refuse"):
        refuse.append(Refusal(entry.pattern("name"), entry.text("reason")))
        entry.finish()
    detection = Detection(
        name=table.pattern("name"),
        architectures=frozenset(table.text_list("architectures")),
        vocabulary=table.text_list("vocabulary"),
        rank=table.integer("rank", 0),
        refuse=tuple(refuse),
    )
    table.finish()
    return detection


def _forms(table: Table, markers: Mapping[str, str]) -> Forms:
    def form(key: str, slots: frozenset[str], default: str = "") -> tuple[Part, ...]:
        text = table.text(key, default)
        parts = _parts(text)
        for part in parts:
            if isinstance(part, Marker) and part.name not in markers:
                raise table.unknown(key, "{" + part.name + "}", markers, "markers of [markers]")
            if isinstance(part, Slot) and part.name not in slots:
                raise table.unknown(key, "{" + part.name + "}", slots, "texts")
        if text and slots is not CHUNK_SLOTS:
            _check_layout(table, key, parts)
        return parts

    use_path = table.boolean("use_path")
    if use_path and not table.text("with_path", ""):
        raise table.error("use_path", 'needs a form "with_path"')
    usual = table.text("with_path" if use_path else "file")
    commented = usual.replace("{prefix}", "{chunks}{prefix}")
    forms = Forms(
        file=form("file", FILE_SLOTS),
        with_path=form("with_path", FILE_SLOTS),
        without_suffix=form("without_suffix", FILE_SLOTS),
        repository=form("repository", REPOSITORY_SLOTS, commented),
        chunk=form("chunk", CHUNK_SLOTS, COMMENTED_CHUNK),
        use_path=use_path,
    )
    table.finish()
    return forms


def _parts(form: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    at = 0
    for match in _FIELD.finditer(form):
        if match.start() > at:
            parts.append(form[at : match.start()])
        name = match[1]
        parts.append(Marker(name) if name.isupper() else Slot(name))
        at = match.end()
    if at < len(form):
        parts.append(form[at:])
    return tuple(parts)


def _check_layout(table: Table, key: str, parts: tuple[Part, ...]) -> None:
    """A form shows each text once, the typed text last, and no white space next to a marker."""
    needed = ("prefix", "typed") if key == "without_suffix" else ("prefix", "suffix", "typed")
    slots = [part.name for part in parts if isinstance(part, Slot)]
    for name in needed:
        if slots.count(name) != 1:
            raise table.error(key, f"must hold {{{name}}} exactly once")
    if parts[-1] != Slot("typed"):
        # What was typed since the anchor comes last, so that a keystroke only appends.
        raise table.error(key, "must end with {typed}")
    after_prefix = parts[parts.index(Slot("prefix")) + 1]
    if not (isinstance(after_prefix, Marker) or after_prefix == Slot("typed")):
        raise table.error(key, "must go on with a marker or {typed} after {prefix}")
    code = {Slot("prefix"), Slot("suffix"), Slot("typed")}
    for before, text, after in zip(parts, parts[1:], parts[2:], strict=False):
        if not (isinstance(text, str) and text.isspace()):
            continue
        for marker, neighbour in ((before, after), (after, before)):
            if isinstance(marker, Marker) and marker.name in _FIM_ROLES and neighbour in code:
                raise table.error(
                    key, f"has white space next to {{{marker.name}}}: models derail on it"
                )
