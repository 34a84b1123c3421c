"""Which cached tokens may stay, who computes next, and what heals: the engine without a model."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimls.engine.embedded.healing import HealingTable
from fimls.engine.embedded.seats import PAUSED_S, Seats
from fimls.engine.embedded.slots import (
    GRAIN,
    Slot,
    common_prefix,
    n_batched,
    n_reusable,
    next_batch_end,
    place,
)
from fimls.engine.embedded.store import Saved, Store
from fimls.engine.embedded.turns import Turns

small = st.lists(st.integers(0, 2), max_size=60)


def evaluate(slot: Slot, tokens: list[int], batched: int) -> dict[int, tuple[int, int]]:
    """Evaluate as the engine does; where each new token was computed: (start, end) of its batch."""
    computed = {}
    del slot.tokens[n_reusable(slot, tokens, batched) :]
    slot.n_aligned = min(slot.n_aligned, len(slot.tokens))
    slot.n_batched = batched
    while len(slot.tokens) < len(tokens):
        start = len(slot.tokens)
        end = next_batch_end(start, batched, 2 * GRAIN)
        if start == slot.n_aligned and (end - start) % GRAIN == 0:
            slot.n_aligned = end
        slot.tokens += tokens[start:end]
        # Batches of any multiple of the grain give the same bits.
        kind = (0, 0) if (end - start) % GRAIN == 0 else (start, end)
        computed.update(dict.fromkeys(range(start, end), kind))
    return computed


@given(st.lists(st.tuples(small, small), min_size=1, max_size=6))
def test_what_stays_was_computed_as_it_would_be_now(prompts):
    """After any history of prompts, each token was computed in the batch of a cold start."""
    slot, how = Slot(0), {}
    for anchored, typed in prompts:
        tokens = [9, *anchored, 8, *typed]
        batched = n_batched(len(tokens), len(anchored) + 2)
        how.update(evaluate(slot, tokens, batched))
        cold = evaluate(Slot(1), tokens, batched)
        assert {at: how[at] for at in range(len(tokens))} == cold


@given(small, small)
def test_common_prefix(left, right):
    n = common_prefix(left, right)
    assert left[:n] == right[:n]
    assert n == min(len(left), len(right)) or left[n] != right[n]


def test_another_file_takes_the_oldest_sequence():
    """A warm file is left alone as long as an older or empty sequence can be had."""
    warm = Slot(0, list(range(100)), n_aligned=96, n_batched=98, last_used=2)
    old = Slot(1, list(range(500, 600)), n_aligned=96, n_batched=98, last_used=1)
    assert place([warm, old], list(range(700, 800)), 98, owner=3).slot is old
    assert place([warm, old], [*range(98), 7], 98, owner=3).slot is warm


def test_a_beginning_is_copied_and_not_torn_off():
    """A prompt that shares only the beginning of a warm one gets a copy of that beginning."""
    warm = Slot(0, list(range(100)), n_aligned=96, n_batched=98, last_used=2)
    placement = place([warm, Slot(1)], [*range(40), *range(900, 960)], 98, owner=3)
    assert (placement.slot.seq_id, placement.source, placement.n_kept) == (1, warm, 32)


def test_a_sequence_in_use_is_not_taken():
    """While another stream decodes in the best sequence, it is copied."""
    busy = Slot(0, list(range(100)), n_aligned=96, n_batched=98, last_used=2, owner=5)
    placement = place([busy, Slot(1)], [*range(98), 7], 98, owner=6)
    assert (placement.slot.seq_id, placement.source) == (1, busy)


def save(tokens: list[int], n_bytes: int = 10, n_batched: int | None = None) -> Saved:
    n = len(tokens) - 2 if n_batched is None else n_batched
    return Saved(tokens, n - n % GRAIN, n, np.zeros(n_bytes, dtype=np.uint8))


def test_a_saved_state_is_put_back_where_it_has_more_to_offer():
    """Into the sequence unused for longest; what that held is saved in its turn."""
    warm = Slot(0, list(range(100)), n_aligned=96, n_batched=98, last_used=2)
    old = Slot(1, list(range(500, 600)), n_aligned=96, n_batched=98, last_used=1)
    there, elsewhere = save(list(range(700, 800))), save(list(range(900, 999)))
    placement = place([warm, old], [*range(700, 798), 7], 98, 3, [elsewhere, there])
    assert (placement.slot, placement.source, placement.n_kept) == (old, there, 98)
    assert placement.is_lossy
    placement = place([warm, old], [*range(98), 7], 98, 3, [save([*range(98), 5])])
    assert (placement.slot, placement.source) == (warm, None), "what is there need not be put back"
    assert not placement.is_lossy, "only what was typed or generated goes"


def test_what_does_not_come_back_is_not_saved():
    """A review of a whole file does not push out the places where somebody types."""
    reviewed = Slot(0, list(range(100)), n_aligned=96, n_batched=98, comes_back=False)
    assert not place([reviewed], list(range(700, 800)), 98, 3).is_lossy


def test_a_few_tokens_are_not_worth_a_state():
    warm = Slot(0, list(range(30)), n_aligned=16, n_batched=28, last_used=2)
    placement = place([warm], list(range(700, 800)), 98, 3, [save(list(range(700, 740)))])
    assert placement.source is None
    assert not placement.is_lossy


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60), st.booleans()), max_size=80))
def test_the_store_is_bounded(puts):
    """Whatever is put and taken: never more bytes than allowed, one state a place, the latest."""
    store, last = Store(100), {}
    for place_number, n_bytes, takes in puts:
        known = {saved.tokens[0]: saved for saved in store}
        if takes and place_number in known:
            store.remove(known[place_number])
        elif store.has_room(n_bytes):
            last[place_number] = save([place_number, 0, 0, n_bytes], n_bytes)
            store.put(last[place_number])
        kept = list(store)
        assert store.n_bytes == sum(saved.state.nbytes for saved in kept) <= 100
        assert len({saved.tokens[0] for saved in kept}) == len(kept)
        assert all(last[saved.tokens[0]] is saved for saved in kept)


def test_the_least_recently_used_state_goes_first():
    store = Store(30)
    first, second, third, fourth = (save([number, 0, 0], 10) for number in range(4))
    for saved in (first, second, third):
        store.put(saved)
    store.use(first)
    store.put(fourth)
    assert list(store) == [third, first, fourth]
    assert not store.has_room(31)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"pri", {"p", "pri", "print"}),
        (b"print", {"p", "pri", "print"}),
        (b"x", set()),
        (b"\xff", {"\xff"}),
        (b"q", {"qu"}),
    ],
)
def test_healing_candidates(tail, expected):
    """Tokens that begin with the tail, or are a beginning of it; nothing else."""
    texts = [b"p", b"pri", b"print", b"prx", b"qu", b"", b"\xff"]
    table = HealingTable(enumerate(texts))
    found = {texts[token].decode("latin-1") for token in table.candidates(tail)}
    assert found == expected


def test_the_most_urgent_goes_first():
    """Of those who wait, the most urgent has the next turn, and the holder is told of it."""
    turns, order, told = Turns(), [], []

    def take(name: str, urgency: int) -> None:
        with turns.turn(urgency, lambda: False, lambda: None):
            order.append(name)

    with turns.turn(1, lambda: False, lambda: told.append("yield")):
        waiting = [
            threading.Thread(target=take, args=args)
            for args in (("idle", 2), ("review", 1), ("keystroke", 0))
        ]
        for n_waiting, thread in enumerate(waiting, start=1):
            thread.start()
            while len(turns._waiting) < n_waiting:
                time.sleep(0.001)
        assert (told, turns.is_wanted(0), turns.is_wanted(-1)) == (["yield"], True, False)
    for thread in waiting:
        thread.join(5)
    assert order == ["keystroke", "review", "idle"]


def test_who_gives_up_waits_no_longer():
    """A cancelled waiter leaves at once, while the turn is still another's."""
    turns, gone = Turns(), threading.Event()
    answers: list[bool] = []

    def take() -> None:
        with turns.turn(0, gone.is_set, lambda: None) as is_ours:
            answers.append(is_ours)

    with turns.turn(0, lambda: False, lambda: None):
        thread = threading.Thread(target=take)
        thread.start()
        time.sleep(0.02)
        gone.set()
        turns.nudge()
        thread.join(5)
        assert answers == [False]


