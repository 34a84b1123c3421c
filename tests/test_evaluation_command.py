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


def test_a_missing_file_is_one_line(capsys, tmp_path):
    """Before any model is loaded."""
    out = tmp_path / "out.json"
    assert main(["eval", "infilling", "--data", "absent.jsonl", "--json", str(out)]) == 1
    assert capsys.readouterr().err.startswith("fimls: cannot read absent.jsonl")
    assert not out.exists()


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
