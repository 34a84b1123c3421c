"""What several test files need."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fimls.errors import DownloadFailed
from fimls.models import Progress, find, models_dir, pull

# Whatever a test starts inherits this, so that it can be told from a developer's own.
MARK = "TESTS_THAT_STARTED_THIS"


@pytest.fixture(scope="session", autouse=True)
def _no_engine_outlives_the_tests() -> Iterator[None]:
    """Servers load their models themselves, but where sharing is what is tested."""
    os.environ["FIMLS_ENGINE_PROCESS"] = "inside"
    os.environ[MARK] = str(os.getpid())
    yield
    deadline_s = time.monotonic() + 20.0  # an engine stays for 10 s after its last client
    while (left := _engines()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    for process in left:
        process.kill()
    assert not left, "these engines' processes were left behind"


def _engines() -> list[psutil.Process]:
    """The engines' processes that these tests have started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_ours = process.environ().get(MARK) == str(os.getpid())
            if is_ours and "fimls.engine.shared.main" in process.cmdline():
                found.append(process)
    return found


@pytest.fixture(scope="session")
def default_model(pytestconfig: pytest.Config) -> Path:
    """The real default model, fetched into the user's cache when it is not there (491 MB)."""
    terminal = pytestconfig.pluginmanager.get_plugin("terminalreporter")

    def report(now: Progress) -> None:
        if now.note and terminal is not None:
            terminal.write_line(f"default model: {now.note}")

    try:
        return pull(find("qwen2.5-coder-0.5b"), models_dir(), report)
    except DownloadFailed as error:
        pytest.skip(f"THE DEFAULT MODEL IS MISSING AND CANNOT BE FETCHED: {error}")
