"""Windows that stand still, and anchors that let typing only append."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimls.context import Anchor, Budget, Places, cold_budget, place, settle
from fimls.context.window import head, tail


def words(text: str) -> int:
    """A stand-in tokenizer for the arithmetic: four characters to a token."""
    return (len(text) + 3) // 4


def split(marked: str) -> tuple[str, str]:
    before, after = marked.split("█")
    return before, after


def check(marked: str, prefix: str, typed: str, **budget: int) -> None:
    before, after = split(marked)
    anchor, text = place(before, after, Budget(**budget), words)
    assert (anchor.prefix, text) == (prefix, typed)
    assert after.startswith(anchor.suffix)


def test_the_anchor_is_some_lines_above() -> None:
    """The middle begins with whole lines of the user's own, so the model finds its way."""
    check("1\n2\n3\n4\na\nb = █\nz", "1\n2\n3\n4\n", "a\nb = ", anchor_lines=1)
    check("1\n2\n3\n4\na\nb = █\nz", "1\n2\n3\n4\na\n", "b = ", anchor_lines=0)


def test_the_prefix_keeps_some_lines() -> None:
    """Near the top of a file the anchor is at the cursor's own line: the model needs a file."""
    check("a\nb\nc\nd = █\nz", "a\nb\nc\n", "d = ", anchor_lines=2)
    check("d = █", "", "d = ", anchor_lines=3)
    check("def f():\n    █\nz", "def f():\n    ", "", anchor_lines=3)


def test_an_endless_line_is_anchored_at_the_cursor() -> None:
    before = "a\n" + "x" * 5_000
    anchor, typed = place(before, "", Budget(n_prefix=100), words)
    assert typed == ""
    assert 100 <= len(anchor.prefix) <= 400
    assert place(before + "y", "", Budget(n_prefix=100), words, [anchor]) == (anchor, "y")


def test_typing_keeps_prefix_and_suffix() -> None:
    """Every keystroke appends to what stands after the anchor; nothing else changes."""
    before, after = split("import a\n\ndef f(x):\n    █\n    return r\n")
    budget = Budget(anchor_lines=1)
    anchor, typed = place(before, after, budget, words)
    for n_typed in range(1, 20):
        text = "r = compute(x, y, z)"[:n_typed]
        kept, now = place(before + text, after, budget, words, [anchor])
        assert kept is anchor
        assert now == typed + text


def test_brackets_that_the_editor_closes_keep_the_anchor() -> None:
    before, after = split("y = f█\nz = 1\n")
    anchor, _ = place(before, after, Budget(), words)
    kept, typed = place(before + "(", ")" + after, Budget(), words, [anchor])
    assert kept is anchor
    assert typed == "y = f("


def test_an_edit_below_moves_the_anchor() -> None:
    before, after = split("y = █\nz = 1\n")
    anchor, _ = place(before, after, Budget(), words)
    moved, _ = place(before, "\nz = 2\n", Budget(), words, [anchor])
    assert moved != anchor
    assert moved.suffix == "\nz = 2\n"


def test_an_edit_far_above_the_window_keeps_it() -> None:
    """Only what the prompt holds matters: an import added on top invalidates nothing."""
    lines = "".join(f"line {number}\n" for number in range(400))
    budget = Budget(n_prefix=100)
    anchor, typed = place(lines + "x = ", "\n", budget, words)
    assert place("import os\n" + lines + "x = ", "\n", budget, words, [anchor]) == (anchor, typed)


def test_a_short_prefix_that_stands_twice_is_not_mistaken() -> None:
    """A document that begins with an empty line holds that prefix at every line."""
    anchor = Anchor("\n", "", from_start=True)
    assert anchor.typed("\na\nb", "") == "a\nb"
    assert anchor.typed("a\nb", "") is None


