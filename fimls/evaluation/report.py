"""The figures of an evaluation: a table for people, JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from fimls.evaluation.figures import wilson
from fimls.evaluation.infilling import FIMLS, MODES, ORACLE, RAW, Live
from fimls.evaluation.records import HoleScore, Score

if TYPE_CHECKING:
    from rich.table import Table

ALL = "all"

# Characters that the table needs with the longest names of sets that are published.
TABLE_WIDTH = 128


def summarise(scores: Sequence[HoleScore]) -> list[dict[str, Any]]:
    """One row for each group of holes and mode. Shares are 0 to 1, counts are whole.

    Groups are the sets, the languages of a set that has several, and all together.
    Pass@1 and under-generation are shares of the holes that can be judged here.
    """
    rows = []
    for name, holes in _groups(scores).items():
        for mode in MODES:
            of_mode = [hole.modes[mode] for hole in holes if mode in hole.modes]
            if of_mode:
                rows.append({"group": name, "mode": mode, **_figures(holes, mode, of_mode)})
    return rows


def to_json(
    settings: Mapping[str, Any],
    isolation: Mapping[str, str],
    scores: Sequence[HoleScore],
    live: Sequence[Live],
) -> dict[str, Any]:
    """Everything that was found, with what is needed to find it again."""
    return {
        "settings": dict(settings),
        "isolation": dict(isolation),
        "figures": summarise(scores),
        "fimls_to_oracle": share_of_oracle(scores),
        "fimls_to_oracle_within_scope": share_of_oracle(within_scope(scores)),
        "not_judged": dict(Counter(hole.obstacle for hole in scores if hole.obstacle)),
        "over_generation": _excesses(scores),
        "classes": failing_classes(scores),
        "live": {
            "n": len(live),
            "n_agreeing": sum(one.agrees for one in live),
            "differences": [
                {"key": one.key, "live": one.live, "recorded": one.recorded}
                for one in live
                if not one.agrees
            ],
        },
    }


def share_of_oracle(scores: Sequence[HoleScore]) -> dict[str, float | None]:
    """Of each group: pass@1 of fimls by that of the oracle; ``None`` where it is undefined."""
    shares: dict[str, float | None] = {}
    for name, holes in _groups(scores).items():
        both = [hole.modes for hole in holes if {FIMLS, ORACLE} <= set(hole.modes)]
        n_best = sum(bool(modes[ORACLE].passed) for modes in both)
        n_ours = sum(bool(modes[FIMLS].passed) for modes in both)
        shares[name] = n_ours / n_best if n_best else None
    return shares


def within_scope(scores: Sequence[HoleScore]) -> list[HoleScore]:
    """Without the holes in which only a cut that runs past the scope passes.

    The suffix said twice, the second time dead: no person would want that cut.
    """
    return [hole for hole in scores if ORACLE not in hole.modes or not hole.modes[ORACLE].over]


def failing_classes(scores: Sequence[HoleScore]) -> dict[str, list[str]]:
    """Keys of the holes that fimls could have done better, by what went wrong."""
    tests: dict[str, Callable[[HoleScore, Score], bool]] = {
        "cut too early (a longer cut passes)": lambda hole, _: hole.under,
        "cut too late (a shorter cut passes)": lambda hole, _: hole.late,
        "over-generation": lambda _, ours: bool(ours.over),
        "ran to the cap": lambda _, ours: ours.hit_cap,
        "said nothing": lambda _, ours: not ours.text,
    }
    return {
        name: [hole.key for hole in scores if FIMLS in hole.modes and test(hole, hole.modes[FIMLS])]
        for name, test in tests.items()
    }


def table(scores: Sequence[HoleScore]) -> Table:
    from rich.table import Table  # noqa: PLC0415 - only where a table is drawn

    drawn = Table(title="Infilling", caption="[95% interval]; shares in %; tokens computed a hole")
    drawn.add_column("set")
    drawn.add_column("mode")
    for heading in ("holes", "pass@1", "exact", "over", "under", "cap", "tokens", "of raw"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    previous = ""
    for row in summarise(scores):
        name = row["group"]
        if previous and name != previous:
            drawn.add_section()
        low, high = row["pass_95"]
        passed = "-" if row["pass"] is None else f"{_percent(row['pass'])} [{low:.0%} {high:.0%}]"
        drawn.add_row(
            "" if name == previous else name,
            row["mode"],
            str(row["n"]),
            passed.replace("% ", " ").replace("%]", "]"),
            _percent(row["exact"]),
            _percent(row["over"]),
            _percent(row["under"]),
            _percent(row["cap"]),
            f"{row['tokens']:.1f}",
            _percent(row["tokens_to_raw"]),
        )
        previous = name
    return drawn


def notes(
    isolation: Mapping[str, str], scores: Sequence[HoleScore], live: Sequence[Live]
) -> list[str]:
    """What belongs beside the table: what was compared, kept apart or left out."""
    lines = _against_oracle(scores, "fimls passes {share:.0%} of what the oracle does")
    kept = within_scope(scores)
    if len(kept) < len(scores):
        n_over = len(scores) - len(kept)
        lines.append(f"oracle: passes in {n_over} holes only by running past the scope")
        lines += _against_oracle(kept, "fimls passes {share:.0%} without these")
    for reason, n in Counter(hole.obstacle for hole in scores if hole.obstacle).items():
        lines.append(f"not judged: {n} holes, {reason}")
    n_given_up = sum(not hole.is_oracle_complete for hole in scores)
    if n_given_up:
        lines.append(f"oracle: search given up in {n_given_up} holes (endless loops, slow builds)")
    for name, keys in failing_classes(scores).items():
        if keys:
            lines.append(f"{name}: {len(keys)}")
    if live:
        agreeing = sum(one.agrees for one in live)
        lines.append(f"computed live again: {agreeing} of {len(live)} texts agree")
        lines += [f"  differs: {one.key}" for one in live if not one.agrees]
    lines.append("executed with " + "; ".join(f"{what}: {how}" for what, how in isolation.items()))
    return lines


def _against_oracle(scores: Sequence[HoleScore], sentence: str) -> list[str]:
    return [
        f"{name}: {sentence.format(share=share)}"
        for name, share in share_of_oracle(scores).items()
        if share is not None
    ]


def _groups(scores: Sequence[HoleScore]) -> dict[str, list[HoleScore]]:
    groups: dict[str, list[HoleScore]] = {}
    languages = {(hole.set, hole.language) for hole in scores}
    sets = dict.fromkeys(hole.set for hole in scores)
    for name in sets:
        of_set = [hole for hole in scores if hole.set == name]
        groups[name] = of_set
        spoken = sorted(language for of, language in languages if of == name)
        if len(spoken) > 1:
            for language in spoken:
                groups[f"{name} {language}"] = [h for h in of_set if h.language == language]
    if len(sets) > 1:
        groups[ALL] = list(scores)
    return groups


def _figures(holes: Sequence[HoleScore], mode: str, scores: Sequence[Score]) -> dict[str, Any]:
    judged = [score for score in scores if score.passed is not None]
    n_passed = sum(bool(score.passed) for score in judged)
    tokens = fmean(score.n_generated for score in scores)
    raw = [hole.modes[RAW].n_generated for hole in holes if RAW in hole.modes]
    is_cut = mode != ORACLE  # the oracle's own text ends where it should, by definition
    n_under = sum(hole.under for hole in holes)
    return {
        "n": len(scores),
        "n_judged": len(judged),
        "pass": n_passed / len(judged) if judged else None,
        "pass_95": wilson(n_passed, len(judged)),
        "exact": fmean(score.exact for score in scores),
        "over": fmean(bool(score.over) for score in scores) if is_cut else None,
        "under": n_under / len(judged) if judged and mode == FIMLS else None,
        "cap": fmean(score.hit_cap for score in scores) if is_cut else None,
        "tokens": tokens,
        "tokens_to_raw": tokens / fmean(raw) if raw and is_cut else None,
    }


def _excesses(scores: Sequence[HoleScore]) -> dict[str, dict[str, int]]:
    """For each mode how often each kind of over-generation was seen."""
    counts: dict[str, Counter[str]] = {}
    for hole in scores:
        for mode, score in hole.modes.items():
            counts.setdefault(mode, Counter()).update(score.over)
    return {mode: dict(counter) for mode, counter in counts.items()}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
