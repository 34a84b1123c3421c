"""VS Code on a machine where nothing is installed yet: the offers, each up to what it does."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from editors import install, serving, vscode
from editors.vscode import VSCode

pytestmark = pytest.mark.editor

BODY = "size = w * h\n    return size"
DIALOG = ".monaco-dialog-box"


def wheel_of_this_tree(folder: Path) -> None:
    """What pip finds in place of the real thing, without a network: the command `fimls`.

    Its code is that of these sources, and its dependencies those that the tests run on.
    """
    folder.mkdir(exist_ok=True)
    places = {str(Path(__file__).parents[2]), sysconfig.get_path("purelib")}
    version = importlib.metadata.version("fimls")
    name = f"fimls-{version}.dist-info"
    files = {
        "fimls_tested.pth": "".join(f"{place}\n" for place in sorted(places)),
        f"{name}/METADATA": f"Metadata-Version: 2.1\nName: fimls\nVersion: {version}\n",
        f"{name}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{name}/entry_points.txt": "[console_scripts]\nfimls = fimls.cli:main\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{name}/RECORD"])
    with zipfile.ZipFile(folder / f"fimls-{version}-py3-none-any.whl", "w") as wheel:
        for file, text in {**files, f"{name}/RECORD": record}.items():
            wheel.writestr(file, text)


class Hub(BaseHTTPRequestHandler):
    """Answers any file as the Hugging Face hub does; a download goes on when it is told to.

    Its client reads, and so reports, ten megabytes at a time.
    """

    content = b"GGUF" + bytes(32_000_000)
    go_on = threading.Event()

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "abc")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content[:24_000_000])
        self.wfile.flush()
        if self.go_on.wait(60):
            self.wfile.write(self.content[24_000_000:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Hub.go_on.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, hub: str) -> Iterator[VSCode]:
    """A window in whose world there is Python, and no fimls."""
    home = tmp_path_factory.mktemp("bare")
    env = serving.scripted(home / "config", {"def area(w, h):": BODY})
    del env["PYTHONPATH"]
    env |= {
        "PATH": "/usr/bin:/bin",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(home / "wheels"),
        "PIP_CONFIG_FILE": "/dev/null",
        "HF_ENDPOINT": hub,
        "FIMLS_CACHE_DIR": str(home / "cache"),
    }
    python = sys._base_executable  # type: ignore[attr-defined] # undocumented; not the venv's
    settings: dict[str, object] = {"fimls.client.command": [], "fimls.client.python": python}
    settings["fimls.client.package"] = "fimls"
    with vscode.opened(home, env, **settings) as code:
        file = code.folder / "area.py"
        file.write_text("def area(w, h):", encoding="utf-8")
        code.open(file, state="needs attention")
        yield code


def wheels_of(code: VSCode) -> Path:
    return code.folder.parent / "wheels"


def test_pip_can_build_the_server_that_comes_with_it(tmp_path: Path) -> None:
    """The package holds all that pip needs, and the wheel all that the server reads."""
    try:
        package = vscode.build_extension()
    except install.Missing as missing:
        pytest.skip(f"WHAT BUILDS THE EXTENSION IS MISSING: {missing}")
    with zipfile.ZipFile(package) as extension:
        extension.extractall(tmp_path)
    server = tmp_path / "extension/server"
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path]
    subprocess.run([*pip, server], check=True, timeout=300)
    [built] = tmp_path.glob("fimls-*.whl")
    with zipfile.ZipFile(built) as wheel:
        names = wheel.namelist()
    templates = {f"fimls/templates/{file.name}" for file in server.glob("templates/*.toml")}
    assert len(templates) > 30
    assert {*names} >= templates | {"fimls/py.typed", "fimls/cli.py"}
    assert any(name.endswith("/entry_points.txt") for name in names)


@pytest.fixture
def registry(tmp_path: Path) -> dict[str, str]:
    """pip as this machine's user has it, for somebody with another home."""
    pip = [sys.executable, "-m", "pip"]
    fetched = ["download", "--quiet", "--no-deps", "--dest", str(tmp_path / "fetched"), "pygls"]
    try:
        subprocess.run([*pip, *fetched], check=True, capture_output=True, timeout=300)
    except subprocess.SubprocessError as error:
        pytest.skip(f"NO PYTHON REGISTRY TO INSTALL FROM: {error}")
    listed = subprocess.run(
        [*pip, "cache", "list", "llama_cpp_python"], check=False, capture_output=True
    )
    if b".whl" not in listed.stdout:
        pytest.skip("NO WHEEL OF LLAMA-CPP-PYTHON IN PIP'S CACHE; to compile it takes minutes")
    cache = subprocess.run([*pip, "cache", "dir"], check=True, capture_output=True, text=True)
    own = Path.home() / ".config/pip/pip.conf"
    return {
        "PIP_CACHE_DIR": cache.stdout.strip(),
        "PIP_CONFIG_FILE": os.environ.get("PIP_CONFIG_FILE") or str(own if own.exists() else ""),
    }


