"""``[engines.NAME]`` tables: each mistake is named with its remedy, and secrets stay secret."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from fimls.assembly import open_engine
from fimls.config import Config
from fimls.engine.http import HttpSettings, Kind, open_http_engine
from fimls.errors import ConfigError
from tests.vocabularies import vocab_file

ENVIRON = {"TEAM_KEY": "s3cret", "HOST_NAME": "gpu.example.org", "EMPTY": ""}


def read(**table: Any) -> HttpSettings:
    whole = {"kind": "openai", "url": "http://127.0.0.1:1", **table}
    return HttpSettings.from_table("gpu", whole, ENVIRON)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"timeout": 3}, "engines.gpu.timeout is unknown; did you mean timeout_s?"),
        ({"zzz": 3}, "engines.gpu.zzz is unknown; there are kind, url, "),
        ({"kind": "lama-server"}, "must be one of llama-server, openai, ollama, fim, not"),
        ({"kind": "lama-server"}, "did you mean llama-server?"),
        ({"url": "127.0.0.1:8080"}, 'engines.gpu.url must be like "http://127.0.0.1:8080"'),
        ({"url": "file:///etc/passwd"}, "engines.gpu.url must be like"),
        ({"url": "http://127.0.0.1:80800"}, "engines.gpu.url must be like"),
        ({"url": "http://[::1"}, "engines.gpu.url must be like"),
        ({"proxy": "foo"}, "engines.gpu.proxy must be like"),
        ({"api_key": "sk-é"}, "engines.gpu: api_key holds characters that HTTP headers cannot"),
        ({"headers": {"X-Name": "Zoë"}}, "engines.gpu: X-Name holds characters"),
        (
            {"kind": "ollama", "model": "m", "params": {"options": 3}},
            "engines.gpu.params.options must be a table",
        ),
        ({"timeout_s": "3"}, "engines.gpu.timeout_s must be a number"),
        ({"timeout_s": 0}, "engines.gpu.timeout_s must be greater than 0"),
        ({"retries": True}, "engines.gpu.retries must be an integer"),
        ({"retries": -1}, "retries and n_ctx must not be negative"),
        ({"headers": {"X": 1}}, "engines.gpu.headers must hold strings"),
        ({"params": []}, "engines.gpu.params must be a table"),
        ({"ca_file": "/no/such.pem"}, "engines.gpu.ca_file: there is no file /no/such.pem"),
        ({"key_file": __file__}, "engines.gpu.key_file needs cert_file as well"),
        ({"infill": True}, 'engines.gpu.infill is for kind = "llama-server"'),
        ({"kind": "fim"}, 'engines.gpu needs model = "…"'),
        ({"api_key": "$NO_SUCH"}, "engines.gpu.api_key: the environment variable NO_SUCH is not"),
        ({"api_key": "$EMPTY"}, "the environment variable EMPTY is not set"),
        ({"params": {"a": {"b": "$NO_SUCH"}}}, "engines.gpu.params.a.b: the environment"),
    ],
)
def test_mistakes_are_named(table: dict[str, Any], says: str) -> None:
    """The key, what is wrong with it, and what would be right."""
    with pytest.raises(ConfigError) as failed:
        read(**table)
    assert says in str(failed.value)


def test_a_table_needs_a_kind() -> None:
    with pytest.raises(ConfigError, match=r"engines.gpu needs kind = one of llama-server"):
        HttpSettings.from_table("gpu", {"url": "http://127.0.0.1:1"}, ENVIRON)


def test_variables() -> None:
    """In any string, however deep; two dollars are one."""
    made = read(
        url="https://${HOST_NAME}/v1",
        headers={"X-Key": "k=$TEAM_KEY", "X-Price": "$$5"},
        params={"user": {"names": ["$HOST_NAME"]}},
        timeout_s=3,
    )
    assert made.url == "https://gpu.example.org/v1"
    assert made.headers == {"X-Key": "k=s3cret", "X-Price": "$5"}
    assert made.params == {"user": {"names": ["gpu.example.org"]}}
    assert (made.kind, made.timeout_s) == (Kind.OPENAI, 3.0)


def test_secrets_are_masked() -> None:
    """In repr, in messages, in the URL: also a password that is no variable."""
    made = read(api_key="$TEAM_KEY", url="http://me:hunter2@127.0.0.1:8080/x?key=1")
    for text in (repr(made), str(made), made.shown_url, made.mask("key s3cret")):
        assert "s3cret" not in text
        assert "hunter2" not in text
    assert made.shown_url == "http://127.0.0.1:8080/x"


def test_a_key_in_clear_text_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Over http to another machine anybody on the way can read it."""
    with caplog.at_level(logging.WARNING):
        open_http_engine(read(api_key="$TEAM_KEY"))
        assert not caplog.messages
        open_http_engine(read(api_key="$TEAM_KEY", url="http://gpu.example.org"))
    [message] = caplog.messages
    assert message == "engine gpu: its key goes unencrypted to http://gpu.example.org; use https"


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(ca_file="~/ca.pem").ca_file == "~/ca.pem"


def test_a_vocabulary_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is found there; one that is none is told by its own key."""
    (tmp_path / "v.gguf").symlink_to(vocab_file("refact"))
    (tmp_path / "none.gguf").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    table = {"kind": "openai", "url": "http://127.0.0.1:1", "vocabulary": "~/v.gguf"}
    engine = open_engine(Config(engines={"team": table}), "team", "m")
    assert engine.vocabulary is not None
    broken = Config(engines={"team": {**table, "vocabulary": "~/none.gguf"}})
    with pytest.raises(ConfigError, match=r"^engines\.team\.vocabulary: "):
        open_engine(broken, "team", "m")
