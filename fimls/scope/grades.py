"""Where one generation may be offered in parts: rest of the line, statement, block."""

from __future__ import annotations

from fimls.scope.brackets import pop
from fimls.scope.scan import Kind, Scanner
from fimls.scope.site import Bracket, Site, plain, width
from fimls.scope.statements import begins_as_continuation


def grades(text: str, site: Site) -> tuple[int, ...]:
    """Lengths of ``text``, ascending, the last one all of it."""
    if not text:
        return ()
    ends = {len(text)}
    flat = plain(text)
    line = flat.find("\n", len(flat) - len(flat.lstrip()))
    if line > 0:
        ends.add(len(flat[:line].rstrip()))
    statement = _statement(flat, site)
    if statement:
        ends.add(statement)
    return tuple(sorted(end for end in ends if end > 0))


def _statement(text: str, site: Site) -> int | None:
    """Where the first statement of the text ends: at a line end outside what it opened."""
    scanner = Scanner(site.language, text, opaque=site.opaque)
    depth: list[Bracket] = []
    level = width(site.head + text) if site.is_fresh else width(site.head)
    for mark in scanner.marks():
        if mark.kind is Kind.OPEN:
            depth.append(Bracket(mark.name, mark.start, 0, ""))
        elif mark.kind is Kind.CLOSE:
            pop(depth, mark.name)
        elif mark.kind is Kind.NEWLINE and not depth and text[: mark.start].strip():
            rest = text[mark.end :]
            bare = rest.lstrip()
            at = width(rest[len(rest) - len(rest.lstrip("\n")) :])
            if bare and at <= level and not begins_as_continuation(bare, site.language):
                return len(text[: mark.start].rstrip())
    return None
