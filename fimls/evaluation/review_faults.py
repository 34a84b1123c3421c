"""Builds the set of ``fimls eval review``: real functions, and the same with one fault seeded.

python -m fimls.evaluation.review_faults SOURCES.json > fimls/evaluation/review_faults.jsonl

``SOURCES.json`` lists files: ``{"path": …, "origin": …, "licence": …}``. Each rule below is a
kind of fault; it names the places in a function where it applies, and what stands there
instead. Functions and places are drawn by a seeded generator, the rarer rules first. A seeded
function parses as well as its original.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fimls.evaluation.datasets import read
from fimls.scope import language_of, n_faults, outline

# Long enough to hold a fault, short enough to be judged by eye.
_LINES = range(6, 41)
_PER_LANGUAGE = 12
_SEED = 6

# Comments, examples in documentation, and members that nobody would miss.
_NO_CODE = re.compile(r"//|#(?!include)|--\s|^\s*\*|/\*|^\s*(>>>|\.\.\.)|\benumerable\b")

Change = tuple[int, int, str]  # start and end in the function, and what to write there
Rule = Callable[[str, str], Iterator[Change]]


@dataclass(frozen=True, slots=True)
class Pair:
    """A function as it was written, and with one fault.

    ``line`` is the place of the fault in ``seeded``, counted from 1; where lines were taken
    away it is the line that follows.
    """

    id: str
    language: str
    path: str
    origin: str
    licence: str
    name: str
    rule: str
    line: int
    before: str
    after: str
    original: str
    seeded: str


def load(path: Path) -> list[Pair]:
    """The pairs of a file. Raises ``BadRequest`` naming the line that is at fault."""
    return read(path, lambda row: Pair(**row), "no function with a seeded fault")


def _each(pattern: str, put: str | Callable[[re.Match[str]], str]) -> Rule:
    """A rule that replaces matches of a pattern, outside of comments and strings by guess."""
    compiled = re.compile(pattern, re.MULTILINE)

    def rule(code: str, language: str) -> Iterator[Change]:
        del language
        for found in compiled.finditer(code):
            start, end = found.span()
            line = code[code.rfind("\n", 0, start) + 1 : start]
            is_code = line.count('"') % 2 == line.count("'") % 2 == line.count("`") % 2 == 0
            is_code = is_code and code.count('"""', 0, start) % 2 == 0
            if is_code and not _NO_CODE.search(line):
                yield start, end, put if isinstance(put, str) else put(found)

    return rule


def _only(rule: Rule, *languages: str) -> Rule:
    def limited(code: str, language: str) -> Iterator[Change]:
        if language in languages:
            yield from rule(code, language)

    return limited


_INVERTED = {
    "==": "!=", "!=": "==", "===": "!==", "!==": "===", ">": "<", "<": ">", ">=": "<=",
    "<=": ">=", "&&": "||", "||": "&&", "and": "or", "or": "and", "~=": "==", "+": "-", "-": "+",
}  # fmt: skip
_OFF = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}

