"""The evaluation judges others, so each of its figures is shown on holes with known answers."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fimls import template
from fimls.config import CompletionOptions
from fimls.engine.scripted import ScriptedEngine
from fimls.errors import BadRequest, ConfigError
from fimls.evaluation import records, report
from fimls.evaluation.datasets import (
    Check,
    Exchange,
    Hole,
    InputOutput,
    Match,
    interleave,
    load,
    load_all,
    sample,
)
from fimls.evaluation.figures import exact, over_generation, wilson
from fimls.evaluation.infilling import MODES, Infilling
from fimls.evaluation.lexis import brackets, lines_of_code
from fimls.evaluation.oracle import Judge, best_cut, cuts
from fimls.evaluation.records import Generation, HoleScore, Store
from fimls.evaluation.sandbox import Limits, Sandbox, Verdict, means_the_same

DOUBLE = {
    "task_id": "Made/0/L0",
    "entry_point": "double",
    "prompt": "def double(n):\n",
    "suffix": "    return result\n",
    "canonical_solution": "    result = n * 2\n",
    "test": "def check(candidate):\n    assert candidate(4) == 8\n",
}
ECHO = {
    "task_id": "block_completion_000000",
    "lang": "python",
    "prompt": "not read",
    "eval_prompt": "n = int(input())\r\nfor _ in range(n):\r\n    {{completion}}\r\n",
    "ground_truth": "print(n)",
    "unit_tests": [{"input": "2", "output": ["2\n2"]}],
}
CALL = {
    "task_id": "block_completion_000000",
    "lang": "python",
    "prompt": "not read",
    "eval_prompt": "import json\ntext = {{completion}}\n",
    "ground_truth": "json.dumps(x, indent=2, sort_keys=True)",
}


def hole(marked: str, language: str = "python", truth: str = "", proof: object = None) -> Hole:
    """A hole from text with its place marked."""
    before, _, after = marked.partition("█")
    return Hole("made", "0", language, before, after, truth, proof or Match())


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_reads_human_eval_infilling(tmp_path):
    """The asserts follow the program; what the hole held is the truth."""
    (read,) = load(write(tmp_path / "HumanEval-SingleLineInfilling.jsonl", DOUBLE))
    assert read.set == "HumanEval-SingleLineInfilling"
    assert (read.before, read.after) == (DOUBLE["prompt"], DOUBLE["suffix"])
    assert read.program(read.truth).endswith("check(double)\n")


def test_reads_safim_with_its_unit_tests(tmp_path):
    """The hole is where the mark stands, and line ends become LF."""
    (read,) = load(write(tmp_path / "block.jsonl", ECHO))
    assert read.before == "n = int(input())\nfor _ in range(n):\n    "
    assert read.after == "\n"
    assert read.proof == InputOutput((Exchange("2", ("2\n2",)),))


def test_reads_safim_without_unit_tests(tmp_path):
    """Where nothing can be executed, the text itself is compared."""
    (read,) = load(write(tmp_path / "api_completion.jsonl", CALL))
    assert read.proof == Match()


def test_reads_gzip(tmp_path):
    path = tmp_path / "set.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(DOUBLE).encode()))
    assert [read.set for read in load(path)] == ["set"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"task_id": 1}\n', "line 1"),
        (b"\nnot json\n", "line 2"),
        (b"[1]\n", "line 1"),
        (b'{"eval_prompt": "no mark", "lang": "c"}\n', "completion"),
        (b"", "no tasks"),
        (b"\xff\xfe", "cannot read"),
    ],
)
def test_names_what_is_wrong_with_a_file(tmp_path, content, said):
    """A file of another kind is an error that says where, never a traceback."""
    path = tmp_path / "set.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadRequest, match=said):
        load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadRequest, match="absent"):
        load(tmp_path / "absent.jsonl.gz")


def test_two_files_of_one_name_are_refused(tmp_path):
    """Holes are recorded by it: the second file would be answered with the first one's."""
    first, second = tmp_path / "made.jsonl", tmp_path / "more" / "made.jsonl.gz"
    with pytest.raises(BadRequest, match="one name"):
        load_all([first, second])


def test_a_larger_sample_contains_the_smaller(tmp_path):
    """So that a longer run goes on from a shorter one."""
    holes = [Hole("s", str(n), "python", "", "", "", Match()) for n in range(30)]
    assert sample(holes, 10, seed=3)[:5] == sample(holes, 5, seed=3)
    assert sample(holes, 10, seed=3) != sample(holes, 10, seed=4)


def test_sets_take_turns():
    first, second = [hole("a"), hole("b")], [hole("c")]
    assert interleave([first, second]) == [first[0], second[0], first[1]]


