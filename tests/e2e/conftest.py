"""One server process for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from session import editing


@pytest.fixture
def edit(tmp_path: Path) -> Callable[..., Any]:
    """``async with edit(settings, client=…) as editor``: one session in an empty project."""

    def start(settings: dict[str, Any] | None = None, **options: Any) -> Any:
        return editing(settings, tmp_path, **options)

    return start
