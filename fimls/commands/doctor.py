"""``fimls doctor``: what is installed, found, loaded, fast enough, and what to do next."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from fimls.config import Source


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "doctor",
        parents=[common],
        help="check the installation, and say what to do next",
        description="Check what is installed, found, loaded and fast enough, and say what to do.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="load no model, measure nothing")
    parser.add_argument(
        "--calibrate", action="store_true", help="measure threads and speed of this machine anew"
    )
    return parser


def run(args: argparse.Namespace, sources: Sequence[Source]) -> int:
    from fimls.doctor import Level, examine  # noqa: PLC0415 - see fimls.cli

    findings = []
    if args.json:
        findings = list(examine(sources, quick=args.quick, calibrate=args.calibrate))
        entries = [
            {"check": f.check, "level": f.level.value, "says": f.says, "next": f.remedy}
            for f in findings
        ]
        ok = all(f.level is not Level.BROKEN for f in findings)
        print(json.dumps({"ok": ok, "findings": entries}, indent=2, ensure_ascii=False))
    else:
        from rich.console import Console  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        console = Console(highlight=False, soft_wrap=True)
        marks = {
            Level.GOOD: ("ok", "green"),
            Level.NOTE: ("--", "dim"),
            Level.POOR: ("!!", "yellow"),
            Level.BROKEN: ("XX", "bold red"),
        }
        for finding in examine(sources, quick=args.quick, calibrate=args.calibrate):
            findings.append(finding)
            mark = marks[finding.level]
            console.print(Text.assemble(mark, f" {finding.check:<12} ", finding.says))
        steps = [finding.remedy for finding in findings if finding.remedy]
        console.print()
        console.print(Text("Next:" if steps else "Nothing to do.", "bold"))
        for step in dict.fromkeys(steps):
            console.print(Text(f"  {step}"))
    return int(any(finding.level is Level.BROKEN for finding in findings))
