"""Context: what the model gets to see of the document, and of other files."""

from fimls.context.anchor import Anchor, Budget
from fimls.context.cold import cold_budget
from fimls.context.places import Places
from fimls.context.placing import place, settle

__all__ = ["Anchor", "Budget", "Places", "cold_budget", "place", "settle"]
