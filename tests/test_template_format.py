"""A template file with a mistake: the error names the file, the key and the way out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fimls.errors import TemplateError
from fimls.template import load, load_all

GOOD = """\
name = "mine"
title = "My model"
status = "documented"
verdict = "Mine."

[detect]
name = 'mine'

[markers]
PRE = "<p>"
SUF = "<s>"
MID = "<m>"

[form]
file = "{PRE}{prefix}{SUF}{suffix}{MID}{typed}"

[tokens]
ends = ["<end>"]
"""

# Markers go by any names: what they stand beside counts, and how they are spelt.
OTHER_NAMES = """\
PREFIX = "<p>"
SUFFIX = "<s>"
MIDDLE = "<m>"

[form]
file = "{PREFIX}{prefix}{SUFFIX}{suffix}{MIDDLE}{typed}"

[tokens]
ends = ["<end>"]
"""
WITH_PATH = 'typed}"\nwith_path = "{path}{prefix}{SUF}{suffix}{MID}{typed}"'
QWEN_NAMES = """\
A = "<|fim_prefix|>"
B = "<|fim_suffix|>"
C = "<|fim_middle|>"

[form]
file = "{A}{prefix}{B}{suffix}{C}{typed}"

[tokens]
ends = ["<end>"]
"""


def check(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """Replacing ``old`` in a good template by ``new`` is an error that says ``expected``."""
    assert old in GOOD
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(TemplateError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[detect]", "[detect", "is not TOML"),
        ('title = "My model"\n', "", '"title" is missing'),
        ('title = "My model"', "title = 5", '"title" must be a string, not 5'),
        ('title = "My', 'tilte = "x"\ntitle = "My', 'did you mean "title"?'),
        ('"documented"', '"trusted"', "must be one of documented, refused, unverified, verified"),
        ('"documented"', '"unverified"', '"reason" is missing'),
        ("name = 'mine'", "name = '('", '"detect.name" is not a regular expression'),
        ("name = 'mine'", "nmae = 'mine'", '"detect.name" is missing'),
        ('ends = ["<end>"]', "ends = []", '"tokens.ends" must name at least one'),
        ('ends = ["<end>"]', 'ends = "<end>"', '"tokens.ends" must be a list of strings'),
        ('ends = ["<end>"]', 'ends = ["a"]\nbos = "maybe"', '"tokens.bos" is "maybe"'),
        ('ends = ["<end>"]', 'ends = ["a"]\nend = ["b"]', 'did you mean "ends"?'),
        ('["<end>"]', '["a"]\ndummy_space = ["sufix"]', '"tokens.dummy_space" names sufix'),
        ("{SUF}", "{SUFF}", 'names {SUFF}, which is unknown; did you mean "SUF"?'),
        ("{suffix}", "{sufix}", 'names {sufix}, which is unknown; did you mean "suffix"?'),
        ("{suffix}", "", '"form.file" must hold {suffix} exactly once'),
        ("{suffix}", "{suffix}{suffix}", '"form.file" must hold {suffix} exactly once'),
        ("{MID}{typed}", "{typed}{MID}", '"form.file" must end with {typed}'),
        ("{PRE}{prefix}", "{PRE} {prefix}", "white space next to {PRE}"),
        ("{MID}{typed}", "{MID}\\n{typed}", "white space next to {MID}"),
        ("{MID}{typed}", "{MID}\\t#\\n{typed}", "white space next to {MID}"),
        ("{suffix}{MID}", "{suffix}//\\n{MID}", "white space next to {MID}"),
        ("{PRE}{prefix}", "{PRE} {path}\\n{prefix}", "white space next to {PRE}"),
        *[
            (GOOD[GOOD.index("PRE =") :], OTHER_NAMES.replace(right, wrong), expected)
            for right, wrong, expected in (
                ("{PREFIX}", "{PREFIX} ", "white space next to {PREFIX}"),
                ("{suffix}", "\\n{suffix}", "white space next to {SUFFIX}"),
                ("{typed}", "\\n{typed}", "white space next to {MIDDLE}"),
            )
        ],
        ('typed}"', 'typed}"\nwhite_space = ["MIDD"]', '"form.white_space" names MIDD'),
        ('typed}"', 'typed}"\nwithout_suffix = "{prefix}{typed}"', '"form.without_suffix" is not'),
        ('SUF = "<s>"', 'SUF = "<p>"', '"markers.SUF" is spelt like PRE'),
        ("{PRE}{prefix}{SUF}", "{SUF}{prefix}{PRE}", "the order SUF prefix PRE suffix MID typed"),
        ("{suffix}{MID}", "{suffix}", "the order PRE prefix SUF suffix typed;"),
        ('typed}"', WITH_PATH, '"form.with_path" has the order prefix SUF suffix MID typed;'),
        *[
            (GOOD[GOOD.index("PRE =") :], QWEN_NAMES.replace("{A}{prefix}{B}", wrong), expected)
            for wrong, expected in (
                ("{B}{prefix}{A}", "the order SUF prefix PRE suffix MID typed"),
                ("{A}{prefix}{A}", "the order PRE prefix PRE suffix MID typed"),
            )
        ],
        ("{prefix}{SUF}", "{prefix}x{SUF}", "after {prefix}"),
        ('typed}"', 'typed}"\nuse_path = true', '"form.use_path" is not a key of a template'),
        ("[tokens]", "[sampling]\nheat = 1\n[tokens]", '"sampling.heat" is not a key'),
        ("[tokens]", "[samplign]\ntop_p = 1\n[tokens]", 'did you mean "sampling"?'),
    ],
)
def test_mistake_is_explained(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """One mistake, one sentence."""
    check(tmp_path, old, new, expected)


@pytest.mark.parametrize("names", [OTHER_NAMES, QWEN_NAMES])
def test_markers_go_by_any_name(tmp_path: Path, names: str) -> None:
    """What the mistakes are made in is right here too."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD[: GOOD.index("PRE =")] + names, encoding="utf-8")
    assert load(path).forms is not None


def test_white_space_of_the_training_is_kept(tmp_path: Path) -> None:
    """Some families were trained with a line break behind a marker, and say so."""
    path = tmp_path / "mine.toml"
    spaced = GOOD.replace("{MID}", "{MID}\\n").replace('typed}"', 'typed}"\nwhite_space = ["MID"]')
    path.write_text(spaced, encoding="utf-8")
    forms = load(path).forms
    assert forms is not None
    assert "\n" in forms.file


def test_good_template_is_read(tmp_path: Path) -> None:
    """The template that the mistakes are made in is right."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert load(path).order == "PRE prefix SUF suffix MID"


def test_users_template_joins_the_shipped_and_wins(tmp_path: Path) -> None:
    """A file in the user's directory adds a family, or replaces the one of its name."""
    (tmp_path / "a.toml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "b.toml").write_text(GOOD.replace('"mine"', '"refact"'), encoding="utf-8")
    templates = load_all(tmp_path)
    assert templates["mine"].title == "My model"
    assert templates["refact"].title == "My model"
    assert templates["qwen2.5-coder"].title != "My model"


def test_two_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Which of the two would win nobody should have to guess."""
    for file in ("a.toml", "b.toml"):
        (tmp_path / file).write_text(GOOD, encoding="utf-8")
    with pytest.raises(TemplateError, match=re.escape('the name "mine" is taken by')):
        load_all(tmp_path)


def test_missing_user_directory_is_no_error(tmp_path: Path) -> None:
    """Most people have no templates of their own."""
    assert load_all(tmp_path / "nowhere") == load_all()
