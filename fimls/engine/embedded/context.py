"""A llama.cpp context: sequences of keys and values, evaluated a micro-batch at a time."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as c
import numpy as np
import numpy.typing as npt

from fimls.engine.embedded import native
from fimls.engine.embedded.memory import available_bytes
from fimls.engine.embedded.model import Model
from fimls.engine.embedded.settings import EmbeddedSettings
from fimls.engine.embedded.slots import GRAIN, Slot, place
from fimls.engine.embedded.store import Saved, Store
from fimls.errors import EngineFailed, OutOfMemory

_KV_TYPES = {"f16": c.GGML_TYPE_F16, "q8_0": c.GGML_TYPE_Q8_0, "q4_0": c.GGML_TYPE_Q4_0}
# Bytes per element relative to f16: blocks of 32 elements carry one f16 scale.
_KV_SHARE = {"f16": 1.0, "q8_0": 34 / 64, "q4_0": 18 / 64}

_DECODED, _NO_ROOM, _ABORTED = 0, 1, 2  # llama_decode's results


class Context:
    """Sequences and their bookkeeping. One thread at a time; see ``Turns``.

    What ``Slot.tokens`` says is what the KV cache holds, after every call, an
    aborted one included.
    """

    def __init__(self, model: Model, settings: EmbeddedSettings) -> None:
        self._n_vocab = c.llama_vocab_n_tokens(model.vocab)
        self.n_ctx = settings.n_ctx_within(model.info.n_ctx_train)
        self.n_ubatch = max(GRAIN, min(settings.n_ubatch, self.n_ctx) // GRAIN * GRAIN)
        self.slots = [Slot(seq_id) for seq_id in range(settings.n_sequences)]
        self.store = Store(settings.memory_mb * 1_000_000)
        self.abort = native.AbortFlag()
        self._clock = 0
        _check_room(model, settings, self.n_ctx)
        native.forget_complaints()
        self.handle = c.llama_init_from_model(model.handle, self._params(settings))
        if not self.handle:
            raise OutOfMemory(
                f"no room for a context of {len(self.slots)} x {self.n_ctx} tokens "
                f"({native.complaints()}); lower n_ctx or n_sequences, or choose a smaller model"
            )
        memory = c.llama_get_memory(self.handle)
        if memory is None:
            raise EngineFailed(f"{model.path.name} has no KV cache and cannot generate text")
        self._memory = memory
        self._batch = _Batch(self.n_ubatch)

    def place(
        self, tokens: Sequence[int], n_batched: int, owner: int, *, comes_back: bool = True
    ) -> Slot:
        """The slot for ``tokens``, cut back to what of it can stay."""
        self._clock += 1
        placement = place(self.slots, tokens, n_batched, owner, self.store)
        slot, source = placement.slot, placement.source
        if placement.is_lossy:
            self._save(slot)
        if isinstance(source, Saved):
            self._restore(source, slot)
            if placement.n_kept >= source.n_batched:
                self.store.remove(source)  # the sequence is the state now, and goes on from there
            else:
                self.store.use(source)
        elif source is not None:
            self._copy(source, slot)
        slot.last_used = self._clock
        slot.owner = owner
        self.cut(slot, placement.n_kept)
        slot.n_batched = n_batched
        slot.comes_back = comes_back
        return slot

    def cut(self, slot: Slot, n_keep: int) -> None:
        """Forget all but the first ``n_keep`` tokens of a slot, or all where that cannot be."""
        if n_keep < len(slot.tokens):
            self._keep(slot, n_keep)

    def _keep(self, slot: Slot, n_keep: int) -> None:
        if not c.llama_memory_seq_rm(self._memory, slot.seq_id, n_keep, -1):
            # Recurrent memories and sliding windows cannot go back in part.
            c.llama_memory_seq_rm(self._memory, slot.seq_id, -1, -1)
            n_keep = 0
        del slot.tokens[n_keep:]
        slot.n_aligned = min(slot.n_aligned, n_keep)

    def evaluate(self, slot: Slot, tokens: Sequence[int], n_logits: int) -> bool:
        """Append at most ``n_ubatch`` tokens, keep the logits of the last ``n_logits``.

        False when the abort flag ended it; the slot is then as it was before.
        """
        self._batch.fill(tokens, slot.seq_id, len(slot.tokens), n_logits)
        result = c.llama_decode(self.handle, self._batch.struct)
        if result == _DECODED:
            if len(slot.tokens) == slot.n_aligned and len(tokens) % GRAIN == 0:
                slot.n_aligned += len(tokens)
            slot.tokens += tokens
            return True
        # One micro-batch per call: whatever it had begun is removed again.
        self._keep(slot, len(slot.tokens))
        if result == _ABORTED:
            native.forget_complaints()  # llama.cpp calls its own obedience an error
            return False
        if result == _NO_ROOM:
            raise EngineFailed(f"the KV cache of {self.n_ctx} tokens is full; raise n_ctx")
        raise EngineFailed(
            f"llama.cpp could not evaluate {len(tokens)} tokens ({native.complaints()})"
        )

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        """Logits of the last call, rows counted from the end (-1); valid until the next call."""
        pointer = c.llama_get_logits_ith(self.handle, row)
        if not pointer:
            raise EngineFailed("llama.cpp returned no logits")
        return np.ctypeslib.as_array(pointer, shape=(self._n_vocab,))

    def use_threads(self, n_threads: int, n_threads_batch: int) -> None:
        """For single tokens, and for batches, from the next evaluation on."""
        c.llama_set_n_threads(self.handle, n_threads, n_threads_batch)

    def close(self) -> None:
        handle, self.handle = self.handle, None
        if handle:
            c.llama_free(handle)

    def _copy(self, source: Slot, target: Slot) -> None:
        """Copy a whole sequence (llama.cpp copies separate buffers only whole)."""
        c.llama_memory_seq_rm(self._memory, target.seq_id, -1, -1)
        c.llama_memory_seq_cp(self._memory, source.seq_id, target.seq_id, -1, -1)
        target.tokens = list(source.tokens)
        target.n_aligned, target.n_batched = source.n_aligned, source.n_batched

    def _save(self, slot: Slot) -> None:
        """Keep what ``slot`` holds, where there is memory for it."""
        size = c.llama_state_seq_get_size(self.handle, slot.seq_id)
        if not self.store.has_room(size):
            return
        try:
            state = np.empty(size, dtype=np.uint8)
        except MemoryError:
            return
        if c.llama_state_seq_get_data(self.handle, _bytes(state), size, slot.seq_id) == size:
            self.store.put(Saved(list(slot.tokens), slot.n_aligned, slot.n_batched, state))

    def _restore(self, saved: Saved, slot: Slot) -> None:
        """Put a saved state into ``slot``; the same bits, so evaluation goes on as before."""
        c.llama_memory_seq_rm(self._memory, slot.seq_id, -1, -1)
        slot.tokens, slot.n_aligned, slot.n_batched = [], 0, saved.n_batched
        size = saved.state.nbytes
        if c.llama_state_seq_set_data(self.handle, _bytes(saved.state), size, slot.seq_id) == size:
            slot.tokens, slot.n_aligned = list(saved.tokens), saved.n_aligned
        else:  # what part of it came in is removed again
            c.llama_memory_seq_rm(self._memory, slot.seq_id, -1, -1)

    def _params(self, settings: EmbeddedSettings) -> c.llama_context_params:
        params: c.llama_context_params = c.llama_context_default_params()
        params.n_ctx = self.n_ctx * len(self.slots)
        params.n_seq_max = len(self.slots)
        # One buffer per sequence: other warm sequences then cost nothing while this one decodes.
        params.kv_unified = False
        params.n_batch = params.n_ubatch = self.n_ubatch
        params.n_threads = settings.n_threads
        params.n_threads_batch = settings.n_threads_batch or settings.n_threads
        params.type_k = params.type_v = _KV_TYPES[settings.kv_type]
        params.flash_attn_type = _flash_attention(settings)
        params.abort_callback = self.abort.callback
        params.abort_callback_data = self.abort.data
        return params


class _Batch:
    """A reusable ``llama_batch`` for consecutive tokens of one sequence."""

    def __init__(self, capacity: int) -> None:
        self._tokens = np.zeros(capacity, dtype=np.int32)
        self._positions = np.zeros(capacity, dtype=np.int32)
        self._wanted = np.zeros(capacity, dtype=np.int8)
        self._n_seq_id = np.ones(capacity, dtype=np.int32)
        self._seq_id = (c.llama_seq_id * 1)()  # all tokens point to this one id
        pointer = ctypes.POINTER(c.llama_seq_id)
        self._seq_ids = (pointer * capacity)(*[ctypes.cast(self._seq_id, pointer)] * capacity)
        int_p, byte_p = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_int8)
        struct: Any = c.llama_batch()  # its pointers are annotated as arrays
        struct.token = self._tokens.ctypes.data_as(int_p)
        struct.pos = self._positions.ctypes.data_as(int_p)
        struct.n_seq_id = self._n_seq_id.ctypes.data_as(int_p)
        struct.seq_id = ctypes.cast(self._seq_ids, ctypes.POINTER(pointer))
        struct.logits = self._wanted.ctypes.data_as(byte_p)
        self.struct = struct

    def fill(self, tokens: Sequence[int], seq_id: int, start: int, n_logits: int) -> None:
        n = len(tokens)
        self._tokens[:n] = tokens
        self._positions[:n] = range(start, start + n)
        self._wanted[:n] = 0
        self._wanted[n - n_logits : n] = 1
        self._seq_id[0] = seq_id
        self.struct.n_tokens = n


def _bytes(state: npt.NDArray[np.uint8]) -> Any:
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _flash_attention(settings: EmbeddedSettings) -> int:
    """Off on a CPU unless asked for, or needed: its kernel rounds differently from 64 tokens on.

    A quantised V cache needs it (llama.cpp refuses otherwise), a GPU is faster with it.
    """
    if settings.flash_attention is not None:
        return int(settings.flash_attention)
    if settings.kv_type != "f16" or (settings.n_gpu_layers and c.llama_supports_gpu_offload()):
        return int(c.LLAMA_FLASH_ATTN_TYPE_AUTO)
    return int(c.LLAMA_FLASH_ATTN_TYPE_DISABLED)


def _check_room(model: Model, settings: EmbeddedSettings, n_ctx: int) -> None:
    """Refuse a context that cannot fit before the system kills the process for it.

    Weights that are mapped still count as free here: a file's pages can be dropped. They would
    be read from the disk again for every token, so there has to be room for both.
    """
    room = available_bytes()
    weights = 0 if settings.mlock else model.n_mapped_bytes
    share = _KV_SHARE.get(settings.kv_type, 1.0)
    needed = model.kv_bytes_per_token() * share * n_ctx * settings.n_sequences
    if room is not None and weights + needed > room:
        raise OutOfMemory(
            f"a context of {settings.n_sequences} x {n_ctx} tokens needs {needed / 1e9:.1f} GB "
            f"beside the weights of {model.path.name}, and "
            f"{max(0, room - weights) / 1e9:.1f} GB are free; lower n_ctx or n_sequences, "
            "or choose a smaller model (fimls models list)"
        )
