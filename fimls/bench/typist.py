"""Turns real code into a typing session: somebody who writes a given region of a file.

The region is taken out and typed again, key by key, with a person's pauses, slips that
are noticed and taken back, indentation that comes with the newline, brackets that the
editor closes, a suggestion accepted now and then, looks elsewhere, and an edit
elsewhere in the file. Seeded, so the same code gives the same session.

    python -m fimls.bench.typist FILE FIRST LAST --name NAME --out SESSION.json

types lines FIRST to LAST (1-based) of FILE. Pauses follow what typing studies report
for practised typists: about 120 ms between keys of a word, longer at word and line ends.
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

from fimls.bench.sessions import Event, Session, save

CLOSERS = {"(": ")", "[": "]", "{": "}"}
KEY_MS, WORD_MS, LINE_MS, LOOK_MS, ACCEPT_MS = 120, 220, 700, 1800, 900
SLIPS = 0.03  # share of keys that are wrong and taken back at once
ACCEPTS = 0.08  # share of line starts and word ends at which a suggestion is accepted


class _Typist:
    def __init__(self, text: str, at: int, seed: int) -> None:
        self.text = text
        self.at = at
        self.events: list[Event] = []
        # A session is data for a benchmark: nothing here has to be unpredictable.
        self._random = random.Random(seed)  # noqa: S311

    def do(
        self, mean_ms: float, at: int, *, delete: int = 0, insert: str = "", ask: bool = True
    ) -> None:
        wait_ms = round(mean_ms * self._random.lognormvariate(0, 0.35))
        event = Event(wait_ms, at, delete, insert, ask)
        self.text = event.apply(self.text)
        self.events.append(event)

    def key(self, character: str, mean_ms: float = KEY_MS) -> None:
        self.do(mean_ms, self.at, insert=character)
        self.at += len(character)

    def backspace(self) -> None:
        self.at -= 1
        self.do(1.6 * KEY_MS, self.at, delete=1)

    def look_elsewhere(self) -> None:
        """Go to another place, stay for a moment, come back."""
        lines = [match.end() for match in re.finditer("\n", self.text)]
        if lines:
            self.do(LOOK_MS, self._random.choice(lines), ask=True)
            self.do(LOOK_MS, self.at, ask=True)

    def edit_elsewhere(self) -> None:
        """A tool or another hand adds a line on top: everything below moves."""
        first_line_end = self.text.find("\n") + 1
        self.do(WORD_MS, first_line_end, insert="\n", ask=False)
        if first_line_end <= self.at:
            self.at += 1

    def write(self, code: str, n_keys: int) -> None:
        """Type ``code`` until ``n_keys`` events are recorded; the rest is left untyped."""
        typed = 0
        while typed < len(code) and len(self.events) < n_keys:
            step = re.match(r"\n[ \t]*", code[typed:])
            if step:  # the editor indents a new line by itself
                self.key(step.group(), LINE_MS)
                typed += step.end()
                if self._random.random() < ACCEPTS:
                    typed += self._accept(code[typed:], r"[^\n]+")
                continue
            character = code[typed]
            if self._random.random() < SLIPS and character.isalpha():
                self.key(self._random.choice("etaoins"))
                self.backspace()
            self.key(character, WORD_MS if character in " (.," else KEY_MS)
            typed += 1
            closes = CLOSERS.get(character)
            if closes and code[typed : typed + 1] == closes:  # "()": the editor's own closer
                self.key(closes, 1)
                typed += 1
            if character == " " and self._random.random() < ACCEPTS:
                typed += self._accept(code[typed:], r"\w+")

    def _accept(self, code: str, pattern: str) -> int:
        match = re.match(pattern, code)
        if match is None:
            return 0
        self.key(match.group(), ACCEPT_MS)
        return match.end()


def record(
    text: str, first_line: int, last_line: int, *, n_events: int, seed: int
) -> tuple[str, tuple[Event, ...]]:
    """The document without lines ``first_line`` to ``last_line`` (1-based), and their typing."""
    lines = text.splitlines(keepends=True)
    before = "".join(lines[: first_line - 1])
    code = "".join(lines[first_line - 1 : last_line]).rstrip("\n")
    opened = before + "\n" + "".join(lines[last_line:])
    typist = _Typist(opened, len(before), seed)
    typist.do(LOOK_MS, typist.at)
    third = n_events // 3
    typist.write(code, third)
    n_done = len(typist.text[len(before) : typist.at])
    typist.look_elsewhere()
    typist.write(code[n_done:], 2 * third)
    n_done = len(typist.text[len(before) : typist.at])
    typist.edit_elsewhere()
    typist.write(code[n_done:], n_events)
    return opened, tuple(typist.events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--name", required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument("--origin", required=True)
    parser.add_argument("--licence", required=True)
    parser.add_argument("--events", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    text = args.file.read_text(encoding="utf-8")
    opened, events = record(text, args.first, args.last, n_events=args.events, seed=args.seed)
    save(
        Session(
            args.name, args.language, args.file.name, opened, events, args.origin, args.licence
        ),
        args.out,
    )


if __name__ == "__main__":
    main()
