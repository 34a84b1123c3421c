"""The findings of open documents: they move with edits, and go when their scope changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from fimls.review.findings import Finding, Rejected, ScopeReview
from fimls.review.suppression import Silence

# Reviews of texts that nobody shows any more, for the day they come back (undo, other branch).
MOST_KNOWN = 500


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding and where it stands in the document now, in characters."""

    finding: Finding
    start: int
    end: int
    review: ScopeReview


class Findings:
    """What is known of documents by URI. Not thread-safe: for one thread, such as a loop's."""

    def __init__(self) -> None:
        self._reviews: dict[str, list[ScopeReview]] = {}
        self._known: OrderedDict[str, ScopeReview] = OrderedDict()

    def put(self, uri: str, review: ScopeReview, text: str) -> bool:
        """Take in a scope's review; false when ``text`` no longer holds that scope."""
        self._known[review.key] = review
        self._known.move_to_end(review.key)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        start = find_scope(review.text, review.start, text)
        if start is None:
            return False
        end = start + len(review.text)
        others = [
            old
            for old in self._reviews.get(uri, [])
            if old.start + len(old.text) <= start or old.start >= end
        ]
        self._reviews[uri] = [*others, replace(review, start=start)]
        return True

    def known(self, key: str) -> ScopeReview | None:
        """An earlier review of the very same text in the same surroundings."""
        return self._known.get(key)

    def follow(self, uri: str, text: str) -> None:
        """The document has changed: move what is still there, drop what is not."""
        if uri not in self._reviews:
            return
        taken: set[int] = set()
        moved: list[ScopeReview] = []
        for review in self._reviews[uri]:
            start = find_scope(review.text, review.start, text)
            if start is not None and start not in taken:
                taken.add(start)
                moved.append(review if start == review.start else replace(review, start=start))
        self._reviews[uri] = moved

    def shown(self, uri: str, text: str) -> list[Shown]:
        """What is to be seen in ``text``, the document as it was last followed to."""
        silence = Silence.of(text)
        found: list[Shown] = []
        for review in self._reviews.get(uri, ()):
            for finding in review.findings:
                start, end = review.start + finding.start, review.start + finding.end
                if not silence.covers(finding.category, start, end):
                    found.append(Shown(finding, start, end, review))
        return sorted(found, key=lambda one: one.start)

    def rejected(self, uri: str) -> list[Rejected]:
        """Everything that was dropped, for those who want to look."""
        return [one for review in self._reviews.get(uri, ()) for one in review.rejected]

    def documents(self) -> Iterable[str]:
        return list(self._reviews)

    def clear(self, uri: str) -> None:
        """Show nothing of a document any more, and review it afresh when asked again."""
        for review in self._reviews.pop(uri, ()):
            self._known.pop(review.key, None)

    def close(self, uri: str) -> None:
        """The document was closed; what is known stays good for its next opening."""
        self._reviews.pop(uri, None)


def find_scope(scope: str, start: int, text: str) -> int | None:
    """Where ``scope`` stands in ``text``, nearest to ``start``, unchanged and not grown."""
    if text.startswith(scope, start) and not _has_grown(scope, text, start):
        return start
    before = text.rfind(scope, 0, start + len(scope))
    after = text.find(scope, start)
    places = [at for at in (before, after) if at >= 0 and not _has_grown(scope, text, at)]
    return min(places, key=lambda at: abs(at - start), default=None)


def _has_grown(scope: str, text: str, start: int) -> bool:
    """Whether more of the same definition follows: its own text is all there, but not all of it."""
    end = start + len(scope)
    rest = text[end : _end_of_line(text, end)]
    if any(map(str.isalnum, rest.split("#")[0].split("//")[0])):
        return True
    depth = len(scope) - len(scope.lstrip())
    at = _end_of_line(text, end)
    while at < len(text):
        line = text[at + 1 : _end_of_line(text, at + 1)]
        if line.strip():
            return len(line) - len(line.lstrip()) > depth and scope.rstrip()[-1:] not in "})]"
        at = _end_of_line(text, at + 1)
    return False


def _end_of_line(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found
