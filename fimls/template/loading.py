"""Finding templates: the shipped ones, then the user's, which win by name."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path

from fimls.errors import TemplateError
from fimls.template.family import Template, parse

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped_dir() -> Path:
    """Where the shipped templates are: in the package, or beside it in a source tree."""
    inside = _PACKAGE / "templates"
    return inside if inside.is_dir() else _PACKAGE.parent / "templates"


def load(path: Path) -> Template:
    """Read one template. Raises ``TemplateError``, naming file and key."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise TemplateError(f"{path}: is not TOML: {error}") from None
    return parse(document, path)


def load_all(user_dir: Path | None = None) -> dict[str, Template]:
    """All templates by name. A user's template replaces the shipped one of its name."""
    templates = _load_dir(shipped_dir())
    if user_dir is not None and user_dir.is_dir():
        templates |= _load_dir(user_dir)
    return templates


def find(name: str, templates: Mapping[str, Template]) -> Template:
    """The template called ``name``. Raises ``TemplateError`` with the nearest name."""
    template = templates.get(name)
    if template is None:
        near = difflib.get_close_matches(name.lower(), templates, n=1, cutoff=0.4)
        hint = f'did you mean "{near[0]}"?' if near else "there is none like it."
        raise TemplateError(
            f'no template is called "{name}"; {hint} "fimls templates list" shows all of them'
        )
    return template


def _load_dir(directory: Path) -> dict[str, Template]:
    found: dict[str, Template] = {}
    for path in sorted(directory.glob("*.toml")):
        template = load(path)
        if template.name in found:
            raise TemplateError(
                f'{path}: the name "{template.name}" is taken by {found[template.name].origin}'
            )
        found[template.name] = template
    return found
