"""Emacs in a terminal, with the configuration of its page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from editors import serving
from editors.install import Editor
from editors.terminal import Terminal

PAGES = Path(__file__).parents[3] / "editors/emacs"
# What its user has decided already, and a package manager's autoloads.
LSP_MODE = """\
(setq lsp-auto-guess-root t lsp-enable-file-watchers nil lsp-warn-no-matched-clients nil
      lsp-headerline-breadcrumb-enable nil lsp-enable-snippet nil)
(dolist (part '(lsp-lens lsp-modeline lsp-diagnostics lsp-completion lsp-headerline))
  (require part))
"""
END_OF_BUFFER, SAVE = "\x1b>", "\x18\x13"


class Emacs:
    """A running Emacs with a file of one project, the cursor at its end."""

    def __init__(
        self,
        editor: Editor,
        home: Path,
        text: str,
        env: Mapping[str, str],
        *,
        page: str = "fimls-lsp-mode.el",
        name: str = "area.py",
        look: str = "",
        **size: int,
    ) -> None:
        project = home / "project"
        project.mkdir()
        self.file = project / name
        self.file.write_text(text, encoding="utf-8")
        init = home / "init.el"
        elpa = editor.paths.get("elpa")
        folders = " ".join(f'"{path}"' for path in elpa.iterdir()) if elpa else ""
        init.write_text(
            f"(dolist (folder '({folders})) (add-to-list 'load-path folder))\n"
            "(setq make-backup-files nil auto-save-default nil inhibit-startup-screen t)\n"
            f"{look}\n"
            f"{LSP_MODE if page == 'fimls-lsp-mode.el' else ''}\n"
            f'(setq lsp-session-file "{home}/session")\n'
            f'(load "{PAGES / page}")\n',
            encoding="utf-8",
        )
        (project / ".git").mkdir()
        command = [editor.command, "-nw", "--no-init-file", "-l", init, self.file]
        self.env = env = {**env, "HOME": str(home), "PATH": serving.program(home)}
        self.terminal = Terminal(command, cwd=project, env=env, **size)

    def ready(self) -> None:
        self.terminal.wait("the server", lambda: serving.is_ready(self.env), timeout_s=60)
        self.terminal.type(END_OF_BUFFER)

    def save(self) -> str:
        """Save what was changed; what Emacs says of it may be overwritten by what others say."""
        before_ns = self.file.stat().st_mtime_ns
        self.terminal.type(SAVE)

        def is_written() -> bool:
            return self.file.stat().st_mtime_ns != before_ns and bool(self.file.stat().st_size)

        self.terminal.wait("the file to be saved", is_written)
        return self.file.read_text(encoding="utf-8")
