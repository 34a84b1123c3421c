"""``fimls eval infilling`` as a person meets it: its errors, and a real run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fimls.cli import main
from fimls.evaluation.sandbox import JAIL

EXAMPLES = Path(__file__).parent.parent / "examples" / "infilling.jsonl"


def test_an_unknown_mode_names_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["eval", "infilling", "--data", "x", "--mode", "raw,best"])
    assert stop.value.code == 2
    assert "best; choose from raw, first-line, fimls, oracle" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", ["infilling", "review"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read "),
        ("", "holds no tasks"),
        ("\nno JSON\n", ", line 2: "),
        ('{"id": "of another kind"}\n', ", line 1: "),
        ("[1]\n", ", line 1: "),
    ],
)
def test_bad_data_is_one_line(benchmark, content, says, capsys, tmp_path):
    """Before any model is loaded."""
    out, data = tmp_path / "out.json", tmp_path / "data.jsonl"
    if content is not None:
        data.write_text(content)
    assert main(["eval", benchmark, "--data", str(data), "--json", str(out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fimls: ")
    assert says in line
    assert str(data) in line
    assert not out.exists()


REVIEWED = """
[completion]
engine = "said"
[engines.said]
kind = "scripted"
answer = "[]"
"""


def test_records_of_one_model_are_not_told_as_another_s(capsys, tmp_path):
    """The second run names the first one's settings, and prints none of its figures."""
    config, out = tmp_path / "config.toml", tmp_path / "out.json"
    config.write_text(REVIEWED)
    arguments = ["eval", "review", "--config", str(config), "--limit", "1", "--json", str(out)]
    assert main([*arguments, "--model", "a"]) == 0
    assert json.loads(out.read_text())["model"] == "a"
    n_records = len((tmp_path / "out.asked.jsonl").read_text().splitlines())
    assert main([*arguments, "--model", "a"]) == 0
    assert len((tmp_path / "out.asked.jsonl").read_text().splitlines()) == n_records
    capsys.readouterr()
    assert main([*arguments, "--model", "b"]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert "out.asked.jsonl was begun with other settings (model)" in told.err


@pytest.mark.parametrize("benchmark", [["eval", "review"], ["bench", "engine"]])
def test_a_result_that_cannot_be_written_is_said_before(benchmark, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main([*benchmark, "--json", str(tmp_path / "file" / "out.json")]) == 1
    assert "cannot be made" in capsys.readouterr().err


def test_a_missing_model_is_one_line(capsys, tmp_path):
    arguments = ["--model", "/absent.gguf", "--json", str(tmp_path / "out.json")]
    assert main(["eval", "infilling", "--data", str(EXAMPLES), *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "/absent.gguf" in line


@pytest.mark.skipif(sys.platform != "linux", reason="SECCOMP IS LINUX'S")
def test_without_namespaces_a_filter_refuses_sockets():
    """Containers that forbid unshare still cut programs off."""
    program = (
        "import runpy, socket\n"
        f"jail = runpy.run_path({str(JAIL)!r})\n"
        "print(jail['_deny_sockets'](jail['_libc']()))\n"
        "socket.socket(socket.AF_UNIX).close()\n"
        "try: socket.socket(socket.AF_INET)\n"
        "except PermissionError: print('refused')\n"
        "try: socket.socket(socket.AF_INET6)\n"
        "except PermissionError: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    if done.stdout.startswith("False"):
        pytest.skip("NO SECCOMP FILTERS IN THIS KERNEL")
    assert done.stdout.split() == ["True", "refused", "refused"], done.stderr


@pytest.mark.model
def test_a_real_run_is_what_the_product_does(default_model, tmp_path, capsys):
    """The recording and the product agree, and a second run computes nothing anew."""
    out = tmp_path / "out.json"
    arguments = ["eval", "infilling", "--data", str(EXAMPLES), "--limit", "3"]
    arguments += ["--model", str(default_model), "--n-predict", "64", "--json", str(out)]
    assert main([*arguments, "--live", "2"]) == 0
    result = json.loads(out.read_text())
    assert result["live"] == {"n": 2, "n_agreeing": 2, "differences": []}
    figures = {row["mode"]: row for row in result["figures"] if row["group"] == "infilling"}
    assert set(figures) == {"raw", "first-line", "fimls", "oracle"}
    assert figures["fimls"]["tokens"] <= figures["raw"]["tokens"]
    generations = (tmp_path / "out.raw.jsonl").read_text()
    assert main([*arguments, "--live", "0", "--rescore"]) == 0
    assert (tmp_path / "out.raw.jsonl").read_text() == generations
    assert json.loads(out.read_text())["figures"] == result["figures"]