# Sandbox


DOUBLED = hole(
    "def double(n):\n█    return result\n",
    truth="    result = n * 2\n",
    proof=Check("\ndef check(f):\n    assert f(4) == 8\n\ncheck(double)\n"),
)
SLOW = Sandbox(Limits(cpu_s=1))


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("    result = n * 2\n", Verdict.PASSED),
        ("    result = n + n  # the same\n", Verdict.PASSED),
        ("    result = n * 3\n", Verdict.FAILED),
        ("    result = (n\n", Verdict.FAILED),
        ("    import sys; sys.exit(0)\n", Verdict.FAILED),
        ("    import os; os._exit(0)\n", Verdict.FAILED),
        ("    while True: pass\n", Verdict.TIMEOUT),
        ("    result = bytearray(3 << 30) and n * 2\n", Verdict.FAILED),
    ],
)
def test_judges_by_running(text, verdict):
    """Leaving early is no pass, and neither time nor memory can be taken without limit."""
    assert SLOW.judge(DOUBLED, text) is verdict


def test_programs_cannot_reach_the_network(tmp_path):
    """Whatever keeps them from it, the sandbox says that something does."""
    probe = (
        "    import socket\n"
        "    try: socket.create_connection(('127.0.0.1', 9), 1)\n"
        "    except ConnectionRefusedError: return 0  # somebody answered: there is a network\n"
        "    except OSError: pass\n"
        "    result = n * 2\n"
    )
    if SLOW.isolation["network"].startswith("NOT"):
        pytest.skip("NEITHER NETWORK NAMESPACES NOR SECCOMP: programs cannot be cut off here")
    assert SLOW.judge(DOUBLED, probe) is Verdict.PASSED


def test_programs_write_into_their_own_directory_only(tmp_path):
    outside = tmp_path / "outside"
    text = (
        "    open('inside', 'w').close()\n"
        f"    try: open({str(outside)!r}, 'w').close()\n"
        "    except OSError: result = n * 2\n"
    )
    if SLOW.isolation["writes"].startswith("NOT"):
        pytest.skip("NO LANDLOCK IN THIS KERNEL (Linux 5.13 or later)")
    assert SLOW.judge(DOUBLED, text) is Verdict.PASSED
    assert not outside.exists()


PYTHON_ECHO = "n = int(input())\nfor _ in range(n):\n    █\n"
CPP_ECHO = """#include <iostream>
int main() { int n; std::cin >> n; for (int i = 0; i < n; i++) {█} }
"""
JAVA_ECHO = """import java.util.*;
public class Echo {
  static class Other {}
  public static void main(String[] a) {
    int n = new Scanner(System.in).nextInt();
    for (int i = 0; i < n; i++) {
      █
    }
  }
}
"""
CSHARP_ECHO = """using System;
class Echo {
  static void Main() {
    int n = int.Parse(Console.ReadLine());
    for (int i = 0; i < n; i++) {█}
  }
}
"""
ECHOED = {
    "python": (PYTHON_ECHO, "print(n)", "print(n + 1)"),
    "cpp": (CPP_ECHO, 'std::cout << n << "\\n";', "std::cout << 7;"),
    "java": (JAVA_ECHO, "System.out.println(n);", "System.out.println(n + 1);"),
    "csharp": (CSHARP_ECHO, "Console.WriteLine(n);", "Console.WriteLine(n + 1);"),
}


@pytest.mark.parametrize("language", ECHOED)
def test_builds_and_runs(language):
    """A program passes when it answers every exchange, in each language of SAFIM."""
    marked, right, wrong = ECHOED[language]
    exchanges = (Exchange("2", ("2\n2",)), Exchange("1", ("0", "1")))
    echo = hole(marked, language, right, InputOutput(exchanges))
    sandbox = Sandbox(Limits(cpu_s=10))
    if sandbox.obstacle(echo):
        pytest.skip(f"{language.upper()} CANNOT BE RUN: {sandbox.obstacle(echo)}")
    assert sandbox.judge(echo, right) is Verdict.PASSED
    assert sandbox.judge(echo, wrong) is Verdict.FAILED
    assert sandbox.judge(echo, "this is no program (") is Verdict.FAILED


GREEDY = {
    "java": "List<byte[]> all = new ArrayList<>();\n"
    "for (int j = 0; j < 900; j++) all.add(new byte[1 << 20]);",
    "csharp": "var all = new System.Collections.Generic.List<byte[]>();\n"
    "for (int j = 0; j < 900; j++) all.Add(new byte[1 << 20]);",
}


