"""What a template says: a family of models, as data.

A template is one TOML file. ``parse`` turns it into a ``Template`` or says, by
file and key, what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from fimls.template.form import Forms, Marker, Slot, read_forms
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
    markers = _markers(top.table("markers"))
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
        forms=None if refused else read_forms(top.table("form"), markers),
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


def _markers(table: Table) -> dict[str, str]:
    markers = table.texts()
    names: dict[str, str] = {}
    for name, spelling in markers.items():
        if names.setdefault(spelling, name) != name:
            raise table.error(name, f"is spelt like {names[spelling]}: {spelling}")
    return markers


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
