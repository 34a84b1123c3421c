"""Nothing is shown that is not there: where quoted code stands, and what a replacement does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fimls.review.findings import Claim, Finding, Reason, Rejected

# Fewer visible characters than this stand anywhere: a bracket, an "i".
MIN_QUOTE_CHARS = 3

CountFaults = Callable[[str], "int | None"]


@dataclass(frozen=True, slots=True)
class Ground:
    """The code a claim must hold in: ``text[start:end]``, within the document's ``text``.

    ``focus`` is where the person looks, an offset into ``text``; ``n_faults`` counts the
    parser's complaints about a whole document and answers ``None`` when it cannot tell.
    """

    text: str
    start: int
    end: int
    n_faults: CountFaults
    focus: int | None = None


def locate(quote: str, text: str, near: int = 0) -> tuple[int, int] | None:
    """Where ``quote`` stands in ``text``, white space aside: the place nearest to ``near``.

    Whole words only. ``None`` when it stands nowhere, or is too short to mean a place.
    """
    wanted = "".join(quote.split())
    if len(wanted) < MIN_QUOTE_CHARS or not any(map(str.isalnum, wanted)):
        return None
    places = [at for at, character in enumerate(text) if not character.isspace()]
    packed = "".join(text[at] for at in places)
    best: tuple[int, int] | None = None
    at = packed.find(wanted)
    while at >= 0:
        start, end = places[at], places[at + len(wanted) - 1] + 1
        is_whole = not (_in_word(text, start) or _in_word(text, end))
        if is_whole and (best is None or abs(start - near) < abs(best[0] - near)):
            best = start, end
        at = packed.find(wanted, at + 1)
    return best


def ground(claims: tuple[Claim, ...], on: Ground) -> tuple[list[Finding], list[Rejected]]:
    """The claims that hold, with ranges relative to ``on.start``; and what does not.

    A claim whose replacement breaks the file is kept without it.
    """
    scope = on.text[on.start : on.end]
    near = 0 if on.focus is None else on.focus - on.start
    findings: list[Finding] = []
    rejected: list[Rejected] = []
    for claim in claims:
        place = locate(claim.quote, scope, near)
        if place is None:
            rejected.append(Rejected(claim, Reason.NOT_FOUND))
        elif not any(map(str.isalpha, claim.message)):
            rejected.append(Rejected(claim, Reason.NOTHING_SAID))
        elif any((one.start, one.end) == place for one in findings):
            rejected.append(Rejected(claim, Reason.REPEATED))
        else:
            fix, why_not = _fix(claim, place, on)
            if why_not is not None:
                rejected.append(Rejected(claim, why_not))
            if why_not is Reason.NO_CHANGE:
                continue  # who corrects a line into itself has found nothing wrong with it
            findings.append(
                Finding(
                    claim.category, claim.severity, scope[slice(*place)], claim.message, *place, fix
                )
            )
    return findings, rejected


def _fix(claim: Claim, place: tuple[int, int], on: Ground) -> tuple[str | None, Reason | None]:
    """The replacement, fitted into its place, or why it is none."""
    if claim.replacement is None:
        return None, None
    scope = on.text[on.start : on.end]
    start, end = place
    fitted = fit(claim.replacement, scope, start)
    if "".join(fitted.split()) == "".join(scope[start:end].split()):
        return None, Reason.NO_CHANGE
    if worsens(on, start, end, fitted):
        return None, Reason.BREAKS
    return fitted, None


def worsens(on: Ground, start: int, end: int, replacement: str) -> bool:
    """Whether the document parses worse with ``replacement``, or nobody can tell."""
    whole = on.text[: on.start + start] + replacement + on.text[on.start + end :]
    before, after = on.n_faults(on.text), on.n_faults(whole)
    return before is None or after is None or after > before


def fit(replacement: str, scope: str, start: int) -> str:
    """A replacement as deep as the place it goes to, with that text's line ends."""
    line = scope.rfind("\n", 0, start) + 1
    target = _indentation(scope[line:])
    first, *rest = replacement.strip("\r\n").replace("\r\n", "\n").split("\n")
    own = _indentation(first)
    depth = min((len(_indentation(x)) for x in rest if x.strip()), default=0)
    if own or depth < len(target):  # else only the first line was stripped, as quotes often are
        rest = [target + x.removeprefix(own) for x in rest]
    newline = "\r\n" if "\r\n" in scope else "\n"
    return newline.join([first.strip(), *(x.rstrip() for x in rest)])


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _in_word(text: str, at: int) -> bool:
    """Whether ``at`` is inside a name or a number."""
    if not 0 < at < len(text):
        return False
    return _is_word(text[at - 1]) and _is_word(text[at])


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
