"""``[engines.NAME]`` tables: how to reach a remote engine.

One table, checked key by key; secrets come in as ``$VARIABLE`` and never go out
again: not into a message, not into a log, not into ``repr``.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fimls.errors import ConfigError


class Kind(str, Enum):
    """What the server at the other end speaks."""

    LLAMA_SERVER = "llama-server"  # llama.cpp's own: token ids, /tokenize, /completion
    OPENAI = "openai"  # /v1/completions: vLLM, SGLang, LM Studio, TGI, llama-cpp-python
    OLLAMA = "ollama"  # its own /api/generate: its /v1/completions puts prompts into a chat
    FIM = "fim"  # takes prefix and suffix: Mistral's /v1/fim/completions, DeepSeek's beta

    def __str__(self) -> str:
        return self.value


def _key(default: Any, doc: str) -> Any:
    """A dataclass field that explains itself; docs/engines.md is checked against these."""
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"doc": doc})
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """A remote engine. Every field is a key of its ``[engines.NAME]`` table."""

    name: str
    kind: Kind
    url: str = _key("", "Where the server listens, e.g. `http://127.0.0.1:8080`.")
    path: str = _key("", "Path of the completion endpoint, when it is not the usual one.")
    model: str = _key("", "Name of the model at the server; many servers need none.")
    template: str = _key("", "FIM template of the model, where the server does not tell.")
    api_key: str = _key("", 'Sent as a bearer token; write `"$VARIABLE"`, not the key itself.')
    headers: Mapping[str, str] = _key({}, "Further HTTP headers.")
    params: Mapping[str, Any] = _key({}, "Further JSON parameters of every request; ours give way.")
    infill: bool = _key(False, "llama-server only: let the server fill its own template (/infill).")
    vocabulary: str = _key(
        "", "openai only: GGUF file of the same family; then token ids are sent, not text."
    )
    n_ctx: int = _key(0, "Context in tokens; 0: llama-server is asked, others have 4096.")
    ca_file: str = _key("", "PEM file of the authority that signed the server's certificate.")
    cert_file: str = _key("", "PEM file of our client certificate.")
    key_file: str = _key("", "PEM file of its key, when it is not in cert_file.")
    proxy: str = _key(
        "", "`http://`, `https://` or `socks5://` proxy; empty: as the environment says."
    )
    connect_timeout_s: float = _key(3.0, "Longest wait for a connection.")
    timeout_s: float = _key(60.0, "Longest silence of the server, prompt evaluation included.")
    retries: int = _key(2, "Further attempts before the first token, with growing pauses.")

    secrets: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @classmethod
    def from_table(
        cls, name: str, table: Mapping[str, Any], environ: Mapping[str, str] = os.environ
    ) -> HttpSettings:
        """The settings in a table. Raises ``ConfigError`` that names key and remedy."""
        known = {item.name: item for item in fields(cls) if item.name not in {"name", "secrets"}}
        values: dict[str, Any] = {}
        secrets: set[str] = set()
        for key, raw in table.items():
            if key not in known:
                raise ConfigError(f"engines.{name}.{key} is unknown{_nearest(key, list(known))}")
            where = f"engines.{name}.{key}"
            if key == "kind":
                values[key] = _kind(where, raw)
                continue
            item = known[key]
            default = item.default_factory() if callable(item.default_factory) else item.default
            values[key] = _expand(where, _checked(where, raw, default), environ, secrets)
        if "kind" not in values:
            raise ConfigError(f"engines.{name} needs kind = one of {_kinds()}")
        if values.get("api_key"):
            secrets.add(values["api_key"])
        made = cls(name=name, secrets=frozenset(s for s in secrets if s), **values)
        made.check()
        return made

    def check(self) -> None:
        """Raise ``ConfigError`` when settings contradict each other or point nowhere."""
        where = f"engines.{self.name}"
        self._check_way(where)
        self._check_kind(where)
        if self.key_file and not self.cert_file:
            raise ConfigError(f"{where}.key_file needs cert_file as well")
        for key in ("ca_file", "cert_file", "key_file", "vocabulary"):
            path = getattr(self, key)
            if path and not Path(path).expanduser().is_file():
                raise ConfigError(f"{where}.{key}: there is no file {path}")
        for key in ("connect_timeout_s", "timeout_s"):
            if not getattr(self, key) > 0:
                raise ConfigError(f"{where}.{key} must be greater than 0")
        if self.retries < 0 or self.n_ctx < 0:
            raise ConfigError(f"{where}.retries and n_ctx must not be negative")

    def _check_way(self, where: str) -> None:
        if not _is_url(self.url, {"http", "https"}):
            raise ConfigError(f'{where}.url must be like "http://127.0.0.1:8080"')
        if self.proxy and not _is_url(self.proxy, _PROXIES):
            raise ConfigError(f'{where}.proxy must be like "http://127.0.0.1:3128"')
        for key, value in {"api_key": self.api_key, **self.headers}.items():
            if not f"{key}{value}".isascii():
                raise ConfigError(f"{where}: {key} holds characters that HTTP headers cannot carry")

    def _check_kind(self, where: str) -> None:
        if self.infill and self.kind != Kind.LLAMA_SERVER:
            raise ConfigError(f'{where}.infill is for kind = "llama-server"')
        if self.vocabulary and self.kind != Kind.OPENAI:
            raise ConfigError(f'{where}.vocabulary is for kind = "openai"')
        if self.kind in {Kind.FIM, Kind.OLLAMA} and not self.model:
            raise ConfigError(f'{where} needs model = "…": its server has several')
        if self.kind == Kind.OLLAMA and not isinstance(self.params.get("options", {}), Mapping):
            raise ConfigError(f"{where}.params.options must be a table")

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine: then no proxy of the environment applies."""
        host = urlsplit(self.url).hostname or ""
        return host in {"localhost", "::1"} or host.startswith("127.")

    @property
    def shown_url(self) -> str:
        """The URL for messages: no password, no query, no secret."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return self.mask(f"{parts.scheme}://{parts.hostname}{port}{parts.path}".rstrip("/"))

    def mask(self, text: str) -> str:
        """``text`` without any of the secrets."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def __repr__(self) -> str:
        return f"HttpSettings({self.name!r}, {self.kind}, {self.shown_url!r}, model={self.model!r})"


