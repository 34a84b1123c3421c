"""What several test files need."""

from __future__ import annotations

from pathlib import Path

import pytest

from fimls.errors import DownloadFailed
from fimls.models import Progress, find, models_dir, pull


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
