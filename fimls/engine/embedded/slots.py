"""Which sequence of the KV cache serves a prompt, and what of it can stay.

**Exactness.** llama.cpp's CPU kernels round differently for one token than for
several at once, and so differently for 2, 3, 4 and 8 that the largest logits
move by 0.3 to 0.5 (measured on 0.5B Q4_K_M, AVX-512): enough to turn a near tie,
and with it the text, depending on what happened to be cached. Multiples of 8
tokens all give the same bits (without flash attention). So how a prompt is cut
into batches is a function of the prompt alone, never of what is cached: up to
``n_batched`` tokens in batches of multiples of ``GRAIN``, aligned to it, and one
batch of the rest of these; after that one token at a time, as generated tokens
are. Cached tokens are kept only where they were computed in that same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fimls.engine.embedded.store import Saved

GRAIN = 16
# Typed text is batched in steps of this. Over the recorded sessions, at 4 ms for a token in a
# batch and 27 ms for one alone, a cold place takes 0.93 s on average and 1.03 s at most; with
# steps of 16 it is 0.97 s and 1.21 s, and typing costs the same.
TYPED_GRAIN = 8

# A prompt that shares fewer tokens than this with a sequence shares boilerplate, not a file.
_WORTH_COPYING = 16
# Fewer tokens than this are evaluated again as soon as their state is saved and put back.
_WORTH_SAVING = 48


@dataclass(slots=True)
class Slot:
    """One sequence of the context and the tokens whose keys and values it holds.

    The first ``n_aligned`` of them were computed in aligned batches, those from
    ``n_batched`` on one by one. ``comes_back`` tells that they may be asked for again
    after others: a place in a file is, a function under review is not.
    """

    seq_id: int
    tokens: list[int] = field(default_factory=list)
    n_aligned: int = 0
    n_batched: int = 0
    last_used: int = 0
    comes_back: bool = True
    owner: int = 0  # the number of the running stream that decodes here; 0 when none does


@dataclass(frozen=True, slots=True)
class Placement:
    """Evaluate in ``slot``, keeping ``n_kept`` tokens, those of ``source`` when given.

    ``is_lossy`` tells that what ``slot`` held is worth saving before.
    """

    slot: Slot
    n_kept: int
    source: Slot | Saved | None = None

    @property
    def is_lossy(self) -> bool:
        n_prompt = min(len(self.slot.tokens), self.slot.n_batched)
        n_lost = n_prompt - (self.n_kept if self.source is None else 0)
        return self.slot.comes_back and n_lost >= _WORTH_SAVING


def n_batched(n_tokens: int, n_anchored: int) -> int:
    """How many tokens of a prompt are evaluated in batches.

    ``n_anchored`` is the length up to and with the last marker. What follows is
    typed text, which grows by a token or two: whole steps of it are batched, so
    that a long one is not slow to evaluate afresh. The last token never is.
    """
    if not n_anchored:
        return n_tokens - 1
    return n_anchored - 1 + (n_tokens - n_anchored) // TYPED_GRAIN * TYPED_GRAIN


def next_batch_end(n_done: int, n_batched: int, n_ubatch: int) -> int:
    """Where the batch that begins at token ``n_done`` ends."""
    n_aligned = n_batched - n_batched % GRAIN
    if n_done < n_aligned:
        return min(n_done + n_ubatch, n_aligned)
    return n_batched if n_done < n_batched else n_done + 1


def n_reusable(slot: Slot | Saved, tokens: Sequence[int], n_batched: int) -> int:
    """How many tokens of ``slot`` are those that evaluating ``tokens`` would compute, bit for bit.

    Never all of ``tokens``: the last one is evaluated for its logits.
    """
    n_common = min(common_prefix(slot.tokens, tokens), len(tokens) - 1)
    if slot.n_batched == n_batched <= n_common:
        return n_common
    n_aligned = min(n_common, n_batched, slot.n_aligned)
    return n_aligned - n_aligned % GRAIN


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens the two have in common at their start."""
    n = min(len(left), len(right))
    if left[:n] == right[:n]:
        return n
    # Bisect with slice comparisons, which run in C: 1,000 tokens in a few microseconds.
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low


def place(
    slots: Sequence[Slot],
    tokens: Sequence[int],
    n_batched: int,
    owner: int,
    saved: Iterable[Saved] = (),
) -> Placement:
    """The sequence with the longest reusable prefix, or the one unused for longest.

    A sequence is taken over when it serves all of ``tokens`` or most of it is of
    use. When only its beginning is (the same file elsewhere), that beginning is
    copied, so that both stay warm. A sequence in which another stream is
    decoding is copied from, and taken only when there is no other. A saved state
    is put back where it has more to offer than any sequence.
    """
    reusable = {slot.seq_id: n_reusable(slot, tokens, n_batched) for slot in slots}
    best = max(slots, key=lambda slot: (reusable[slot.seq_id], slot.last_used))
    idle = min(
        slots, key=lambda slot: (slot.owner not in {0, owner}, bool(slot.tokens), slot.last_used)
    )
    n_kept = reusable[best.seq_id]
    n_found, found = max(
        ((n_reusable(one, tokens, n_batched), one) for one in saved),
        key=lambda pair: pair[0],
        default=(0, None),
    )
    if n_found >= n_kept + _WORTH_SAVING:
        return Placement(idle, n_found, source=found)
    is_useful = n_kept >= n_batched or 2 * n_kept >= len(best.tokens)
    if n_kept and is_useful and best.owner in {0, owner}:
        return Placement(best, n_kept)
    if idle is best or n_kept < _WORTH_COPYING:
        return Placement(idle, reusable[idle.seq_id])
    return Placement(idle, n_kept, source=best)