_PROXIES = frozenset({"http", "https", "socks5", "socks5h"})


def _is_url(text: str, schemes: Collection[str]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is no number, half an IPv6 address
        return False


def _kinds() -> str:
    return ", ".join(kind.value for kind in Kind)


def _kind(where: str, raw: Any) -> Kind:
    try:
        return Kind(raw)
    except ValueError:
        near = _nearest(str(raw), [kind.value for kind in Kind])
        raise ConfigError(f"{where} must be one of {_kinds()}, not {raw!r}{near}") from None


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def _checked(where: str, raw: Any, default: Any) -> Any:
    """``raw``, when it is of the type of ``default``."""
    if isinstance(default, Mapping):
        if not isinstance(raw, Mapping):
            raise ConfigError(f"{where} must be a table")
        if where.endswith(".headers") and not all(isinstance(v, str) for v in raw.values()):
            raise ConfigError(f"{where} must hold strings")
        return dict(raw)
    if isinstance(default, float) and type(raw) is int:
        return float(raw)
    if type(raw) is not type(default):
        words = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
        raise ConfigError(f"{where} must be {words[type(default)]}")
    return raw


_VARIABLE = re.compile(r"\$(?:\$|(?P<plain>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})")


def _expand(where: str, value: Any, environ: Mapping[str, str], secrets: set[str]) -> Any:
    """``$NAME`` and ``${NAME}`` from the environment, ``$$`` is a dollar; also inside tables."""
    if isinstance(value, Mapping):
        return {k: _expand(f"{where}.{k}", v, environ, secrets) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(where, item, environ, secrets) for item in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        variable = found["plain"] or found["braced"]
        if variable is None:
            return "$"
        if not environ.get(variable):
            raise ConfigError(
                f"{where}: the environment variable {variable} is not set; "
                "set it where your editor is started from (a literal $ is written $$)"
            )
        secrets.add(environ[variable])
        return environ[variable]

    return _VARIABLE.sub(put, value)
