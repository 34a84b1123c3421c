"""One server process for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from session import editing

# Editors, servers and models in processes of their own: on a busy machine a key or a click is
# dropped now and then. What fails is tried again, and told as RERUN in the summary, so that it
# can be looked into.
RERUNS = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.flaky(reruns=RERUNS))


@pytest.fixture
def edit(tmp_path: Path) -> Callable[..., Any]:
    """``async with edit(settings, client=…) as editor``: one session in an empty project."""

    def start(settings: dict[str, Any] | None = None, **options: Any) -> Any:
        return editing(settings, tmp_path, **options)

    return start