@pytest.mark.parametrize("language", GREEDY)
def test_the_heap_of_those_that_map_much_has_a_limit(language):
    """A right answer, with 900 MiB held for it."""
    marked, right, _ = ECHOED[language]
    echo = hole(marked, language, right, InputOutput((Exchange("1", ("1",)),)))
    sandbox = Sandbox(Limits(cpu_s=10))
    if sandbox.obstacle(echo):
        pytest.skip(f"{language.upper()} CANNOT BE RUN: {sandbox.obstacle(echo)}")
    assert sandbox.judge(echo, GREEDY[language].replace("900", "9") + right) is Verdict.PASSED
    assert sandbox.judge(echo, GREEDY[language] + right) is not Verdict.PASSED


def test_says_what_it_cannot_judge():
    """An unknown language is no failure of the model."""
    proof = InputOutput((Exchange("", ("",)),))
    assert "cobol" in SLOW.obstacle(hole("█", "cobol", "", proof))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("json.dumps(x, sort_keys=True, indent=2)", True),
        ("json.dumps( x,indent = 2,\n  sort_keys=True )", True),
        ("json.dumps(x, indent=4, sort_keys=True)", False),
        ("json.loads(x, indent=2, sort_keys=True)", False),
        ("json.dumps(x, indent=2, sort_keys=True", False),
    ],
)
def test_calls_match_but_for_the_order_of_keywords(text, same):
    assert means_the_same(text, CALL["ground_truth"], "python") is same


# Figures


def test_brackets_in_strings_and_comments_do_not_count():
    text = 'f(")", """)\n)""", # )\n  {"a": 1}'
    assert brackets(text, 2, "python").open_at_end == "("
    assert brackets("f('}', /* } */ \"}\" // }\n", 0, "cpp").open_at_end == "("
    assert brackets("int a = 1'000'000; {", 0, "cpp").open_at_end == "{"
    assert brackets('var p = @"c:\\"; {', 0, "csharp").open_at_end == "{"


def test_lines_of_code_begin_outside_strings_and_brackets():
    text = 'a = (\n1)\nb = """\nc\n"""\n\nd\n'
    assert [line.text for line in lines_of_code(text, "python")] == ["a = (", 'b = """', "d"]


BODY = "def f(x):\n    y = 1\n█    return y\n\ndef g():\n    pass\n"
CALLED = "int main() { return f(a, █); }\n"


@pytest.mark.parametrize(
    ("marked", "language", "truth", "text", "excess"),
    [
        (BODY, "python", "    y += x\n", "    y += x\n", ""),
        (BODY, "python", "    y += x\n", "    for z in x:\n        y += z\n", ""),
        (BODY, "python", "    y += x\n", "    y += x\n    return y\n", "repeats the suffix"),
        (BODY, "python", "    y += x\n", "    if x:\n        return y\n", ""),
        (BODY, "python", "    y += x\n", "    y += x\nprint(f(1))\n", "leaves the definition"),
        (BODY, "python", "    y += x\n", "    y += '''\nnot code\n'''\n", ""),
        (BODY, "python", "    y += x\n", "    y += (\nx)\n", ""),
        (BODY, "python", "    y += x\n", "    y += x\n    ```\n", "markup"),
        (CALLED, "cpp", "b", "b", ""),
        (CALLED, "cpp", "b", "g(b)", ""),
        (CALLED, "cpp", "b", "b)", "closes what the suffix closes"),
        (CALLED, "cpp", "b", '")"', ""),
        ("x = f(a█\ny = 2\n", "python", ", b)", ", b)", ""),
        ("if a █:\n    halt(x)\n", "python", "and b", "and b:\n    halt(x)", "repeats the suffix"),
        (
            "class A:\n    def f(self):\n        a = 1\n█",
            "python",
            "        return a\n\n    def g(self):\n        pass\n",
            "        return a\n\n    def h(self):\n        return 2\n",
            "",
        ),
    ],
)
def test_over_generation(marked, language, truth, text, excess):
    """What goes beyond the hole is named; what the ground truth does too is allowed."""
    assert over_generation(hole(marked, language, truth), text) == ((excess,) if excess else ())


def test_exact_but_for_white_space():
    assert exact("a =  1\n\n", "a = 1")
    assert not exact("a=1", "a = 1")