def test_the_start_of_the_window_moves_in_coarse_steps() -> None:
    """Going down line by line, the window starts anew only now and then."""
    budget = Budget(n_prefix=200, n_middle=40, anchor_lines=2)
    starts, known = set(), []
    lines = [f"value_{number} = {number}\n" for number in range(200)]
    for number in range(100, 200):
        anchor, _ = place("".join(lines[:number]), "", budget, words, known)
        known = [anchor]
        starts.add(anchor.prefix[:30])
    assert len(starts) <= 12, "a window that slides line by line would have begun in 100 places"


FILE = "".join(f"value_{number} = {number}\n" for number in range(400))
TOP, MIDDLE, BOTTOM = FILE.index("value_60 "), FILE.index("value_80 "), FILE.index("value_300 ")
SMALL = Budget(n_prefix=400, n_suffix=100, n_cold=120)


def at(place: int, typed: str = "") -> tuple[str, str]:
    return FILE[:place] + typed, FILE[place:]


def n_cold(anchor: Anchor, typed: str, *warm: Anchor) -> int:
    """What has to be evaluated: all that does not begin as a warm prompt does."""
    known = max((prefix_in_common(anchor.prefix, other.prefix) for other in warm), default=0)
    return words(anchor.prefix[known:]) + words(anchor.suffix) + words(typed)


def prefix_in_common(left: str, right: str) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(left), len(right)))


def test_coming_back_finds_the_anchor_again() -> None:
    """Jumping to and fro, each place keeps the anchor it had."""
    known: list[Anchor] = []
    first = {}
    for spot in (TOP, BOTTOM, TOP, BOTTOM, MIDDLE, TOP):
        anchor, _ = place(*at(spot), Budget(), words, known)
        assert first.setdefault(spot, anchor) is anchor
        known = [anchor, *(other for other in known if other is not anchor)]
    assert len(known) == 3


def test_the_most_recent_of_those_that_hold() -> None:
    """A whole window that replaced a small one is the one to go on with."""
    small, _ = place(*at(BOTTOM), SMALL, words)
    whole, _ = settle(*at(BOTTOM, "x"), SMALL, words, [small])
    assert place(*at(BOTTOM, "x = 1"), SMALL, words, [whole, small])[0] is whole
    assert place(*at(BOTTOM, "x = 1"), SMALL, words, [small, whole])[0] is small


def test_the_end_of_the_file_is_part_of_what_holds() -> None:
    """A suffix of one line break, at the end of a file, is not that of every line."""
    anchor, _ = place("a = 1\nb = ", "\n", Budget(), words)
    assert anchor.typed("a = 1\nb = 2", "\n") is not None
    assert anchor.typed("a = 1\nb = 2", "\nc = 3\n") is None


def test_a_cold_window_is_small() -> None:
    """Nothing is warm: so many tokens and no more, some of them behind the cursor."""
    anchor, typed = place(*at(BOTTOM), SMALL, words)
    assert not anchor.is_whole
    assert 100 <= n_cold(anchor, typed) <= 120
    assert 15 <= words(anchor.suffix) <= 35
    assert place(*at(BOTTOM), Budget(400, 100), words)[0].is_whole


def test_a_short_document_is_shown_whole() -> None:
    anchor, _ = place("a\nb\nc\nd\ne = ", "\n", SMALL, words)
    assert (anchor.is_whole, anchor.prefix, anchor.suffix) == (True, "a\nb\nc\nd\n", "\n")


@pytest.mark.parametrize(("there", "spot"), [(TOP, MIDDLE), (MIDDLE, TOP)], ids=["down", "up"])
def test_what_is_warm_counts_for_nothing(there: int, spot: int) -> None:
    """Near a place that is known its prefix is kept: only what differs must be evaluated."""
    known, _ = place(*at(there), Budget(400, 100), words)
    anchor, typed = place(*at(spot), SMALL, words, [known])
    assert n_cold(anchor, typed, known) <= 120
    assert prefix_in_common(anchor.prefix, known.prefix) > 200
    afresh, typed = place(*at(spot), replace(SMALL, suffix_first=True), words, [known])
    assert n_cold(afresh, typed) <= 120


