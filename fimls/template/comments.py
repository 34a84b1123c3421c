"""Commenting out text of another file in the language of this one."""

from __future__ import annotations

# How a line comment begins (and ends, where there are only block comments), by LSP
# language identifier. What is not listed is commented as in C.
_HASH = ("# ", "")
_DASHES = ("-- ", "")
_PERCENT = ("% ", "")
_SEMICOLON = (";; ", "")
_QUOTE = ("' ", "")
_ANGLES = ("<!-- ", " -->")
_C_BLOCK = ("/* ", " */")
_SLASHES = ("// ", "")
_LANGUAGES = {
    _HASH: """awk cmake coffeescript crystal cython dockerfile elixir fish gdscript graphql julia
        just ksh make makefile mojo nim nix perl perl6 powershell properties puppet python r raku
        ruby shellscript sh bash zsh starlark tcl terraform toml yaml""",
    _DASHES: "ada applescript elm haskell lua plsql purescript sql vhdl",
    _PERCENT: "bibtex erlang latex matlab octave prolog tex",
    _SEMICOLON: "asm clojure commonlisp elisp ini lisp racket scheme",
    _QUOTE: "vb vbscript",
    _ANGLES: "html markdown svelte vue xml xsl",
    _C_BLOCK: "css",
    ("(* ", " *)"): "ocaml fsharp-signature",
    ("! ", ""): "fortran fortran-modern",
    ('" ', ""): "vim viml",
    ("REM ", ""): "bat",
}
_STYLES = {name: style for style, names in _LANGUAGES.items() for name in names.split()}


def comment_style(language: str) -> tuple[str, str]:
    """What stands before and after a line that is a comment in ``language``."""
    return _STYLES.get(language, _SLASHES)


def commented(text: str, language: str) -> str:
    """``text`` as line comments of ``language``; blank lines keep the bare mark."""
    opening, closing = comment_style(language)
    return "\n".join(
        f"{opening}{line}{closing}" if line.strip() or closing else opening.rstrip()
        for line in text.splitlines()
    )
