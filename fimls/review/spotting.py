"""Faults found by likelihood: where a model would rather write something else than what is there.

Asked in words, a small model says little that is true. What it knows shows when it reads code
as it would write it. One pass over a function tells how likely each token is, and how likely
what a slip would have made of it (``slips``); the few that look worst are weighed between the
code before and after them (``weighing``). Nothing is generated, so nothing is made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fimls.cancel import Cancel
from fimls.document import unix
from fimls.engine.base import Engine, Given, Priority, Request
from fimls.errors import BadRequest
from fimls.fim import Prompt, Window
from fimls.review.slips import Slip
from fimls.review.weighing import Correction, Weigher
from fimls.template import BoundTemplate
from fimls.vocabulary import Vocabulary

# Each costs a prompt. In 62 functions, the seeded fault was among the first three of the suspects
# in 20 of 24 cases (0.5B).
MOST_WEIGHED = 3
# So much likelier than the code as it is (natural logarithm) must what should stand there be to be
# weighed. Of 62 functions with the 0.5B, lower values weighed more and found nothing more.
_LEAST_SUSPICION = 0.5
# Shown of the code around a function while it is read.
_MOST_AROUND_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Passage:
    """What is read at once: ``text[start:end]`` of a document, and how its file is called."""

    text: str
    start: int
    end: int
    name: str
    language: str

    @property
    def window(self) -> Window:
        """The passage as a hole in its document."""
        above = unix(self.text[max(0, self.start - _MOST_AROUND_CHARS) : self.start])
        below = unix(self.text[self.end : self.end + _MOST_AROUND_CHARS])
        return Window(above, "", below, self.name, self.language)

    @property
    def code(self) -> str:
        return unix(self.text[self.start : self.end])

    def without(self, slip: Slip) -> str:
        """The code as it would be if ``slip`` had not been made."""
        before, after = self.text[self.start : slip.start], self.text[slip.end : self.end]
        return unix(before + slip.put + after)


@dataclass(frozen=True, slots=True)
class Spotted:
    """A slip, and the probability of the code without it against the code as it is, 0 to 1."""

    slip: Slip
    confidence: float


class Spotter:
    """Reads functions with one model, through its FIM template. Thread-safe."""

    def __init__(
        self, engine: Engine, vocabulary: Vocabulary, template: BoundTemplate, weigher: Weigher
    ) -> None:
        self._engine = engine
        self._vocabulary = vocabulary
        self._template = template
        self._weigher = weigher

    def spot(self, passage: Passage, slips: Sequence[Slip], cancel: Cancel) -> list[Spotted]:
        """The slips among ``slips`` that are worth a word, the likeliest first, one a line.

        All lie in the passage. Nothing where the engine cannot weigh text. Raises ``FimlsError``.
        """
        found: dict[tuple[str, str], Spotted] = {}
        # In the order of the text: each prompt then begins as the one before it does.
        for slip in sorted(self._suspects(passage, slips, cancel), key=_place):
            correction = Correction.of(
                passage.text, slip.start, slip.end, slip.put, passage.name, passage.language
            )
            confidence = self._weigher.confidence(correction, cancel)
            if confidence is None or cancel.is_set():
                continue
            line = correction.before, correction.written
            if line not in found or found[line].confidence < confidence:
                found[line] = Spotted(slip, confidence)
        return sorted(found.values(), key=lambda one: -one.confidence)

    def _suspects(self, passage: Passage, slips: Sequence[Slip], cancel: Cancel) -> list[Slip]:
        """The few slips that one pass over the code finds likeliest."""
        prompt = self._template.render(passage.window)
        if prompt.heal or not prompt.tokens or not self._can_weigh(prompt, cancel):
            return []
        ids = self._vocabulary.tokenize(passage.code)
        rivals: dict[int, dict[int, list[Slip]]] = {}
        for slip in slips:
            at, rival = _first_difference(ids, self._vocabulary.tokenize(passage.without(slip)))
            if rival is not None:
                rivals.setdefault(at, {}).setdefault(rival, []).append(slip)
        if not rivals:
            return []
        given = [Given(token, tuple(rivals.get(at, ()))) for at, token in enumerate(ids)]
        given = given[: max(rivals) + 1]
        request = Request(prompt, len(given), priority=Priority.REVIEW, given=tuple(given))
        try:
            stream = self._engine.stream(request, cancel)
        except BadRequest:
            return []  # no room for so much text
        suspected: list[tuple[float, Slip]] = []
        try:
            for at, piece in enumerate(stream):
                if piece.logprob is None or piece.token != ids[at]:
                    return []
                made = rivals.get(at, {}).values()
                for ones, logprob in zip(made, piece.rivals, strict=True):
                    suspected += ((logprob - piece.logprob, slip) for slip in ones)
        finally:
            stream.close()
        suspected.sort(key=lambda pair: -pair[0])
        return [slip for more, slip in suspected[:MOST_WEIGHED] if more > _LEAST_SUSPICION]

    def _can_weigh(self, prompt: Prompt, cancel: Cancel) -> bool:
        """Asked first: where a server does the tokenising, each of many texts is a request."""
        given = (Given(prompt.tokens[-1]),)
        try:
            self._engine.stream(
                Request(prompt, 1, priority=Priority.REVIEW, given=given), cancel
            ).close()
        except BadRequest:
            return False
        return True


def _place(slip: Slip) -> tuple[int, int]:
    return slip.start, slip.end


def _first_difference(ids: Sequence[int], others: Sequence[int]) -> tuple[int, int | None]:
    """Where two texts part, and the token of the second there; ``None`` where one just ends."""
    for at, (one, other) in enumerate(zip(ids, others, strict=False)):
        if one != other:
            return at, other
    return min(len(ids), len(others)), None
