"""VS Code in a browser window, with the packaged extension installed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from servers import free_port

from editors import install
from editors.serving import COMMAND
from editors.terminal import Running

SOURCE = Path(__file__).parents[3] / "editors/vscode"
DRIVER = Path(__file__).with_name("vscode.mjs")
PLAYWRIGHT = "1.65.1"

SETTINGS: Mapping[str, Any] = {
    "security.workspace.trust.enabled": False,
    "telemetry.telemetryLevel": "off",
    "workbench.startupEditor": "none",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "chat.disableAIFeatures": True,
    "extensions.autoCheckUpdates": False,
    "editor.minimap.enabled": False,
    "editor.wordBasedSuggestions": "off",
    "editor.inlineSuggest.enabled": True,
    "files.hotExit": "off",
    "files.autoSave": "off",
}


def build_extension() -> Path:
    """The VSIX of the sources as they are, built once for each state of them."""
    names = ("package.json", "esbuild.mjs", "../../pyproject.toml")
    server = SOURCE.parents[1]
    files = [*SOURCE.glob("src/*.ts"), *(SOURCE / name for name in names)]
    files += [*server.glob("fimls/**/*.py"), *server.glob("templates/*.toml")]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()[:16]
    vsix = install.CACHE / f"fimls-{state}.vsix"
    with install.alone("extension") as place:
        if not vsix.exists():
            shutil.copytree(
                SOURCE,
                place,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("node_modules", "dist", "server", "*.vsix"),
            )
            install.npm("ci", "--silent", "--ignore-scripts", cwd=place)
            # esbuild's program comes in a package of its own; its script would only copy it.
            source = {"FIMLS_SOURCE": str(SOURCE.parents[1])}
            install.npm("run", "--silent", "package", cwd=place, env=source)
            shutil.move(place / "fimls.vsix", vsix)
    return vsix


class VSCode(Running):
    """A running VS Code with one window on ``folder``; see ``vscode.mjs`` for what it can do."""

    def __init__(
        self, home: Path, folder: Path, env: Mapping[str, str], settings: Mapping[str, Any]
    ) -> None:
        editor = install.vscode()
        chromium = install.chromium()
        modules = install.packages("playwright", f"playwright-core@{PLAYWRIGHT}")
        self.folder, self.env = folder, env
        data, extensions = home / "data", home / "extensions"
        (data / "User").mkdir(parents=True)
        own = {"fimls.client.command": list(COMMAND)[:-1]}
        (data / "User/settings.json").write_text(json.dumps({**SETTINGS, **own, **settings}))
        # The window is a remote one: settings of the machine belong to the remote side. Among the
        # user's they count only until the extension has told that they are the machine's.
        (data / "Machine").mkdir()
        mine = {name: v for name, v in {**own, **settings}.items() if ".client." in name}
        (data / "Machine/settings.json").write_text(json.dumps(mine))
        line = {"key": "alt+l", "command": "editor.action.inlineSuggest.acceptNextLine"}
        (data / "User/keybindings.json").write_text(json.dumps([line]))
        (home / "config.yaml").write_text("{}\n")
        # No extension gallery: nothing is to be asked outside this machine.
        dead = {f"{name}Url": f"http://127.0.0.1:9/{name}" for name in ("service", "item")}
        dead["resourceUrlTemplate"] = "http://127.0.0.1:9/resource"
        self._env = {**os.environ, **env, "HOME": str(home), "EXTENSIONS_GALLERY": json.dumps(dead)}
        code_server = [
            str(editor.command),
            str(editor.paths["entry"]),
            *("--config", str(home / "config.yaml"), "--user-data-dir", str(data)),
            *("--extensions-dir", str(extensions)),
        ]
        subprocess.run(
            [*code_server, "--install-extension", str(build_extension())],
            env=self._env,
            check=True,
            capture_output=True,
            timeout=120,
        )
        self.port = free_port()
        self.log = (home / "code-server.log").open("w")
        self.server = subprocess.Popen(
            [
                *code_server,
                *("--bind-addr", f"127.0.0.1:{self.port}", "--auth", "none"),
                *("--disable-telemetry", "--disable-update-check"),
                "--disable-getting-started-override",
                # Without this the extension host lives on for hours after its window is closed.
                *("--reconnection-grace-time", "2"),
            ],
            env=self._env,
            cwd=home,  # or `python -m fimls` would find the sources
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        address = f"http://127.0.0.1:{self.port}/"
        _wait("code-server to listen", lambda: _listens(self.port), 60)
        self.browser = subprocess.Popen(
            [editor.command, DRIVER, modules / "package.json", chromium.command, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._answer()

    def _answer(self) -> Any:
        assert self.browser.stdout is not None
        line = self.browser.stdout.readline()
        assert line, "the browser has ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["ok"]

    def do(self, action: str, **given: Any) -> Any:
        assert self.browser.stdin is not None
        self.browser.stdin.write(json.dumps({"action": action, **given}) + "\n")
        self.browser.stdin.flush()
        return self._answer()

    def open(self, file: Path, *, state: str = "ready") -> None:
        """Open a file of the folder and wait until the server is in this state."""
        remote = f"vscode-remote://127.0.0.1:{self.port}{file}"
        payload = quote(json.dumps([["openFile", remote]]))
        self.do("open", url=f"?folder={quote(str(self.folder))}&payload={payload}")
        self.wait(f"fimls: {state}", lambda: self.status() == state, 90)
        self.do("focus")

    def status(self) -> str:
        """The word that the status bar item tells a screen reader."""
        item = '.statusbar-item[id*="fimls"]'
        label = self.do("attribute", selector=f"{item} a", name="aria-label") or ""
        label = label or self.do("attribute", selector=item, name="aria-label") or ""
        return str(label).partition("fimls: ")[2]

    @property
    def ghost(self) -> str:
        return str(self.do("ghost"))

    def wait_ghost(self, text: str, timeout_s: float = 30) -> None:
        self.wait(f"ghost {text!r}", lambda: self.ghost == text, timeout_s)

    def wait(self, what: str, there: Callable[[], object], timeout_s: float = 30) -> None:
        until = time.monotonic() + timeout_s
        while not there():
            if time.monotonic() > until:
                picture = self.folder.parent / "failed.png"
                self.do("picture", path=str(picture))
                seen = f"status {self.status()!r}, ghost {self.ghost!r}, screen {picture}"
                raise AssertionError(f"{what} never came: {seen}")
            time.sleep(0.05)

    def n_drawn(self, selector: str) -> int:
        return len(self.do("text", selector=selector))

    def told(self) -> list[str]:
        """The notifications on the screen."""
        said = ".notification-toast .notification-list-item-message"
        return list(self.do("text", selector=said))

    def button(self, label: str, *, of: str = ".notification-toast") -> None:
        """Press a button, of a notification if nothing else is said."""
        self.do("click", selector=f'{of} .monaco-button:has-text("{label}")')

    def press(self, *keys: str) -> None:
        self.do("press", keys=list(keys))

    def type(self, text: str) -> None:
        self.do("type", text=text)

    def saved(self, file: Path) -> str:
        """Save, and return what is in the file then."""
        self.wait("unsaved text", lambda: self.n_drawn(".tab.active.dirty"))
        self.press("Control+s")
        self.wait("the file to be saved", lambda: not self.n_drawn(".tab.active.dirty"))
        return file.read_text(encoding="utf-8")

    def close(self) -> None:
        for process in (self.browser, self.server):
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):  # noqa: PERF203 - two
                process.kill()
        self.log.close()


def opened(home: Path, env: Mapping[str, str], **settings: object) -> VSCode:
    """VS Code on the folder ``project`` of ``home``; skips where there is none."""
    folder = home / "project"
    folder.mkdir()
    try:
        return VSCode(home, folder, env, settings)
    except install.Missing as missing:
        pytest.skip(f"VS CODE IS MISSING: {missing}")


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _wait(what: str, there: Callable[[], object], timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while not there():
        assert time.monotonic() < until, f"{what}: gave up after {timeout_s:.0f} s"
        time.sleep(0.1)
