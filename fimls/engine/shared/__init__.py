"""An engine in a process of its own, for one server or for all editors of a user.

``wire`` is the protocol (the client pulls each token), ``host`` serves an engine over
it, ``place`` says where the shared one listens, ``links`` start and find hosts, and
``attached`` is the client's side: an engine like any other.

A crash inside llama.cpp ends the host's process and no server's.
"""

from fimls.engine.shared.attached import AttachedEngine
from fimls.engine.shared.links import ChildLink, Link, Opener, SharedLink
from fimls.engine.shared.openers import embedded_opener
from fimls.engine.shared.place import CannotShare

__all__ = [
    "AttachedEngine",
    "CannotShare",
    "ChildLink",
    "Link",
    "Opener",
    "SharedLink",
    "embedded_opener",
]
