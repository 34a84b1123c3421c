"""Reviews functions with and without a seeded fault, and counts what is found and what is made up.

Every function is reviewed by the product's own reviewer with its thresholds as low as they go,
once by asking and once by likelihood; the modes are computed from what came of it:

raw         every claim that the model states, as if it were shown
grounded    claims that quote code which is there, and change it
asked       of these, those that hold at the second look
suspected   what looks unlikely when the code is read, as if it were shown
slips       of these, those that hold when they are weighed in their place: their second look
unverified  raw and suspected together: what there would be without any check
fimls       asked and slips together: what the product shows
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from fimls.cancel import Cancel
from fimls.evaluation.figures import wilson
from fimls.evaluation.records import Journal
from fimls.evaluation.review_faults import Pair
from fimls.review.findings import Reason, ScopeReview
from fimls.review.grounding import locate
from fimls.review.reviewer import Reviewer, Source
from fimls.scope import Outline, Scope

RAW, GROUNDED, ASKED = "raw", "grounded", "asked"
SUSPECTED, SLIPS = "suspected", "slips"
UNVERIFIED, FIMLS = "unverified", "fimls"
# Where lines were taken away, the fault is between two lines.
_AROUND_REMOVED = 1


@dataclass(frozen=True, slots=True)
class Statement:
    """One claim about a function: the lines it quotes (1-based; none for invented code)."""

    quote: str
    message: str
    lines: tuple[int, int] | None
    reason: str = ""  # why it was rejected, if it was
    confidence: float | None = None
    replacement: str | None = None

    def is_in(self, mode: str, min_confidence: float) -> bool:
        if mode == RAW:
            return True
        sure = self.confidence is None or self.confidence >= min_confidence
        return not self.reason and (mode == GROUNDED or sure)


@dataclass(frozen=True, slots=True)
class Record:
    """One function, reviewed."""

    id: str
    is_seeded: bool
    statements: tuple[Statement, ...]
    is_cut: bool
    t_ms: float

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Record:
        statements = tuple(
            Statement(**{**one, "lines": None if one["lines"] is None else tuple(one["lines"])})
            for one in row["statements"]
        )
        return cls(**{**row, "statements": statements})


def run(pairs: Sequence[Pair], reviewer: Reviewer, journal: Journal) -> Iterator[Record]:
    """Review all pairs, the seeded function first; goes on where ``journal`` ends."""
    seen = map(Record.from_json, journal.rows)
    known = {(record.id, record.is_seeded): record for record in seen}
    for pair in pairs:
        for is_seeded in (True, False):
            record = known.get((pair.id, is_seeded))
            if record is None:
                record = _review(pair, reviewer, is_seeded=is_seeded)
                journal.add(asdict(record))
            yield record


def _review(pair: Pair, reviewer: Reviewer, *, is_seeded: bool) -> Record:
    code = pair.seeded if is_seeded else pair.original
    scope = Scope("function", pair.name, 0, len(code), 0)
    source = Source(code, pair.language, pair.path, None, Outline((scope,)))
    seen = reviewer.review(source, scope, Cancel())
    assert seen is not None, "nobody cancels an evaluation"
    statements = tuple(_statements(seen, code))
    return Record(pair.id, is_seeded, statements, seen.is_cut, seen.t_total_ms)


def _statements(seen: ScopeReview, code: str) -> Iterator[Statement]:
    for one in seen.findings:
        lines = _lines(code, one.start, one.end)
        yield Statement(one.quote, one.message, lines, "", one.confidence, one.replacement)
    for dropped in seen.rejected:
        if dropped.reason is Reason.BREAKS:
            continue  # the finding itself is shown
        claim = dropped.claim
        place = locate(claim.quote, code)
        lines_ = None if place is None else _lines(code, *place)
        yield Statement(
            claim.quote,
            claim.message,
            lines_,
            dropped.reason,
            dropped.confidence,
            claim.replacement,
        )


def _lines(code: str, start: int, end: int) -> tuple[int, int]:
    first = code.count("\n", 0, start) + 1
    return first, first + code.count("\n", start, end)


def figures(
    pairs: Sequence[Pair],
    asked: Sequence[Record],
    slips: Sequence[Record],
    min_confidence: float,
    slip_confidence: float,
) -> dict[str, Any]:
    """What each mode found and made up; invented code is checked on its own, not taken on trust.

    ``asked`` and ``slips`` are records of the two ways; either may be empty.
    """
    by_id = {pair.id: pair for pair in pairs}
    kept: dict[str, dict[tuple[str, bool], list[Statement]]] = {}
    for mode in (RAW, GROUNDED, ASKED) if asked else ():
        kept[mode] = _kept(asked, mode, min_confidence)
    if slips:
        kept[SUSPECTED] = _kept(slips, SUSPECTED, 0.0)
        kept[SLIPS] = _kept(slips, SLIPS, slip_confidence)
    if asked and slips:
        for mode, first, second in ((UNVERIFIED, SUSPECTED, RAW), (FIMLS, SLIPS, ASKED)):
            both = kept[first].keys() & kept[second].keys()
            kept[mode] = {key: _joined(kept[first][key], kept[second][key]) for key in both}
    return {
        "min_confidence": min_confidence,
        "slip_confidence": slip_confidence,
        "n_cut": sum(record.is_cut for record in asked),
        "t_asked_ms": fmean(record.t_ms for record in asked) if asked else None,
        "t_slips_ms": fmean(record.t_ms for record in slips) if slips else None,
        "modes": {mode: _counted(by_id, said) for mode, said in kept.items()},
    }


def _kept(
    records: Sequence[Record], mode: str, min_confidence: float
) -> dict[tuple[str, bool], list[Statement]]:
    return {
        (record.id, record.is_seeded): [
            s for s in record.statements if s.is_in(mode, min_confidence)
        ]
        for record in records
    }


def _joined(slips: list[Statement], asked: list[Statement]) -> list[Statement]:
    """As the product does: what is said about a line that is spotted already is left out."""
    taken = [slip.lines for slip in slips if slip.lines]
    return slips + [
        s
        for s in asked
        if s.lines is None
        or not any(first <= s.lines[1] and s.lines[0] <= last for first, last in taken)
    ]


def _counted(
    by_id: dict[str, Pair], said: dict[tuple[str, bool], list[Statement]]
) -> dict[str, Any]:
    seeded = {id_: ones for (id_, is_seeded), ones in said.items() if is_seeded}
    clean = {id_: ones for (id_, is_seeded), ones in said.items() if not is_seeded}
    kinds: dict[str, list[bool]] = {}
    for id_, ones in seeded.items():
        pair = by_id[id_]
        kinds.setdefault(pair.rule, []).append(any(_hits(pair, one) for one in ones))
    n_found = sum(map(sum, kinds.values()))
    return {
        "n_seeded": len(seeded),
        "n_clean": len(clean),
        "found": n_found,
        "found_share": n_found / len(seeded) if seeded else None,
        "found_95": wilson(n_found, len(seeded)),
        "found_by_kind": {kind: (sum(hits), len(hits)) for kind, hits in sorted(kinds.items())},
        "false_per_clean": fmean(map(len, clean.values())) if clean else None,
        "clean_with_findings": sum(map(bool, clean.values())),
        "invented": sum(
            not _stands(by_id[id_], one, is_seeded=is_seeded)
            for (id_, is_seeded), ones in said.items()
            for one in ones
        ),
    }


def _hits(pair: Pair, said: Statement) -> bool:
    if said.lines is None:
        return False
    around = 0 if pair.after else _AROUND_REMOVED
    n_lines = pair.after.count("\n")
    first, last = said.lines
    return first <= pair.line + n_lines + around and pair.line - around <= last


def _stands(pair: Pair, said: Statement, *, is_seeded: bool) -> bool:
    """Whether the quoted characters are in the code: without a line of the grounding itself."""
    code = pair.seeded if is_seeded else pair.original
    return "".join(said.quote.split()) in "".join(code.split())


def table(found: dict[str, Any]) -> str:
    """Plain text."""
    lines = [
        f"{'mode':10} {'faults found':>16} {'95%':>14} {'false per clean':>16} {'invented':>9}"
    ]
    for mode, row in found["modes"].items():
        low, high = row["found_95"]
        lines.append(
            f"{mode:10} {row['found']:>8} of {row['n_seeded']:<4} "
            f"{100 * low:>6.0f} to {100 * high:.0f}% {row['false_per_clean'] or 0:>16.2f} "
            f"{row['invented']:>9}"
        )
    for mode, row in found["modes"].items():
        kinds = (f"{kind} {hits} of {n}" for kind, (hits, n) in row["found_by_kind"].items())
        lines.append(f"{mode}: {', '.join(kinds)}")
    times = {way: found[f"t_{way}_ms"] for way in (ASKED, SLIPS)}
    lines += [f"{way}: {t / 1000:.1f} s a function" for way, t in times.items() if t is not None]
    lines.append(f"{found['n_cut']} answers cut")
    return "\n".join(lines)
