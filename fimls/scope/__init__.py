"""Where a completion ends: watched token by token, decided by syntax.

``watch(before, after, language)`` gives a ``Watcher``; ``language_of(path, id)`` the
language it knows a file by; ``outline(text, language)`` the functions and classes of
a document.
"""

from fimls.scope.languages import language_of
from fimls.scope.leaves import Leaf, LeafKind, leaves
from fimls.scope.outline import Outline, Scope, is_code, n_faults, outline, signatures
from fimls.scope.survey import forget
from fimls.scope.watcher import Watcher, watch

__all__ = [
    "Leaf",
    "LeafKind",
    "Outline",
    "Scope",
    "Watcher",
    "forget",
    "is_code",
    "language_of",
    "leaves",
    "n_faults",
    "outline",
    "signatures",
    "watch",
]
