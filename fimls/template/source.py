"""Tokenising the user's text so that it stays text.

Two things stand between text and the ids a model was trained on: control tokens
that the text spells, and the last token, which the next keystroke may still
change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

from fimls.errors import TemplateError
from fimls.vocabulary import Vocabulary

# Windows, chunks and lines that come again with the next keystroke.
_CACHED_TEXTS = 256
# A longer word is not one token in any vocabulary, so generating it anew gains nothing.
_MAX_HEALED_LETTERS = 32
# Vocabularies hold HTML tags as user-defined tokens: these are plain text.
_HARMLESS = re.compile(r"</?[a-z][a-z0-9]*>")
# How control tokens are spelt that nobody named.
_SUSPECT = r"<[^<>\s]{1,60}>|\[[A-Z_/]{2,30}\]"
_LETTERS_AT_END = re.compile(r"[^\W\d_]+\Z")


class Source:
    """Source text to token ids, for one vocabulary and the tokens it must not hold."""

    def __init__(self, vocabulary: Vocabulary, reserved: Iterable[int]) -> None:
        self._vocabulary = vocabulary
        self._reserved = frozenset(reserved)
        named = {spelling for token in self._reserved if (spelling := vocabulary.spelling(token))}
        longest_first = sorted(named, key=len, reverse=True)
        self._suspect = re.compile("|".join([*map(re.escape, longest_first), _SUSPECT]))
        self._spellings: dict[int, str] = {}
        self.encode = lru_cache(maxsize=_CACHED_TEXTS)(self._encode)
        self.split = lru_cache(maxsize=_CACHED_TEXTS)(self._split)

    def spelling(self, token: int) -> str:
        known = self._spellings.get(token)
        if known is None:
            known = self._spellings[token] = self._vocabulary.spelling(token)
        return known

    def _encode(self, text: str) -> tuple[int, ...]:
        """Ids of ``text``, no control token among them."""
        if not text:
            return ()
        cuts: set[int] = set()
        while True:
            bounds = [0, *sorted(cuts), len(text)]
            ids: list[int] = []
            for start, end in pairwise(bounds):
                ids += self._vocabulary.tokenize(text[start:end])
            found = self._found(text, ids)
            if not found:
                return tuple(ids)
            # A token cannot match across a cut, so cut each spelling after its first character.
            before = len(cuts)
            for spelling in found:
                for match in re.finditer(re.escape(spelling), text):
                    if len(spelling) > 1:
                        cuts.add(match.start() + 1)
            if len(cuts) == before:
                raise TemplateError(f"the vocabulary turns the text {found} into a control token")

    def _split(self, text: str, floor: int = 0) -> tuple[tuple[int, ...], str]:
        """Ids of ``text`` without its tail, and the tail: what a longer token may swallow.

        Never steps back behind ``floor`` nor over a line break. The indentation of
        a line that is blank so far is a tail; otherwise the last token is, and where
        the text ends within a word, all tokens of its letters.
        """
        line = text[max(text.rfind("\n") + 1, floor) :]
        if not line.strip(" \t"):
            return self.encode(text[: len(text) - len(line)]), line
        ids = self.encode(text)
        letters = _LETTERS_AT_END.search(line)
        wanted = len(letters[0]) if letters else 1
        if wanted > _MAX_HEALED_LETTERS:
            wanted = 1
        kept, end = len(ids), len(text)
        while len(text) - end < wanted and kept:
            spelling = self.spelling(ids[kept - 1])
            start = end - len(spelling)
            if start < floor or "\n" in spelling or not spelling or text[start:end] != spelling:
                break  # an incomplete character, or not the user's to change
            kept, end = kept - 1, start
        return ids[:kept], text[end:]

    def _found(self, text: str, ids: list[int]) -> set[str]:
        """Spellings in ``text`` that became control tokens.

        Looks at what is spelt like one instead of at each token: vocabularies of remote
        engines answer one question at a time.
        """
        return {
            spelling
            for spelling in set(self._suspect.findall(text))
            if (token := self._vocabulary.marker(spelling)) is not None
            and token in ids
            and (
                token in self._reserved
                or self._vocabulary.is_end(token)
                or not _HARMLESS.fullmatch(spelling)
            )
        }
