"""From a cursor to a prompt: document, context, template.

What depends on the model (tokens to count, a template bound to its vocabulary, how much
can be evaluated in time) is asked of the engine; nothing is generated here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePath

from fimls import scope
from fimls.config import CompletionOptions
from fimls.context import Anchor, Budget, Places, cold_budget, place, settle
from fimls.document import Snapshot, unix
from fimls.engine.base import Engine, Vocabulary
from fimls.fim import Chunk, Prompt, Window
from fimls.template import BoundTemplate

# Without a tokenizer at hand budgets are estimates: code has 3 to 4 characters a token.
ESTIMATED_CHARS_PER_TOKEN = 3
# Of a prompt that is no text of the document: markers, the file's name.
N_AROUND = 48

ChooseTemplate = Callable[[Vocabulary | None], BoundTemplate]


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a document, as the pipeline sees it: LF line ends, text on both sides."""

    uri: str
    path: str
    language: str
    newline: str
    before: str
    after: str

    @classmethod
    def at(cls, document: Snapshot, offset: int) -> Cursor:
        return cls(
            uri=document.uri,
            path=document.path,
            language=scope.language_of(document.path, document.language),
            newline=document.newline,
            before=unix(document.text[:offset]),
            after=unix(document.text[offset:]),
        )

    @property
    def is_inside_word(self) -> bool:
        """Text typed here would be cut off by what follows at once."""
        return _is_word(self.before[-1:]) and _is_word(self.after[:1])


class Prompter:
    """Prompts for one engine and its documents' cursors. Keeps their anchors. Thread-safe."""

    def __init__(
        self, engine: Engine, options: CompletionOptions, choose_template: ChooseTemplate
    ) -> None:
        self._engine = engine
        self._options = options
        self._choose_template = choose_template
        self._model: _Model | None = None
        self._places = Places()
        self._n_cold: int | None = None
        self._lock = threading.Lock()

    @property
    def model_name(self) -> str:
        """What runs, for people; the engine, where that does not tell its model."""
        return self._bound_model().name or self._options.runs

    def bind(self) -> None:
        """See that the model can complete, as the first prompt does. Raises ``FimlsError``."""
        self._bound_model()

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text``; an estimate where the engine shows no vocabulary."""
        return self._bound_model().count_tokens(text)

    def prompt(self, cursor: Cursor, chunks: tuple[Chunk, ...] = (), begun: str = "") -> Prompt:
        """The prompt for a cursor, placed at an anchor of the document as long as one holds.

        It goes on behind ``begun``, the beginning of a completion for this cursor. Raises
        ``FimlsError``: a remote engine counts over the network.
        """
        model = self._bound_model()
        with self._lock:
            known = self._places.known(cursor.uri)
        budget = self._budget(model)  # outside the lock, as all that may ask a server
        anchor, typed = place(cursor.before, cursor.after, budget, model.count_tokens, known)
        with self._lock:
            self._places.use(cursor.uri, anchor)
        return _render(model, cursor, anchor, typed, chunks, begun)

    def better(
        self, cursor: Cursor, chunks: tuple[Chunk, ...] = ()
    ) -> tuple[Prompt, Callable[[], None]] | None:
        """A better prompt than the next one would be, and what to call once it is warm.

        ``None`` when that one is as good as it gets: see ``settle``. Raises ``FimlsError``.
        """
        model = self._bound_model()
        with self._lock:
            known = self._places.known(cursor.uri)
        budget = self._budget(model)
        found = settle(cursor.before, cursor.after, budget, model.count_tokens, known)
        if found is None:
            return None
        anchor, typed = found

        def use() -> None:
            with self._lock:
                self._places.use(cursor.uri, anchor)

        return _render(model, cursor, anchor, typed, chunks), use

    def forget(self, uri: str) -> None:
        """The document was closed."""
        with self._lock:
            self._places.forget(uri)

    def _budget(self, model: _Model) -> Budget:
        options = self._options
        budget = Budget(
            n_prefix=options.n_prefix,
            n_suffix=options.n_suffix,
            anchor_lines=options.anchor_lines,
            suffix_first=model.template.suffix_first,
        )
        n_ctx = self._engine.n_ctx
        # A server may give more than its model was trained for.
        n_ctx = min(n_ctx, model.template.n_ctx or n_ctx)
        n_ctx -= min(options.n_chunks, n_ctx // 2)
        budget = _within(budget, n_ctx, options.n_predict)
        speed = self._engine.prompt_tokens_per_s if options.t_max_cold_ms else None
        if speed is None:
            return budget
        n_affordable = speed * options.t_max_cold_ms / 1000
        n_whole = budget.n_prefix + budget.n_suffix
        self._n_cold = cold_budget(n_affordable, n_whole, self._n_cold)
        return replace(budget, n_cold=self._n_cold)

    def _bound_model(self) -> _Model:
        """What depends on the vocabulary; an engine may be replaced while nobody types."""
        vocabulary = self._engine.vocabulary
        if self._model is None or self._model.vocabulary is not vocabulary:
            self._model = _Model.bind(vocabulary, self._choose_template(vocabulary))
        return self._model


@dataclass(frozen=True, slots=True)
class _Model:
    """The template bound to a vocabulary, and a memory for counts."""

    vocabulary: Vocabulary | None
    template: BoundTemplate
    count_tokens: Callable[[str], int]

    @property
    def name(self) -> str:
        """Empty where the engine does not tell."""
        return "" if self.vocabulary is None else self.vocabulary.info.name

    @classmethod
    def bind(cls, vocabulary: Vocabulary | None, template: BoundTemplate) -> _Model:
        if vocabulary is None:
            return cls(None, template, _estimate)

        @lru_cache(maxsize=20_000)  # the same lines are counted at every keystroke
        def count_tokens(text: str) -> int:
            return len(vocabulary.tokenize(text))

        return cls(vocabulary, template, count_tokens)


def _within(budget: Budget, n_ctx: int, n_predict: int) -> Budget:
    """The budget, made small enough for a context that is smaller than the settings' window."""
    room = n_ctx - N_AROUND - min(n_predict, n_ctx // 4)
    share = room / (budget.n_prefix + budget.n_suffix + budget.n_middle)
    if share >= 1:
        return budget
    return replace(
        budget,
        n_prefix=int(budget.n_prefix * share),
        n_suffix=int(budget.n_suffix * share),
        n_middle=int(budget.n_middle * share),
    )


def _render(
    model: _Model,
    cursor: Cursor,
    anchor: Anchor,
    typed: str,
    chunks: tuple[Chunk, ...],
    begun: str = "",
) -> Prompt:
    name = PurePath(cursor.path).name  # where it lies is the machine's affair, not the model's
    suffix = _closed(anchor.suffix)
    window = Window(anchor.prefix, typed + begun, suffix, name, cursor.language, begun)
    return model.template.render(window, chunks)


def _closed(suffix: str) -> str:
    """The suffix with a line break at its end, as nearly all files a model has seen have one."""
    return suffix + "\n" if suffix.strip() and not suffix.endswith("\n") else suffix


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _estimate(text: str) -> int:
    return len(text) // ESTIMATED_CHARS_PER_TOKEN + 1
