"""The patterns by which the scanner reads one language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from fimls.scope.languages import Language


@dataclass(frozen=True, slots=True)
class Syntax:
    """The patterns of one language."""

    token: re.Pattern[str]
    delimiters: tuple[str, ...]
    longest: int  # of the delimiters, in characters
    opaque: dict[str, tuple[str, bool, bool]]  # opener: closer, is_comment, one_line


@lru_cache(maxsize=64)
def syntax_of(language: Language) -> Syntax:
    """The patterns of a language, compiled once."""
    opaque: dict[str, tuple[str, bool, bool]] = {}
    for marker in language.line_comments:
        opaque[marker] = ("\n", True, True)
    for opener, closer in language.block_comments:
        opaque[opener] = (closer, True, False)
    for opener, closer in language.long_strings:
        opaque[opener] = (closer, False, False)
    for quote in language.strings:
        opaque.setdefault(quote, (quote, False, True))
    openers = sorted(opaque, key=len, reverse=True)
    parts = (
        [f"(?P<opaque>{'|'.join(opener_pattern(o, language) for o in openers)})"] if openers else []
    )
    if language.heredocs:
        # In lower case only right behind the mark, which stands apart: else it shifts or appends.
        word = r"(?:[A-Z_]|(?:(?<=\s<<)|(?<=<[-~<])|(?<=[-~<]['\"]))[a-z])\w*"
        quoted = rf"(?P<quote>['\"]?)(?P<word>{word})(?P=quote)(?=\W)"
        parts.append(rf"(?P<heredoc>{language.heredocs}{quoted})")
    if language.colon_blocks:
        words = "|".join(language.colon_blocks)
        parts.append(rf"(?P<colon>(?<=\)):(?=\s*(?:\?>|//|#|\n)))|(?P<end>\bend(?:{words})\b)")
    if language.chars:
        parts.append(r"(?P<char>'(?:\\[^'\n]{1,10}|[^\\'\n])')|(?P<tick>')")
    if language.regexes:
        parts.append(
            r"(?P<regex>(?:(?<=[(,=:\[!&|?{};+~\n])|(?<=[(,=:\[!&|?{};+~] )"
            r"|(?<=return )|(?<=when )|(?<=unless )|(?<=split ))"
            r"/(?![*/])(?:(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/|(?P<slash>)))"
        )
    if language.tags:
        # In code, a < right after a name compares or begins type arguments.
        behind = r"(?<![\w)\]])" if language.strings else ""
        name = r"(?:[A-Za-z!][\w.:-]*(?=[\s>/])|(?=>))"
        parts.append(rf"(?P<tag>{behind}<{name}|</{name})")
    ends = re.escape(language.separator or ";")
    brackets = re.escape(language.brackets)
    parts.append(rf"(?P<bracket>[{brackets}])|(?P<newline>\n)|(?P<semicolon>{ends})")
    delimiters = tuple(o for o in (*openers, *_no_comments(language)) if len(o) > 1)
    longest = max(map(len, delimiters), default=1)
    return Syntax(re.compile("|".join(parts)), delimiters, longest, opaque)


def _no_comments(language: Language) -> tuple[str, ...]:
    """What begins with # where that begins comments, too."""
    attribute = ("#[",) if language.annotation == r"#\[" else ()
    return (*attribute, "#{") if language.interpolation == ("#{", "}") else attribute


def opener_pattern(opener: str, language: Language) -> str:
    """The pattern of what begins a string or comment: not each place where its mark stands."""
    escaped = re.escape(opener)
    if language.before_string and opener in {"'", '"'}:
        return language.before_string + escaped
    # '#' begins a comment at a word's start only: $# and ${#x} are no comments.
    if opener == "#":
        others = "".join(f"(?!{re.escape(mark[1:])})" for mark in _no_comments(language))
        behind = language.before_comment or r"(?<![\w$&{\\#])"
        return f"{behind}{escaped}{others}"
    # The shell's \' is no quote, nor is \` in a template that stands inside another.
    return rf"(?<!\\){escaped}" if opener in {"'", '"', "`"} else escaped
