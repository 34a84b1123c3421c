"""What the watcher knows of each language: data, one entry per language.

Adding one is an entry here, a grammar in ``grammars.py`` and a file of cases;
``docs/languages.md`` walks through it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

# Words that carry on a statement although they begin a line.
_C_GOES_ON = ("else", "catch", "finally", "while")
_C_CONTAINER = (
    r"\b(class|struct|interface|enum|union|namespace|extern)\b(?!.*\)\s*(const|noexcept)?$)"
)
_C_CLAUSES = ("__attribute__", "noexcept", "override", "final", "requires")
_C_STRINGS = ('"', "'")
_BLOCK = (("/*", "*/"),)
_JS_STATEMENT = (
    r"(return|const|let|var|throw)\b(?!\s*[?:,(=}])|return \("
    r"|(if|for|while|switch)\s*\(|try\s*\{"
)
_SQL_ONCE = ("from", "where", "group", "having", "order", "limit", "offset", "window", "returning")
_SQL_OFTEN = (
    *("join", "inner", "left", "right", "full", "cross", "natural", "on", "using"),
    *("and", "or", "union", "intersect", "except"),
)


@dataclass(frozen=True, slots=True)
class Language:
    """How a language writes comments, strings and blocks.

    ``indented``: blocks are told by indentation alone. ``ends``: words that close a block
    at the indentation of its header (Ruby's ``end``). ``definition``: a pattern for the
    first words of a definition; ``container``: for the header of something that holds
    members. ``goes_on``: words and marks that continue a statement at the start of a line.
    ``long_strings``: pairs of delimiters whose text may span lines.
    """

    name: str
    extensions: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()  # LSP language ids other than the name
    line_comments: tuple[str, ...] = ("//",)
    block_comments: tuple[tuple[str, str], ...] = _BLOCK
    strings: tuple[str, ...] = _C_STRINGS
    before_comment: str = ""  # a pattern: what a # stands behind that begins a comment
    long_strings: tuple[tuple[str, str], ...] = ()
    brackets: str = "()[]{}"  # those that pair and nest
    interpolation: tuple[str, str] | None = None  # what begins and ends code inside a string
    before_string: str = ""  # a pattern: what a quote stands behind that begins a string
    doubled: tuple[str, ...] = ()  # openers of long strings in which a doubled closer is text
    raw: tuple[str, ...] = ()  # openers of strings in which a backslash is nothing special
    chars: bool = False  # ' begins a one-character literal, or nothing at all
    regexes: bool = False  # /…/ may be a literal
    heredocs: str = ""  # a pattern: before END it begins a text that ends at a line of END
    tags: bool = False  # <name>…</name> nest
    indented: bool = False
    semicolons: bool = False  # statements end with ;
    separator: str = ""  # what else they end with
    strict: bool = False  # all of them, so that a type may stand on a line of its own
    ends: tuple[str, ...] = ()
    definition: str = ""
    container: str = ""
    goes_on: tuple[str, ...] = _C_GOES_ON
    openers: tuple[str, ...] = ()  # words that may stand below a header and begin its block
    clauses: tuple[str, ...] = ()  # words, in any case, that go on within a statement
    annotation: str = ""  # a pattern of how they begin that belong to the definition below them
    colon_blocks: tuple[str, ...] = ()  # words whose block a : may open, and end… close
    once: tuple[str, ...] = ()  # those of them that a statement has once
    statement: str = ""  # a pattern: such a line stands in no { } between parentheses
    unfinished: str = ""  # a pattern: what a line ends in that goes on; else the usual operators
    labels: bool = False  # a line that ends in : is a label or a case, and complete
    loose: str = ""  # closers that also stand alone: the ) of a case in the shell
    prose: bool = False  # paragraphs, not statements
    before_parse: str = ""  # what the grammar needs ahead of a fragment
    item: str = ""  # begins an item of a list, which may stand at the column of its key
    conditionals: bool = False  # #if … #endif are blocks
    macros: bool = False  # a word on a line of its own may stand for any code
    dialects: bool = False  # the grammar knows one of many: its faults say nothing


LANGUAGES: tuple[Language, ...] = (
    Language(
        "python",
        (".py", ".pyi", ".pyw"),
        line_comments=("#",),
        block_comments=(),
        long_strings=(('"""', '"""'), ("'''", "'''")),
        indented=True,
        definition=r"(async|def|class)\b|@",
        container=r"class\b",
        goes_on=("else", "elif", "except", "finally", "case"),
        annotation="@",
    ),
    Language(
        "javascript",
        (".js", ".mjs", ".cjs", ".jsx"),
        ("javascriptreact", "jsx"),
        long_strings=(("`", "`"),),
        regexes=True,
        statement=_JS_STATEMENT,
        tags=True,
        semicolons=True,
        container=r"\bclass\b",
        annotation="@",
        interpolation=("${", "}"),
    ),
    Language(
        "typescript",
        (".ts", ".mts", ".cts"),
        long_strings=(("`", "`"),),
        regexes=True,
        statement=_JS_STATEMENT,
        semicolons=True,
        container=r"\b(class|interface|enum|namespace|module)\b",
        annotation="@",
        clauses=("extends", "implements"),
        interpolation=("${", "}"),
    ),
    Language(
        "tsx",
        (".tsx",),
        ("typescriptreact",),
        long_strings=(("`", "`"),),
        regexes=True,
        statement=_JS_STATEMENT,
        tags=True,
        semicolons=True,
        container=r"\b(class|interface|enum|namespace|module)\b",
        annotation="@",
        clauses=("extends", "implements"),
        interpolation=("${", "}"),
    ),
    Language(
        "go",
        (".go",),
        long_strings=(("`", "`"),),
        raw=("`",),
        labels=True,
    ),
    Language(
        "rust",
        (".rs",),
        strings=(),
        long_strings=(('r##"', '"##'), ('r#"', '"#'), ('"', '"')),
        chars=True,
        semicolons=True,
        container=r"^\s*(pub\b.*|unsafe\s+)?\b(struct|enum|trait|impl|mod|union|extern)\b",
        annotation=r"#\[",
        clauses=("where",),
    ),
    Language(
        "c",
        (".c", ".h"),
        semicolons=True,
        strict=True,
        container=r"\b(class|namespace|extern)\b",  # a struct holds declarations
        labels=True,
        conditionals=True,
        clauses=_C_CLAUSES,
        macros=True,
    ),
    Language(
        "cpp",
        (".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".ipp", ".cu", ".cuh"),
        ("c++", "cuda-cpp"),
        long_strings=(('R"(', ')"'),),
        conditionals=True,
        semicolons=True,
        strict=True,
        container=_C_CONTAINER,
        labels=True,
        annotation=r"\[",
        clauses=_C_CLAUSES,
        macros=True,
    ),
    Language(
        "java",
        (".java",),
        long_strings=(('"""', '"""'),),
        semicolons=True,
        strict=True,
        # Anonymous classes and the bodies of constants, too.
        container=(
            r"\b(class|interface|enum|record|@interface)\b"
            r"|^(?!\W*(else )?(try|if|for|while|switch|synchronized|catch)\b)"
            r"(.*\bnew\s+[\w.]+(<.*>)?\s*\(.*\)|[A-Z][A-Z\d_]*(\(.*\))?)$"
        ),
        labels=True,
        annotation="@",
        clauses=("extends", "implements", "permits", "throws"),
    ),
    Language(
        "csharp",
        (".cs",),
        ("c#",),
        conditionals=True,
        long_strings=(('"""', '"""'), ('@"', '"')),
        doubled=('@"',),
        semicolons=True,
        strict=True,
        container=r"\b(class|interface|enum|record|struct|namespace)\b",
        labels=True,
        annotation=r"\[",
        clauses=("where",),
    ),
    Language(
        "kotlin",
        (".kt", ".kts"),
        long_strings=(('"""', '"""'),),
        raw=('"""',),
        container=r"(?<!::)\b(class|interface|object)\b",
        annotation="@",
        clauses=("where",),
        interpolation=("${", "}"),
    ),
    Language(
        "scala",
        (".scala", ".sc", ".sbt"),
        strings=('"',),
        chars=True,  # and ' before a name makes it a symbol
        long_strings=(('"""', '"""'),),
        raw=('"""',),
        container=r"\b(class|trait|object|package)\b",
        goes_on=(*_C_GOES_ON, "yield", "match"),
        clauses=("extends", "with", "derives"),
        annotation="@",
        interpolation=("${", "}"),
    ),
    Language(
        "swift",
        (".swift",),
        conditionals=True,
        strings=('"',),
        long_strings=(('"""', '"""'),),
        container=r"\b(class(?!\s+(func|var|let)\b)|struct|enum|extension|protocol|actor)\b",
        annotation="@",
        clauses=("where",),
        interpolation=("\\(", ")"),
    ),
    Language(
        "php",
        (".php", ".phtml"),
        line_comments=("//", "#"),
        long_strings=(),
        semicolons=True,
        container=r"\b(class|interface|trait|enum|namespace)\b",
        goes_on=(*_C_GOES_ON, "elseif"),
        clauses=("extends", "implements"),
        annotation=r"#\[",
        colon_blocks=("if", "foreach", "for", "while", "switch", "declare"),
        before_parse="<?php ",
        heredocs=r"<<< ?",
    ),
    Language(
        "ruby",
        (".rb", ".rake", ".gemspec"),
        line_comments=("#",),
        block_comments=(),
        indented=True,
        ends=("end",),
        definition=r"(def|class|module|describe|context|it)\b",
        container=r"(class|module|describe|context)\b",
        goes_on=("else", "elsif", "when", "in", "rescue", "ensure"),
        heredocs="<<[-~]?",
        # Names end in ? and calls in .new; / and % may end a literal.
        unfinished=r"[-+*^=<>&|,.:(\[{\\]|\s[?/%]|\b(and|or|not)",
        regexes=True,
        interpolation=("#{", "}"),
    ),
    Language(
        "lua",
        (".lua",),
        line_comments=("--",),
        block_comments=(("--[[", "]]"),),
        long_strings=(("[[", "]]"),),
        raw=("[[",),
        indented=True,
        ends=("end", "until"),
        definition=r"(local\s+)?function\b",
        goes_on=("else", "elseif"),
        clauses=("and", "or"),
    ),
    Language(
        "julia",
        (".jl",),
        line_comments=("#",),
        block_comments=(("#=", "=#"),),
        strings=('"',),
        long_strings=(('"""', '"""'),),
        chars=True,  # and ' after a value transposes it
        indented=True,
        ends=("end",),
        definition=r"(@\w+\s+)*(function|macro|(mutable\s+)?struct|module|abstract\s+type)\b",
        container=r"module\b",
        goes_on=("else", "elseif", "catch", "finally"),
    ),
    Language(
        "bash",
        (".sh", ".bash", ".zsh", ".bats", ".ksh"),
        ("shellscript", "sh", "zsh", "shell"),
        line_comments=("#",),
        before_comment=r"(?<![^\s;&|(`])",
        block_comments=(),
        strings=(),
        long_strings=(('"', '"'), ("'", "'")),
        raw=("'",),
        indented=True,
        ends=("fi", "done", "esac", "}"),
        loose=")",
        unfinished=r"\\|\||&&|[({]",
        definition=r"(function\s+)?[\w:-]+\s*\(\)|function\b",
        goes_on=("else", "elif", "then", "do", "{"),
        openers=("then", "do"),
        heredocs=r"<<-? ?\\?",
        interpolation=("$(", ")"),
    ),
    Language(
        "html",
        (".html", ".htm", ".xhtml", ".vue", ".svelte"),
        ("vue", "svelte"),
        line_comments=(),
        block_comments=(("<!--", "-->"),),
        strings=(),
        tags=True,
        unfinished="=",
        goes_on=(),
    ),
    Language(
        "css",
        (".css", ".scss", ".less"),
        ("scss", "less"),
        line_comments=(),
        semicolons=True,
        container=r"@(media|supports|layer|container|keyframes)\b",
        goes_on=(),
    ),
    Language(
        "json",
        (".json", ".jsonc"),
        ("jsonc", "ipynb"),
        strings=('"',),
        semicolons=True,
        separator=",",
        goes_on=(),
    ),
    Language(
        "yaml",
        (".yaml", ".yml"),
        item="- ",
        brackets="[]{}",  # what is in parentheses is text
        strings=(),
        long_strings=(("'", "'"), ('"', '"')),
        doubled=("'",),
        before_string=r"(?:\A|(?<=[:,-] )|(?<=[\[{\n]))",
        line_comments=("#",),
        before_comment=r"(?<!\S)",
        block_comments=(),
        indented=True,
        goes_on=(),
    ),
    Language(
        "toml",
        (".toml",),
        line_comments=("#",),
        block_comments=(),
        long_strings=(('"""', '"""'), ("'''", "'''")),
        raw=("'", "'''"),
        definition=r"\[",
        goes_on=(),
    ),
    Language(
        "sql",
        (".sql",),
        line_comments=("--",),
        raw=("'", '"'),
        semicolons=True,
        goes_on=(),
        clauses=_SQL_ONCE + _SQL_OFTEN,
        once=_SQL_ONCE,
        unfinished="[^;]",
        dialects=True,
    ),
    Language(
        "markdown",
        (".md", ".markdown", ".mdx", ".qmd"),
        line_comments=(),
        block_comments=(("<!--", "-->"),),
        strings=(),
        long_strings=(),
        prose=True,
        goes_on=(),
    ),
    Language("text", (".txt", ".rst", ".tex"), ("plaintext",), (), (), (), prose=True, goes_on=()),
)

