"""The command line: places, answers, errors as one line, exit statuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fimls import __version__, doctor
from fimls.cli import COMMANDS
from fimls.commands.complete import Place, locate
from fimls.commands.ghost import WHY, show
from fimls.config import Config
from fimls.engine.embedded import supports_gpu
from fimls.errors import BadRequest
from fimls.fim import Completion, StopReason
from tests.tiny_server import TinyServer
from tests.vocabularies import vocab_file

EXAMPLES = Path(__file__).parent.parent / "examples"
NORM = EXAMPLES / "norm.py"
# Nobody's settings, and no engine that stays a while for the next test.
PRIVATE = {"FIMLS_CONFIG": os.devnull, "FIMLS_ENGINE_PROCESS": "inside", "COLUMNS": "100"}
# What is asserted must not depend on how busy the machine is.
PATIENT = ("--set", "completion.t_max_invoked_ms=600000")
FACTS = {
    "text",
    "stop_reason",
    "n_prompt",
    "n_evaluated",
    "n_generated",
    "n_discarded",
    "t_first_token_ms",
    "t_total_ms",
    "t_scope_ms",
    "model",
    "template",
    "language",
}


def fimls(*args: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the real program, with nobody's settings in the way."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIMLS_")}
    return subprocess.run(
        [sys.executable, "-m", "fimls", *args],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        env={**clean, **PRIVATE, **environ},
        check=False,
    )


def here(target: str, text: str, tmp_path: Path, offset: int | None = None) -> str:
    """The text with the cursor where ``target`` says, in a file called f.py."""
    path = tmp_path / "f.py"
    path.write_bytes(text.encode())
    place = locate(target.replace("f.py", str(path)), offset, 1000)
    return place.text[: place.offset] + "█" + place.text[place.offset :]


@pytest.mark.parametrize(
    ("target", "text", "expected"),
    [
        ("f.py:1:1", "ab\ncd", "█ab\ncd"),
        ("f.py:1:3", "ab\ncd", "ab█\ncd"),
        ("f.py:2:2", "ab\ncd", "ab\nc█d"),
        ("f.py:2:3", "ab\ncd\n", "ab\ncd█\n"),
        ("f.py:3:1", "ab\ncd\n", "ab\ncd\n█"),
        ("f.py:1:1", "", "█"),
        ("f.py:2:2", "ab\r\ncd\r\n", "ab\r\nc█d\r\n"),
        ("f.py:1:2", "\tx", "\t█x"),
        ("f.py:1:3", "😀é", "😀é█"),
        ("f.py", "a█b", "a█b"),
    ],
)
def test_places(target: str, text: str, expected: str, tmp_path: Path) -> None:
    """Lines and columns count from 1, columns in characters: an emoji is one, a tab is one."""
    assert here(target, text, tmp_path) == expected


def test_offsets(tmp_path: Path) -> None:
    """An offset counts characters from the start."""
    assert here("f.py", "😀é", tmp_path, offset=1) == "😀█é"


def test_a_file_may_be_called_like_a_place(tmp_path: Path) -> None:
    """An existing file of exactly that name is that file."""
    path = tmp_path / "f.py:1:1"
    path.write_text("x█")
    assert locate(str(path), None, 100).text == "x"


@pytest.mark.parametrize(
    ("target", "content", "message"),
    [
        ("f.py:4:1", b"ab\ncd\n", "has 3 lines, not 4"),
        ("f.py:1:4", b"ab\ncd\n", "has columns 1 to 3, not 4"),
        ("f.py:0:1", b"ab", "has 1 lines, not 0"),
        ("f.py:1:0", b"ab", "has columns 1 to"),
        ("f.py", b"ab", "has no █"),
        ("f.py", "██".encode(), "has 2 █"),
        ("f.py:1:1", b"\xff\xfe", "not UTF-8 text"),
        ("f.py:1:1", b"a\0b", "binary"),
        ("f.py:1:1", b"x" * 1001, "larger than files.max_bytes"),
        ("g.py:1:1", b"", "No such file"),
    ],
)
def test_places_that_are_not_there(
    target: str, content: bytes, message: str, tmp_path: Path
) -> None:
    """A cursor outside the text, a file that is none: said, with what there is."""
    (tmp_path / "f.py").write_bytes(content)
    with pytest.raises(BadRequest, match=message):
        locate(str(tmp_path / target), None, 1000)


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["complete", "nothing.py:1:1"], 1, "fimls: nothing.py: No such file or directory"),
        (["models", "path", "qwen2.5-coder-05b"], 1, "did you mean qwen2.5-coder-0.5b?"),
        (["--set", "completion.n_predict=x", "config"], 2, "must be an integer"),
        (["--set", "completion.modle=x", "config"], 2, "did you mean completion.model?"),
        (["--config", "/no/such.toml", "config"], 2, "/no/such.toml: No such file"),
        (["complete", str(NORM), "--model", "/no/such.gguf"], 1, "norm.py has no █"),
        (["complete", f"{NORM}:4:5", "--model", "/no/such.gguf"], 1, "there is no file /no/such"),
    ],
)
def test_errors_are_one_line(args: list[str], status: int, message: str) -> None:
    """An error is a sentence on stderr and an exit status; never a traceback."""
    ran = fimls(*args)
    assert ran.returncode == status
    assert ran.stdout == ""
    assert message in ran.stderr
    assert re.fullmatch(r"fimls: .*\n", ran.stderr)


def test_missing_model_names_the_next_move(tmp_path: Path) -> None:
    """On a fresh machine the first thing said is what to run."""
    ran = fimls("complete", f"{NORM}:4:5", FIMLS_CACHE_DIR=str(tmp_path))
    assert ran.returncode == 1
    assert 'run "fimls models pull qwen2.5-coder-0.5b"' in ran.stderr


@pytest.mark.parametrize("content", [b"", b"GGUF", b"hello" * 100, b"GGUF" + bytes(200)])
def test_files_that_are_no_model(content: bytes, tmp_path: Path) -> None:
    """An empty, truncated or foreign file is a clear error."""
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    ran = fimls("complete", f"{NORM}:4:5", "--model", str(path))
    assert ran.returncode == 1
    assert re.fullmatch(rf"fimls: .*{re.escape(str(path))}.*\n", ran.stderr)


@pytest.mark.parametrize(
    ("name", "why"), [(".env", "files.ignore"), ("private.py", ".fimlsignore")]
)
def test_what_no_model_may_see(name: str, why: str, tmp_path: Path) -> None:
    """Secrets are not completed in, not even by who names them."""
    (tmp_path / name).write_text("KEY = 1\n")
    (tmp_path / ".fimlsignore").write_text("private.py\n")
    ran = fimls("complete", f"{tmp_path / name}:1:1")
    assert ran.returncode == 1
    assert ran.stderr == f"fimls: {name} matches {why}: no model may see it\n"


def test_each_token_as_it_comes(tmp_path: Path) -> None:
    """For programs as lines of JSON, for people on standard error; results as without it."""
    config = tmp_path / "config.toml"
    config.write_text(
        '[completion]\nengine = "fake"\ntemplate = "qwen2.5-coder"\n'
        '[engines.fake]\nkind = "scripted"\nanswer = "r = sqrt(x)\\n    return r"\n'
    )
    command = ["complete", "-", "--language", "python", "--config", str(config), "--stream"]
    text = "def norm(x):\n    █\n    return r\n"
    ran = fimls(*command, "--json", stdin=text)
    *pieces, answer = map(json.loads, ran.stdout.splitlines())
    said = "".join(piece["piece"] for piece in pieces)
    assert len(pieces) > 3
    assert said.startswith(answer["text"])
    assert len(said) > len(answer["text"])
    ran = fimls(*command, stdin=text)
    assert ran.stdout == text.replace("█", answer["text"])
    assert ran.stderr == f"{said}\n"


def test_usage() -> None:
    """No command is a usage error that shows the commands; --version and --help are fine."""
    ran = fimls()
    assert ran.returncode == 2
    assert all(command in ran.stderr for command in COMMANDS)
    assert fimls("--version").stdout == f"fimls {__version__}\n"
    assert fimls("--help").returncode == 0
    assert fimls("nonsense").returncode == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """Each command has help."""
    ran = fimls(command, "--help")
    assert ran.returncode == 0
    assert ran.stdout.startswith(f"usage: fimls {command} ")


def test_closed_pipe_is_quiet() -> None:
    """`fimls models list | head -1` ends without a word."""
    command = f"{sys.executable} -m fimls models list | head -1"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout.startswith("Models in ")


def test_starts_fast() -> None:
    """The command line itself costs a fraction of a second: what is heavy is imported late."""
    code = "import sys, fimls.cli; print(*sorted(m for m in sys.modules if '.' not in m))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"llama_cpp", "numpy", "tree_sitter", "huggingface_hub", "pygls", "rich", "httpx"}
    assert not heavy & set(ran.stdout.split())
    started = time.monotonic()
    fimls("--version")
    assert time.monotonic() - started < 2  # 0.2 s on an idle machine


def test_models_list(tmp_path: Path) -> None:
    """The catalogue as JSON, with what is here."""
    ran = fimls("models", "list", "--json", FIMLS_CACHE_DIR=str(tmp_path))
    listed = json.loads(ran.stdout)
    assert listed["directory"] == str(tmp_path / "models")
    first = listed["models"][0]
    assert (first["name"], first["state"]) == ("qwen2.5-coder-0.5b", "absent")
    assert first["bytes"] == 491_400_064


def test_config_shows_origins(tmp_path: Path) -> None:
    """What is set shows who set it, and values of engines stay out of sight."""
    path = tmp_path / "config.toml"
    path.write_text('[engines.team]\nkind = "openai"\napi_key = "hush"\n')
    ran = fimls("--config", str(path), "config", FIMLS_COMPLETION_SEED="3")
    assert "seed = 3  # environment" in ran.stdout
    assert "[engines.team]" in ran.stdout
    assert "hush" not in ran.stdout


def test_templates_lie_beside_the_configuration_that_is_read(tmp_path: Path) -> None:
    """`--config FILE` moves all that lies beside the user's file, as FIMLS_CONFIG does."""
    (tmp_path / "config.toml").touch()
    shipped = Path(__file__).parent.parent / "templates" / "refact.toml"
    text = shipped.read_text(encoding="utf-8").replace('name = "refact"', 'name = "ours"')
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/ours.toml").write_text(text, encoding="utf-8")
    path = str(tmp_path / "config.toml")
    assert "\nours " in fimls("templates", "list", FIMLS_CONFIG=path).stdout
    assert "\nours " in fimls("--config", path, "templates", "list").stdout
    assert fimls("--config", path, "config", "--path").stdout == f"{path}\n"


