"""The pipeline, in order: document, context, template, engine, scope, post-processing.

The completer joins the stages. The engine knows nothing of syntax and the watcher
nothing of models: a draft hands each piece of text from one to the other, and as
soon as the watcher sees the end, the next token is not computed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePath

from fimls import scope
from fimls.cache import CompletionCache
from fimls.cancel import Cancel
from fimls.config import CompletionOptions
from fimls.context import Anchor, Budget, Places, cold_budget, place, settle
from fimls.document import Snapshot
from fimls.draft import Draft
from fimls.engine.base import Engine, Priority, Request, Sampling, Usage, Vocabulary
from fimls.errors import EngineUnreachable
from fimls.fim import Chunk, Completion, Cut, Prompt, StopReason, Window
from fimls.template import BoundTemplate

# Without a tokenizer at hand budgets are estimates: code has 3 to 4 characters a token.
ESTIMATED_CHARS_PER_TOKEN = 3
# Of a prompt that is no text of the document: markers, the file's name.
N_AROUND = 48
# Generations that were taken back and are kept, to be gone on with: those of the last keys.
MOST_BEGUN = 16

ChooseTemplate = Callable[[Vocabulary | None], BoundTemplate]
OnPart = Callable[[Completion], None]


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
            before=_unix(document.text[:offset]),
            after=_unix(document.text[offset:]),
        )

    @property
    def is_inside_word(self) -> bool:
        """Text typed here would be cut off by what follows at once."""
        return _is_word(self.before[-1:]) and _is_word(self.after[:1])


class Completer:
    """Completes documents with one engine. Keeps anchors and finished answers. Thread-safe."""

    def __init__(
        self, engine: Engine, options: CompletionOptions, choose_template: ChooseTemplate
    ) -> None:
        self._engine = engine
        self._options = options
        self._choose_template = choose_template
        self._model: _Model | None = None
        self._places = Places()
        self._n_cold: int | None = None
        self._cache = CompletionCache()
        self._begun = CompletionCache(MOST_BEGUN)
        self._lock = threading.Lock()

    def complete(
        self,
        document: Snapshot,
        offset: int,
        cancel: Cancel,
        *,
        invoked: bool = False,
        chunks: tuple[Chunk, ...] = (),
        n_predict: int | None = None,
        on_part: OnPart | None = None,
    ) -> Completion | None:
        """What to insert at ``offset`` (in characters); its text is empty for nothing at all.

        ``None`` when nothing was tried: inside a word, or taken back meanwhile. ``invoked``
        means that a person asked for it by hand: it may take longer, and is answered inside
        a word too. ``n_predict`` is for this once. ``on_part`` is called at most once, where the
        first whole lines stand long before the end. Blocks until done; ``cancel`` ends it within
        a token. Raises ``FimlsError``.
        """
        cursor = Cursor.at(document, offset)
        if cursor.is_inside_word and not invoked:
            return None
        with self._lock:
            completion = self._cache.find(cursor.uri, cursor.before, cursor.after)
            begun = self._begun.find(cursor.uri, cursor.before, cursor.after)
        if completion is None or completion.is_part:
            # What the keys of the meantime have typed of it is behind the cursor; the rest stands.
            begun_text = "" if begun is None else begun.text
            try:
                prompt = self.prompt(cursor, chunks, begun_text)
            except EngineUnreachable:
                # The server left while its tokenizer was asked; another engine may answer now.
                prompt = self.prompt(cursor, chunks, begun_text)
            budget = self._options.n_predict if n_predict is None else n_predict
            told = None if on_part is None else lambda part: on_part(self._keep(cursor, part))
            completion = self._generate(cursor, prompt, budget, cancel, told, invoked=invoked)
            if completion.stop_reason is StopReason.CANCELLED:
                return None
            return self._keep(cursor, completion)
        return _in_newlines_of(cursor, completion)

    def _keep(self, cursor: Cursor, completion: Completion) -> Completion:
        """Remember an answer, in place of what was known for its cursor."""
        with self._lock:
            self._cache.store(cursor.uri, cursor.before, cursor.after, completion)
        return _in_newlines_of(cursor, completion)

    def recall(self, document: Snapshot, offset: int) -> Completion | None:
        """What is known for ``offset`` already, be it a part; computes nothing."""
        cursor = Cursor.at(document, offset)
        with self._lock:
            completion = self._cache.find(cursor.uri, cursor.before, cursor.after)
        return None if completion is None else _in_newlines_of(cursor, completion)

    def prompt(self, cursor: Cursor, chunks: tuple[Chunk, ...] = (), begun: str = "") -> Prompt:
        """The prompt for a cursor, placed at an anchor of the document as long as one holds.

        It goes on behind ``begun``, the beginning of a completion for this cursor.
        """
        model = self._bound_model()
        with self._lock:
            known = self._places.known(cursor.uri)
        # Outside the lock: a remote engine counts over the network.
        budget = self._budget(model)
        anchor, typed = place(cursor.before, cursor.after, budget, model.count_tokens, known)
        with self._lock:
            self._places.use(cursor.uri, anchor)
        return _render(model, cursor, anchor, typed, chunks, begun)

    def prepare(
        self,
        document: Snapshot,
        offset: int,
        cancel: Cancel,
        chunks: tuple[Chunk, ...] = (),
    ) -> None:
        """Make ready for the next request at a place, while nobody types: see ``settle``.

        Blocks for seconds, at the lowest priority. What was evaluated before ``cancel`` stays
        warm, and the place keeps its anchor until the better one is whole. Raises ``FimlsError``.
        """
        if self._engine.prompt_tokens_per_s is None:
            return  # another machine's time is not ours to spend
        cursor, model = Cursor.at(document, offset), self._bound_model()
        with self._lock:
            known = self._places.known(cursor.uri)
        budget = self._budget(model)
        found = settle(cursor.before, cursor.after, budget, model.count_tokens, known)
        if found is None:
            return
        anchor, typed = found
        prompt = _render(model, cursor, anchor, typed, chunks)
        stream = self._engine.stream(Request(prompt, 1, priority=Priority.IDLE), cancel)
        try:
            is_ready = next(stream, None) is not None or stream.usage.ended
        finally:
            stream.close()
        if is_ready:
            with self._lock:
                self._places.use(cursor.uri, anchor)

    def forget(self, uri: str) -> None:
        """The document was closed."""
        with self._lock:
            self._places.forget(uri)
            self._cache.forget(uri)
            self._begun.forget(uri)

    def _generate(
        self,
        cursor: Cursor,
        prompt: Prompt,
        n_predict: int,
        cancel: Cancel,
        on_part: OnPart | None,
        *,
        invoked: bool,
    ) -> Completion:
        options, model = self._options, self._bound_model()
        t_max_ms = options.t_max_invoked_ms if invoked else options.t_max_predict_ms
        draft = Draft(cursor.before, cursor.after, cursor.language, t_max_ms)
        begun = "" if prompt.window is None else prompt.window.begun
        n_begun = model.count_tokens(begun) if begun else 0
        stream = self._engine.stream(
            Request(
                prompt,
                max(n_predict - n_begun, 1),
                Sampling(options.temperature, options.top_p, options.min_p, options.seed),
            ),
            cancel,
        )
        name = model.name or options.model

        def tell_part(at: int) -> bool:
            assert on_part is not None
            part = draft.completion(Cut(at, StopReason.TIME), prompt, stream.usage, name)
            if part.text:
                on_part(replace(part, is_part=True))
            return bool(part.text)

        try:
            cut = draft.resume(begun) if begun else None
            cut = cut or draft.take(stream, tell_part if on_part else None)
        finally:
            stream.close()
        if cut is None:
            reason = _why_it_ended(cancel, stream.usage, timed_out=draft.timed_out)
            if reason is StopReason.CANCELLED:
                self._put_aside(cursor, draft.text)
            cut = draft.finish(reason)
        return draft.completion(cut, prompt, stream.usage, name)

    def _put_aside(self, cursor: Cursor, begun: str) -> None:
        """Keep what was generated before it was taken back: the next key may be typing it."""
        if begun:
            unfinished = Completion(begun, StopReason.CANCELLED)
            with self._lock:
                self._begun.store(cursor.uri, cursor.before, cursor.after, unfinished)

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


def _why_it_ended(cancel: Cancel, usage: Usage, *, timed_out: bool) -> StopReason:
    if cancel.is_set():
        return StopReason.CANCELLED
    if timed_out:
        return StopReason.TIME
    return StopReason.END if usage.ended else StopReason.BUDGET


def _closed(suffix: str) -> str:
    """The suffix with a line break at its end, as nearly all files a model has seen have one."""
    return suffix + "\n" if suffix.strip() and not suffix.endswith("\n") else suffix


def _unix(text: str) -> str:
    """LF line ends: models have seen few others, and tokenise them worse."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _in_newlines_of(cursor: Cursor, completion: Completion) -> Completion:
    """The completion with the document's own line ends."""
    if cursor.newline == "\n" or "\n" not in completion.text:
        return completion
    text = completion.text
    grades = tuple(len(text[:grade].replace("\n", cursor.newline)) for grade in completion.grades)
    return replace(completion, text=text.replace("\n", cursor.newline), grades=grades)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _estimate(text: str) -> int:
    return len(text) // ESTIMATED_CHARS_PER_TOKEN + 1
