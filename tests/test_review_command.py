"""``fimls review`` as hooks and CI run it: a real process's work, with a scripted model."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fimls import cli
from fimls.cancel import Cancel
from fimls.document import Snapshot
from fimls.errors import BadRequest, EngineFailed
from fimls.review import changes
from fimls.review.reviewer import Reviewer, Source
from fimls.scope import Scope

MEAN = """\
# é😀
def mean(values):
    total = 0
    for i in range(1, len(values)):
        total += values[i]
    return total / len(values)


def zero():
    return 0
"""
FIXED = MEAN.replace("range(1, ", "range(")
CONFIG = """\
[completion]
engine = "scripted"
[engines.scripted]
kind = "scripted"
[engines.scripted.answers]
"Find the faults" = "[]"
"for i in range(1" = '''[{"line": "for i in range(1, len(values)):", \
"fixed": "for i in range(len(values)):", "message": "The first value is skipped.", \
"category": "bug", "severity": "SEVERITY"}, \
{"line": "while True:", "fixed": null, "message": "Endless.", "category": "bug", \
"severity": "error"}]'''
"A reviewer says about the line" = "Yes"
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    monkeypatch.chdir(tmp_path)

    def started(*arguments: str, severity: str = "warning") -> tuple[int, str, str]:
        config = tmp_path / "user.toml"
        config.write_text(CONFIG.replace("SEVERITY", severity))
        status = cli.main(["review", "--config", str(config), *arguments])
        told = capsys.readouterr()
        return status, told.out, told.err

    return started


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., None]:
    def run_git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, "-C", str(tmp_path), *arguments], check=True)

    return run_git


def test_lines_that_editors_can_jump_to(run: Run) -> None:
    Path("mean.py").write_text(MEAN)
    status, out, _ = run("mean.py")
    assert status == 3
    assert out.splitlines() == [
        "mean.py:4:5: warning: The first value is skipped. [bug] (100%)",
        "    for i in range(1, len(values)):",
        "  → for i in range(len(values)):",
        "mean.py: 1 finding dropped: quoted code not found",
    ]
    assert "'while True:': Endless." in run("mean.py", "--verbose")[1]


@pytest.mark.parametrize(
    ("severity", "fail_on", "expected"),
    [
        ("error", "error", 3),
        ("warning", "error", 0),
        ("warning", "warning", 3),
        ("info", "warning", 0),
        ("hint", "hint", 3),
        ("error", "never", 0),
    ],
)
def test_exit_status_by_severity(run: Run, severity: str, fail_on: str, expected: int) -> None:
    Path("mean.py").write_text(MEAN)
    assert run("mean.py", "--fail-on", fail_on, severity=severity)[0] == expected


@pytest.mark.parametrize(
    ("now", "n_kept", "line"), [(f"import os\n\n{MEAN}", 1, 6), (FIXED, 0, 0), (None, 0, 0)]
)
def test_a_file_that_changes_meanwhile(
    run: Run, monkeypatch: pytest.MonkeyPatch, now: str | None, n_kept: int, line: int
) -> None:
    """Findings move with their code, or go with it, and both are told."""
    path = Path("mean.py")
    path.write_text(MEAN)
    review = Reviewer.review

    def reviewed(*arguments: Any) -> Any:
        path.unlink(missing_ok=True) if now is None else path.write_text(now)
        return review(*arguments)

    monkeypatch.setattr(Reviewer, "review", reviewed)
    status, out, _ = run("mean.py")
    assert status == (3 if n_kept else 0)
    assert (f"mean.py:{line}:5: warning" in out) is bool(n_kept)
    told = f"changed during the review; {n_kept} of 1 findings are about code that is still there"
    assert told in out


def test_clean_code(run: Run) -> None:
    Path("zero.py").write_text("def zero():\n    return 0\n")
    assert run("zero.py") == (0, "", "")


def test_json(run: Run) -> None:
    Path("mean.py").write_text(MEAN)
    _, out, _ = run("mean.py", "--format", "json")
    [file] = json.loads(out)["files"]
    [one] = file["findings"]
    assert (one["line"], one["column"], one["end_column"]) == (4, 5, 36)
    assert (one["category"], one["scope"], one["confidence"]) == ("bug", "mean", 1.0)
    assert [dropped["reason"] for dropped in file["dropped"]] == ["quoted code not found"]


SARIF = jsonschema.Draft7Validator(
    json.loads((Path(__file__).parent / "schemas/sarif-2.1.0.json").read_text(encoding="utf-8"))
)


