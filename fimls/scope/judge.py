"""Compares cuts by how well the whole parses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fimls.scope.grammars import load
from fimls.scope.site import Site

# A macro that stands for whole statements, or for halves of them: no grammar knows.
_MACRO = re.compile(r"(?<=[;{})]\n)[ \t]*(?=[a-z]*[A-Z])\w*_\w*(?=[ \t]*\n)")


@dataclass(slots=True)
class Judge:
    """Parses ``before + text + after`` of one cursor; abstains where there is no grammar."""

    site: Site
    _counts: dict[str, int | None] = field(default_factory=dict)
    _is_stuck: bool = False  # the parser was given up on once: it is not asked again

    def errors(self, text: str) -> int | None:
        """Faults in the tree of the whole with ``text`` at the cursor; ``None``: cannot tell."""
        if text not in self._counts:
            language = self.site.language
            grammar = None if language.dialects else load(language.name)
            if grammar is None or self._is_stuck:
                return None
            before, after = self.site.context
            whole = before + text + after
            if language.macros:
                whole = _MACRO.sub(lambda found: " " * len(found.group()), whole)
            self._counts[text] = grammar.n_errors(whole)
            self._is_stuck = self._counts[text] is None
        return self._counts[text]

    def is_sound(self, text: str) -> bool:
        """Whether the whole parses without a fault, or nobody can tell."""
        return not self.errors(text)

    def is_no_worse_than(self, text: str, other: str) -> bool:
        """Whether the whole parses with ``text`` at least as well as with ``other``."""
        mine, others = self.errors(text), self.errors(other)
        return mine is None or others is None or mine <= others
