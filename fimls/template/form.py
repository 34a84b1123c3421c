"""The layouts of a family: strings in which markers and the user's texts take their places.

``{PRE}`` (upper case) is a marker of the ``[markers]`` table, ``{prefix}`` (lower case) is the
user's text; everything between them is fixed plain text:

    {PRE}{prefix}{SUF}{suffix}{MID}{typed}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fimls.template.known import roles
from fimls.template.reader import Table


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
_CODE = frozenset({Slot("prefix"), Slot("suffix"), Slot("typed")})

# What models are trained in: PSM, SPM and its second variant, and SPM without a middle marker.
ORDERS = (
    "PRE prefix SUF suffix MID typed",
    "SUF suffix PRE prefix MID typed",
    "PRE SUF suffix MID prefix typed",
    "SUF suffix PRE prefix typed",
)


@dataclass(frozen=True, slots=True)
class Forms:
    """The layouts of a family: the plain one, and those that show more."""

    file: tuple[Part, ...]
    with_path: tuple[Part, ...] = ()  # the file alone, where it has a name
    repository: tuple[Part, ...] = ()  # with chunks of other files
    chunk: tuple[Part, ...] = ()
    white_space: frozenset[str] = frozenset()  # markers that were trained with some beside them

    def with_code(self) -> dict[str, tuple[Part, ...]]:
        """The layouts that hold the place of the cursor, by their keys."""
        layouts = {"file": self.file, "with_path": self.with_path, "repository": self.repository}
        return {key: parts for key, parts in layouts.items() if parts}


def read_forms(table: Table, markers: Mapping[str, str]) -> Forms:
    """Check a ``[form]`` table. Raises ``TemplateError``."""
    role_of = roles(markers)
    white_space = frozenset(table.text_list("white_space", markers))

    def form(key: str, slots: frozenset[str], default: str = "") -> tuple[Part, ...]:
        text = table.text(key, default)
        parts = _parts(text)
        for part in parts:
            if isinstance(part, Marker) and part.name not in markers:
                raise table.unknown(key, "{" + part.name + "}", markers, "markers of [markers]")
            if isinstance(part, Slot) and part.name not in slots:
                raise table.unknown(key, "{" + part.name + "}", slots, "texts")
        if text and slots is not CHUNK_SLOTS:
            _check_layout(table, key, parts, white_space)
            _check_order(table, key, order(parts, role_of))
        return parts

    usual = table.text("with_path", "") or table.text("file")
    commented = usual.replace("{prefix}", "{chunks}{prefix}")
    forms = Forms(
        file=form("file", FILE_SLOTS),
        with_path=form("with_path", FILE_SLOTS),
        repository=form("repository", REPOSITORY_SLOTS, commented),
        chunk=form("chunk", CHUNK_SLOTS, COMMENTED_CHUNK),
        white_space=white_space,
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


def order(parts: Sequence[Part], role_of: Mapping[str, str]) -> str:
    """How markers of known role and code follow each other: as in ``ORDERS``."""
    shown = (
        role_of.get(part.name, "") if isinstance(part, Marker) else part.name
        for part in parts
        if isinstance(part, Marker) or part in _CODE
    )
    return " ".join(filter(None, shown))


def is_trained(found: str) -> bool:
    """Whether an ``order`` is one of ``ORDERS``, or holds no marker whose role is known."""
    return found in ORDERS or found.islower()


def _check_layout(
    table: Table, key: str, parts: tuple[Part, ...], white_space: frozenset[str]
) -> None:
    """A form shows each text once, the typed text last, and no white space next to a marker."""
    slots = [part.name for part in parts if isinstance(part, Slot)]
    for name in ("prefix", "suffix", "typed"):
        if slots.count(name) != 1:
            raise table.error(key, f"must hold {{{name}}} exactly once")
    if parts[-1] != Slot("typed"):
        # What was typed since the anchor comes last, so that a keystroke only appends.
        raise table.error(key, "must end with {typed}")
    after_prefix = parts[parts.index(Slot("prefix")) + 1]
    if not (isinstance(after_prefix, Marker) or after_prefix == Slot("typed")):
        raise table.error(key, "must go on with a marker or {typed} after {prefix}")
    for name in _beside_white_space(parts):
        if name not in white_space:
            raise table.error(key, f"has white space next to {{{name}}}: models derail on it")


def _check_order(table: Table, key: str, found: str) -> None:
    if not is_trained(found):
        known = ", ".join(ORDERS)
        raise table.error(key, f"has the order {found}; models are trained in one of: {known}")


def _beside_white_space(parts: Sequence[Part]) -> Iterator[str]:
    """Markers with white space between them and the text that code is part of."""
    bounds = [-1, *(n for n, part in enumerate(parts) if isinstance(part, Marker)), len(parts)]
    for start, end in pairwise(bounds):
        run = parts[start + 1 : end]
        if not _CODE.intersection(run):
            continue
        for at, edge, inner in ((start, run[0], 0), (end, run[-1], -1)):
            marker = parts[at] if 0 <= at < len(parts) else None
            if isinstance(marker, Marker) and isinstance(edge, str) and edge[inner].isspace():
                yield marker.name