def test_pip_installs_the_server_that_comes_with_it(
    registry: dict[str, str], tmp_path: Path
) -> None:
    """Nothing is laid ready: the packaged sources are built, and what they need is fetched."""
    env = serving.scripted(tmp_path / "config", {"def area(w, h):": BODY})
    del env["PYTHONPATH"]
    env |= {"PATH": "/usr/bin:/bin", **{key: value for key, value in registry.items() if value}}
    python = sys._base_executable  # type: ignore[attr-defined] # undocumented; not the venv's
    settings: dict[str, object] = {"fimls.client.command": [], "fimls.client.python": python}
    with vscode.opened(tmp_path, env, **settings) as code:
        file = code.folder / "area.py"
        file.write_text("def area(w, h):", encoding="utf-8")
        code.open(file, state="needs attention")
        code.do("command", title="fimls: Install the Server into an Environment of Its Own")
        code.button("Install", of=DIALOG)
        code.wait("the server", lambda: code.status() == "ready", 600)
        code.do("focus")
        code.press("Control+End", "Enter")
        code.wait_ghost(BODY)
    [installed] = tmp_path.rglob("site-packages/fimls/cli.py")
    assert installed.read_bytes() == (Path(__file__).parents[2] / "fimls/cli.py").read_bytes()


REASON = "The fimls server is not installed; click to install it"


def reason_after_click(code: VSCode) -> str:
    """What the menu says that a click on the status opens: perhaps the second click only.

    A notification may take the focus, and with it the menu; the palette may still be closing.
    """
    box = ".quick-input-box input"
    if code.do("attribute", selector=box, name="placeholder") != REASON:
        code.press("Escape")
        code.do("click", selector='.statusbar-item[id*="fimls"] a')
        time.sleep(1)
    return str(code.do("attribute", selector=box, name="placeholder"))


def test_installs_nothing_without_consent(bare: VSCode) -> None:
    """The offer says what it would do and where; whoever cancels it has nothing new."""
    bare.wait("the offer", lambda: any("not installed" in text for text in bare.told()))
    bare.button("Install…")
    bare.wait("the question", lambda: bare.n_drawn(DIALOG))
    [question] = bare.do("text", selector=f"{DIALOG} .dialog-message-detail")
    assert "install fimls into it" in question
    assert "environment" in question
    bare.button("Cancel", of=DIALOG)
    bare.wait("no question", lambda: not bare.n_drawn(DIALOG))
    assert not list(bare.folder.parent.rglob("pyvenv.cfg"))


def test_an_install_that_fails_says_why(bare: VSCode) -> None:
    """pip's own complaint, and the way to try again is still there."""
    bare.do("command", title="fimls: Install the Server into an Environment of Its Own")
    bare.button("Install", of=DIALOG)
    bare.wait(
        "the reason",
        lambda: any("Installing fimls failed: ERROR: " in text for text in bare.told()),
        90,
    )
    assert any("fimls" in text.partition("ERROR: ")[2] for text in bare.told())
    bare.wait("the way to try again", lambda: bare.status() == "needs attention")


def test_a_click_on_the_status_tells_the_reason_and_installs(bare: VSCode) -> None:
    """The whole way: the reason, the next step, the progress, and then ghost text."""
    wheel_of_this_tree(wheels_of(bare))
    bare.wait("the reason", lambda: reason_after_click(bare) == REASON)
    bare.do("choose", label="Install the server…")
    bare.button("Install", of=DIALOG)
    bare.wait("progress", lambda: any("Installing fimls" in text for text in bare.told()))
    bare.wait("the server", lambda: bare.status() == "ready", 120)
    bare.do("focus")
    bare.press("Control+End", "Enter")
    bare.wait_ghost(BODY)


def test_fetches_a_model_with_progress(bare: VSCode) -> None:
    """A list with sizes and licences, a bar that can be cancelled, and an offer to use it."""
    bare.do("command", title="fimls: Fetch a Model")
    rows = ".quick-input-list .monaco-list-row"
    bare.wait("the list", lambda: bare.n_drawn(rows) > 3, 30)
    assert any("Apache-2.0" in text for text in bare.do("text", selector=rows))
    bare.do("choose", label="qwen2.5-coder-0.5b-base")
    bare.wait("the bar", lambda: any("MB" in text for text in bare.told()), 30)
    assert bare.n_drawn('.notification-toast .monaco-button:has-text("Cancel")') == 1
    Hub.go_on.set()
    done = "qwen2.5-coder-0.5b-base is here."
    bare.wait("the end", lambda: any(done in text for text in bare.told()), 30)
    assert list((bare.folder.parent / "cache").rglob("*.gguf"))


def test_a_server_that_ends_at_once_is_told_once(bare: VSCode) -> None:
    """One message, whose button brings the server back when it is mended."""
    broken = bare.folder / ".venv/bin/fimls"
    broken.parent.mkdir(parents=True)
    broken.write_text('#!/bin/sh\n[ "$1" = --version ]\n', encoding="utf-8")
    broken.chmod(0o755)
    bare.do("command", title="fimls: Restart the Server")
    bare.wait("the end", lambda: bare.status() == "needs attention", 60)
    said = "fimls: the server did not start; the log says why."
    bare.wait("the message", lambda: said in bare.told())
    assert not [text for text in bare.told() if text != said and "here." not in text]
    broken.unlink()
    bare.button("Restart")
    bare.wait("the server", lambda: bare.status() == "ready", 60)
