"""From a form and the user's texts to runs of text between markers.

Neighbouring texts are one run, because a model saw them tokenised as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fimls.fim import Chunk, Window
from fimls.template.comments import comment_style, commented
from fimls.template.family import Template
from fimls.template.form import Forms, Marker, Part, Slot

CODE_SLOTS = frozenset({"prefix", "typed"})
UNNAMED_FILE = "untitled"
UNNAMED_REPOSITORY = "project"

# Names that models know languages by, where capitalising the identifier is not enough.
_LANGUAGE_NAMES = {
    "c": "C",
    "cpp": "C++",
    "csharp": "C#",
    "css": "CSS",
    "fsharp": "F#",
    "html": "HTML",
    "javascript": "JavaScript",
    "javascriptreact": "JavaScript",
    "json": "JSON",
    "objective-c": "Objective-C",
    "php": "PHP",
    "plaintext": "",
    "r": "R",
    "shellscript": "Shell",
    "sql": "SQL",
    "typescript": "TypeScript",
    "typescriptreact": "TypeScript",
    "xml": "XML",
    "yaml": "YAML",
}


@dataclass(slots=True)
class Run:
    """Text between two markers.

    ``code_at`` is where the text before the cursor begins in it (the prefix, or else
    what was typed after it), ``-1`` in a run that holds neither. Healing never steps
    back behind it, so it stands behind a prefix that ends in indentation.
    """

    text: str = ""
    code_at: int = -1
    is_open: bool = False  # generation continues here


Item = Marker | Run


def lay_out(
    template: Template, window: Window, chunks: Sequence[Chunk], repository: str
) -> list[Item]:
    """Choose the form and fill it in."""
    forms = template.forms
    assert forms is not None, "a refused family has no layout"
    texts = {
        "prefix": window.prefix,
        "suffix": window.suffix,
        "typed": window.typed,
        "repository": repository or UNNAMED_REPOSITORY,
        "language": language_name(window.language),
        # The scope watcher ends lines itself, so a model that asks is told to write freely.
        "mode": "BLOCK",
        **_file(window.path, window.language),
    }
    items: list[Item] = []
    for part in _choose(forms, window, chunks):
        if part == Slot("chunks"):
            for chunk in chunks:
                text = chunk.text.rstrip("\n")
                chunk_texts = {
                    "text": text,
                    "text_comment": commented(text, window.language),
                    **_file(chunk.path, window.language),
                }
                for chunk_part in forms.chunk:
                    _append(items, chunk_part, chunk_texts, template)
        else:
            _append(items, part, texts, template)
    return items


def language_name(identifier: str) -> str:
    """``typescriptreact`` as people write it: ``TypeScript``."""
    return _LANGUAGE_NAMES.get(identifier, identifier.capitalize())


def _choose(forms: Forms, window: Window, chunks: Sequence[Chunk]) -> tuple[Part, ...]:
    if chunks:
        return forms.repository
    if forms.with_path and window.path:
        return forms.with_path
    return forms.file


def _file(path: str, language: str) -> dict[str, str]:
    opening, closing = comment_style(language)
    # A line break in a file's name would end the line that carries it.
    name = " ".join((path or UNNAMED_FILE).splitlines())
    return {"path": name, "comment": opening, "comment_end": closing}


def _ends_in_indentation(text: str) -> bool:
    line = text[text.rfind("\n") + 1 :]
    return bool(line) and line.isspace()


def _append(items: list[Item], part: Part, texts: dict[str, str], template: Template) -> None:
    if isinstance(part, Marker):
        items.append(part)
        return
    name = part.name if isinstance(part, Slot) else ""
    text = texts[name] if name else str(part)
    run = items[-1] if items and isinstance(items[-1], Run) else None
    if run is None:
        run = Run()
        items.append(run)
    if name in CODE_SLOTS and run.code_at < 0:
        run.code_at = len(run.text)
        if name in template.dummy_space:
            # SentencePiece put this blank in front when the family was trained. The one
            # before the middle is the model's to write, the one before the prefix is not.
            run.text = " " + run.text
            run.code_at += name == "prefix"
        if name == "prefix" and _ends_in_indentation(text):
            run.code_at = len(run.text) + len(text)  # a natural place for a hole: kept whole
    run.is_open = name == "typed"
    run.text += text
