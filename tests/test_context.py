"""Windows that stand still, and anchors that let typing only append."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimls.context import Anchor, Budget, place
from fimls.context.window import head, tail


def words(text: str) -> int:
    """A stand-in tokenizer for the arithmetic: four characters to a token."""
    return (len(text) + 3) // 4


def split(marked: str) -> tuple[str, str]:
    before, after = marked.split("█")
    return before, after


def check(marked: str, prefix: str, typed: str, **budget: int) -> None:
    before, after = split(marked)
    anchor, text = place(before, after, Budget(**budget), words, None)
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
    anchor, typed = place(before, "", Budget(n_prefix=100), words, None)
    assert typed == ""
    assert 100 <= len(anchor.prefix) <= 400
    assert place(before + "y", "", Budget(n_prefix=100), words, anchor) == (anchor, "y")


def test_typing_keeps_prefix_and_suffix() -> None:
    """Every keystroke appends to what stands after the anchor; nothing else changes."""
    before, after = split("import a\n\ndef f(x):\n    █\n    return r\n")
    budget = Budget(anchor_lines=1)
    anchor, typed = place(before, after, budget, words, None)
    for n_typed in range(1, 20):
        text = "r = compute(x, y, z)"[:n_typed]
        kept, now = place(before + text, after, budget, words, anchor)
        assert kept is anchor
        assert now == typed + text


def test_brackets_that_the_editor_closes_keep_the_anchor() -> None:
    before, after = split("y = f█\nz = 1\n")
    anchor, _ = place(before, after, Budget(), words, None)
    kept, typed = place(before + "(", ")" + after, Budget(), words, anchor)
    assert kept is anchor
    assert typed == "y = f("


def test_an_edit_below_moves_the_anchor() -> None:
    before, after = split("y = █\nz = 1\n")
    anchor, _ = place(before, after, Budget(), words, None)
    moved, _ = place(before, "\nz = 2\n", Budget(), words, anchor)
    assert moved != anchor
    assert moved.suffix == "\nz = 2\n"


def test_an_edit_far_above_the_window_keeps_it() -> None:
    """Only what the prompt holds matters: an import added on top invalidates nothing."""
    lines = "".join(f"line {number}\n" for number in range(400))
    budget = Budget(n_prefix=100)
    anchor, typed = place(lines + "x = ", "\n", budget, words, None)
    assert place("import os\n" + lines + "x = ", "\n", budget, words, anchor) == (anchor, typed)


def test_a_short_prefix_that_stands_twice_is_not_mistaken() -> None:
    """A document that begins with an empty line holds that prefix at every line."""
    anchor = Anchor("\n", "", from_start=True)
    assert anchor.typed("\na\nb", "") == "a\nb"
    assert anchor.typed("a\nb", "") is None


def test_the_start_of_the_window_moves_in_coarse_steps() -> None:
    """Going down line by line, the window starts anew only now and then."""
    budget = Budget(n_prefix=200, n_middle=40, anchor_lines=2)
    starts, anchor = set(), None
    lines = [f"value_{number} = {number}\n" for number in range(200)]
    for number in range(100, 200):
        anchor, _ = place("".join(lines[:number]), "", budget, words, anchor)
        starts.add(anchor.prefix[:30])
    assert len(starts) <= 12, "a window that slides line by line would have begun in 100 places"


texts = st.text(alphabet="ab \n\téあ😀", max_size=400)


@given(texts, st.integers(0, 60))
def test_windows_fit_and_touch_the_cursor(text: str, n_tokens: int) -> None:
    start, end = head(text, n_tokens, words), tail(text, n_tokens, words)
    assert text.startswith(start)
    assert text.endswith(end)
    assert sum(words(line) for line in start.splitlines(keepends=True)) <= max(n_tokens, 1) * 2
    if n_tokens > 2 * len(text) + 2:
        assert start == end == text


@given(texts, texts, texts, st.integers(0, 4))
def test_anchor_and_typed_are_the_text_before_the_cursor(
    before: str, typed: str, after: str, lines: int
) -> None:
    budget = Budget(n_prefix=40, n_suffix=20, n_middle=30, anchor_lines=lines)
    anchor, _ = place(before, after, budget, words, None)
    now, text = place(before + typed, after, budget, words, anchor)
    assert (before + typed).endswith(now.prefix + text)
    assert after.startswith(now.suffix)
