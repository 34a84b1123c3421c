"""Real inference servers for the tests: found, or installed once, and run on a free port."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from editors import install

# Loading the 0.5B takes a second; a busy machine is slower.
START_S = 60.0


def llama_server() -> str:
    """llama.cpp's server: $LLAMA_SERVER, the one on PATH, or Debian's, unpacked once.

    Raises ``install.Missing`` when it is not to be had here.
    """
    found = os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    if found:
        return found
    with install.alone("llama-server") as place:
        command = place / "bin/llama-server"
        if not command.exists():
            root = place / "root"
            install._debian(root, ("llama.cpp-tools",))
            libraries = root / "usr/lib/x86_64-linux-gnu"
            loader = libraries / "ld-linux-x86-64.so.2"
            if not loader.exists():
                raise install.Missing(
                    "Debian's llama-server is used on x86-64 only; set LLAMA_SERVER to another"
                )
            # The best backend that this processor can run; the package leaves it to a search
            # in folders that do not exist here.
            kind = "zen4" if "avx512_bf16" in Path("/proc/cpuinfo").read_text() else "haswell"
            backend = next((libraries / "ggml").rglob(f"libggml-cpu-{kind}.so"))
            install._script(
                command,
                f"GGML_BACKEND_PATH={backend} exec {loader} --library-path "
                f'{libraries}:{libraries}/llama {root}/usr/bin/llama-server "$@"',
            )
    return str(command)


@contextlib.contextmanager
def running(*command: str, port: int | None = None) -> Iterator[str]:
    """Run a server, ``{port}`` in its command filled in; gives its URL once it answers."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    words = [word.format(port=port) for word in command]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + START_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/v1/models").is_success:
                    break
            assert process.poll() is None, process.stdout and process.stdout.read().decode()
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.1)
        # It must not stop because nobody reads what it logs.
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        yield url
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(NameError):
            drain.wait()


def run_llama_server(
    model: Path, *options: str, port: int | None = None
) -> contextlib.AbstractContextManager[str]:
    """llama-server with two slots of 2,048 tokens."""
    return running(
        llama_server(), "--model", str(model), "--host", "127.0.0.1", "--port", "{port}",
        "--ctx-size", "4096", "--parallel", "2", "--threads", "2", "--slots",
        "--batch-size", "256", *options,
        port=port,
    )  # fmt: skip


def run_llama_cpp_python(model: Path) -> contextlib.AbstractContextManager[str]:
    """The server that comes with llama-cpp-python."""
    return running(
        sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--host", "127.0.0.1",
        "--port", "{port}", "--n_ctx", "2048", "--n_threads", "2", "--verbose", "false",
    )  # fmt: skip


def free_port() -> int:
    """A port for a server that cannot choose one itself.

    Below those that the system gives to whoever asks for any, a client's end included: one of
    them could be gone again before the server listens.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
