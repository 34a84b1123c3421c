"""Settings: every source, their order, and mistakes that name what was meant."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from fimls.commands.config import brief, json_schema, markdown, toml
from fimls.config import (
    Config,
    Project,
    Source,
    SourceKind,
    command_line,
    environment,
    find_project,
    gather,
    load,
    options,
    profile,
    project_file,
    read,
    user_file,
    user_file_path,
)
from fimls.errors import BadRequest, ConfigError

DOCUMENTATION = Path(__file__).parent.parent / "docs" / "configuration.md"
README = Path(__file__).parent.parent / "README.md"


def source(kind: SourceKind = SourceKind.USER_FILE, /, **values: object) -> Source:
    return Source(kind, f"<{kind.name.lower()}>", values)


def test_nothing_set_is_the_default() -> None:
    """Without any source every option has the default that its schema states."""
    config = load([])
    assert config == Config()
    for found in options().values():
        assert getattr(getattr(config, found.section), found.key) == found.default


def test_defaults_are_valid() -> None:
    """Each default, written down as TOML would have it, is accepted."""
    for found in options().values():
        value = list(found.default) if isinstance(found.default, tuple) else found.default
        load([Source(SourceKind.USER_FILE, "x", {found.section: {found.key: value}})])


def test_later_sources_win_whatever_their_order_of_arrival() -> None:
    """The order is that of SourceKind, not that in which sources are given."""
    sources = [source(kind, completion={"n_predict": int(kind)}) for kind in SourceKind]
    for n in range(1, len(sources) + 1):
        assert load(reversed(sources[:n])).completion.n_predict == n


def test_origins_name_who_set_what() -> None:
    """Only what is not at its default has an origin: the last source that set it."""
    config = load(
        [
            source(SourceKind.USER_FILE, completion={"seed": 1, "top_p": 0.5}),
            source(SourceKind.COMMAND_LINE, completion={"seed": "2"}),
        ]
    )
    assert dict(config.origins) == {
        "completion.seed": "<command_line>",
        "completion.top_p": "<user_file>",
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"completion": {"n_predct": 3}}, "unknown; did you mean completion.n_predict?"),
        ({"completion": {"kv_type": "f16"}}, "kv_type is unknown; did you mean engine.kv_type?"),
        ({"completions": {"enabled": True}}, "completions is unknown; did you mean [completion]?"),
        ({"completion.modle": "x"}, "completion.modle is unknown; did you mean completion.model?"),
        (
            {"completion": {"n_predict": "many"}},
            "completion.n_predict must be an integer from 1 to 8192 (tokens), not 'many'",
        ),
        ({"completion": {"n_predict": True}}, "must be an integer"),
        ({"completion": {"n_predict": 1.5}}, "must be an integer"),
        ({"completion": {"n_predict": 0}}, "from 1 to 8192"),
        ({"completion": {"temperature": float("nan")}}, "must be a number from 0 to 5"),
        ({"completion": {"enabled": 1}}, "completion.enabled must be true or false, not 1"),
        ({"completion": {"languages_off": "python"}}, "must be a list of strings"),
        ({"completion": {"languages_off": [1]}}, "must be a list of strings"),
        ({"completion": 3}, "completion must be a table, not 3"),
        (
            {"engine": {"kv_type": "q8_0", "flash_attention": "off"}},
            'engine.kv_type = "q8_0" needs flash attention; set engine.flash_attention = "auto"',
        ),
        ({"engine": {"kv_type": "f8"}}, "engine.kv_type must be one of f16, q8_0, q4_0, not 'f8'"),
        ({"engines": {"team": {}}}, 'engines.team must be a table with kind = "…"'),
        ({"engines": 1}, "engines must hold tables"),
        ({"completion": {"engine": "team"}}, "'team' is not defined; add a table [engines.team]"),
        ({"engine": {"n_ctx": 512}}, "1456 tokens do not fit into engine.n_ctx = 512"),
    ],
)  # fmt: skip
def test_mistakes_name_key_and_remedy(values: dict[str, object], message: str) -> None:
    """A mistake is an error that says where, which key, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        load([Source(SourceKind.USER_FILE, "config.toml", values)])
    assert message in str(caught.value)


def test_every_mistake_is_told_and_the_rest_holds() -> None:
    """A server goes on with the settings that are right, and can tell all that are wrong."""
    config, mistakes = read(
        [source(completion={"seed": "x", "n_predict": 5, "nope": 1}, log={"level": "loud"})]
    )
    assert config.completion.n_predict == 5
    assert config.completion.seed == 0
    assert len(mistakes) == 3
    assert all(mistake.startswith("<user_file>: ") for mistake in mistakes)


