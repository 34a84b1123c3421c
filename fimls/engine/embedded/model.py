"""A GGUF file, checked and opened."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import llama_cpp.llama_cpp as c

from fimls.engine.base import ModelInfo
from fimls.engine.embedded import native
from fimls.engine.embedded.memory import available_bytes
from fimls.engine.embedded.settings import EmbeddedSettings
from fimls.errors import EngineFailed, ModelUnusable, OutOfMemory

ProgressCallback = Callable[[float], None]

# GGUF, section "File structure": magic, version, tensor count, metadata count.
_HEADER = struct.Struct("<4sIQQ")
_METADATA_CHARS = 300  # longer values (vocabularies, merges) say nothing to a person


def check_file(path: Path) -> int:
    """The size of a plausible GGUF file in bytes, before llama.cpp sees it.

    Raises ``ModelUnusable`` for a file that is missing, no GGUF, or cut off in
    its header. A file cut off later is found by llama.cpp, which compares every
    tensor's place with the file's size before it maps anything.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
    except OSError as error:
        raise ModelUnusable(
            f"cannot read {path}: {error.strerror}; check --model or the setting model"
        ) from error
    if head[:4] != b"GGUF":
        raise ModelUnusable(f"{path} is not a GGUF file; point the setting model at a *.gguf file")
    if len(head) < _HEADER.size:
        raise ModelUnusable(f"{path} is cut off after {size} bytes; download it again")
    _, version, n_tensors, n_metadata = _HEADER.unpack(head)
    if version not in {2, 3} or max(n_tensors, n_metadata) > size:
        raise ModelUnusable(
            f"{path} has a damaged GGUF header (version {version}); download it again"
        )
    return size


class Model:
    """An open model. ``close`` frees it; nothing may use it afterwards."""

    def __init__(
        self,
        path: Path,
        settings: EmbeddedSettings,
        progress: ProgressCallback | None = None,
        *,
        vocab_only: bool = False,
    ) -> None:
        size = check_file(path)
        room = available_bytes()
        if not vocab_only and room is not None and size > room:
            raise OutOfMemory(
                f"{path.name} needs {size / 1e9:.1f} GB and {room / 1e9:.1f} GB are free; "
                "choose a smaller model (fimls models list)"
            )
        native.start()
        native.forget_complaints()
        self.path = path
        self.size = size
        self._handle: c.llama_model_p | None = c.llama_model_load_from_file(
            str(path).encode(), _model_params(settings, progress, vocab_only)
        )
        if not self._handle:
            reason = native.complaints()
            if "alloc" in reason:
                raise OutOfMemory(
                    f"{path.name} does not fit into memory ({reason}); "
                    "choose a smaller model (fimls models list)"
                )
            raise ModelUnusable(
                f"llama.cpp cannot run {path} ({reason}); "
                'if the file is damaged, "fimls models pull" fetches it again'
            )
        vocab = c.llama_model_get_vocab(self._handle)
        if not vocab:
            raise ModelUnusable(f"{path} has no vocabulary")
        self.vocab = vocab
        self.n_mapped_bytes = sum(
            buffer.n_bytes
            for buffer in native.buffers()
            if buffer.kind == "model" and buffer.is_mapped
        )
        self._lock = threading.Lock()

    @property
    def handle(self) -> c.llama_model_p:
        if not self._handle:
            raise EngineFailed(f"{self.path.name} is closed")
        return self._handle

    @contextmanager
    def in_use(self) -> Iterator[c.llama_vocab_p]:
        """The vocabulary, which cannot be freed meanwhile."""
        with self._lock:
            if not self._handle:
                raise EngineFailed(f"{self.path.name} is closed")
            yield self.vocab

    def kv_bytes_per_token(self) -> int:
        """Bytes of f16 keys and values that one token takes, all layers together."""
        heads = max(1, c.llama_model_n_head(self.handle))
        per_head = c.llama_model_n_embd(self.handle) // heads
        per_layer: int = 2 * 2 * per_head * c.llama_model_n_head_kv(self.handle)
        return per_layer * int(c.llama_model_n_layer(self.handle))

    @cached_property
    def info(self) -> ModelInfo:
        metadata = {}
        for index in range(c.llama_model_meta_count(self.handle)):
            key = _text(c.llama_model_meta_key_by_index, self.handle, index)
            value = _text(c.llama_model_meta_val_str_by_index, self.handle, index)
            if len(value) <= _METADATA_CHARS:
                metadata[key] = value
        template = c.llama_model_chat_template(self.handle, None)
        architecture = metadata.get("general.architecture", "")
        # Not llama_model_n_ctx_train: that is 0 where only the vocabulary was read.
        n_ctx_train = metadata.get(f"{architecture}.context_length", "")
        return ModelInfo(
            name=metadata.get("general.name", self.path.stem),
            architecture=architecture,
            path=str(self.path),
            n_ctx_train=int(n_ctx_train) if n_ctx_train.isdecimal() else 0,
            metadata=metadata,
            chat_template=template.decode("utf-8", "replace") if template else "",
        )

    def close(self) -> None:
        with self._lock:
            handle, self._handle = self._handle, None
            if handle:
                c.llama_model_free(handle)


def _model_params(
    settings: EmbeddedSettings, progress: ProgressCallback | None, vocab_only: bool
) -> c.llama_model_params:
    params: c.llama_model_params = c.llama_model_default_params()
    params.vocab_only = vocab_only
    params.n_gpu_layers = settings.n_gpu_layers
    if settings.mmap:
        params.load_mode = (
            c.LLAMA_LOAD_MODE_MMAP_MLOCK if settings.mlock else c.LLAMA_LOAD_MODE_MMAP
        )
    else:
        params.load_mode = c.LLAMA_LOAD_MODE_MLOCK if settings.mlock else c.LLAMA_LOAD_MODE_NONE
    if progress is not None:

        def report(fraction: float, _user_data: object) -> bool:
            progress(fraction)
            return True

        params.progress_callback = c.llama_progress_callback(report)
    return params


def _text(read: Callable[..., int], handle: c.llama_model_p, index: int) -> str:
    """A string from one of llama.cpp's ``snprintf``-like readers."""
    size = 256
    buffer = ctypes.create_string_buffer(size)
    needed = read(handle, index, buffer, size)
    if needed >= size:
        buffer = ctypes.create_string_buffer(needed + 1)
        read(handle, index, buffer, needed + 1)
    return buffer.value.decode("utf-8", "replace")
