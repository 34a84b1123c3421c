"""Real vocabularies for tests, as they are or with a family's markers added.

The files are llama.cpp's own (models/ggml-vocab-*.gguf). They are looked for in the
directory that FIMLS_VOCABS names.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fimls.engine.embedded import open_vocabulary

if TYPE_CHECKING:
    from fimls.engine.embedded.vocabulary import LlamaVocabulary

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "fim" / "vocabs"
CONTROL = 3  # gguf.TokenType.CONTROL


def vocab_file(name: str) -> Path:
    """The file of one of llama.cpp's vocabularies: deepseek-coder, starcoder, refact, llama-spm."""
    directory = Path(os.environ.get("FIMLS_VOCABS") or BESIDE)
    path = directory / f"ggml-vocab-{name}.gguf"
    if not path.is_file():
        pytest.skip(
            f"{path} IS MISSING: set FIMLS_VOCABS to a directory with llama.cpp's models/*.gguf"
        )
    return path


def vocabulary(name: str) -> LlamaVocabulary:
    return _opened(vocab_file(name))


def extended(name: str, tokens: Sequence[str], directory: Path) -> LlamaVocabulary:
    """The vocabulary ``name`` with ``tokens`` added as control tokens, read by llama.cpp."""
    return _opened(write_extended(vocab_file(name), tokens, directory / f"{name}-extended.gguf"))


def write_extended(source: Path, tokens: Sequence[str], target: Path) -> Path:
    """Copy a vocabulary with ``tokens`` as control tokens, new ones at its end."""
    import gguf

    fields = gguf.GGUFReader(source).fields
    values = {key: field.contents() for key, field in fields.items() if key[:5] != "GGUF."}
    names = values["tokenizer.ggml.tokens"]
    known = {token: index for index, token in enumerate(names)}
    added = [token for token in dict.fromkeys(tokens) if token not in known]
    for token in tokens:
        if token in known:
            values["tokenizer.ggml.token_type"][known[token]] = CONTROL
    values["tokenizer.ggml.token_type"] += [CONTROL] * len(added)
    if "tokenizer.ggml.scores" in values:
        values["tokenizer.ggml.scores"] += [0.0] * len(added)
    names += added
    writer = gguf.GGUFWriter(target, values.pop("general.architecture"))
    for key, value in values.items():
        kinds = fields[key].types
        is_list = kinds[0] == gguf.GGUFValueType.ARRAY
        writer.add_key_value(key, value, kinds[0], sub_type=kinds[-1] if is_list else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return target


class Retold:
    """A real vocabulary whose file tells something else about its model."""

    def __init__(self, opened: LlamaVocabulary, **changes: Any) -> None:
        self.info = replace(opened.info, **changes)
        self._opened = opened

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)


@lru_cache(maxsize=8)
def _opened(path: Path) -> LlamaVocabulary:
    return open_vocabulary(path)
