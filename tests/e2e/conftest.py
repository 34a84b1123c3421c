"""One server process for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from session import editing

# A whole editor on a busy machine drops a key or a click now and then. What fails is tried
# again, and told as RERUN in the summary, so that it can be looked into.
EDITOR_RERUNS = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("editor"):
            item.add_marker(pytest.mark.flaky(reruns=EDITOR_RERUNS))


@pytest.fixture
def edit(tmp_path: Path) -> Callable[..., Any]:
    """``async with edit(settings, client=…) as editor``: one session in an empty project."""

    def start(settings: dict[str, Any] | None = None, **options: Any) -> Any:
        return editing(settings, tmp_path, **options)

    return start
