"""Prompts as strings, for servers that would read control tokens out of them."""

from __future__ import annotations

import pytest

from fimls.fim import Chunk, Prompt, Window
from fimls.template import bind, load_all

TEMPLATES = load_all()


def render(window: Window, *chunks: Chunk, family: str = "qwen2.5-coder") -> Prompt:
    return bind(TEMPLATES[family], None).render(window, chunks, "repo")


def check(window: Window, expected: str, heal: str = "", family: str = "starcoder2") -> None:
    prompt = render(window, family=family)
    assert (prompt.text, prompt.heal) == (expected, heal)
    assert prompt.tokens == ()


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        # The text that touches the cursor is kept, up to the nearest control token.
        (Window("a<fim_middle>b", "c", "d"), "<fim_prefix>b<fim_suffix>d<fim_middle>c"),
        (Window("a", "b<fim_middle>c", "d"), "<fim_prefix><fim_suffix>d<fim_middle>c"),
        (Window("a", "b", "c<|endoftext|>d"), "<fim_prefix>a<fim_suffix>c<fim_middle>b"),
        # Control tokens that the template does not name, as most vocabularies spell them.
        (Window("a<|im_start|>b", "", "c<｜User｜>"), "<fim_prefix>b<fim_suffix>c<fim_middle>"),
        # What only looks like one is code.
        (Window("a <| b |> c", "", "x <|"), "<fim_prefix>a <| b |> c<fim_suffix>x <|<fim_middle>"),
    ],
)
def test_control_tokens_in_the_buffer_are_cut_off(window: Window, expected: str) -> None:
    """A server that parses its markers out of strings finds only the template's."""
    check(window, expected)


def test_split_marker_is_seen_across_the_anchor() -> None:
    """Where prefix and typed text touch in the prompt, they are looked at together."""
    window = Window("x[SUF", "FIX]y", "z")
    check(window, "[SUFFIX]z[PREFIX]y", family="codestral")


def test_chunks_paths_and_names_are_cut_too() -> None:
    """Nothing that comes from a disk can become a marker."""
    window = Window("a", "", "b", path="p<|file_sep|>.py")
    prompt = render(window, Chunk("q<|fim_prefix|>.py", "one<|fim_middle|>two"))
    assert prompt.text == (
        "<|repo_name|>repo\n<|file_sep|>q\none\n<|file_sep|>p\n"
        "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"
    )


def test_indentation_is_left_to_the_engine() -> None:
    """Models complete worse behind white space; the engine takes the indentation off again."""
    check(Window("f():\n    ", "", "\n"), "<fim_prefix>f():\n<fim_suffix>\n<fim_middle>", "    ")
    check(Window("f():\n  ", "  ", "\n"), "<fim_prefix>f():\n<fim_suffix>\n<fim_middle>", "    ")
    check(Window("f():\n", "  a", "\n"), "<fim_prefix>f():\n<fim_suffix>\n<fim_middle>  a")


def test_server_stops_are_ordered() -> None:
    """Some servers take only a few: plain text that ends a middle, then the family's ends."""
    assert render(Window("", "", ""), family="codestral").stop_texts[:2] == ("\n+++++ ", "</s>")
    assert render(Window("", "", "")).stop_texts[0] == "<|endoftext|>"


def test_comments_of_other_files_follow_the_language() -> None:
    """Families that know one file see others as comments, so that the prefix stays code."""
    chunk = Chunk("a.h", "int a;\n\nint b;\n")
    window = Window("x", "", "y", path="b.c", language="c")
    assert render(window, chunk, family="refact").text == (
        "<fim_suffix>y<fim_prefix>// a.h\n// int a;\n//\n// int b;\n\nx<fim_middle>"
    )
    page = Window("x", "", "y", path="b.html", language="html")
    assert "<!-- a.h -->\n<!-- int a; -->\n" in render(page, chunk, family="refact").text
