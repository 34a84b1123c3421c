"""Compares cuts by how well the whole parses, and knows members by their headers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fimls.scope.grammars import Grammar, load
from fimls.scope.site import Site

_DEFINITION = re.compile(r"$^")


@dataclass(slots=True)
class Judge:
    """Parses ``before + text + after`` of one cursor; abstains where there is no grammar."""

    site: Site
    _counts: dict[str, int | None] = field(default_factory=dict)
    _context: tuple[str, str] | None = None

    @property
    def _grammar(self) -> Grammar | None:
        return load(self.site.language.name)

    def errors(self, text: str) -> int | None:
        """Faults in the tree of the whole with ``text`` at the cursor; ``None``: cannot tell."""
        if text not in self._counts:
            grammar = self._grammar
            if grammar is None:
                return None
            if self._context is None:
                self._context = self.site.context()
            before, after = self._context
            self._counts[text] = grammar.n_errors(before + text + after)
        return self._counts[text]

    def is_sound(self, text: str) -> bool:
        """Whether the whole parses without a fault, or nobody can tell."""
        return not self.errors(text)

    def is_no_worse(self, text: str) -> bool:
        """Whether the whole has no more faults than it has with nothing at the cursor."""
        with_text, without = self.errors(text), self.errors("")
        return with_text is None or without is None or with_text == 0 or with_text <= without

    def is_no_worse_than(self, text: str, other: str) -> bool:
        mine, others = self.errors(text), self.errors(other)
        return mine is None or others is None or mine <= others

    def best(self, texts: list[str]) -> str | None:
        """The text with the fewest faults, the earliest of equals; ``None`` without a grammar."""
        counted = [(self.errors(text), index) for index, text in enumerate(texts)]
        known = [(count, index) for count, index in counted if count is not None]
        return texts[min(known)[1]] if known else None

    def is_container(self, header: str) -> bool:
        pattern = self.site.language.container
        return bool(pattern) and re.search(pattern, header) is not None

    def is_definition(self, bare: str) -> bool:
        pattern = self.site.language.definition
        return bool(pattern) and re.match(pattern, bare) is not None
