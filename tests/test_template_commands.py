"""`fimls templates` as a person runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fimls.cli import main
from tests.vocabularies import vocab_file


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of this test's own; returns where its user's templates go."""
    monkeypatch.setenv("FIMLS_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").touch()
    templates = tmp_path / "templates"
    templates.mkdir()
    return templates


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `fimls templates ...`."""
    status = main(["templates", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_list_shows_every_family_once(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, what can be relied on first."""
    status, out, _ = run(capsys, "list")
    lines = out.splitlines()
    assert status == 0
    assert sum(line.startswith("qwen2.5-coder ") for line in lines) == 1
    statuses = [line.split()[1] for line in lines]
    order = ["verified", "documented", "unverified", "refused"]
    assert statuses == sorted(statuses, key=order.index)
    assert max(map(len, lines)) <= 100


def test_show_renders_with_visible_markers(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader sees the prompt, what is unverified, and where each fact is from."""
    status, out, _ = run(capsys, "show", "codestral")
    assert status == 0
    assert "    [SUFFIX]\n" in out
    assert "    [PREFIX]def add(a, b):\n        return a +█\n" in out
    assert "unverified: where the repository form comes from" in out
    assert "mistralai/mistral-common" in out


def test_show_of_a_refused_family_gives_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to render."""
    status, out, _ = run(capsys, "show", "zeta")
    assert status == 0
    assert "refused: it rewrites a region" in out
    assert "█" not in out


def test_unknown_family_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With the nearest name."""
    status, out, err = run(capsys, "show", "qwen2.5")
    assert (status, out) == (1, "")
    assert 'did you mean "qwen2.5-coder"?' in err


def test_check_finds_a_model_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """The real vocabulary, each check with what it found, and the ids of a prompt."""
    status, out, _ = run(capsys, "check", str(vocab_file("deepseek-coder")))
    assert status == 0
    assert "template deepseek-coder, verified" in out
    assert "✓ markers       PRE = <｜fim▁begin｜> is token 32016" in out
    assert "✓ bos           <｜begin▁of▁sentence｜> once and first" in out
    assert "✓ injection" in out
    assert "\n32013 32016 1551 " in out
    assert "✗" not in out


def test_check_says_what_llama_cpp_misses(capsys: pytest.CaptureFixture[str]) -> None:
    """An end that only fimls stops at is worth a note, not an error."""
    status, out, _ = run(capsys, "check", str(vocab_file("starcoder")))
    assert status == 0
    assert "! ends          <file_sep> is token 6, which llama.cpp does not count as an end" in out


def test_check_of_a_wrong_template_says_how_to_mend_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Each marker that is missing, the file to mend, and a status for scripts."""
    path = str(vocab_file("starcoder"))
    status, out, _ = run(capsys, "check", path, "--template", "qwen2.5-coder")
    assert status == 1
    assert "✗ markers       marker PRE = <|fim_prefix|> is no control token" in out
    assert "qwen2.5-coder.toml" in out


def test_check_of_a_model_without_markers(capsys: pytest.CaptureFixture[str]) -> None:
    """No family knows it."""
    status, _, err = run(capsys, "check", str(vocab_file("llama-spm")))
    assert status == 1
    assert "of no family known to be trained to fill in the middle" in err


def test_own_template_is_listed_and_checked(
    capsys: pytest.CaptureFixture[str], own_settings: Path
) -> None:
    """A file beside the settings is a family like the shipped ones."""
    shipped = Path(__file__).parent.parent / "templates" / "refact.toml"
    text = shipped.read_text(encoding="utf-8").replace('name = "refact"', 'name = "ours"')
    (own_settings / "ours.toml").write_text(text, encoding="utf-8")
    assert "\nours " in run(capsys, "list")[1]
    path = str(vocab_file("refact"))
    assert "template ours," in run(capsys, "check", path, "--template", "ours")[1]


def test_own_template_with_a_mistake_is_named(
    capsys: pytest.CaptureFixture[str], own_settings: Path
) -> None:
    """The file and the key, on standard error."""
    (own_settings / "ours.toml").write_text('name = "ours"\ntitel = "x"\n', encoding="utf-8")
    status, _, err = run(capsys, "list")
    assert status == 1
    assert "ours.toml" in err
    assert '"status" is missing' in err
