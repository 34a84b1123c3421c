"""The best cut that could have been chosen: tried, not guessed.

Every token boundary of the generation and both sides of every line break are
candidates; the hole counts as passed when any of them passes. Candidates that
cannot differ are judged once, those that cannot parse not at all.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import accumulate

from fimls.evaluation.datasets import Hole, Match
from fimls.evaluation.figures import exact, fits_brackets, over_generation
from fimls.evaluation.records import Generation
from fimls.evaluation.sandbox import Sandbox, Verdict

# Two candidates at a time: one keeps a core busy, and the engine is waiting meanwhile.
WORKERS = 2
# An endless loop costs seconds; a hole of which several cuts loop is given up.
MOST_TIMEOUTS = 4
# A compiler takes half a second to two; Python 20 ms.
MOST_EXECUTIONS = {"python": 200}
MOST_BUILDS = 24


class Judge:
    """Judges texts for one hole and remembers: programs of one meaning run once."""

    def __init__(self, hole: Hole, sandbox: Sandbox) -> None:
        self._hole = hole
        self._sandbox = sandbox
        self._verdicts: dict[str, Verdict] = {}

    def signature(self, text: str) -> str | None:
        """Equal for programs that do the same; ``None`` for those that cannot pass."""
        if isinstance(self._hole.proof, Match):
            return " ".join(text.split())
        if self._hole.language != "python":
            if not fits_brackets(self._hole, text):
                return None
            # Blank space at the end matters only where a word could grow together.
            return text if self._hole.after[:1].isalnum() else text.rstrip()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return ast.dump(ast.parse(self._hole.program(text)))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None

    def known(self, signature: str) -> Verdict | None:
        return self._verdicts.get(signature)

    def judge(self, text: str) -> Verdict:
        signature = self.signature(text)
        if signature is None:
            return Verdict.FAILED
        if signature not in self._verdicts:
            self._verdicts[signature] = self._sandbox.judge(self._hole, text)
        return self._verdicts[signature]


@dataclass(frozen=True, slots=True)
class Found:
    """The first passing cut in order of trial, ``None`` where there is none.

    Cuts within the scope are tried first: one that runs past it (the suffix said twice, the
    second time dead) was the only way to pass.

    ``is_complete`` is false when trying was given up before the last candidate.
    """

    cut: int | None
    is_complete: bool = True


def best_cut(
    hole: Hole, generation: Generation, judge: Judge, executor: Executor, kept: int | None
) -> Found:
    """A cut that passes. ``kept``: ours failed with so many characters, try longer ones first."""
    text = generation.text
    candidates = _candidates(generation, judge.signature)
    for signature, cut in candidates:
        if judge.known(signature) is Verdict.PASSED and (kept is None or cut > kept):
            return Found(cut)

    def order(candidate: tuple[str, int]) -> tuple[bool, bool, bool, bool, int]:
        cut = candidate[1]
        at_line_end = text[cut : cut + 1] in {"", "\n"} or text[cut - 1 : cut] == "\n"
        is_shorter = kept is not None and cut <= kept
        runs_over = bool(over_generation(hole, text[:cut]))
        return runs_over, is_shorter, not exact(text[:cut], hole.truth), not at_line_end, cut

    untried = sorted(candidates, key=order)
    most = MOST_EXECUTIONS.get(hole.language, MOST_BUILDS)
    n_timeouts = 0
    for first in range(0, min(len(untried), most), WORKERS):
        cuts = [cut for _, cut in untried[first : first + WORKERS]]
        verdicts = list(executor.map(lambda cut: judge.judge(text[:cut]), cuts))
        for cut, verdict in zip(cuts, verdicts, strict=True):
            if verdict is Verdict.PASSED:
                return Found(cut)
        n_timeouts += verdicts.count(Verdict.TIMEOUT)
        if n_timeouts >= MOST_TIMEOUTS:
            return Found(None, is_complete=False)
    return Found(None, is_complete=len(untried) <= most)


def cuts(pieces: Sequence[str]) -> list[int]:
    """All places where a generation can be cut: token boundaries and line ends."""
    text = "".join(pieces)
    boundaries = set(accumulate(map(len, pieces), initial=0))
    for at, character in enumerate(text):
        if character == "\n":
            boundaries |= {at, at + 1}
    return sorted(boundaries)


def _candidates(
    generation: Generation, signature: Callable[[str], str | None]
) -> list[tuple[str, int]]:
    """(signature, cut), the shortest cut of each meaning; those that cannot pass are left out."""
    text = generation.text
    by_signature: dict[str, int] = {}
    for cut in cuts(generation.pieces):
        meaning = signature(text[:cut])
        if meaning is not None:
            by_signature.setdefault(meaning, cut)
    return list(by_signature.items())
