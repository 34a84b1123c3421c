"""Runs infilling benchmarks: several ways to stop, side by side, on one generation each.

raw         the model's own end tokens, or the cap
first-line  up to the first line break after some text
fimls       the product's own pipeline, ``Completer.complete``, fed from a recording
oracle      the best cut that could have been chosen
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

from fimls.cancel import Cancel
from fimls.completer import Completer
from fimls.config import CompletionOptions
from fimls.document import Snapshot
from fimls.engine.base import Engine, Request, Vocabulary
from fimls.evaluation.datasets import Hole
from fimls.evaluation.figures import exact, over_generation
from fimls.evaluation.oracle import WORKERS, Judge, best_cut
from fimls.evaluation.records import Generation, HoleScore, Score, Store
from fimls.evaluation.sandbox import Sandbox, Verdict
from fimls.evaluation.tape import Tape
from fimls.fim import StopReason
from fimls.prompting import Cursor, Prompter
from fimls.template import BoundTemplate

RAW, FIRST_LINE, FIMLS, ORACLE = "raw", "first-line", "fimls", "oracle"
MODES = (RAW, FIRST_LINE, FIMLS, ORACLE)
# An evaluation waits for every answer, on whatever machine it runs.
T_MAX_MS = 600_000
# Up to the line break that ends the first line with something on it.
_FIRST_LINE = re.compile(r"\s*[^\s][^\n]*")


@dataclass(frozen=True, slots=True)
class Live:
    """One hole computed again by the product itself, and what the recording had given."""

    key: str
    agrees: bool
    live: str
    recorded: str


class Infilling:
    """An evaluation of one engine. Greedy, at most ``n_predict`` tokens a hole."""

    def __init__(
        self,
        engine: Engine,
        options: CompletionOptions,
        choose_template: Callable[[Vocabulary | None], BoundTemplate],
        sandbox: Sandbox,
        modes: Sequence[str] = MODES,
    ) -> None:
        greedy = replace(
            options,
            temperature=0.0,
            t_max_predict_ms=T_MAX_MS,
            t_max_invoked_ms=T_MAX_MS,
            # Whole windows: a prompt must not depend on the speed of the machine that runs this.
            t_max_cold_ms=0,
        )
        self._engine = engine
        self._options = greedy
        self._sandbox = sandbox
        self._modes = tuple(modes)
        self._tape = Tape(engine)
        self._replayed = Completer(self._tape, greedy, choose_template)
        self._prompter = Prompter(engine, greedy, choose_template)
        self._live = Completer(engine, greedy, choose_template)

    def run(self, holes: Sequence[Hole], store: Store) -> Iterator[HoleScore]:
        """Generate and score what ``store`` does not hold yet, hole by hole."""
        with ThreadPoolExecutor(WORKERS) as executor:
            for hole in holes:
                score = store.scores.get(hole.key)
                if score is None or not set(self._modes) <= set(score.modes):
                    if hole.key not in store.generations:
                        store.add_generation(hole.key, self.generate(hole))
                    score = self.score(hole, store.generations[hole.key], executor)
                    store.add_score(score)
                yield score

    def generate(self, hole: Hole) -> Generation:
        """The model's whole answer to the product's own prompt."""
        document, offset = _open(hole)
        prompt = self._prompter.prompt(Cursor.at(document, offset))
        stream = self._engine.stream(Request(prompt, self._options.n_predict), Cancel())
        try:
            pieces = tuple(piece.text for piece in stream)
        finally:
            stream.close()
        self._prompter.forget(document.uri)
        return Generation(pieces, stream.usage.ended)

    def verify(self, hole: Hole, score: HoleScore) -> Live:
        """Compute a hole again through the product, model and all, and compare."""
        document, offset = _open(hole)
        completion = self._live.complete(document, offset, Cancel(), invoked=True)
        self._live.forget(document.uri)
        text = "" if completion is None else completion.text
        recorded = score.modes[FIMLS].text
        return Live(hole.key, text == recorded, text, recorded)

    def score(self, hole: Hole, generation: Generation, executor: Executor) -> HoleScore:
        """All modes of one hole."""
        judge = Judge(hole, self._sandbox)
        obstacle = self._sandbox.obstacle(hole)
        if not obstacle and judge.judge(hole.truth) is not Verdict.PASSED:
            obstacle = "its own ground truth does not pass here"
        answers = {
            RAW: lambda: self._raw(generation),
            FIRST_LINE: lambda: self._first_line(hole, generation),
            FIMLS: lambda: self._fimls(hole, generation),
        }
        scores = {}
        for mode in self._modes:
            if mode in answers:
                scores[mode] = _judged(hole, answers[mode](), None if obstacle else judge)
        if ORACLE not in self._modes:
            return HoleScore(hole.key, hole.set, hole.language, obstacle, scores)
        if obstacle:
            scores[ORACLE] = _nothing(passed=None)
            return HoleScore(hole.key, hole.set, hole.language, obstacle, scores)
        ours = scores.get(FIMLS)
        kept = len(ours.text) if ours is not None and not ours.passed else None
        found = best_cut(hole, generation, judge, executor, kept)
        if found.cut is None:
            scores[ORACLE] = _nothing(passed=False)
        else:
            text = generation.text[: found.cut]
            answer = Score(text, generation.n_pieces(found.cut), ORACLE, None, False, False)
            scores[ORACLE] = _judged(hole, answer, judge)
        has_better = kept is not None and found.cut is not None
        is_longer = kept is not None and found.cut is not None and found.cut > kept
        return HoleScore(
            hole.key, hole.set, hole.language, obstacle, scores,
            under=is_longer,
            late=has_better and not is_longer,
            is_oracle_complete=found.is_complete,
        )  # fmt: skip

    def _raw(self, generation: Generation) -> Score:
        reason = StopReason.END if generation.ended else StopReason.BUDGET
        return Score(
            generation.text, len(generation.pieces), str(reason), None,
            exact=False, hit_cap=not generation.ended,
        )  # fmt: skip

    def _first_line(self, hole: Hole, generation: Generation) -> Score:
        text = generation.text
        match = _FIRST_LINE.match(text)
        if match is None or match.end() == len(text):
            return self._raw(generation)
        at = match.end()
        # In front of a whole line, as some benchmarks have it, the line break belongs to the hole.
        is_whole_line = not hole.before.rpartition("\n")[2].strip()
        if is_whole_line and hole.after.partition("\n")[0].strip():
            at += 1
        n_generated = generation.n_pieces(match.end() + 1)
        return Score(text[:at], n_generated, "line", None, exact=False, hit_cap=False)

    def _fimls(self, hole: Hole, generation: Generation) -> Score:
        document, offset = _open(hole)
        self._tape.insert(generation)
        completion = self._replayed.complete(document, offset, Cancel(), invoked=True)
        self._replayed.forget(document.uri)
        usage = self._tape.usage
        hit_cap = usage.n_generated >= self._options.n_predict and not usage.ended
        if completion is None:
            return Score("", usage.n_generated, "nothing", None, exact=False, hit_cap=hit_cap)
        return Score(
            completion.text, usage.n_generated, str(completion.stop_reason), None,
            exact=False, hit_cap=hit_cap,
        )  # fmt: skip


def _open(hole: Hole) -> tuple[Snapshot, int]:
    """The hole as an editor would have it: a document and a cursor."""
    document = Snapshot(
        uri=f"eval:{hole.key}", language=hole.language, text=hole.before + hole.after,
        path=hole.file_name,
    )  # fmt: skip
    return document, len(hole.before)


def _judged(hole: Hole, answer: Score, judge: Judge | None) -> Score:
    """The answer with its figures; ``judge`` is ``None`` where nothing can be executed."""
    return replace(
        answer,
        passed=None if judge is None else judge.judge(answer.text) is Verdict.PASSED,
        exact=exact(answer.text, hole.truth),
        over=over_generation(hole, answer.text),
    )


def _nothing(*, passed: bool | None) -> Score:
    """No cut passes, or none can be tried."""
    return Score("", 0, ORACLE, passed, exact=False, hit_cap=False)
