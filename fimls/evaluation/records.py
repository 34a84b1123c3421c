"""What an evaluation remembers: generations and scores, in two append-only files.

An interrupted run goes on where it was, and a changed watcher is scored again
without computing a single token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fimls.errors import ConfigError

PACKAGE = Path(__file__).parent.parent
_JUDGES = ("figures", "infilling", "jail", "lexis", "oracle", "sandbox")
RULE = ("scope/**/*.py", "completer.py", "draft.py", "postprocess.py",
        *(f"evaluation/{name}.py" for name in _JUDGES))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Generation:
    """One greedy generation: the text of each token, and whether an end token came."""

    pieces: tuple[str, ...]
    ended: bool

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def n_pieces(self, n_characters: int) -> int:
        """How many tokens must be computed to have the first ``n_characters``."""
        seen = 0
        for number, piece in enumerate(self.pieces):
            if seen >= n_characters:
                return number
            seen += len(piece)
        return len(self.pieces)


@dataclass(frozen=True, slots=True)
class Score:
    """One mode's answer for one hole. ``passed`` is ``None`` where it cannot be judged.

    ``reason`` is why the mode stopped, ``n_generated`` the tokens computed for it,
    ``over`` the ways in which the text goes beyond the hole.
    """

    text: str
    n_generated: int
    reason: str
    passed: bool | None
    exact: bool
    hit_cap: bool
    over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HoleScore:
    """All modes of one hole.

    ``obstacle`` says why pass or fail cannot be told here. ``under`` is true where
    fimls failed and a longer cut of the same generation passes, ``late`` where only
    a shorter one does. ``is_oracle_complete`` is false where the search was given up.
    """

    key: str
    set: str
    language: str
    obstacle: str = ""
    modes: Mapping[str, Score] = field(default_factory=dict)
    under: bool = False
    late: bool = False
    is_oracle_complete: bool = True

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> HoleScore:
        modes = {
            name: Score(**{**score, "over": tuple(score["over"])})
            for name, score in row["modes"].items()
        }
        return cls(**{**row, "modes": modes})


class Journal:
    """A file of rows that is only appended to; its first row says what the others depend on.

    One begun with other ``settings`` is refused with ``ConfigError``, or emptied where its rows
    ``can_be_made_anew``.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], *, can_be_made_anew: bool = False
    ) -> None:
        self._path = path
        head = json.loads(json.dumps(dict(settings)))
        found = _read(path)
        if found and found[0] != head:
            if not can_be_made_anew:
                names = sorted(found[0].keys() | head.keys())
                changed = [name for name in names if found[0].get(name) != head.get(name)]
                raise ConfigError(
                    f"{path} was begun with other settings ({', '.join(changed)}): "
                    "give another --json, or remove it"
                )
            path.unlink()
            found = []
        if not found:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.add(head)
        self.rows = found[1:]

    def add(self, row: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class Store:
    """The files beside the result: ``<stem>.raw.jsonl`` and ``<stem>.holes.jsonl``.

    ``settings`` are what a generation depends on; files begun with others are
    refused with ``ConfigError``. ``scoring`` is what a score depends on besides: scores that were
    made with another are forgotten, and with ``rescore`` all of them; the generations are not.
    """

    def __init__(
        self,
        out: Path,
        settings: Mapping[str, Any],
        scoring: Mapping[str, Any] = MappingProxyType({}),
        *,
        rescore: bool = False,
    ) -> None:
        self._raw = Journal(out.with_name(f"{out.stem}.raw.jsonl"), settings)
        holes = out.with_name(f"{out.stem}.holes.jsonl")
        if rescore:
            holes.unlink(missing_ok=True)
        self._holes = Journal(holes, scoring, can_be_made_anew=True)
        self.generations = {
            row["key"]: Generation(tuple(row["pieces"]), row["ended"]) for row in self._raw.rows
        }
        self.scores = {row["key"]: HoleScore.from_json(row) for row in self._holes.rows}

    def add_generation(self, key: str, generation: Generation) -> None:
        self.generations[key] = generation
        self._raw.add({"key": key, "pieces": generation.pieces, "ended": generation.ended})

    def add_score(self, score: HoleScore) -> None:
        self.scores[score.key] = score
        self._holes.add(asdict(score))


def rule() -> str:
    """A digest of the sources that decide a score: what ends a completion, and what judges it.

    The version stands still between releases; a rule that is worked on does not.
    """
    files = (file for part in RULE for file in sorted(PACKAGE.glob(part)))
    digest = sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> list[dict[str, Any]]:
    """Whole lines only: the last one of a killed run may be torn, and is dropped."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole, _, torn = text.rpartition("\n")
    if torn:
        path.write_text(whole + "\n" if whole else "", encoding="utf-8")
    return [json.loads(line) for line in whole.split("\n") if line]
