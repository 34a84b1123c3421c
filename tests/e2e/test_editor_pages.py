"""What the editors' pages tell to copy is what the tests ran."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COPIED = {
    "emacs/fimls-lsp-mode.el": "emacs.md",
    "emacs/fimls-eglot.el": "emacs.md",
    "helix/languages.toml": "helix.md",
    "helix/config.toml": "helix.md",
    "vim/fimls.vim": "vim.md",
    "kakoune/fimls.kak": "kakoune.md",
    "zed/settings.json": "zed.md",
    "sublime/LSP.sublime-settings": "sublime.md",
}


def blocks(page: Path) -> list[str]:
    """The code blocks of a page, without the indentation of the list they stand in."""
    found = re.findall(r"^ *```\w+\n(.*?)^ *```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


@pytest.mark.parametrize(("file", "page"), COPIED.items())
def test_a_page_shows_its_tested_file(file: str, page: str) -> None:
    text = (ROOT / "editors" / file).read_text(encoding="utf-8")
    assert text in blocks(ROOT / "docs/editors" / page)


def test_the_pages_link_to_what_is_there() -> None:
    """Pictures and pages that are named exist."""
    for page in (ROOT / "docs/editors").glob("*.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} names {target}"


def test_json_settings_are_json() -> None:
    for name in ("zed/settings.json", "sublime/LSP.sublime-settings"):
        assert json.loads((ROOT / "editors" / name).read_text(encoding="utf-8"))