def test_doctor_without_a_model(tmp_path: Path) -> None:
    """A fresh installation is told what to fetch, as text and as JSON."""
    ran = fimls("doctor", FIMLS_CACHE_DIR=str(tmp_path))
    assert ran.returncode == 1
    assert "Next:\n  fimls models pull qwen2.5-coder-0.5b\n" in ran.stdout
    told = json.loads(fimls("doctor", "--json", FIMLS_CACHE_DIR=str(tmp_path)).stdout)
    assert told["ok"] is False
    assert {finding["level"] for finding in told["findings"]} >= {"good", "broken"}


def test_doctor_tells_mistaken_settings(tmp_path: Path) -> None:
    """The doctor lives with what makes every other command refuse."""
    ran = fimls("doctor", "--quick", FIMLS_CACHE_DIR=str(tmp_path), FIMLS_COMPLETION_MODLE="x")
    assert ran.returncode == 1
    assert "did you mean completion.model?" in ran.stdout


def test_doctor_on_engines(tmp_path: Path) -> None:
    """A server that answers may not be able to complete; what a fallback lacks is told too."""
    team = ["--set", "engines.team.kind=openai", "--set", "engines.team.model=completion",
            "--set", "completion.engine=team"]  # fmt: skip
    with TinyServer() as server:
        server.documents["/v1/models"] = {}
        team += ["--set", f"engines.team.url=http://127.0.0.1:{server.port}"]
        ran = fimls("doctor", *team, FIMLS_CACHE_DIR=str(tmp_path))
        assert ran.returncode == 1
        assert "completion" in ran.stdout
        team += ["--set", "engines.team.template=qwen2.5-coder"]
        ran = fimls("doctor", *team, FIMLS_CACHE_DIR=str(tmp_path))
        assert ran.returncode == 0, ran.stdout
        assert "team answers; it shows no tokenizer" in ran.stdout
        team += ["--set", "completion.fallback=embedded"]
        ran = fimls("doctor", *team, FIMLS_CACHE_DIR=str(tmp_path))
        assert "fimls models pull qwen2.5-coder-0.5b" in ran.stdout


