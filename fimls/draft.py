"""A completion in the making: what was generated so far, watched token by token."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import accumulate

from fimls import postprocess, scope
from fimls.engine.base import Usage
from fimls.fim import Completion, Cut, Piece, Prompt, StopReason

# A completion that is there within this time is shown whole.
T_PART_MS = 300


class Draft:
    """The text generated so far, and what it cost besides the engine's own work."""

    def __init__(self, before: str, after: str, language: str, t_max_ms: float) -> None:
        self._before, self._after, self._language = before, after, language
        self._t_max_s = t_max_ms / 1000
        self._started_s = time.perf_counter()
        self._watcher = scope.watch(before, after, language)
        self._t_scope_s = time.perf_counter() - self._started_s
        self._awaits_code = self._watcher.is_indented
        self._pieces: list[str] = []
        self._n_looked_at = 0
        self.timed_out = False

    def resume(self, text: str) -> Cut | None:
        """Go on behind ``text``, which was generated before; where it ends, if it does so now."""
        started_s = time.perf_counter()
        text = self._without_indent(text)
        self._pieces.append(text)
        cut = self._watcher.feed(text)
        self._t_scope_s += time.perf_counter() - started_s
        return cut

    def take(
        self, stream: Iterable[Piece], tell_part: Callable[[int], bool] | None = None
    ) -> Cut | None:
        """Pull tokens until the scope is complete; ``None`` when the stream ended before.

        ``tell_part`` is told how much may be shown by now, until it is satisfied.
        """
        deadline_s = float("inf")
        if tell_part is not None and self._has_new_lines() and self._tell(tell_part):
            tell_part = None
        for piece in stream:
            now_s = time.perf_counter()
            # The budget counts from the first token: a cold prompt is no reason to show nothing.
            deadline_s = min(deadline_s, now_s + self._t_max_s)
            text = self._without_indent(piece.text)
            self._pieces.append(text)
            cut = self._watcher.feed(text)
            self._t_scope_s += time.perf_counter() - now_s
            if cut is not None:
                return cut
            is_late = (now_s - self._started_s) * 1000 >= T_PART_MS
            if tell_part and is_late and self._has_new_lines() and self._tell(tell_part):
                tell_part = None
                deadline_s += time.perf_counter() - now_s  # who was told may have lingered
            if now_s > deadline_s:
                self.timed_out = True
                return None
        return None

    def _without_indent(self, text: str) -> str:
        """A piece without the indentation that stands before the cursor already."""
        if self._awaits_code:
            text = text.lstrip(" \t")
            self._awaits_code = not text
        return text

    def _has_new_lines(self) -> bool:
        """Whether another look at what may be shown would pay."""
        n_looked_at, self._n_looked_at = self._n_looked_at, len(self._pieces)
        return any("\n" in piece for piece in self._pieces[n_looked_at:])

    def _tell(self, tell_part: Callable[[int], bool]) -> bool:
        """Tell what may be shown by now; whether that was enough."""
        started_s = time.perf_counter()
        part = self._watcher.part()
        self._t_scope_s += time.perf_counter() - started_s
        return part > 0 and tell_part(part)

    def finish(self, reason: StopReason) -> Cut:
        """Where to cut a generation that the watcher did not end."""
        now_s = time.perf_counter()
        cut = self._watcher.finish(reason)
        self._t_scope_s += time.perf_counter() - now_s
        return cut

    def completion(self, cut: Cut, prompt: Prompt, usage: Usage, model: str) -> Completion:
        """The answer that ends at ``cut``."""
        text = self._watcher.indented(self.text[: cut.at])
        text = postprocess.apply(text, self._before, self._after, self._language)
        return Completion(
            text=text,
            stop_reason=cut.reason,
            grades=self._watcher.grades(text) if text else (),
            n_prompt=usage.n_prompt,
            n_evaluated=usage.n_evaluated,
            n_generated=usage.n_generated,
            n_discarded=self._n_pieces_after(cut.at),
            t_first_token_ms=usage.t_first_token_ms,
            t_total_ms=self._t_total_ms,
            t_scope_ms=self._t_scope_ms,
            model=model,
            template=prompt.template,
            language=self._language,
            prompt=prompt,
        )

    @property
    def text(self) -> str:
        """All of it, as it was generated."""
        return "".join(self._pieces)

    def _n_pieces_after(self, at: int) -> int:
        """Tokens that begin at or beyond ``at`` characters: computed, and not shown."""
        starts = accumulate(map(len, self._pieces), initial=0)
        return sum(start >= at for start, _ in zip(starts, self._pieces, strict=False))

    @property
    def _t_total_ms(self) -> float:
        return (time.perf_counter() - self._started_s) * 1000

    @property
    def _t_scope_ms(self) -> float:
        return self._t_scope_s * 1000
