"""The findings of open documents: they move with edits, and go when their scope changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fimls.review.findings import Finding, Reason, Rejected, ScopeReview
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


@dataclass(slots=True)
class _Followed:
    """A document's text as it was last seen, and its reviews where they stand in it, in order."""

    text: str
    silence: Silence
    reviews: list[ScopeReview]


class Findings:
    """What is known of documents by URI. Not thread-safe: for one thread, such as a loop's.

    Whoever gives a text is answered about that text: reviews move along with their code.
    """

    def __init__(self) -> None:
        self._documents: dict[str, _Followed] = {}
        self._known: OrderedDict[str, ScopeReview] = OrderedDict()

    def put(self, uri: str, review: ScopeReview, text: str) -> ScopeReview | None:
        """Take in a scope's review, where it stands; ``None`` when ``text`` no longer holds it."""
        self._known[review.key] = review
        self._known.move_to_end(review.key)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        start = find_scope(review.text, review.start, text)
        if start is None:
            return None
        document = self._documents.setdefault(uri, _Followed(text, Silence.of(text), []))
        self._follow(document, text)
        end = start + len(review.text)
        placed = replace(review, start=start)
        kept = [
            old
            for old in document.reviews
            if old.start + len(old.text) <= start or old.start >= end
        ]
        document.reviews = sorted([*kept, placed], key=lambda one: one.start)
        return placed

    def known(self, key: str) -> ScopeReview | None:
        """An earlier review of the very same text in the same surroundings."""
        return self._known.get(key)

    def shown(self, uri: str, text: str) -> list[Shown]:
        """What is to be seen in ``text``."""
        document = self._documents.get(uri)
        if document is None:
            return []
        self._follow(document, text)
        found = (one for review in document.reviews for one in self.split(uri, review)[0])
        return sorted(found, key=lambda one: one.start)

    def split(self, uri: str, review: ScopeReview) -> tuple[list[Shown], list[Rejected]]:
        """What of a review that was put is shown, and what a comment silences."""
        document = self._documents[uri]
        shown: list[Shown] = []
        silenced: list[Rejected] = []
        for finding in review.findings:
            start, end = review.start + finding.start, review.start + finding.end
            if document.silence.covers(finding.category, start, end):
                silenced.append(Rejected(finding.claim, Reason.SUPPRESSED, finding.confidence))
            else:
                shown.append(Shown(finding, start, end, review))
        return shown, silenced

    def silenced(self, uri: str) -> list[Rejected]:
        """What comments silence in the text that was seen last."""
        return [one for review in self._reviews(uri) for one in self.split(uri, review)[1]]

    def rejected(self, uri: str) -> list[Rejected]:
        """Everything that is not shown, for those who want to look."""
        dropped = [one for review in self._reviews(uri) for one in review.rejected]
        return dropped + self.silenced(uri)

    def documents(self) -> Iterable[str]:
        return list(self._documents)

    def clear(self, uri: str) -> None:
        """Show nothing of a document any more, and review it afresh when asked again."""
        for review in self._reviews(uri):
            self._known.pop(review.key, None)
        self.close(uri)

    def close(self, uri: str) -> None:
        """The document was closed; what is known stays good for its next opening."""
        self._documents.pop(uri, None)

    def _reviews(self, uri: str) -> Sequence[ScopeReview]:
        document = self._documents.get(uri)
        return () if document is None else document.reviews

    @staticmethod
    def _follow(document: _Followed, text: str) -> None:
        """The text may have changed: move what is still there, drop what is not."""
        if document.text == text:
            return
        moved: list[ScopeReview] = []
        taken: set[int] = set()
        ahead = 0
        for review in document.reviews:
            # Behind an edit everything has moved as far: a search for each took 16 ms a key.
            start = find_scope(review.text, review.start + ahead, text)
            if start is not None and start not in taken:
                taken.add(start)
                ahead = start - review.start
                moved.append(replace(review, start=start) if ahead else review)
        document.text, document.silence, document.reviews = text, Silence.of(text), moved


def find_scope(scope: str, start: int, text: str) -> int | None:
    """Where ``scope`` stands in ``text``, nearest to ``start``, unchanged and not grown."""
    start = max(start, 0)
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