def test_doctor_on_sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where editors meet; where they cannot, why not. Looking leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="fimls-") as runtime:
        model = Path(runtime) / "model.gguf"
        model.touch()
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        [finding] = doctor.sharing(Config(), model)
        assert finding.level is doctor.Level.GOOD
        assert runtime in finding.says
        assert os.listdir(runtime) == ["model.gguf"]  # noqa: PTH208
        monkeypatch.setenv("XDG_RUNTIME_DIR", f"{runtime}/{'deep' * 30}")
        [finding] = doctor.sharing(Config(), model)
        assert finding.level is doctor.Level.POOR
        assert "each editor loads the model for itself" in finding.says


def test_every_stop_reason_is_explained() -> None:
    """Why it stopped is said in words, whatever the reason."""
    assert set(WHY) == set(StopReason)


def test_tabs_are_four_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Code indented by tabs looks as it does in an editor."""
    completion = Completion("if x {\n\t\treturn\n\t}", StopReason.SUFFIX)
    show(Place("/x/f.go", "func f() {\n\t\n}\n", 12), completion, 128)
    shown = capsys.readouterr().out
    assert "    2      ⟦if x {\n    3          return\n    4      }⟧\n    5  }\n" in shown


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"FORCE_COLOR": "1"}, "    \x1b[1;30;106mr = 1\x1b[0m\n"),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, "    ⟦r = 1⟧\n"),
        ({}, "    ⟦r = 1⟧\n"),
    ],
)
def test_ghost_text_in_a_terminal(
    environ: dict[str, str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In colour where there is colour, in brackets where there is none."""
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    completion = Completion("r = 1", StopReason.SUFFIX, n_generated=6, n_discarded=2)
    show(Place("/x/f.py", "def f():\n    \n    return r\n", 13), completion, 128)
    shown = capsys.readouterr().out
    assert expected in shown
    assert "suffix: it met what already stands after the cursor" in shown
    assert "6 generated (2 not shown), 122 of 128 saved" in shown