def sits(seats: Seats, number: int, urgency: int = 0) -> bool:
    """Whether there is a seat for this stream; one that has to wait for it gives up."""
    gone = threading.Event()
    thread = threading.Thread(target=seats.take, args=(urgency, number, gone.is_set))
    thread.start()
    while thread.is_alive():
        with seats._changed:  # which it holds unless it waits
            if (urgency, number) in seats._waiting:
                gone.set()
        seats.nudge()
        thread.join(0.001)
    return number in seats._sitting


def test_more_streams_than_sequences():
    """Nobody is put out while at work; who is over makes room, and the oldest comes next."""
    seats = Seats(2)
    assert sits(seats, 1)
    assert sits(seats, 2)
    assert not sits(seats, 3)
    assert sits(seats, 1)  # its next token
    came = []
    threads = [
        threading.Thread(target=lambda n=n: (seats.take(0, n, lambda: False), came.append(n)))
        for n in (5, 4)
    ]
    for thread in threads:
        thread.start()
        while len(seats._waiting) < threads.index(thread) + 1:
            time.sleep(0.001)
    seats.leave(1)
    threads[1].join(5)
    assert came == [4]
    seats.leave(4)
    threads[0].join(5)
    assert came == [4, 5]


def test_the_less_urgent_and_the_paused_stand_up():
    """A keystroke does not wait for a review, and nobody waits for who asks for nothing."""
    seats = Seats(2)
    assert seats.take(1, 1, lambda: False) == []
    assert seats.take(0, 2, lambda: False) == []
    assert seats.take(0, 3, lambda: False) == [1]
    assert not sits(seats, 1, urgency=1)
    started_s = time.monotonic()
    seats.rest(2)
    seats.rest(3)
    assert seats.take(0, 3, lambda: False) == []
    assert seats.take(0, 4, lambda: False) == [2]
    assert time.monotonic() - started_s >= PAUSED_S
    assert not sits(seats, 2)
