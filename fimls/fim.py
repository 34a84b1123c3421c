"""The glossary: the values that flow from one stage to the next.

request -> document -> context (Window, Chunk) -> template (Prompt) -> engine
(Piece) -> scope (Cut) -> post-processing -> answer (Completion).

Everything here is immutable and free of IO; every stage may import it and no
stage imports another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

# What editors insert by themselves behind the cursor when a bracket or quote is opened.
AUTO_CLOSERS = frozenset(")]}>\"'`;")


class StopReason(str, Enum):
    """Why a completion ended. Every answer carries one."""

    SCOPE = "scope"  # the text was about to leave the enclosing syntactic scope
    SUFFIX = "suffix"  # the text met what already stands after the cursor
    END = "end"  # the model emitted one of its end tokens
    LOOP = "loop"  # the model repeated itself
    BUDGET = "budget"  # n_predict tokens were generated
    TIME = "time"  # t_max_predict_ms went by
    CANCELLED = "cancelled"  # the caller took the request back

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of another file that the model may look at."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Window:
    """What the model sees of the document.

    ``prefix + typed`` is the text before the cursor, ``suffix`` the text after
    it, each cut to its token budget. ``typed`` begins at the anchor and is
    placed after the middle marker, so that typing only ever appends to the
    prompt (the anchored middle, see ARCHITECTURE.md). The end of it may not be
    typed but *begun*: generated before, and taken back.
    """

    prefix: str
    typed: str
    suffix: str
    path: str = ""
    language: str = ""
    begun: str = ""


class SegmentKind(str, Enum):
    """What a segment of a prompt is made of."""

    MARKER = "marker"  # one control token, taken from the vocabulary
    SOURCE = "source"  # the user's text, tokenised with special=False


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of prompt tokens of one origin, kept for dry runs and bug reports."""

    kind: SegmentKind
    text: str
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt: token ids, in order, and where they came from.

    ``heal`` is the tail of the text before the cursor that was left out of
    ``tokens`` because it may be part of a longer token; the engine makes the
    first generated tokens begin with it and does not report it again.
    ``stops`` are the ids that end the middle. ``stop_texts`` are strings that
    end it: first those that models write as plain text, then the spellings of
    ``stops``, for servers that take strings only. ``window`` and ``chunks`` are
    what was rendered, for servers that fill a template of their own.
    """

    segments: tuple[Segment, ...]
    stops: frozenset[int] = frozenset()
    heal: str = ""
    template: str = ""
    stop_texts: tuple[str, ...] = ()
    window: Window | None = field(default=None, repr=False, compare=False)
    chunks: tuple[Chunk, ...] = field(default=(), repr=False, compare=False)

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(token for segment in self.segments for token in segment.tokens)

    @property
    def text(self) -> str:
        """The prompt as one string, markers included: for eyes and for servers without ids."""
        return "".join(segment.text for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one decoding step yields: a token and the text it completes.

    ``text`` may be empty while a multi-byte character is still incomplete.
    ``logprob`` is the natural logarithm of the token's probability, ``None``
    when the engine was not asked for it. ``rivals`` are those of a given token's rivals.
    """

    text: str
    token: int = -1
    logprob: float | None = None
    rivals: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """Where generated text ends: keep ``at`` characters of it, for ``reason``."""

    at: int
    reason: StopReason


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer: the text for the cursor, why it stopped, and what it cost.

    ``grades`` are the lengths (in characters of ``text``, ascending, the last
    one the whole) at which the text may be offered on its own: the rest of the
    line, the statement, the block. Times are in milliseconds, counts in tokens.
    ``n_discarded`` counts tokens generated beyond ``text``. ``cached`` answers
    come from an earlier generation: nothing was computed for them, and
    ``stop_reason`` is that generation's. A *part* is what was there before its
    generation was over: ``stop_reason`` says nothing yet.
    """

    text: str
    stop_reason: StopReason
    grades: tuple[int, ...] = ()
    n_prompt: int = 0
    n_evaluated: int = 0
    n_generated: int = 0
    n_discarded: int = 0
    t_first_token_ms: float = 0.0
    t_total_ms: float = 0.0
    t_scope_ms: float = 0.0
    model: str = ""
    template: str = ""
    language: str = ""
    cached: bool = False
    is_part: bool = False
    prompt: Prompt | None = field(default=None, repr=False, compare=False)