@pytest.mark.model
def test_complete_as_json(default_model: Path) -> None:
    """One object with the promised keys, and a completion that stopped by itself."""
    ran = fimls("complete", f"{NORM}:4:5", "--json", *PATIENT, "--model", str(default_model))
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert set(answer) == FACTS
    assert answer["stop_reason"] in {"scope", "suffix"}
    assert answer["text"].startswith("r = ")
    assert answer["language"] == "python"
    assert answer["n_prompt"] >= answer["n_evaluated"] > 0


@pytest.mark.model
def test_complete_as_a_filter(default_model: Path) -> None:
    """Standard input goes through, completed at its mark; figures stay out of it."""
    before, after = NORM.read_text().split("\n    \n")
    text = f"{before}\n    █\n{after}"
    model = str(default_model)
    ran = fimls("complete", "-", "--model", model, "--language", "python", *PATIENT, stdin=text)
    assert ran.stdout.startswith(f"{before}\n    ")
    assert ran.stdout.endswith(f"\n{after}")
    assert "█" not in ran.stdout


@pytest.mark.model
def test_dry_run_shows_the_exact_prompt(default_model: Path) -> None:
    """The prompt with its markers, and nothing is generated."""
    ran = fimls("complete", f"{NORM}:4:5", "--dry-run", "--model", str(default_model))
    order = ["<|fim_prefix|>", "def norm", "<|fim_suffix|>", "return r", "<|fim_middle|>"]
    places = [ran.stdout.index(text) for text in order]
    assert places == sorted(places)
    told = json.loads(
        fimls(
            "complete", f"{NORM}:4:5", "--dry-run", "--json", "--model", str(default_model)
        ).stdout
    )
    assert told["template"] == "qwen2.5-coder"
    marker = {"kind": "marker", "text": "<|fim_prefix|>", "tokens": [151659]}
    assert marker in told["segments"]


