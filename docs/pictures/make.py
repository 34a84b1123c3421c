"""Makes the pictures of the README and of the editors' pages, from real runs of the real model.

    python docs/pictures/make.py            # all
    python docs/pictures/make.py neovim     # neovim.svg and the animation session.svg
    python docs/pictures/make.py review     # review.svg: a finding, and its quick fix on offer
    python docs/pictures/make.py vscode     # vscode.png
    python docs/pictures/make.py emacs      # emacs.svg; and so helix.svg, vim.svg

Each picture is the screen of an editor in which the text was typed as you would type it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from editors.picture import Frame, svg  # noqa: E402
from editors.terminal import Terminal  # noqa: E402

from editors import install, neovim, serving  # noqa: E402
from editors.emacs import Emacs  # noqa: E402
from editors.neovim import Neovim  # noqa: E402
from editors.vscode import VSCode  # noqa: E402
from fimls import models  # noqa: E402
from fimls.config import Config  # noqa: E402

HERE = Path(__file__).parent
MODEL = models.resolve(Config().completion.model, models.models_dir(Config().models))
NORM = """\
from math import sqrt


def norm(x: float, y: float) -> float:
    return r


print(norm(3.0, 4.0))
"""
# The file type gives colours; no line of the editor's own is drawn.
PLAIN = (
    "vim.cmd('syntax on'); vim.o.laststatus = 0; vim.o.ruler = false; vim.o.showmode = false;"
    "vim.o.showcmd = false; vim.o.cmdheight = 0; vim.opt.fillchars = { eob = ' ' };"
    "vim.o.swapfile = false;"
    "vim.api.nvim_set_hl(0, 'ComplHint', { fg = '#8a92a3', italic = true })"
)

SEARCH = """\
from bisect import bisect_left


def index(values: list[int], wanted: int) -> int:
    at = bisect_left(wanted, values)
    if at < len(values) and values[at] == wanted:
        return at
    return -1
