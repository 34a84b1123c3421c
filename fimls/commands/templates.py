"""``fimls templates``: list, show, check."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from fimls.config import Source, load, templates_dir

if TYPE_CHECKING:
    from fimls.fim import Prompt
    from fimls.template import Finding, Template

_WIDTH = 100
# One column for marks keeps the findings of `check` in line.
_MARKS = {"ok": "✓", "note": "!", "fault": "✗", "error": "✗"}


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "templates",
        parents=[common],
        help="the families of models, their prompts, and whether a model fits",
        description="Templates: how each family of models is asked to fill in the middle. "
        f"Your own go into {templates_dir()}.",
    )
    actions = parser.add_subparsers(
        title="actions", metavar="list|show|check", required=True, dest="action"
    )
    listing = actions.add_parser("list", parents=[common], help="every family, with a verdict")
    listing.add_argument("--markdown", action="store_true", help="print a table, with sources")
    show = actions.add_parser("show", parents=[common], help="one family, rendered, with sources")
    show.add_argument("name", metavar="NAME")
    check = actions.add_parser(
        "check", parents=[common], help="check a template on a model's real vocabulary"
    )
    check.add_argument("target", metavar="MODEL-OR-GGUF", help="catalogue name or path")
    check.add_argument("--template", metavar="NAME", default="", help="this one, not the detected")
    return parser


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    from fimls.template import find, load_all  # noqa: PLC0415 - see fimls.cli

    templates = load_all(templates_dir())
    if args.action == "list":
        print(markdown(templates) if args.markdown else listing(templates), end="")
        return 0
    if args.action == "show":
        print(description(find(args.name, templates)), end="")
        return 0
    return _check(args.target, args.template, templates, sources)


def listing(templates: Mapping[str, Template]) -> str:
    """One family a line: name, status, verdict."""
    rows = _sorted(templates.values())
    name_width = max(len(template.name) for template in rows)
    verdict_width = max(20, _WIDTH - name_width - 14)
    lines = []
    for template in rows:
        verdict = textwrap.shorten(template.verdict, verdict_width, placeholder=" …")
        lines.append(f"{template.name:{name_width}}  {template.status.value:10}  {verdict}")
    return "\n".join(lines) + "\n"


def markdown(templates: Mapping[str, Template]) -> str:
    """The reader's table of families, as it stands in ``docs/families.md``."""
    lines = [
        "| Family | Status | Order | Context | Licence | Verdict | Source |",
        "|---|---|---|---|---|---|---|",
    ]
    for template in _sorted(templates.values()):
        verdict = template.verdict
        if template.reason:
            verdict += f" ({template.status.value.capitalize()}: {template.reason}.)"
        order = f"`{template.order}`" if template.order else ""
        context = f"{template.context:,}" if template.context else "?"
        source = template.sources.get("order") or next(iter(template.sources.values()), "")
        facts = (template.title, template.status.value, order, context, template.licence)
        cells = (*facts, verdict, source)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def description(template: Template) -> str:
    """Everything about one family, its prompts rendered with visible markers."""
    lines = [f"{template.name}: {template.title}", ""]
    lines += textwrap.wrap(template.verdict, _WIDTH)
    lines += [""]
    facts = {
        "status": template.status.value + (f": {template.reason}" if template.reason else ""),
        "order": template.order,
        "bos": template.bos.value if template.forms else "",
        "ends": " ".join(template.ends),
        "stops": " ".join((*template.stops, *map(repr, template.stop_texts))),
        "context": f"{template.context} tokens" if template.context else "unknown",
        "licence": template.licence,
        "sampling": ", ".join(f"{key} {value:g}" for key, value in template.sampling.items()),
        "unverified": "; ".join(template.unverified),
        "file": template.origin,
    }
    lines += [f"{key + ':':12}{value}" for key, value in facts.items() if value]
    for heading, notes in (
        ("notes", template.notes),
        ("sources", [f"{fact}: {source}" for fact, source in template.sources.items()]),
    ):
        if notes:
            lines += ["", f"{heading}:", *(f"- {note}" for note in notes)]
    if template.forms is not None:
        lines += _renderings(template)
    return "\n".join(lines) + "\n"


def _renderings(template: Template) -> list[str]:
    from fimls.template import PROBE, PROBE_CHUNKS, bind  # noqa: PLC0415 - see fimls.cli

    bound = bind(template, None)
    lines = ["", "one file, █ is where the model writes:", ""]
    lines += _indented(bound.render(PROBE))
    lines += ["", "with other files:", ""]
    lines += _indented(bound.render(PROBE, PROBE_CHUNKS, "project"))
    return lines


def _indented(prompt: Prompt) -> list[str]:
    return textwrap.indent(prompt.text + "█", "    ", lambda _: True).splitlines()


def _check(
    target: str, template_name: str, templates: Mapping[str, Template], sources: Sequence[Source]
) -> int:
    from fimls.engine.embedded import open_vocabulary  # noqa: PLC0415 - see fimls.cli
    from fimls.models import models_dir, resolve  # noqa: PLC0415
    from fimls.template import PROBE, Level, detect, examine  # noqa: PLC0415
    from fimls.template.binding import TokenTemplate  # noqa: PLC0415

    path = resolve(target, models_dir(load(sources).models))
    vocabulary = open_vocabulary(path)
    template = detect(vocabulary.info, vocabulary, templates, template_name)
    print(f"{vocabulary.info.name or path.name} ({vocabulary.info.architecture}): {template.title}")
    print(f"template {template.name}, {template.status.value}\n")
    findings = examine(template, vocabulary)
    print("\n".join(map(_line, findings)))
    if any(finding.level is Level.ERROR for finding in findings):
        print("\nThis template does not fit this model. Set another, or take a GGUF file that was")
        print(f"converted with its special tokens. Mend the template in {template.origin}.")
        return 1
    prompt = TokenTemplate(template, vocabulary).render(PROBE)
    print("\nA prompt, █ is where the model writes:\n")
    print("\n".join(_indented(prompt)))
    print(f"\n{' '.join(map(str, prompt.tokens))}")
    if prompt.heal:
        print(f"and the model is made to begin with {prompt.heal!r}, the last token typed")
    if any(finding.level is Level.FAULT for finding in findings):
        print(f"\nMend what is marked {_MARKS['fault']} in {template.origin}.")
        return 1
    return 0


def _line(finding: Finding) -> str:
    return f"{_MARKS[finding.level.value]} {finding.subject:14}{finding.message}"


def _sorted(templates: Iterable[Template]) -> list[Template]:
    order = ("verified", "documented", "unverified", "refused")
    return sorted(templates, key=lambda t: (order.index(t.status.value), t.name))
