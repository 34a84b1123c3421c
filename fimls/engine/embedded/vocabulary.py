"""A model's vocabulary, as llama.cpp reads it from the GGUF file."""

from __future__ import annotations

import ctypes
import re
from functools import cached_property

import llama_cpp.llama_cpp as c
import numpy as np

from fimls.engine.embedded.healing import HealingTable
from fimls.engine.embedded.model import Model

_PLAIN = c.LLAMA_TOKEN_ATTR_NORMAL | c.LLAMA_TOKEN_ATTR_BYTE
_SPECIAL = c.LLAMA_TOKEN_ATTR_CONTROL | c.LLAMA_TOKEN_ATTR_USER_DEFINED
_VOCAB_TYPE_SPM = 1  # llama_vocab_type: byte-level fallback, may put a blank before the text


class LlamaVocabulary:
    """Tokens in and out; implements ``fimls.engine.base.Vocabulary``.

    Usable with ``vocab_only`` models. Safe to call from several threads. What
    streams need is read once, so that a closed model is asked nothing; calls
    that need it raise ``EngineFailed`` then.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.info = model.info
        vocab = model.vocab
        self.n_tokens: int = c.llama_vocab_n_tokens(vocab)
        self._blank_prefix = c.llama_vocab_type(vocab) == _VOCAB_TYPE_SPM
        self._attributes = [c.llama_vocab_get_attr(vocab, t) for t in range(self.n_tokens)]
        self._ends = frozenset(
            t
            for t, attributes in enumerate(self._attributes)
            if attributes & _SPECIAL and c.llama_vocab_is_eog(vocab, t)
        )
        bos = int(c.llama_vocab_bos(vocab))
        self.bos = bos if bos >= 0 else None
        self.add_bos = bool(c.llama_vocab_get_add_bos(vocab))
        self._bytes: dict[int, bytes] = {}
        self._markers = {
            self._raw_text(token).decode("utf-8", "replace"): token
            for token, attributes in enumerate(self._attributes)
            if attributes & _SPECIAL
        }
        self._user_defined = self._user_defined_pattern()

    def tokenize(self, text: str) -> list[int]:
        """Token ids of source text; their spellings joined are ``text`` again.

        User-defined tokens are matched by llama.cpp even in plain text, so a
        marker of that kind in a buffer is cut in two before it gets there.
        """
        if self._user_defined is None:
            return self._tokenize(text, markup=False)
        tokens: list[int] = []
        start = 0
        for match in self._user_defined.finditer(text):
            cut = match.start() + 1
            tokens += self._tokenize(text[start:cut], markup=False)
            start = cut
        return tokens + self._tokenize(text[start:], markup=False)

    def tokenize_markup(self, text: str) -> list[int]:
        return self._tokenize(text, markup=True)

    def marker(self, text: str) -> int | None:
        return self._markers.get(text)

    def spelling(self, token: int) -> str:
        return self._read(token, special=True).decode("utf-8", "replace")

    def is_control(self, token: int) -> bool:
        return bool(self._attributes[token] & _SPECIAL)

    def is_end(self, token: int) -> bool:
        return token in self._ends

    def is_unwritable(self, token: int) -> bool:
        """Whether ``token`` stands for no text at all: control, unknown, unused."""
        return not self._attributes[token] & (_PLAIN | c.LLAMA_TOKEN_ATTR_USER_DEFINED)

    def bytes_of(self, token: int) -> bytes:
        """The bytes that ``token`` adds to the text; none for control tokens."""
        known = self._bytes.get(token)
        if known is None:
            known = self._bytes[token] = self._read(token, special=False)
        return known

    @cached_property
    def healing(self) -> HealingTable:
        """The tokens sorted by their bytes; takes a fraction of a second, once."""
        return HealingTable(
            (token, self.bytes_of(token))
            for token, attributes in enumerate(self._attributes)
            if not attributes & _SPECIAL
        )

    def _tokenize(self, text: str, markup: bool) -> list[int]:
        if not text:
            return []
        data = text.encode("utf-8", "surrogatepass")
        if not self._blank_prefix:
            return self._ids(data, markup)
        # SentencePiece vocabularies put a blank before the text. Behind a line break, which is
        # a token of its own there, they do not: tokenise one in front and drop its tokens.
        lead = len(self._ids(b"\n", markup))
        return self._ids(b"\n" + data, markup)[lead:]

    def _ids(self, data: bytes, markup: bool) -> list[int]:
        # A token has at least one byte, but for the blank that SentencePiece may add.
        ids = np.empty(len(data) + 2, dtype=np.int32)
        pointer = ids.ctypes.data_as(ctypes.POINTER(c.llama_token))
        with self._model.in_use() as vocab:
            n = c.llama_tokenize(vocab, data, len(data), pointer, len(ids), False, markup)
        found: list[int] = ids[: max(n, 0)].tolist()
        return found

    def _raw_text(self, token: int) -> bytes:
        return c.llama_vocab_get_text(self._model.vocab, token) or b""

    def _read(self, token: int, special: bool) -> bytes:
        size = 32
        with self._model.in_use() as vocab:
            while True:
                buffer = ctypes.create_string_buffer(size)
                n = c.llama_token_to_piece(vocab, token, buffer, size, 0, special)
                if n >= 0:
                    return buffer.raw[:n]
                size = -n

    def _user_defined_pattern(self) -> re.Pattern[str] | None:
        """User-defined tokens that are markers, not the runs of blanks some vocabularies have."""
        spellings = [
            text
            for text, token in self._markers.items()
            if self._attributes[token] & c.LLAMA_TOKEN_ATTR_USER_DEFINED
            and len(text) > 1
            and text.strip(" \t\r\n▁")
        ]
        if not spellings:
            return None
        return re.compile("|".join(re.escape(s) for s in sorted(spellings, key=len, reverse=True)))
