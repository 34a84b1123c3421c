"""Completions that survive typing: what was suggested and is typed costs nothing.

An entry answers every cursor that can be reached from its own by typing the
suggested text, or by deleting what was typed of it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from fimls.fim import AUTO_CLOSERS, Completion

# How much text before the cursor identifies a place. Two places of one document with the
# same 2,000 characters at the same offset and the same text behind them are the same place.
LANDMARK_CHARS = 2_000
CAPACITY = 128


@dataclass(frozen=True, slots=True)
class _Entry:
    offset: int  # of the cursor, in characters
    landmark: str  # the text before it
    after: str  # the text behind it
    completion: Completion


class CompletionCache:
    """The last ``CAPACITY`` completions, most recently used last. Not thread-safe."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[tuple[str, int, str, str], _Entry] = OrderedDict()

    def store(self, document: str, before: str, after: str, completion: Completion) -> None:
        entry = _Entry(len(before), before[-LANDMARK_CHARS:], after[:LANDMARK_CHARS], completion)
        key = (document, entry.offset, entry.landmark, entry.after)
        self._entries[key] = entry
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def find(self, document: str, before: str, after: str) -> Completion | None:
        """What is left of a stored completion at this cursor; the newest that fits."""
        for key in reversed(self._entries):
            if key[0] != document:
                continue
            rest = _rest(self._entries[key], before, after)
            if rest is not None:
                self._entries.move_to_end(key)
                return rest
        return None

    def forget(self, document: str) -> None:
        for key in [key for key in self._entries if key[0] == document]:
            del self._entries[key]


def _rest(entry: _Entry, before: str, after: str) -> Completion | None:
    completion = entry.completion
    n_typed = len(before) - entry.offset
    if not 0 <= n_typed < max(len(completion.text), 1):
        return None
    if not completion.text.startswith(before[entry.offset :]):
        return None
    start = max(entry.offset - LANDMARK_CHARS, 0)
    if before[start : entry.offset] != entry.landmark:
        return None
    text = completion.text[n_typed:]
    if after[:LANDMARK_CHARS] != entry.after:
        closers = _added_closers(entry.after, after)
        if not closers or not text.endswith(closers):
            return None  # what was suggested may now stand behind the cursor already
        text = text[: -len(closers)]
    grades = {min(grade - n_typed, len(text)) for grade in completion.grades if grade > n_typed}
    return replace(completion, text=text, grades=tuple(sorted(grades)), cached=True)


def _added_closers(was: str, now: str) -> str:
    """The brackets or quotes that an editor closed behind the cursor, if that is all it did."""
    for n_added in (1, 2):
        added = now[:n_added]
        if set(added) <= AUTO_CLOSERS and now[n_added : n_added + len(was)] == was:
            return added
    return ""