RULES: dict[str, Rule] = {
    "mutable default": _only(_each(r"=None(?=[,)])", "=[]"), "python"),
    "leaked resource": _each(
        r"^[ \t]*(?:defer )?[\w.>-]*(?:close|Close|free|release|unlock|destroy|delete)\w*"
        r"\([^\n;]*\);?\n",
        "",
    ),
    "unchecked error": _each(
        r"^([ \t]*)if (?:err != nil|!\w+|\w+ == NULL|\(!\w+\)|\(\w+ == NULL\)|\(err\)"
        r"|not \w+|\w+ is None)"
        r"(?: \{|:| then)?\n(?:\1[ \t]+[^\n]*\n){1,2}(?:\1(?:\}|end)\n)?",
        "",
    ),
    "missing return": _each(
        r"^([ \t]+)return (?=[\w(][^\n]*;?\n?(?:\}|\Z|end))", lambda found: found[1]
    ),
    "swapped arguments": _each(
        r"(?<=\w\()([a-z_]\w*), ([a-z_]\w*)(?=\))(?!\)[ \t]*(?:[{:]|->|[a-z]))",
        lambda found: f"{found[2]}, {found[1]}",
    ),
    "off by one": _each(
        r"(?<=[\w)\]] )(<=?|>=?)(?= [\w(]+)(?! *\{)|(?<=[\w)\]]) [-+] 1\b(?=[\])]|$)",
        lambda found: _OFF.get(found[0], ""),
    ),
    "wrong operator": _each(
        r"(?<=[\w)\]] )(===?|!==?|~=|&&|\|\||and|or|[+-])(?= [\w(!])",
        lambda found: _INVERTED[found[0]],
    ),
    "negated condition": _each(
        r"(?<=\bif )(not |!)(?=[\w(])|(?<=\bif \()!(?=[\w(])", ""
    ),
    "wrong constant": _each(
        r"\b(true|false|True|False|0)\b(?=;?$|[,)\]])",
        lambda found: {
            "true": "false", "false": "true", "True": "False", "False": "True", "0": "1",
        }[found[0]],
    ),
}  # fmt: skip


def build(sources: list[dict[str, str]]) -> Iterator[Pair]:
    chance = random.Random(_SEED)  # noqa: S311 - a draw that can be repeated
    functions: dict[str, list[dict[str, str]]] = {}
    for source in sources:
        language = language_of(source["path"])
        text = Path(source["path"]).read_text(encoding="utf-8").replace("\r\n", "\n")
        for scope in outline(text, language).scopes:
            code = text[scope.start : scope.end]
            if scope.kind == "function" and code.count("\n") + 1 in _LINES:
                told = {"name": scope.name, "code": _dedented(code), **source}
                functions.setdefault(language, []).append(told)
    for language, found in sorted(functions.items()):
        chance.shuffle(found)
        yield from _pairs(language, found, chance)


def _pairs(language: str, functions: list[dict[str, str]], chance: random.Random) -> Iterator[Pair]:
    used: Counter[str] = Counter()
    taken: set[str] = set()
    n_files = Counter[str]()
    while len(taken) < _PER_LANGUAGE:
        made = None
        for rule in sorted(RULES, key=lambda name: (used[name], list(RULES).index(name))):
            for function in sorted(functions, key=lambda one: n_files[one["path"]]):
                if function["code"] in taken:
                    continue
                made = _seeded(rule, function, language, chance)
                if made is not None:
                    break
            if made is not None:
                break
        if made is None:
            return
        used[made.rule] += 1
        n_files[function["path"]] += 1
        taken.add(made.original)
        yield made


def _seeded(
    rule: str, function: dict[str, str], language: str, chance: random.Random
) -> Pair | None:
    code = function["code"]
    body = code.find("\n")
    changes = [c for c in RULES[rule](code, language) if rule == "mutable default" or c[0] > body]
    chance.shuffle(changes)
    for start, end, put in changes:
        seeded = code[:start] + put + code[end:]
        if seeded == code or (n_faults(seeded, language) or 0) > (n_faults(code, language) or 0):
            continue
        name = Path(function["path"]).name
        return Pair(
            id=f"{language}-{name}-{function['name'] or start}",
            language=language,
            path=name,
            origin=function["origin"],
            licence=function["licence"],
            name=function["name"],
            rule=rule,
            line=seeded.count("\n", 0, start) + 1,
            before=_lines_around(code, start, end),
            after=_lines_around(seeded, start, start + len(put)) if put or end - start < 8 else "",
            original=code,
            seeded=seeded,
        )
    return None


def _lines_around(text: str, start: int, end: int) -> str:
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", max(start, end - 1))
    return text[first : len(text) if last < 0 else last]


def _dedented(code: str) -> str:
    lines = code.split("\n")
    depth = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[depth:] if not line[:depth].strip() else line for line in lines)


def main(arguments: list[str]) -> None:
    sources: list[dict[str, Any]] = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    for pair in build(sources):
        print(json.dumps(asdict(pair), ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
