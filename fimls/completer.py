"""The pipeline, in order: document, context, template, engine, scope, post-processing.

The completer joins the stages. The engine knows nothing of syntax and the watcher
nothing of models: a draft hands each piece of text from one to the other, and as
soon as the watcher sees the end, the next token is not computed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from fimls.cache import CompletionCache
from fimls.cancel import Cancel
from fimls.config import CompletionOptions
from fimls.document import Snapshot
from fimls.draft import Draft
from fimls.engine.base import Engine, Priority, Request, Sampling, Usage
from fimls.errors import EngineUnreachable
from fimls.fim import Chunk, Completion, Cut, Prompt, StopReason
from fimls.prompting import ChooseTemplate, Cursor, Prompter

# Generations that were taken back and are kept, to be gone on with: those of the last keys.
MOST_BEGUN = 16
# Who goes on typing does so within this time: until then a beginning that is shown is enough.
T_LINGER_S = 0.25

OnPart = Callable[[Completion], None]


class Completer:
    """Completes documents with one engine. Keeps anchors and finished answers. Thread-safe."""

    def __init__(
        self, engine: Engine, options: CompletionOptions, choose_template: ChooseTemplate
    ) -> None:
        self._engine = engine
        self._options = options
        self._prompter = Prompter(engine, options, choose_template)
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
        first whole lines stand long before the end; the rest is then computed for who lingers.
        Blocks until done; ``cancel`` ends it within a token. Raises ``FimlsError``.
        """
        cursor = Cursor.at(document, offset)
        if cursor.is_inside_word and not invoked:
            return None
        with self._lock:
            completion = self._cache.find(cursor.uri, cursor.before, cursor.after)
        if completion is None or completion.is_part:
            begun = self._begun_at(cursor)
            try:
                prompt = self._prompter.prompt(cursor, chunks, begun)
            except EngineUnreachable:
                # The server left while its tokenizer was asked; another engine may answer now.
                prompt = self._prompter.prompt(cursor, chunks, begun)
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

    def prepare(
        self,
        document: Snapshot,
        offset: int,
        cancel: Cancel,
        chunks: tuple[Chunk, ...] = (),
    ) -> None:
        """Make ready for the next request at a place, while nobody types.

        Blocks for seconds, at the lowest priority. What was evaluated before ``cancel`` stays
        warm, and the place keeps its anchor until the better one is whole. On an engine that
        prepares nothing ahead the next request is the one to have it evaluated, where that
        takes no longer than a completion may. Raises ``FimlsError``.
        """
        options, speed = self._options, self._engine.prompt_tokens_per_s
        if speed is None:
            return  # its windows are whole
        better = self._prompter.better(Cursor.at(document, offset), chunks)
        if better is None:
            return
        prompt, use = better
        if not self._engine.prepares_ahead:
            if options.n_prefix + options.n_suffix <= speed * options.t_max_predict_ms / 1000:
                use()
            return
        stream = self._engine.stream(Request(prompt, 1, priority=Priority.IDLE), cancel)
        try:
            is_ready = next(stream, None) is not None or stream.usage.ended
        finally:
            stream.close()
        if is_ready:
            use()

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._prompter.forget(uri)
        with self._lock:
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
        options = self._options
        t_max_ms = options.t_max_invoked_ms if invoked else options.t_max_predict_ms
        draft = Draft(cursor.before, cursor.after, cursor.language, t_max_ms)
        begun = "" if prompt.window is None else prompt.window.begun
        n_begun = self._prompter.count_tokens(begun) if begun else 0
        stream = self._engine.stream(
            Request(
                prompt,
                max(n_predict - n_begun, 1),
                Sampling(options.temperature, options.top_p, options.min_p, options.seed),
            ),
            cancel,
        )
        name = self._prompter.model_name

        def tell_part(at: int) -> bool:
            assert on_part is not None
            part = draft.completion(Cut(at, StopReason.TIME), prompt, stream.usage, name)
            if part.text:
                on_part(replace(part, is_part=True))
                cancel.wait(T_LINGER_S)
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

    def _begun_at(self, cursor: Cursor) -> str:
        """What is left of a completion that was taken back, if the keys since then typed of it."""
        with self._lock:
            begun = self._begun.find(cursor.uri, cursor.before, cursor.after)
        return "" if begun is None else begun.text

    def _put_aside(self, cursor: Cursor, begun: str) -> None:
        """Keep what was generated before it was taken back: the next key may be typing it."""
        if begun:
            unfinished = Completion(begun, StopReason.CANCELLED)
            with self._lock:
                self._begun.store(cursor.uri, cursor.before, cursor.after, unfinished)


def _why_it_ended(cancel: Cancel, usage: Usage, *, timed_out: bool) -> StopReason:
    if cancel.is_set():
        return StopReason.CANCELLED
    if timed_out:
        return StopReason.TIME
    return StopReason.END if usage.ended else StopReason.BUDGET


def _in_newlines_of(cursor: Cursor, completion: Completion) -> Completion:
    """The completion with the document's own line ends."""
    if cursor.newline == "\n" or "\n" not in completion.text:
        return completion
    text = completion.text
    grades = tuple(len(text[:grade].replace("\n", cursor.newline)) for grade in completion.grades)
    return replace(completion, text=text.replace("\n", cursor.newline), grades=grades)