def test_sarif(run: Run) -> None:
    """It is what the standard's schema says, and references within it hold."""
    Path("mean.py").write_text(MEAN)
    _, out, _ = run("mean.py", "--format", "sarif")
    log = json.loads(out)
    SARIF.validate(log)
    [one_run] = log["runs"]
    driver = one_run["tool"]["driver"]
    assert driver["name"] == "fimls"
    assert one_run["columnKind"] in {"utf16CodeUnits", "unicodeCodePoints"}
    assert all(isinstance(i["executionSuccessful"], bool) for i in one_run["invocations"])
    [result] = one_run["results"]
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert result["level"] in {"none", "note", "warning", "error"}
    assert result["message"]["text"]
    assert 0 <= result["rank"] <= 100
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "mean.py"
    region = place["region"]
    line = MEAN.splitlines()[region["startLine"] - 1]
    assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == region["snippet"]["text"]
    [change] = result["fixes"][0]["artifactChanges"]
    [replacement] = change["replacements"]
    assert set(replacement["deletedRegion"]) == {
        "startLine", "startColumn", "endLine", "endColumn",
    }  # fmt: skip
    assert re.fullmatch("[0-9a-f]{64}", result["partialFingerprints"]["fimlsQuote/v1"])


def test_sarif_names_files_as_uris(run: Run) -> None:
    Path("my file#1.py").write_text(MEAN)
    [result] = json.loads(run("my file#1.py", "--format", "sarif")[1])["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place["uri"] == "my%20file%231.py"


@pytest.mark.parametrize("format_", ["text", "json", "sarif"])
def test_an_engine_that_fails_midway(
    run: Run, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    """What was found before and after it is there, and that something is missing."""
    Path("mean.py").write_text(
        MEAN.replace("def zero", "def second():\n    return 2\n\n\ndef zero")
    )
    Path("other.py").write_text(MEAN)
    review = Reviewer.review

    def failing(self: Reviewer, source: Source, scope: Scope, cancel: Cancel) -> Any:
        if scope.name in {"second", "zero"}:
            raise EngineFailed("it broke")
        return review(self, source, scope, cancel)

    monkeypatch.setattr(Reviewer, "review", failing)
    status, out, _ = run("mean.py", "other.py", "--format", format_)
    assert status == 3
    assert out.count("The first value is skipped.") == 2
    assert "not reviewed: second, zero (it broke)" in out
    assert "not reviewed: zero (it broke)" in out
    if format_ == "sarif":
        SARIF.validate(json.loads(out))
        [invocation] = json.loads(out)["runs"][0]["invocations"]
        assert invocation["executionSuccessful"] is False
    assert run("mean.py", "--fail-on", "never")[0] == 1


def test_fingerprints_survive_moves(run: Run) -> None:
    def prints(text: str) -> list[str]:
        Path("mean.py").write_text(text)
        results = json.loads(run("mean.py", "--format", "sarif")[1])["runs"][0]["results"]
        return [result["partialFingerprints"]["fimlsQuote/v1"] for result in results]

    assert prints(MEAN) == prints("import os\n\n" + MEAN)


def test_diff_reads_changed_functions_only(run: Run, git: Callable[..., None]) -> None:
    Path("mean.py").write_text(FIXED)
    Path("same.py").write_text(MEAN)
    git("init", "-q")
    git("add", "mean.py", "same.py")
    git("commit", "-q", "-m", "x")
    assert run("--diff")[0:2] == (0, "")
    Path("mean.py").write_text(MEAN)
    Path("new.py").write_text(MEAN)
    files = json.loads(run("--diff", "--format", "json")[1])["files"]
    assert {file["path"]: file["n_scopes"] for file in files} == {"mean.py": 1, "new.py": 2}
    git("add", "mean.py", "new.py")
    git("commit", "-q", "-m", "y")
    files = json.loads(run("--diff", "HEAD~1", "--format", "json")[1])["files"]
    assert {file["path"] for file in files} == {"mean.py", "new.py"}
    assert run("--diff", "nowhere")[2] == (
        'fimls: git knows no revision "nowhere"; say HEAD or a branch first, then paths\n'
    )


def test_a_repository_without_a_commit(run: Run, git: Callable[..., None]) -> None:
    git("init", "-q")
    Path("mean.py").write_text(MEAN)
    assert run("--diff")[0] == 3


def test_diff_without_a_repository(run: Run) -> None:
    status, _, told = run("--diff")
    assert status == 1
    assert "not in a git repository" in told
    assert "Traceback" not in told


def test_diff_without_git(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not installed" in run("--diff")[2]


@pytest.mark.parametrize(
    ("now", "names", "n_outside"),
    [
        (MEAN, [], 0),
        (f"import os\n\n{MEAN}", [], 1),  # moved
        (MEAN.replace("\n", "\r\n"), [], 0),
        (MEAN.replace("def zero():\n    return 0\n", ""), [], 0),
        (MEAN.replace("range(1, ", "range("), ["mean"], 0),
        (MEAN.replace("    return 0\n", "    return 0\n    pass\n"), ["zero"], 0),
        # shorter: all that is left of it stood there
        (MEAN.replace("    return total / len(values)\n", ""), ["mean"], 0),
        (MEAN.replace("return 0", "return"), ["zero"], 0),
        (f"{MEAN}\n\nclass A:\n    limit = 10\n\n    def f(self):\n        return 1\n", ["f"], 2),
    ],
)
def test_what_has_changed(now: str, names: list[str], n_outside: int) -> None:
    """Functions whose very text was none before; of other lines how many there are."""
    new = changes.difference(Source.of(Snapshot(text=now, path="mean.py")), MEAN)
    assert ([scope.name for scope in new.scopes], new.n_outside) == (names, n_outside)


def test_changes_outside_of_functions_are_told(run: Run, git: Callable[..., None]) -> None:
    Path("zero.py").write_text("limit = 1\n\n\ndef zero():\n    return 0\n")
    git("init", "-q")
    git("add", "zero.py")
    git("commit", "-q", "-m", "x")
    Path("zero.py").write_text("limit = 10\n\n\ndef zero():\n    return 0\n")
    assert run("--diff")[:2] == (0, "zero.py: 1 changed line outside of functions left out\n")


@pytest.mark.parametrize("staged", [True, False])
def test_a_renamed_file_has_not_changed(
    git: Callable[..., None], tmp_path: Path, staged: bool
) -> None:
    """A new file may be made from what is gone; a file of another language is not."""
    names = {"mean.py": MEAN, "gone.py": "def gone():\n    return 1\n", "gone.js": "let zero\n"}
    for name, text in names.items():
        (tmp_path / name).write_text(text)
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "x")
    for name in names:
        (tmp_path / name).unlink()
    (tmp_path / "average.py").write_text(MEAN.replace("return 0", "return 1"))
    if staged:
        git("add", ".")
    assert _changed_scopes(tmp_path) == {"average.py": ["zero"]}


def _changed_scopes(folder: Path) -> dict[str, list[str]]:
    """The names of changed scopes by file."""
    found = {}
    for file in changes.changed_files(folder):
        source = Source.of(Snapshot(text=file.path.read_text(), path=str(file.path)))
        new = changes.difference(source, file.old)
        found[file.path.relative_to(folder).as_posix()] = [scope.name for scope in new.scopes]
    return found


def test_a_submodule_and_a_link(git: Callable[..., None], tmp_path: Path) -> None:
    """What is uncommitted inside of a submodule is read too; what a link points at only once."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "mean.py").write_text(MEAN)
    for inside in (["-C", "library"], []):
        git(*inside, "init", "-q")
        git(*inside, "add", ".")
        git(*inside, "commit", "-q", "-m", "x")
    (library / "mean.py").write_text(MEAN.replace("return 0", "return 1"))
    (tmp_path / "link.py").symlink_to(library / "mean.py")
    assert _changed_scopes(tmp_path) == {"library/mean.py": ["zero"]}


@pytest.mark.parametrize("folder", [".", "src"])
def test_a_hook_that_names_its_repository(
    git: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """git tells hooks, and the editors it starts, where its own things are; we may be elsewhere."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "mean.py").write_text(MEAN)
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "x")
    (tmp_path / "src" / "mean.py").write_text(MEAN.replace("return 0", "return 1"))
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", "nowhere/index")
    [file] = changes.changed_files(tmp_path / folder)
    assert file.old == MEAN


def test_only_code_is_asked_for(
    git: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git starts once a changed code file, and for no picture and no new file."""
    git("init", "-q")
    for name in ("old.py", "old.png"):
        (tmp_path / name).write_text("a = 1\n")
    git("add", "old.py", "old.png")
    git("commit", "-q", "-m", "x")
    for name in ("old.py", "old.png", "new.py", "new.png"):
        (tmp_path / name).write_text("a = 2\n")
    shown, show = [], changes._show
    monkeypatch.setattr(changes, "_show", lambda *about: shown.append(about[2]) or show(*about))
    found = {one.path.name: one.old for one in changes.changed_files(tmp_path)}
    assert (found, shown) == ({"old.py": "a = 1\n", "new.py": ""}, ["old.py"])


def test_revisions_are_no_options(tmp_path: Path, git: Callable[..., None]) -> None:
    git("init", "-q")
    with pytest.raises(BadRequest):
        changes.changed_files(tmp_path, "--output=stolen")


def test_folders_stand_for_their_code(run: Run) -> None:
    Path("src").mkdir()
    Path("src/mean.py").write_text(MEAN)
    Path("src/notes.md").write_text("# range(1\n")
    Path("src/.hidden").mkdir()
    Path("src/.hidden/mean.py").write_text(MEAN)
    files = json.loads(run("src", "--format", "json")[1])["files"]
    assert [file["path"] for file in files] == ["src/mean.py"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"def f(:\n    return 1\n\ndef g():\n    return 2\n", "has syntax errors"),
        (b"\xff\xfe\x00bad", "not reviewed"),
        (b"a = 1\x00", "not reviewed"),
    ],
)
def test_partial_results_say_so(run: Run, content: bytes, said: str) -> None:
    """Other files are reviewed all the same."""
    Path("bad.py").write_bytes(content)
    Path("mean.py").write_text(MEAN)
    status, out, _ = run("bad.py", "mean.py")
    assert said in out
    assert "mean.py:4:5" in out
    assert status == 3


def test_secrets_are_left_alone(run: Run) -> None:
    Path(".env").write_text("KEY=1\n")
    status, out, told = run(".env")
    assert (status, out) == (0, "")
    assert "left alone" in told


def test_ignore_files_are_respected(run: Run, git: Callable[..., None], tmp_path: Path) -> None:
    """That of the repository and those of folders in it, for files, folders and changes."""
    git("init", "-q")
    Path("lib/made").mkdir(parents=True)
    for name in ("private.py", "lib/made/a.py", "lib/ours.py"):
        Path(name).write_text(MEAN)
    Path(".fimlsignore").write_text("/private.py\n")
    Path("lib/.fimlsignore").write_text("made/\n")
    for arguments in (["."], ["--diff"], ["private.py", "lib"]):
        status, out, told = run(*arguments)
        assert status == 3
        assert {line.split(":")[0] for line in out.splitlines() if "The first" in line} == {
            "lib/ours.py"
        }
        assert "private.py is left alone: private.py matches .fimlsignore" in told
    status, out, told = run("private.py", "--set", "files.ignore=")
    assert (status, out) == (0, "")


def test_silenced_findings_are_counted(run: Run) -> None:
    Path("mean.py").write_text(f"# fimls: ignore-file\n{MEAN}")
    status, out, _ = run("mean.py")
    dropped = "1 finding dropped: quoted code not found; 1 finding dropped: suppressed by a comment"
    assert (status, out) == (0, f"mean.py: {dropped}\n")


def test_progress_in_a_log(run: Run) -> None:
    Path("many.py").write_text("".join(f"def f{n}():\n    return {n}\n\n\n" for n in range(25)))
    assert run("many.py")[2].splitlines() == [
        "fimls: 10 of 25 parts reviewed, now many.py: f10",
        "fimls: 20 of 25 parts reviewed, now many.py: f20",
    ]


def test_findings_in_a_pipe_beside_a_bar(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar is on the terminal, and what was found goes where it was sent."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # stderr counts as a terminal, stdout is none
    Path("mean.py").write_text(MEAN)
    _, out, told = run("mean.py")
    assert out.startswith("mean.py:4:5: warning: The first value is skipped.")
    assert "loading the model" in told


def test_many_ignored_files_are_counted(run: Run) -> None:
    Path("made").mkdir()
    for number in range(9):
        Path(f"made/f{number}.py").touch()
    Path(".fimlsignore").write_text("made\n")
    told = run(".")[2].splitlines()
    assert told[-2:] == ["fimls: and 6 more files", "fimls: nothing to review"]
    assert len(told) == 5


def test_nothing_named(run: Run) -> None:
    assert "say which files" in run()[2]
    assert "no such file" in run("nowhere.py")[2]


def test_what_cannot_be_read_is_a_failure(run: Run) -> None:
    Path("bad.py").write_bytes(b"a = 1\x00")
    assert run("bad.py")[0] == 1
