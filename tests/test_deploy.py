"""What docs/engines.md, docs/team.md and deploy/ print is what works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from fimls.assembly import choose_template
from fimls.config import Source, SourceKind, load, read_toml
from fimls.engine.http import HttpSettings

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs/engines.md", ROOT / "docs/team.md")
KEYS = {"TEAM_KEY": "1", "CODESTRAL_API_KEY": "2", "DEEPSEEK_API_KEY": "3"}
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]


def test_a_team_can_complete_as_it_is_printed(tmp_path: Path) -> None:
    """The servers of deploy/ call every model "completion", which tells no family."""
    path = tmp_path / "config.toml"
    for block in re.findall(r"```toml\n(.*?)```", PAGES[1].read_text("utf-8"), re.DOTALL):
        path.write_text(block)
        config = load([Source(SourceKind.USER_FILE, "docs", read_toml(path))])
        settings = HttpSettings.from_table("team", config.engines["team"], KEYS)
        template = choose_template(settings.template, "completion", None)
        assert template.template.name == "qwen2.5-coder"


@pytest.mark.parametrize("block", BLOCKS)
def test_printed_settings_are_settings(block: str, tmp_path: Path) -> None:
    """Every TOML block is a valid configuration file."""
    path = tmp_path / "config.toml"
    (tmp_path / "ca.pem").touch()
    path.write_text(block.replace("~/company-ca.pem", str(tmp_path / "ca.pem")))
    tables: Any = read_toml(path)
    config = load([Source(SourceKind.USER_FILE, "docs", tables)])
    for name, table in config.engines.items():
        assert HttpSettings.from_table(name, table, KEYS).url


def test_the_table_of_keys_is_generated() -> None:
    """docs/engines.md holds what the settings say of themselves; `make docs` writes it."""
    printed = subprocess.run(
        [sys.executable, "-m", "fimls.engine.http"], capture_output=True, text=True, check=True
    ).stdout
    assert f"fimls.engine.http -->\n{printed}<!-- end" in PAGES[0].read_text(encoding="utf-8")


def test_the_compose_file_is_one() -> None:
    """By the specification's own schema; each service belongs to a way that the page names."""
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))
    schema = json.loads((ROOT / "tests/schemas/compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(compose)
    ways = {way for service in compose["services"].values() for way in service["profiles"]}
    page = (ROOT / "docs/team.md").read_text(encoding="utf-8")
    assert all(f"docker compose --profile {way} up -d" in page for way in ways)


def test_units_are_valid() -> None:
    """systemd's own check, where there is a systemd."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("SYSTEMD-ANALYZE IS MISSING; on Debian: apt-get install systemd")
    for unit in sorted((ROOT / "deploy").glob("*.service")):
        command = [program, "verify", "--man=no", str(unit)]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
        complaints = [
            line
            for line in said.splitlines()
            # The programs themselves are not on this machine.
            if unit.name in line and "is not executable" not in line
        ]
        assert not complaints