def test_clients_may_wrap_flatten_and_leave_out() -> None:
    """Editors send {"fimls": …}, dotted keys, null for unset, 3.0 for 3, and keys of their own."""
    values = {
        "fimls": {
            "completion": {"n_predict": 64.0, "model": None},
            "completion.seed": 7,
            "trace": {"server": "off"},
            "client": {"path": "/usr/bin/fimls"},
        }
    }
    config = load([Source(SourceKind.WORKSPACE_CONFIGURATION, "editor", values)])
    assert (config.completion.n_predict, config.completion.seed) == (64, 7)
    assert config.completion.model == Config().completion.model


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("FIMLS_COMPLETION_N_PREDICT=5", ("completion", "n_predict", 5)),
        ("FIMLS_COMPLETION_ENABLED=off", ("completion", "enabled", False)),
        ("FIMLS_COMPLETION_TEMPERATURE=0.5", ("completion", "temperature", 0.5)),
        ("FIMLS_COMPLETION_LANGUAGES_OFF=c, go", ("completion", "languages_off", ("c", "go"))),
    ],
)
def test_environment(text: str, value: tuple[str, str, object]) -> None:
    """FIMLS_SECTION_KEY, read as what the option needs."""
    name, _, raw = text.partition("=")
    section, key, expected = value
    config = load([environment({name: raw, "PATH": "/bin", "FIMLS_CACHE_DIR": "/x"})])
    assert getattr(getattr(config, section), key) == expected


@pytest.mark.parametrize("name", ["FIMLS_COMPLETION_MODLE", "FIMLS_COMPLETON_MODEL"])
def test_environment_typos_are_mistakes(name: str) -> None:
    """A variable that is nearly ours is a typo, not somebody else's."""
    with pytest.raises(ConfigError, match=r"did you mean completion\.model\?"):
        load([environment({name: "x"})])


def test_foreign_environment_is_left_alone() -> None:
    """Variables of other tools that happen to begin with FIMLS_ are not ours."""
    assert load([environment({"FIMLS_NVIM_LOG": "1"})]) == Config()


def test_command_line() -> None:
    """--set section.key=value; the value may hold an equals sign."""
    config = load([command_line(["completion.model=/m/a=b.gguf", "completion.seed=3"])])
    assert (config.completion.model, config.completion.seed) == ("/m/a=b.gguf", 3)
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        command_line(["completion.seed"])


def test_engines_on_the_command_line() -> None:
    """Any key of theirs, however deep; a value that is TOML has its type."""
    team = source(engines={"team": {"kind": "openai", "params": {"top_k": 1, "user": "me"}}})
    over = [
        "engines.team.params.top_k=40",
        "engines.team.timeout_s=0.5",
        "engines.team.url=http://b",
    ]
    assert load([team, command_line(over)]).engines["team"] == {
        "kind": "openai",
        "params": {"top_k": 40, "user": "me"},
        "timeout_s": 0.5,
        "url": "http://b",
    }
    with pytest.raises(ConfigError, match="team has been given a value already"):
        command_line(["engines.team=1", "engines.team.retries=2"])


def test_a_project_may_only_tune_and_narrow() -> None:
    """A repository's file cannot choose a model or engine, write a log, or widen what is read."""
    user = source(
        SourceKind.USER_FILE,
        completion={"enabled": False, "languages_off": ["c"]},
        files={"max_bytes": 100, "ignore": [".env"]},
    )
    project = source(
        SourceKind.PROJECT_FILE,
        completion={"enabled": True, "languages_off": ["go"], "n_predict": 32, "model": "evil"},
        files={"max_bytes": 10**6, "ignore": ["*.pem"]},
        log={"file": "/etc/passwd"},
        engines={"x": {"kind": "openai", "url": "http://example.org"}},
    )
    config, mistakes = read([project, user])
    assert config.completion.enabled is False
    assert config.completion.languages_off == ("c", "go")
    assert config.completion.n_predict == 32
    assert (config.files.max_bytes, config.files.ignore) == (100, (".env", "*.pem"))
    assert config.completion.model == Config().completion.model
    assert (config.log.file, dict(config.engines)) == ("", {})
    assert [mistake.split()[1] for mistake in mistakes] == [
        "completion.model",
        "log.file",
        "engines",
    ]


def test_what_a_project_may_do_is_decided_for_every_option() -> None:
    """Whoever adds an option that loads, writes or redirects must not open it to projects."""
    open_to_projects = {n for n, found in options().items() if found.project is not Project.NO}
    assert not {n for n in open_to_projects if n.startswith(("engine.", "models.", "log."))}
    assert not open_to_projects & {"completion.model", "completion.engine", "completion.template"}
    assert not open_to_projects & {"review.model", "review.engine"}


