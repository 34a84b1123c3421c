"""Whether a server grows with what is typed, over a real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fimls.bench.endurance import Mark, growth_kb
from fimls.cli import main


@pytest.mark.parametrize(
    ("rss_mb", "kb_per_1000_keys"),
    [
        ([50, 58, 58, 58, 58], 0.0),  # it warms up, and stays
        ([50, 51, 52, 53, 54], 1024.0),  # a thousand keys further, a megabyte more
        ([58, 58, 58, 58, 57], -512.0),
        ([50], None),
        ([], None),
    ],
)
def test_growth_is_that_of_the_second_half(
    rss_mb: list[float], kb_per_1000_keys: float | None
) -> None:
    marks = [Mark((n + 1) * 1_000, rss) for n, rss in enumerate(rss_mb)]
    assert growth_kb(marks) == kb_per_1000_keys


def test_it_types_into_the_server_that_ships(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert main(["bench", "endurance", "--keys", "800", "--json", str(out)]) == 0
    facts = json.loads(out.read_text())
    *_, last = facts["marks"]
    # The shipped sessions are typed as a whole; a server without weights has some 60 MB.
    assert last["n_keys"] >= 800
    assert 20 < last["rss_mb"] < 400
    assert facts["growth_kb_per_1000_keys"] == growth_kb([Mark(**mark) for mark in facts["marks"]])
    said = capsys.readouterr().out
    assert f"{last['n_keys']:,} keys" in said
    assert "growth over the second half: " in said


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--keys", "0"], "argument --keys: must be at least 1"),
        (["--keys", "many"], "argument --keys: invalid integer value: 'many'"),
    ],
)
def test_it_says_what_it_cannot_type(
    given: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "endurance", *given])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_server_that_does_not_start_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "endurance", "--server", "no-such-program"]) == 1
    assert "no-such-program: cannot be started" in capsys.readouterr().err
