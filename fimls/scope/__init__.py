"""Where a completion ends: watched token by token, decided by syntax.

``watch(before, after, language)`` gives a ``Watcher``; ``language_of(path, id)`` the
language it knows a file by.
"""

from fimls.scope.languages import language_of
from fimls.scope.watcher import Watcher, watch

__all__ = ["Watcher", "language_of", "watch"]