@pytest.mark.parametrize("n_cold", [120, 250])
def test_idle_time_makes_a_small_window_whole(n_cold: int) -> None:
    budget = replace(SMALL, n_cold=n_cold)
    small, _ = place(*at(BOTTOM), budget, words)
    whole, typed = settle(*at(BOTTOM, "x = "), budget, words, [small])
    assert (whole.is_whole, typed[-4:]) == (True, "x = ")
    assert whole == place(*at(BOTTOM), Budget(400, 100), words)[0]
    assert settle(*at(BOTTOM, "x = "), budget, words, [whole, small]) is None


def test_idle_time_moves_an_anchor_whose_middle_is_nearly_full() -> None:
    """Otherwise some keystroke would have to, and would wait for it."""
    budget = Budget(n_prefix=400, n_suffix=100, n_middle=40)
    before, after = at(BOTTOM)
    anchor, _ = place(before, after, budget, words)
    assert settle(before + "x = 1\n", after, budget, words, [anchor]) is None
    before += "x = 1\n" * 20
    moved, typed = settle(before, after, budget, words, [anchor])
    assert before.endswith(moved.prefix + typed)
    assert words(typed) < 20
    assert moved.prefix.startswith(anchor.prefix), "what is warm stays"


def test_an_endless_line_is_not_settled_again_and_again() -> None:
    budget = Budget(n_prefix=100, n_middle=40, anchor_lines=0)
    before = FILE[:BOTTOM] + "x" * 150
    anchor, _ = place(before, "", budget, words)
    found = settle(before, "", budget, words, [anchor])
    assert found is None or settle(before, "", budget, words, [found[0], anchor]) is None


@pytest.mark.parametrize(
    ("n_affordable", "present", "expected"),
    [
        (0, None, 144),
        (230, None, 144),
        (290, None, 288),
        (5_000, None, 1_200),  # the whole window
        (290, 144, 144),  # a little faster than last time: the same prompts
        (370, 144, 288),
        (260, 288, 288),
        (220, 288, 144),
        (100, 144, 144),
        (3_000, 1_200, 1_200),
        (700, 1_200, 576),
    ],
)
def test_cold_windows_change_in_coarse_steps(
    n_affordable: float, present: int | None, expected: int
) -> None:
    assert cold_budget(n_affordable, 1_200, present) == expected


def test_places_are_bounded() -> None:
    """However many places are typed in, a few dozen are remembered; the last ones stay."""
    places = Places()
    for number in range(1_000):
        places.use(f"file {number % 20}", Anchor(f"prefix {number}", "", from_start=False))
    assert len(places) <= 64
    assert [anchor.prefix for anchor in places.known("file 19")][:1] == ["prefix 999"]
    for number in range(100):
        places.use("file 19", Anchor(f"another {number}", "", from_start=False))
    assert len(places.known("file 19")) == 12
    assert places.known("file 18"), "one busy document does not push out the others"
    places.forget("file 19")
    assert places.known("file 19") == []


texts = st.text(alphabet="ab \n\téあ😀", max_size=400)


@given(texts, st.integers(0, 60))
def test_windows_fit_and_touch_the_cursor(text: str, n_tokens: int) -> None:
    start, end = head(text, n_tokens, words), tail(text, n_tokens, words)
    assert text.startswith(start)
    assert text.endswith(end)
    assert sum(words(line) for line in start.splitlines(keepends=True)) <= max(n_tokens, 1) * 2
    if n_tokens > 2 * len(text) + 2:
        assert start == end == text


@given(texts, texts, texts, st.integers(0, 4), st.none() | st.integers(1, 50))
def test_anchor_and_typed_are_the_text_before_the_cursor(
    before: str, typed: str, after: str, lines: int, n_cold: int | None
) -> None:
    budget = Budget(n_prefix=40, n_suffix=20, n_middle=30, anchor_lines=lines, n_cold=n_cold)
    anchor, _ = place(before, after, budget, words)
    now, text = place(before + typed, after, budget, words, [anchor])
    assert (before + typed).endswith(now.prefix + text)
    assert after.startswith(now.suffix)
