"""Templates: how each family of models wants to be asked to fill in the middle.

``load_all`` reads them, ``detect`` chooses one for a model, ``bind`` checks it
against the model's vocabulary, and the ``BoundTemplate`` renders prompts.
"""

from fimls.template.binding import BoundTemplate
from fimls.template.detection import detect
from fimls.template.examine import PROBE, PROBE_CHUNKS, Finding, Level, bind, examine
from fimls.template.family import Status, Template
from fimls.template.loading import find, load, load_all
from fimls.template.unfilled import UnfilledTemplate

__all__ = [
    "PROBE",
    "PROBE_CHUNKS",
    "BoundTemplate",
    "Finding",
    "Level",
    "Status",
    "Template",
    "UnfilledTemplate",
    "bind",
    "detect",
    "examine",
    "find",
    "load",
    "load_all",
]
