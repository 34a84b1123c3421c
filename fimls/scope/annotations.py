"""Annotations, attributes, decorators: half of a definition, whatever they end in."""

from __future__ import annotations

import re
from functools import lru_cache

from fimls.scope.site import Site, width

# Brackets within brackets, three deep: what an annotation holds.
_HELD = r"[^()\[\]]*"
for _ in range(2):
    _HELD = rf"[^()\[\]]*(?:[(\[]{_HELD}[)\]][^()\[\]]*)*"
_LONGEST_ANNOTATION = 1_000


@lru_cache(maxsize=64)
def _annotations(mark: str) -> re.Pattern[str]:
    one = rf"{mark}{_HELD}\]" if mark.endswith("[") else rf"{mark}[\w.:]+(\({_HELD}\))?"
    return re.compile(rf"(\s*{one})+\s*")


def is_annotation(text: str, site: Site) -> bool:
    """Whether a statement annotates the next definition, and that does not follow the cursor."""
    mark = site.language.annotation
    if not mark or len(text) > _LONGEST_ANNOTATION or not _annotations(mark).fullmatch(text):
        return False
    following = site.after.partition("\n")[2].partition("\n")[0]
    # What is deeper is a body, whose header is still to come.
    return following.strip()[:1] in ")]}" or width(following) > site.indent