def test_a_dry_run_for_a_server_that_fills_its_own_template() -> None:
    """The two texts that it is sent; nothing is asked of it."""
    server = ["--set", "engines.f.kind=fim", "--set", "engines.f.url=http://127.0.0.1:1",
              "--set", "engines.f.model=codestral", "--set", "completion.engine=f"]  # fmt: skip
    ran = fimls("complete", f"{NORM}:4:5", "--dry-run", *server)
    assert ran.stdout.startswith("[prefix]\n")
    assert ran.stdout.index("def norm") < ran.stdout.index("[suffix]\n")
    told = json.loads(fimls("complete", f"{NORM}:4:5", "--dry-run", "--json", *server).stdout)
    assert told["suffix"].endswith("    return r\n")


def test_a_dry_run_reads_no_weights() -> None:
    """A file that has a vocabulary and nothing else is enough."""
    model = ("--model", str(vocab_file("deepseek-coder")))
    ran = fimls("complete", f"{NORM}:4:5", "--dry-run", "--json", *model)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["template"] == "deepseek-coder"
    assert [part["tokens"] for part in told["segments"] if part["kind"] == "marker"] == [
        [32013], [32016], [32015], [32017],
    ]  # fmt: skip
    assert fimls("complete", f"{NORM}:4:5", *model).returncode == 1


@pytest.mark.model
def test_the_view_sets_ghost_text_off(default_model: Path) -> None:
    """Without a terminal ghost text stands in brackets; why it stopped and what it cost follow."""
    ran = fimls("complete", f"{NORM}:4:5", *PATIENT, "--model", str(default_model))
    assert re.search(r"^    4      ⟦r = .*⟧$", ran.stdout, re.MULTILINE)
    assert re.search(r"^stopped +(scope|suffix): ", ran.stdout, re.MULTILINE)
    assert "of 256 saved" in ran.stdout


@pytest.mark.model
def test_doctor_measures(default_model: Path, tmp_path: Path) -> None:
    """With a model at hand the doctor loads it, checks its template, measures it, and says
    what memory each part takes; what it measured of the machine is kept."""

    def doctor(*options: str) -> dict[str, str]:
        ran = fimls("doctor", "--json", "--model", str(default_model), *options,
                    FIMLS_CACHE_DIR=str(tmp_path))  # fmt: skip
        return {finding["check"]: finding["says"] for finding in json.loads(ran.stdout)["findings"]}

    says = doctor()
    assert says["template"].startswith("qwen2.5-coder")
    assert "tokens/s" in says["speed"]
    assert "measured just now" in says["threads"]
    assert "logical processors" in says["machine"]
    assert "mapped from the file" in says["weights"]
    assert "12.3 kB (f16)" in says["KV cache"]  # 24 layers x 2 x 128 elements x 2 bytes
    assert "remain" in says["memory"]
    assert "weights mapped, " in says["engine"]
    assert "They wait with " in says["threads"]
    assert list((tmp_path / "calibrations").glob("*.json"))
    assert supports_gpu() or "flash attention disabled" in says["engine"]
    (tmp_path / "other.gguf").symlink_to(default_model)
    own = ["--set", f"review.model={tmp_path / 'other.gguf'}"]
    alone = says["memory"]
    says = doctor("--set", "engine.n_threads=1", "--set", "engine.kv_type=q8_0", *own)
    assert "in all for both models; " in says["memory"]
    assert int(says["memory"].split()[0].replace(",", "")) > int(alone.split()[0].replace(",", ""))
    assert "flash attention enabled" in says["engine"]
    assert says["threads"].startswith("1 for tokens (engine.n_threads)")