def test_engines_tables_are_merged_by_key() -> None:
    """A later source may change one key of an engine; the rest stays."""
    config = load(
        [
            source(engines={"team": {"kind": "openai", "url": "http://a"}}),
            source(SourceKind.WORKSPACE_CONFIGURATION, engines={"team": {"url": "http://b"}}),
        ]
    )
    assert config.engines["team"] == {"kind": "openai", "url": "http://b"}


def test_results_cannot_be_changed() -> None:
    """What several threads read is immutable."""
    config = load([source(engines={"a": {"kind": "x"}})])
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.completion.seed = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.engines["b"] = {}  # type: ignore[index]


def test_files(tmp_path: Path) -> None:
    """The user's file, the project's file, the environment: found where they are said to be."""
    user = tmp_path / "mine.toml"
    user.write_text("[completion]\nseed = 1\nn_predict = 9\n")
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / ".git").mkdir()
    (project / ".fimls.toml").write_text("completion.n_predict = 7\n")
    environ = {"FIMLS_CONFIG": str(user), "FIMLS_COMPLETION_SEED": "2"}
    assert user_file_path(environ) == user
    assert find_project(project / "src") == project
    config = load(gather(root=find_project(project / "src"), environ=environ))
    assert (config.completion.seed, config.completion.n_predict) == (2, 7)


def test_profiles(tmp_path: Path) -> None:
    """Named on the command line, they outweigh all but what stands there itself."""
    user = tmp_path / "config.toml"
    environ = {"FIMLS_CONFIG": str(user), "FIMLS_COMPLETION_SEED": "2"}
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/quick.toml").write_text("[completion]\nn_predict = 9\nseed = 3\n")
    (tmp_path / "profiles/wild.toml").write_text("completion.temperature = 1\nreview.model = 'x'\n")
    sources = [environment(environ), profile("quick", environ=environ)]
    sources += [profile("wild", user), command_line(["completion.n_predict=5"])]
    completion = load(sources).completion
    assert (completion.seed, completion.n_predict, completion.temperature) == (3, 5, 1.0)
    for name in ("slow", "../config", ""):
        with pytest.raises(ConfigError, match=r"no profile .*; there are quick, wild"):
            profile(name, environ=environ)


def test_a_project_ends_at_its_repository(tmp_path: Path) -> None:
    """Settings above a repository are not that repository's."""
    (tmp_path / ".fimls.toml").write_text("")
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    assert find_project(tmp_path / "repository") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a = ", "not valid TOML"), (b"\xff\xfe", "not UTF-8"), (None, "No such file")],
)
def test_unreadable_files(tmp_path: Path, content: bytes | None, message: str) -> None:
    """A file that was asked for and cannot be read is an error that names it."""
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        user_file(path)
    assert str(path) in str(caught.value)


def test_missing_files_are_fine_when_nobody_asked(tmp_path: Path) -> None:
    """Most people have no configuration."""
    assert user_file(environ={"HOME": str(tmp_path)}) is None or user_file_path().is_file()
    assert project_file(tmp_path) is None


def test_documentation_is_generated() -> None:
    """docs/configuration.md holds the tables that the schema makes; `make docs` writes them."""
    tables = f"config --markdown -->\n{markdown()}\n<!-- end"
    assert tables in DOCUMENTATION.read_text(encoding="utf-8")


def test_the_readmes_table_is_generated() -> None:
    """What it prints of the options is what the schema says; `make docs` writes it."""
    part = r"<!-- begin: fimls config --markdown (.+?) -->\n(.*?)\n<!-- end"
    [(names, table)] = re.findall(part, README.read_text(encoding="utf-8"), re.DOTALL)
    assert table == brief(names.split())
    with pytest.raises(BadRequest, match=r"completion\.modle is no option"):
        brief(["completion.modle"])


def test_json_schema_describes_every_option() -> None:
    """Editors get type, default and explanation of each option, as plain JSON."""
    schema = json.loads(json.dumps(json_schema()))
    described = {
        f"{section}.{key}"
        for section, table in schema["properties"].items()
        for key in table["properties"]
    }
    assert described == set(options())
    assert schema["properties"]["engine"]["properties"]["kv_type"]["enum"][0] == "f16"


def test_toml_is_readable_again(tmp_path: Path) -> None:
    """What `fimls config` prints can be put into a file and means the same."""
    values = {"completion.model": 'a "b" \\ ü', "completion.languages_off": ("x", 'y"')}
    path = tmp_path / "config.toml"
    path.write_text("\n".join(f"{name} = {toml(value)}" for name, value in values.items()))
    found = user_file(path)
    assert found is not None
    config = load([found])
    assert config.completion.model == values["completion.model"]
    assert config.completion.languages_off == values["completion.languages_off"]