# Neither language nor extension is known: brackets of any kind, quotes, common comments.
GENERIC = Language("", line_comments=("//",), goes_on=("else", "elif", "catch", "finally"))
# The same, for code that seems to be written without braces.
GENERIC_INDENTED = Language(
    "",
    line_comments=("#",),
    block_comments=(),
    indented=True,
    ends=("end",),
    definition=r"(async\s+)?(def|defp|fun|function|func|fn|proc|sub|class|module)\b",
    goes_on=("else", "elif", "elsif", "except", "rescue", "finally", "catch", "when"),
)

_BY_ID = {key: language for language in LANGUAGES for key in (language.name, *language.ids)}
_BY_EXTENSION = {extension: language for language in LANGUAGES for extension in language.extensions}
# A notebook is JSON as a file; its cells are in the languages that their ids name.
_BY_EXTENSION_ALONE = {".ipynb": _BY_ID["json"]}
# Files that are told by their whole name.
_BY_FILE = {"makefile": GENERIC_INDENTED, "dockerfile": GENERIC_INDENTED, ".bashrc": _BY_ID["bash"]}

_BRACES = re.compile(r"[{};]\s*$", re.MULTILINE)


def language_of(path: str, language_id: str = "") -> str:
    """The name of the language of a file: the client's id where we know it, else its name's.

    An unknown id is passed on as it is, so that the answer still says what was asked.
    """
    by_id = _BY_ID.get(language_id.lower())
    name = PurePath(path).name.lower() if path else ""
    by_name = _BY_FILE.get(name) or _BY_EXTENSION.get(PurePath(name).suffix)
    # Some clients call every dialect by one id: .tsx opened as "typescript".
    if by_id and by_name and by_name.name == "tsx" and by_id.name == "typescript":
        return by_name.name
    if not language_id:
        by_name = by_name or _BY_EXTENSION_ALONE.get(PurePath(name).suffix)
    known = by_id or by_name
    return known.name if known and known.name else language_id.lower()


def lookup(name: str, before: str = "", after: str = "") -> Language:
    """The entry of a language; for an unknown one, the generic entry that fits its text."""
    known = _BY_ID.get(name.lower())
    if known:
        return known
    text = before[-4000:] + "\n" + after[:4000]
    lines = sum(1 for line in text.splitlines() if line.strip())
    return GENERIC if len(_BRACES.findall(text)) * 8 >= lines else GENERIC_INDENTED
