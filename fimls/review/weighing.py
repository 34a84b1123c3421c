"""Which of two lines a model would rather write: the second look at a correction.

Small models answer "is this a real fault?" with yes, whatever it is. What they know of code
shows when they write it: in front of the hole that a line leaves in its function, the line
as it is and the line as a finding would have it are spelt, token by token, and the
probability of one against the other is the finding's confidence.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from fimls.cancel import Cancel
from fimls.document import unix
from fimls.engine.base import Engine, Given, Priority, Request, Sampling, Stream
from fimls.errors import FimlsError
from fimls.fim import Prompt, Window
from fimls.template import BoundTemplate

# What is shown of the code around the line, and a step more before it: some 1,200 tokens at most.
MOST_BEFORE_CHARS = 2_000
MOST_AFTER_CHARS = 1_000
_STEP_CHARS = 1_000
# A line has fewer tokens than characters; longer ones are not weighed, it would take seconds.
MOST_LINE_CHARS = 400


@dataclass(frozen=True, slots=True)
class Correction:
    """Whole lines between ``before`` and ``after``: as they are, and as they should be."""

    before: str
    after: str
    written: str
    corrected: str
    name: str
    language: str

    @classmethod
    def of(
        cls, text: str, start: int, end: int, replacement: str, name: str, language: str
    ) -> Correction:
        """``replacement`` in the place of ``text[start:end]``, widened to whole lines."""
        first = text.rfind("\n", 0, start) + 1
        # Stands still from line to line, so that their prompts begin with the same tokens.
        top = max(0, first - MOST_BEFORE_CHARS) // _STEP_CHARS * _STEP_CHARS
        last = text.find("\n", end)
        last = len(text) if last < 0 else last
        return cls(
            before=unix(text[top:first]),
            after=unix(text[last + 1 : last + 1 + MOST_AFTER_CHARS]),
            written=unix(text[first:last]) + "\n",
            corrected=unix(text[first:start] + replacement + text[end:last]) + "\n",
            name=name,
            language=language,
        )


class Weigher:
    """Weighs corrections with one model, through its FIM template. Thread-safe."""

    def __init__(self, engine: Engine, template: BoundTemplate) -> None:
        self._engine = engine
        self._template = template

    def confidence(self, correction: Correction, cancel: Cancel) -> float | None:
        """The probability of the corrected lines against those that are there, 0 to 1.

        ``None`` where it cannot be told: an engine without probabilities or grammars, a
        prompt that needs healing, very long lines. Costs a prompt and both lines' tokens.
        """
        window = Window(
            correction.before, "", correction.after, correction.name, correction.language
        )
        prompt = self._template.render(window, ())
        if prompt.heal or not prompt.tokens:
            return None
        written = self._logprob(prompt, correction.written, cancel)
        corrected = None if written is None else self._logprob(prompt, correction.corrected, cancel)
        if written is None or corrected is None:
            return None
        return 1 / (1 + math.exp(min(written - corrected, 500.0)))

    def _logprob(self, prompt: Prompt, text: str, cancel: Cancel) -> float | None:
        """How likely the model writes ``text`` here, as the logarithm of its probability."""
        vocabulary = self._engine.vocabulary
        if len(text) > MOST_LINE_CHARS or vocabulary is None:
            return None
        given = tuple(map(Given, vocabulary.tokenize(text)))
        # For engines that only generate, a grammar of one sentence: the likeliest token of those
        # that go on spelling it.
        sampling = Sampling(grammar=f"root ::= {json.dumps(text, ensure_ascii=False)}")
        wanted = Request(prompt, len(given), priority=Priority.REVIEW, logprobs=True, given=given)
        spelt = Request(prompt, len(text), sampling, Priority.REVIEW, logprobs=True)
        for request in (wanted, spelt):
            try:
                stream = self._engine.stream(request, cancel)
            except FimlsError:
                continue  # this engine weighs no given text, or has no grammars
            return _sum(stream, text)
        return None


def _sum(stream: Stream, text: str) -> float | None:
    spelt, total = "", 0.0
    try:
        for piece in stream:
            if piece.logprob is None:
                return None
            spelt += piece.text
            total += piece.logprob
    finally:
        stream.close()
    return total if spelt == text else None
