"""Models: which there are, which are here, and how to get one."""

from fimls.models.catalogue import (
    SLIP_CONFIDENCE,
    HubSource,
    Model,
    State,
    WheelSource,
    catalogue,
    find,
    models_dir,
    resolve,
    smaller,
    state,
)
from fimls.models.download import pull, remove
from fimls.models.progress import Progress, Report

__all__ = [
    "SLIP_CONFIDENCE",
    "HubSource",
    "Model",
    "Progress",
    "Report",
    "State",
    "WheelSource",
    "catalogue",
    "find",
    "models_dir",
    "pull",
    "remove",
    "resolve",
    "smaller",
    "state",
]
