"""Models: which there are, which are here, and how to get one."""

from fimls.models.catalogue import (
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