"""
LINES = "vim.diagnostic.config({ virtual_lines = true, signs = false });"

# Emacs does not ask a terminal what its background is, and takes it for a light one.
DARK = "(setq frame-background-mode 'dark) (mapc #'frame-set-background-mode (frame-list))"


def shot(vim: Neovim, seconds: float, caption: str = "") -> Frame:
    cursor = vim.terminal.screen.cursor
    return Frame(vim.terminal.cells(), (cursor.x, cursor.y), seconds, caption)


def neovim_pictures(home: Path) -> None:
    """``neovim.svg``: the norm with its suggestion; ``session.svg``: typing and taking it."""
    file = home / "norm.py"
    file.write_text(NORM, encoding="utf-8")
    env = serving.real_model(home / "config", MODEL)
    editor = install.neovim_12()
    look = {"before_setup": PLAIN, "rows": 10, "columns": 78}
    with Neovim(editor, home, file, env, **look) as vim:  # type: ignore[arg-type] # a plain dict
        vim.ready()
        vim.settle(0.5)
        frames = [shot(vim, 1.0, "A line is missing")]
        vim.type("4Go")
        frames.append(shot(vim, 0.6, "A new line: the model is asked by itself"))
        began = time.monotonic()
        vim.terminal.wait("a suggestion", vim.ghost, timeout_s=60)
        asked_s = time.monotonic() - began
        print(f"suggested {vim.ghost()!r} after {asked_s:.1f} s")
        frames.append(shot(vim, 2.5, "It is suggested, and ends where `return r` begins"))
        (HERE / "neovim.svg").write_text(
            svg([Frame(frames[-1].cells, frames[-1].cursor)], "fimls in Neovim"), encoding="utf-8"
        )
        for key in "r = ":
            vim.terminal.type(key)
            vim.settle(0.25)
            frames.append(shot(vim, 0.35, "Typing along keeps the rest"))
        vim.type(neovim.ALT_W)
        frames.append(shot(vim, 1.2, "Alt+w takes a word"))
        vim.type(neovim.TAB)
        frames.append(shot(vim, 2.5, "Tab takes the rest"))
        print(vim.buffer)
        facts = vim.explain()
        print({key: facts[key] for key in ("stop_reason", "n_generated", "t_total_ms")})
    (HERE / "session.svg").write_text(svg(frames, "Typing with fimls"), encoding="utf-8")


def review_picture(home: Path) -> None:
    """``review.svg``: what "Review file" finds in a function."""
    file = home / "search.py"
    file.write_text(SEARCH, encoding="utf-8")
    env = serving.real_model(home / "config", MODEL) | {"FIMLS_REVIEW_ASK": "false"}
    look = {"before_setup": PLAIN + LINES, "rows": 11, "columns": 88}
    with Neovim(install.neovim_12(), home, file, env, **look) as vim:  # type: ignore[arg-type] # a plain dict
        vim.ready()
        vim.lua(
            "vim.lsp.buf.code_action({ apply = true, filter = function(action)"
            " return vim.startswith(action.title, 'Review file') end })"
        )
        vim.terminal.wait(
            "a finding", lambda: vim.lua("return #vim.diagnostic.get(0)"), timeout_s=60
        )
        vim.type("5G")
        vim.settle(0.5)
        (HERE / "review.svg").write_text(
            svg([shot(vim, 1.0)], "A review by fimls in Neovim"), encoding="utf-8"
        )


def vscode_picture(home: Path) -> None:
    """``vscode.png``: the norm with its suggestion."""
    folder = home / "project"
    folder.mkdir()
    file = folder / "norm.py"
    file.write_text(NORM, encoding="utf-8")
    with VSCode(home, folder, serving.real_model(home / "config", MODEL), {}) as code:
        code.open(file)
        code.press("Control+Home", "ArrowDown", "ArrowDown", "ArrowDown", "End", "Enter")
        code.wait("a suggestion", lambda: code.ghost, 60)
        print(f"suggested {code.ghost!r}")
        code.do("picture", path=str(HERE / "vscode.png"))


def emacs_picture(home: Path) -> None:
    """``emacs.svg``: ghost text in lsp-mode."""
    env = serving.real_model(home / "config", MODEL)
    look = {"look": DARK, "rows": 12, "columns": 78}
    running = Emacs(install.emacs(), home, NORM, env, name="norm.py", **look)  # type: ignore[arg-type] # a plain dict
    with running.terminal as terminal:
        running.ready()
        terminal.type("\x1bgg4\r\x05\r\x1b\\")  # to line 4, its end, a new line, ask
        terminal.wait("r = ", timeout_s=60)
        save(terminal, "emacs.svg", "fimls in Emacs")


def helix_picture(home: Path) -> None:
    """``helix.svg``: the menu."""
    shutil.copytree(ROOT / "editors/helix", home / ".config/helix")
    env = serving.real_model(home / "config", MODEL)
    with opened([install.helix().command], home, env) as terminal:
        terminal.type("4Go    ")  # Debian's Helix comes without the grammars that indent
        terminal.wait("INS")
        terminal.type("\x18")
        terminal.wait("r = ", timeout_s=60)
        save(terminal, "helix.svg", "fimls in Helix")


def vim_picture(home: Path) -> None:
    """``vim.svg``: the menu of omni completion."""
    vimrc = home / "vimrc"
    page = (ROOT / "editors/vim/fimls.vim").read_text(encoding="utf-8")
    vimrc.write_text(f"set nocompatible\nsyntax on\nfiletype plugin indent on\n{page}")
    env = serving.real_model(home / "config", MODEL)
    with opened([install.vim().command, "-n", "-u", vimrc], home, env) as terminal:
        terminal.type("4Go")
        terminal.wait("INSERT")
        terminal.type("\x18\x0f")
        terminal.wait("match", timeout_s=60)  # "The only match", or "match 1 of 3"
        save(terminal, "vim.svg", "fimls in Vim")


def opened(command: list[str | Path], home: Path, env: dict[str, str]) -> Terminal:
    """The norm in a terminal editor whose server is ready."""
    file = home / "norm.py"
    file.write_text(NORM, encoding="utf-8")
    env |= {"HOME": str(home), "PATH": serving.program(home)}
    terminal = Terminal([*command, file], cwd=home, env=env, rows=14, columns=78)
    terminal.wait("def norm")
    terminal.wait("the server", lambda: serving.is_ready(env), timeout_s=60)
    return terminal


def save(terminal: Terminal, name: str, title: str) -> None:
    terminal.watch(0.5)
    cursor = terminal.screen.cursor
    picture = svg([Frame(terminal.cells(), (cursor.x, cursor.y))], title)
    (HERE / name).write_text(picture, encoding="utf-8")


def main(names: list[str]) -> None:
    makers = {"neovim": neovim_pictures, "review": review_picture, "vscode": vscode_picture}
    makers |= {"emacs": emacs_picture, "helix": helix_picture, "vim": vim_picture}
    for name in names or makers:
        with tempfile.TemporaryDirectory() as home:
            makers[name](Path(home))


if __name__ == "__main__":
    main(sys.argv[1:])
