"""Context: what the model gets to see of the document, and of other files."""

from fimls.context.anchor import Anchor, Budget, place

__all__ = ["Anchor", "Budget", "place"]