@pytest.mark.parametrize(
    ("passed", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilson_interval(passed, n, low, high):
    """Against the values that any statistics package prints."""
    assert wilson(passed, n) == pytest.approx((low, high), abs=1e-4)


# Oracle


def test_cuts_are_token_boundaries_and_line_ends():
    assert cuts(["ab", "c\nd", "e"]) == [0, 2, 3, 4, 5, 6]


def best(pieces: list[str], kept: int | None = None) -> str | None:
    generation = Generation(tuple(pieces), ended=False)
    with ThreadPoolExecutor(1) as executor:
        found = best_cut(DOUBLED, generation, Judge(DOUBLED, SLOW), executor, kept)
    return None if found.cut is None else generation.text[: found.cut]


def test_the_oracle_finds_the_cut_that_passes():
    """The right line is there, with a runaway behind it."""
    pieces = ["    result", " = n", " * 2\n", "    return result\n", "def ", "x("]
    assert best(pieces) == "    result = n * 2\n"


def test_the_oracle_finds_line_ends_inside_a_token():
    assert best(["    result = n * 2\nend", " end"]) == "    result = n * 2\n"


def test_the_oracle_finds_nothing_where_nothing_passes():
    assert best(["    result = n", "\n", "    ..."]) is None


def test_the_oracle_prefers_longer_cuts_to_tell_under_generation():
    """Ours stopped before the line was whole."""
    assert best(["    result = n", " * 2\n", "x("], kept=14) == "    result = n * 2\n"


# The whole


def infilling(
    answer: str, modes: tuple[str, ...] = MODES, n_predict: int = 40
) -> tuple[Infilling, ScriptedEngine]:
    """An evaluation of an engine that answers so to every hole."""
    engine = ScriptedEngine(answer)
    family = template.load_all()["qwen2.5-coder"]
    options = CompletionOptions(n_predict=n_predict)
    evaluation = Infilling(engine, options, lambda v: template.bind(family, v), SLOW, modes)
    return evaluation, engine


RUNAWAY = "    result = n * 2\n    return result\n\n\ndef triple(n):\n    return n * 3\n" * 4


def scores_of(tmp_path: Path, answer: str) -> tuple[list[HoleScore], ScriptedEngine]:
    holes = load(write(tmp_path / "made.jsonl", DOUBLE))
    evaluation, engine = infilling(answer)
    return list(evaluation.run(holes, Store(tmp_path / "out.json", {}))), engine


def test_modes_side_by_side_on_one_generation(tmp_path):
    """The model knows the line and runs on; who stops where it should passes."""
    (score,), engine = scores_of(tmp_path, RUNAWAY)
    assert len(engine.requests) == 1
    assert {mode: made.passed for mode, made in score.modes.items()} == {
        "raw": False,
        "first-line": True,
        "fimls": True,
        "oracle": True,
    }
    raw, ours = score.modes["raw"], score.modes["fimls"]
    assert raw.hit_cap
    assert raw.n_generated == 40
    assert "leaves the definition" in raw.over
    assert not ours.hit_cap
    assert ours.n_generated <= raw.n_generated / 2
    assert ours.over == ()


@pytest.mark.parametrize(
    ("pieces", "ended", "hit_cap"),
    [
        (["x = 1", "\n    y ="], False, True),
        # Used up as well, whatever the scope's end was then seen to be.
        (["x = 1", "\n\n\ndef "], False, True),
        (["x = 1", " + 2"], True, False),
        (["x = 1", "\n\n\ndef g", "():\n", "    pass\n"], False, False),
    ],
)
def test_the_cap_is_hit_where_all_tokens_were_used_up(pieces, ended, hit_cap):
    evaluation, _ = infilling("", ("fimls",), n_predict=len(pieces))
    place = hole("def f():\n    █\n\n\ndef h():\n    return 1\n")
    with ThreadPoolExecutor(1) as executor:
        score = evaluation.score(place, Generation(tuple(pieces), ended), executor)
    assert score.modes["fimls"].hit_cap is hit_cap


def test_an_end_token_ends_all_modes(tmp_path):
    (score,), _ = scores_of(tmp_path, "    result = n * 2\n<|endoftext|>never seen")
    assert score.modes["raw"].passed
    assert score.modes["raw"].reason == "end"
    assert not score.modes["raw"].hit_cap
    assert score.modes["fimls"].passed


def test_the_product_gives_what_the_recording_gave(tmp_path):
    """Computed again through the completer and the engine, text for text."""
    holes = load(write(tmp_path / "made.jsonl", DOUBLE))
    evaluation, engine = infilling(RUNAWAY)
    (score,) = evaluation.run(holes, Store(tmp_path / "out.json", {}))
    live = evaluation.verify(holes[0], score)
    assert live.agrees
    assert live.live == "    result = n * 2\n"
    assert len(engine.requests) == 2
    assert engine.requests[0].prompt.tokens == engine.requests[1].prompt.tokens


def test_a_second_run_goes_on(tmp_path):
    """Nothing is generated or scored twice; a torn last line is computed again."""
    holes = load(write(tmp_path / "made.jsonl", DOUBLE, {**DOUBLE, "task_id": "Made/1/L0"}))
    out = tmp_path / "out.json"
    evaluation, engine = infilling(RUNAWAY)
    first = list(evaluation.run(holes, Store(out, {"model": "a"})))
    assert list(evaluation.run(holes, Store(out, {"model": "a"}))) == first
    assert len(engine.requests) == 2
    for kind in ("raw", "holes"):
        path = tmp_path / f"out.{kind}.jsonl"
        path.write_text(path.read_text()[:-20])
    assert list(evaluation.run(holes, Store(out, {"model": "a"}))) == first
    assert len(engine.requests) == 3


def test_scores_can_be_forgotten_without_the_generations(tmp_path):
    holes = load(write(tmp_path / "made.jsonl", DOUBLE))
    out = tmp_path / "out.json"
    evaluation, engine = infilling(RUNAWAY)
    list(evaluation.run(holes, Store(out, {})))
    store = Store(out, {}, rescore=True)
    assert not store.scores
    assert len(list(evaluation.run(holes, store))) == 1
    assert len(engine.requests) == 1


def test_scores_of_another_rule_are_made_anew_from_the_same_generations(tmp_path):
    """A table never mixes two rules; the generations depend on none."""
    holes = load(write(tmp_path / "made.jsonl", DOUBLE))
    out = tmp_path / "out.json"
    evaluation, engine = infilling(RUNAWAY)
    list(evaluation.run(holes, Store(out, {}, {"rule": "a"})))
    assert Store(out, {}, {"rule": "a"}).scores
    store = Store(out, {}, {"rule": "b"})
    assert not store.scores
    list(evaluation.run(holes, store))
    assert len(engine.requests) == 1
    assert Store(out, {}, {"rule": "b"}).scores


def test_the_rule_is_that_of_the_sources(tmp_path, monkeypatch):
    """Changed where a source that decides a score is, and only there."""
    for name in ("scope/witnesses/one.py", "draft.py", "evaluation/oracle.py", "server/one.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setattr(records, "PACKAGE", tmp_path)
    seen = [records.rule()]
    for name in ("scope/witnesses/one.py", "draft.py", "evaluation/oracle.py", "server/one.py"):
        (tmp_path / name).write_text("changed")
        seen.append(records.rule())
    assert len(set(seen)) == 4
    assert seen[-1] == seen[-2]


def test_generations_of_another_model_are_refused(tmp_path):
    Store(tmp_path / "out.json", {"model": "a"})
    with pytest.raises(ConfigError, match="model"):
        Store(tmp_path / "out.json", {"model": "b"})


def test_more_modes_are_added_to_an_earlier_run(tmp_path):
    holes = load(write(tmp_path / "made.jsonl", DOUBLE))
    store = Store(tmp_path / "out.json", {})
    only_raw, _ = infilling(RUNAWAY, ("raw",))
    assert [set(score.modes) for score in only_raw.run(holes, store)] == [{"raw"}]
    all_modes, engine = infilling(RUNAWAY)
    assert [set(score.modes) for score in all_modes.run(holes, store)] == [set(MODES)]
    assert not engine.requests


def test_a_hole_whose_own_truth_fails_is_kept_apart(tmp_path):
    """A benchmark that does not work on this machine says nothing about the model."""
    broken = {**DOUBLE, "test": "def check(candidate):\n    import not_installed_here\n"}
    holes = load(write(tmp_path / "made.jsonl", broken))
    evaluation, _ = infilling(RUNAWAY)
    scores = list(evaluation.run(holes, Store(tmp_path / "out.json", {})))
    assert "ground truth" in scores[0].obstacle
    rows = report.summarise(scores)
    assert [row["pass"] for row in rows] == [None] * len(MODES)
    assert any("not judged: 1" in line for line in report.notes({}, scores, []))


def test_the_report_counts_what_was_seen(tmp_path):
    scores, _ = scores_of(tmp_path, RUNAWAY)
    rows = {row["mode"]: row for row in report.summarise(scores)}
    assert rows["fimls"]["pass"] == 1.0
    assert rows["raw"]["pass"] == 0.0
    assert rows["raw"]["cap"] == rows["raw"]["over"] == 1.0
    assert rows["fimls"]["tokens_to_raw"] == pytest.approx(rows["fimls"]["tokens"] / 40)
    assert report.share_of_oracle(scores) == {"made": 1.0}
    assert report.to_json({}, {}, scores, [])["figures"] == report.summarise(scores)
