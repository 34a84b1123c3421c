"""What an evaluation remembers: generations and scores, in two append-only files.

An interrupted run goes on where it was, and a changed watcher is scored again
without computing a single token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fimls.errors import ConfigError


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


class Store:
    """The files beside the result: ``<stem>.raw.jsonl`` and ``<stem>.holes.jsonl``.

    ``settings`` are what a generation depends on; files begun with others are
    refused with ``ConfigError``. ``rescore`` forgets the scores, not the generations.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], *, rescore: bool = False) -> None:
        self._raw_path = out.with_name(f"{out.stem}.raw.jsonl")
        self._holes_path = out.with_name(f"{out.stem}.holes.jsonl")
        out.parent.mkdir(parents=True, exist_ok=True)
        self.generations: dict[str, Generation] = {}
        self.scores: dict[str, HoleScore] = {}
        rows = _read(self._raw_path)
        if rows and rows[0] != dict(settings):
            changed = sorted(k for k in settings if rows[0].get(k) != settings[k])
            raise ConfigError(
                f"{self._raw_path} was begun with other settings ({', '.join(changed)}): "
                "give another --json, or remove it"
            )
        for row in rows[1:]:
            self.generations[row["key"]] = Generation(tuple(row["pieces"]), row["ended"])
        if not rows:
            _append(self._raw_path, settings)
        if rescore:
            self._holes_path.unlink(missing_ok=True)
        for row in _read(self._holes_path):
            self.scores[row["key"]] = HoleScore.from_json(row)

    def add_generation(self, key: str, generation: Generation) -> None:
        self.generations[key] = generation
        row = {"key": key, "pieces": generation.pieces, "ended": generation.ended}
        _append(self._raw_path, row)

    def add_score(self, score: HoleScore) -> None:
        self.scores[score.key] = score
        _append(self._holes_path, asdict(score))


def _append(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _read(path: Path) -> list[dict[str, Any]]:
    """Whole lines only: the last one of a killed run may be torn, and is dropped."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole, _, torn = text.rpartition("\n")
    if torn:
        path.write_text(whole + "\n" if whole else "", encoding="utf-8")
    return [json.loads(line) for line in whole.split("\n") if line]
