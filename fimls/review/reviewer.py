"""Reads code scope by scope: spot slips; ask, ground, look a second time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePath

from fimls import scope as syntax
from fimls.cancel import Cancel
from fimls.config import ReviewOptions
from fimls.document import Snapshot, unix
from fimls.review import answers, prompts, splitting
from fimls.review.findings import (
    Category,
    Claim,
    Finding,
    Reason,
    Rejected,
    ScopeReview,
    Severity,
)
from fimls.review.grounding import Ground, ground, worsens
from fimls.review.slips import slips
from fimls.review.spotting import Passage, Spotted, Spotter
from fimls.review.talk import Talk
from fimls.review.weighing import Correction, Weigher
from fimls.scope import Outline, Scope

# Instructions, the chat's own tokens and a second look at a long message.
_OVERHEAD_TOKENS = 400


@dataclass(frozen=True, slots=True)
class Source:
    """A document as a review sees it. ``focus`` is where the person looks, if anywhere."""

    text: str
    language: str
    path: str = ""
    focus: int | None = None
    outline: Outline = field(default_factory=lambda: Outline(()), repr=False)

    @classmethod
    def of(cls, document: Snapshot, focus: int | None = None) -> Source:
        """Parses: 5 to 20 ms for 64 kB."""
        language = syntax.language_of(document.path, document.language)
        outline = syntax.outline(document.text, language)
        return cls(document.text, language, document.path, focus, outline)


class Reviewer:
    """Reviews with one model. Holds no documents. Thread-safe. Raises ``FimlsError``."""

    def __init__(
        self,
        talk: Talk,
        options: ReviewOptions,
        weigher: Weigher | None = None,
        spotter: Spotter | None = None,
    ) -> None:
        """``weigher`` looks at corrections; without one they are asked about, like the rest.

        Without a ``spotter`` there are no slips to be found: the model is only asked.
        """
        self.talk = talk
        self._options = options
        self._weigher = weigher
        self._spotter = (
            spotter if options.slips and Category.BUG.value not in options.categories_off else None
        )
        self._off = frozenset(c for c in Category if c.value in options.categories_off)

    @property
    def looks_twice(self) -> bool:
        wish = self._options.second_look
        return wish == "on" or (wish == "auto" and self.talk.weighs)

    def key(self, source: Source, scope: Scope) -> str:
        """What a review depends on: same key, same findings."""
        options = self._options
        facts = (
            prompts.VERSION,
            self.talk.name,
            options.n_predict,
            self.looks_twice,
            self._weigher is not None,
            self._spotter is not None,
            options.slip_confidence,
            options.ask,
            options.min_confidence,
            sorted(self._off),
            source.language,
            splitting.context(source.text, scope, source.outline, with_header=False),
            source.text[scope.start : scope.end],
        )
        return hashlib.sha256(repr(facts).encode("utf-8", "replace")).hexdigest()

    def review(
        self,
        source: Source,
        scope: Scope,
        cancel: Cancel,
        heard: Callable[[str], None] | None = None,
    ) -> ScopeReview | None:
        """One scope's findings; ``None`` when taken back. Blocks. ``heard`` gets each piece."""
        began_s = time.perf_counter()
        pieces, n_left_out = self._parts(source, scope)
        seen = ScopeReview(
            name=scope.name,
            text=source.text[scope.start : scope.end],
            start=scope.start,
            key=self.key(source, scope),
            n_parts=len(pieces),
            n_left_out=n_left_out,
        )
        for start, end in pieces:
            spotted = self._spot(source, scope, (start, end), cancel)
            if cancel.is_set():
                return None
            seen = replace(seen, findings=(*seen.findings, *spotted))
            if not self._options.ask:
                continue
            code = self._code(source, scope, start, end)
            said = self.talk.ask(
                prompts.review(code),
                self._options.n_predict,
                cancel,
                grammar=answers.GRAMMAR,
                schema=answers.SCHEMA,
                heard=heard,
            )
            if cancel.is_set():
                return None
            answer = answers.read(said.text)
            held, dropped = self._hold(source, scope, (start, end), answer.claims, spotted)
            held, doubted = self._look_again(source, scope, code, held, cancel)
            if cancel.is_set():
                return None
            seen = replace(
                seen,
                findings=(*seen.findings, *held),
                rejected=(*seen.rejected, *dropped, *doubted),
                is_cut=seen.is_cut or said.is_cut or not answer.is_whole,
            )
        return replace(seen, t_total_ms=(time.perf_counter() - began_s) * 1000)

    def _spot(
        self, source: Source, scope: Scope, part: tuple[int, int], cancel: Cancel
    ) -> list[Finding]:
        """Slips in this part that the model is sure of, as findings about their lines."""
        if self._spotter is None:
            return []
        text, language = source.text, source.language
        made = slips(text, language, syntax.leaves(text, language, *part))
        passage = Passage(text, *part, PurePath(source.path).name, language)
        on = Ground(text, scope.start, scope.end, lambda text: syntax.n_faults(text, language))
        found = (_finding(text, scope, s) for s in self._spotter.spot(passage, made, cancel))
        return [
            one
            for one in found
            if one.confidence is not None
            and one.confidence >= self._options.slip_confidence
            and not worsens(on, one.start, one.end, one.replacement or "")
        ]

    def _hold(
        self,
        source: Source,
        scope: Scope,
        part: tuple[int, int],
        claims: tuple[Claim, ...],
        spotted: list[Finding],
    ) -> tuple[list[Finding], list[Rejected]]:
        """Claims that stand in this part, with ranges relative to the scope.

        What is spotted already is not said again.
        """
        count = lru_cache(maxsize=2)(lambda text: syntax.n_faults(text, source.language))
        off = [Rejected(c, Reason.CATEGORY_OFF) for c in claims if c.category in self._off]
        kept = tuple(c for c in claims if c.category not in self._off)
        findings, rejected = ground(kept, Ground(source.text, *part, count, source.focus))
        ahead = part[0] - scope.start
        moved = [replace(one, start=one.start + ahead, end=one.end + ahead) for one in findings]
        again = [one for one in moved if any(_overlap(one, other) for other in spotted)]
        rejected += [Rejected(one.claim, Reason.REPEATED) for one in again]
        return [one for one in moved if one not in again], off + rejected

    def _look_again(
        self, source: Source, scope: Scope, code: str, findings: list[Finding], cancel: Cancel
    ) -> tuple[list[Finding], list[Rejected]]:
        if not self.looks_twice:
            return findings, []
        held: list[Finding] = []
        dropped: list[Rejected] = []
        for one in findings:
            confidence = self._weigh(source, scope, one, cancel)
            if confidence is None:
                confidence = self.talk.probability(prompts.second_look(code, one.claim), cancel)
            if cancel.is_set():
                break
            if confidence < self._options.min_confidence:
                dropped.append(Rejected(one.claim, Reason.DENIED, confidence))
            else:
                held.append(replace(one, confidence=confidence))
        return held, dropped

    def _weigh(self, source: Source, scope: Scope, one: Finding, cancel: Cancel) -> float | None:
        """How much rather the model would write the correction; ``None`` without either."""
        if self._weigher is None or one.replacement is None:
            return None
        name = PurePath(source.path).name
        start, end = scope.start + one.start, scope.start + one.end
        correction = Correction.of(source.text, start, end, one.replacement, name, source.language)
        return self._weigher.confidence(correction, cancel)

    def _parts(self, source: Source, scope: Scope) -> tuple[list[tuple[int, int]], int]:
        room = self.talk.n_ctx - self._options.n_predict - _OVERHEAD_TOKENS
        around = splitting.context(source.text, scope, source.outline, with_header=True)
        room -= self.talk.count_tokens(around)
        n_tokens = max(64, min(room, splitting.MOST_PART_TOKENS))
        return splitting.parts(source.text, scope, n_tokens, self.talk.count_tokens)

    def _code(self, source: Source, scope: Scope, start: int, end: int) -> str:
        around = splitting.context(
            source.text, scope, source.outline, with_header=start != scope.start
        )
        return prompts.about(unix(source.text[start:end]), source.language, source.path, around)


def _finding(text: str, scope: Scope, one: Spotted) -> Finding:
    """A slip as a finding about the whole of its line, or lines."""
    slip = one.slip
    start = text.rfind("\n", 0, slip.start) + 1
    end = text.find("\n", slip.end)
    end = len(text) if end < 0 else end
    start, end = max(start, scope.start), min(end, scope.end)
    start += len(text[start:end]) - len(text[start:end].lstrip())
    end -= len(text[start:end]) - len(text[start:end].rstrip())
    return Finding(
        Category.BUG,
        Severity.WARNING,
        text[start:end],
        f"The model would rather write {slip.what}.",
        start - scope.start,
        end - scope.start,
        text[start : slip.start] + slip.put + text[slip.end : end],
        one.confidence,
    )


def _overlap(one: Finding, other: Finding) -> bool:
    return one.start < other.end and other.start < one.end
