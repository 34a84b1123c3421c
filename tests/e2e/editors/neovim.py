"""Neovim in a terminal, with the plugin as a user installs it by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from editors.install import Editor
from editors.serving import COMMAND, program
from editors.terminal import Running, Terminal

PLUGIN = Path(__file__).parents[3] / "editors/neovim"
ESCAPE, TAB, ENTER, LEFT, BACKSPACE = "\x1b", "\t", "\r", "\x1b[D", "\x7f"
ALT_W, ALT_L, ALT_NEXT, ALT_PREVIOUS, DISMISS = "\x1bw", "\x1bl", "\x1b]", "\x1b[27;3;91~", "\x1d"
ALT_TRIGGER = "\x1b\\"


class Neovim(Running):
    """A running Neovim; ``terminal`` is what a person sees, ``api`` looks behind it."""

    def __init__(
        self,
        editor: Editor,
        home: Path,
        file: Path,
        env: Mapping[str, str],
        *,
        options: Mapping[str, Any] | None = None,
        before_setup: str = "",
        after_setup: str = "",
        rows: int = 20,
        columns: int = 80,
        by_hand: bool = False,
    ) -> None:
        self.env = env
        given = {"cmd": list(COMMAND), **(options or {})}
        init = home / "init.lua"
        init.write_text(
            f"vim.opt.rtp:prepend({json.dumps(str(PLUGIN))})\n"
            "vim.o.termguicolors = true\nvim.o.shortmess = vim.o.shortmess .. 'I'\n"
            "vim.o.ttimeoutlen = 20\n"
            f"{before_setup}\n"
            f"require('fimls').setup(vim.json.decode([==[{json.dumps(given)}]==]))\n"
            f"{after_setup}\n",
            encoding="utf-8",
        )
        socket = home / "nvim.sock"
        command = [editor.command, "--clean", "-n", "--listen", socket, "-u", init, file]
        if by_hand:  # nothing but a copy of the folder, and `fimls` on PATH
            copy = home / "data/nvim/site/pack/fimls/start/fimls"
            shutil.copytree(PLUGIN, copy)
            command = [editor.command, "-n", "--listen", socket, file]
            env = {**env, "XDG_CONFIG_HOME": str(home / "none"), "PATH": program(home)}
        places = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("STATE", "DATA")}
        self.terminal = Terminal(
            command, cwd=file.parent, env={**env, **places}, rows=rows, columns=columns
        )
        self._colour: int | None = None
        self.terminal.wait("Neovim to listen", socket.exists)
        self._remote = [str(editor.command), "--server", str(socket), "--remote-expr"]
        self.terminal.wait("Neovim to start", lambda: self.lua("return vim.v.vim_did_enter") == 1)

    def lua(self, code: str) -> Any:
        """What a Lua function body returns in this Neovim."""
        inner = " ".join(code.split("\n")).replace("'", "''")
        expression = f"json_encode(luaeval('(function() {inner} end)()'))"
        try:
            done = subprocess.run(
                [*self._remote, expression], capture_output=True, text=True, timeout=30, check=False
            )
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"Neovim does not answer; it shows:\n{self.terminal.text}"
            ) from None
        assert done.returncode == 0, f"{code}: {done.stderr}"
        return json.loads(done.stdout or done.stderr)

    def command(self, command: str) -> str:
        """Run an Ex command; returns what it printed."""
        said = self.lua(f"return vim.api.nvim_exec2([==[{command}]==], {{output = true}}).output")
        return str(said)

    def ready(self) -> None:
        """Until the server has been started and has taken the buffer."""
        attached = "return require('fimls.session').get() ~= nil"
        self.terminal.wait("the server to attach", lambda: self.lua(attached))
        state = "return require('fimls').status().state"
        self.terminal.wait("the engine to load", lambda: self.lua(state) == "idle", timeout_s=60)

    def type(self, keys: str, *, every_s: float = 0.01) -> None:
        """Type one key after the other; an escape sequence alone is one key."""
        if keys.startswith(ESCAPE) and len(keys) > 1:
            self.terminal.type(keys)
            self.settle()
            return
        # With another key right behind it, Escape would mean Alt.
        *left, last = keys.split(ESCAPE)
        for part in left:
            self.terminal.type(part + ESCAPE, every_s=every_s)
            self.settle()
            self.terminal.wait("Normal mode", lambda: self.mode == "n")
        self.terminal.type(last, every_s=every_s)
        self.settle()

    def settle(self, seconds: float = 0.15) -> None:
        """Let Neovim take the keys, and act on them."""
        self.terminal.wait("the keys to be read", self.terminal.has_read)
        self.terminal.watch(seconds)

    def wait_buffer(self, text: str) -> None:
        """Until exactly this is in the buffer."""
        try:
            self.terminal.wait("the text", lambda: self.buffer == text)
        except AssertionError:
            assert self.buffer == text

    @property
    def buffer(self) -> str:
        """The text of the file being edited, as Neovim holds it."""
        return "\n".join(self.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)"))

    @property
    def mode(self) -> str:
        return str(self.lua("return vim.api.nvim_get_mode().mode"))

    def ghost(self) -> str:
        """The text on the screen that is not in the buffer: what is drawn in ghost colours."""
        colour = self._colour = self._colour or self.lua(
            "local session = require('fimls.session').get()\n"
            "if not session then return nil end\n"
            "local name = session.renderer.name == 'native' and 'ComplHint' or 'FimlsGhost'\n"
            "return vim.api.nvim_get_hl(0, { name = name, link = false }).fg"
        )
        if colour is None:
            return ""  # no server yet
        lines = []
        for row in self.terminal.cells():
            drawn = "".join(cell.text for cell in row if cell.fg == f"{colour:06x}")
            if drawn.strip() and not drawn.startswith("~"):
                lines.append(drawn.rstrip())
        return "\n".join(lines)

    def wait_ghost(self, text: str, timeout_s: float = 30) -> None:
        """Until exactly this is suggested."""
        self.terminal.wait(f"ghost {text!r}", lambda: self.ghost() == text, timeout_s=timeout_s)

    def explain(self) -> dict[str, Any]:
        """What the server tells of its last completion."""
        answer: dict[str, Any] = self.lua(
            "local done, facts = false, nil\n"
            "require('fimls.server').execute('fimls.explain', {}, function(_, result)\n"
            "  done, facts = true, result\nend)\n"
            "vim.wait(5000, function() return done end)\nreturn facts"
        )
        return answer

    @property
    def n_offered(self) -> int:
        """How many suggestions the server has given so far."""
        facts = self.explain()
        return int(facts["n_offered"]) if isinstance(facts, dict) else 0

    def messages(self) -> str:
        return self.command("messages")

    def close(self) -> None:
        self.terminal.close()
