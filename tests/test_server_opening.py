"""An engine that is opened for a session, and let go of where it is of no use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fimls.config import Config
from fimls.errors import TemplateError
from fimls.server.opening import open_engine_of


@pytest.mark.model
def test_a_model_that_is_refused_is_not_kept(default_model: Path) -> None:
    """It is tried again while somebody types: each try would keep half a gigabyte more."""
    usual = Config()
    config = replace(
        usual,
        completion=replace(usual.completion, model=str(default_model), template="codellama"),
        engine=replace(usual.engine, process="own"),
    )
    before = psutil.Process().children()
    with pytest.raises(TemplateError, match="does not fit"):
        open_engine_of(config, lambda _: None, lambda _: None)
    assert psutil.Process().children() == before
