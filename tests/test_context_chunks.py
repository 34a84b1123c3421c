"""What other files show: within a budget, those that are named first, in an order that stays."""

from __future__ import annotations

from fimls.context.chunks import MOST_FILES, Neighbour, choose

SHAPES = Neighbour("shapes.py", "class Circle:\n    def area(self):\n    def grow(self, by):\n")
MONEY = Neighbour("money.py", "def total(basket):\n")
EMPTY = Neighbour("notes.py", "\n")


def shown(text: str, *neighbours: Neighbour, n_tokens: int = 1000) -> dict[str, str]:
    """A token is a character."""
    return {chunk.path: chunk.text for chunk in choose(text, neighbours, n_tokens, len)}


def test_signatures_as_they_are() -> None:
    assert shown("", SHAPES) == {"shapes.py": SHAPES.signatures}


def test_a_file_without_signatures_shows_nothing() -> None:
    assert shown("import notes", EMPTY) == {}


def test_the_order_is_that_of_the_names() -> None:
    """Or each visit to another file would have the prompt evaluated again."""
    assert list(shown("", SHAPES, MONEY)) == list(shown("", MONEY, SHAPES))


def test_what_the_text_names_comes_first() -> None:
    """Though it was used before the other."""
    n_tokens = len(SHAPES.signatures)
    assert list(shown("import shapes\n", MONEY, SHAPES, n_tokens=n_tokens)) == ["shapes.py"]
    assert "money.py" in shown("reshapes", MONEY, SHAPES, n_tokens=n_tokens)


def test_what_does_not_fit_is_cut_at_a_line() -> None:
    assert shown("", SHAPES, n_tokens=40) == {"shapes.py": "class Circle:\n    def area(self):\n"}
    assert shown("", SHAPES, n_tokens=5) == {}


def test_a_few_files() -> None:
    many = [Neighbour(f"f{n}.py", "def f():\n") for n in range(20)]
    assert len(shown("", *many)) == MOST_FILES
