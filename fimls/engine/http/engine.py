"""A remote engine: a client, a dialect, and a vocabulary where the server shows one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fimls.cancel import Cancel
from fimls.engine.base import Request, Vocabulary
from fimls.engine.http.client import Client
from fimls.engine.http.completions import Chat, Completions, FimEndpoint, Ollama
from fimls.engine.http.llama_server import LlamaServer, RemoteVocabulary
from fimls.engine.http.settings import HttpSettings, Kind
from fimls.engine.http.slots import Slots, SlotStream
from fimls.engine.http.stream import Dialect, HttpStream
from fimls.errors import BadRequest

logger = logging.getLogger(__name__)

# Where neither the user nor the server says: what llama-server takes by default.
DEFAULT_N_CTX = 4096


class HttpEngine:
    """Implements ``fimls.engine.base.Engine``. Opening it sends nothing."""

    prepares_ahead = False  # another machine's time is not ours to spend

    def __init__(
        self,
        settings: HttpSettings,
        client: Client,
        dialect: Dialect,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self.settings = settings
        self._client = client
        self._dialect = dialect
        self._vocabulary = vocabulary
        own = {"seed", "id_slot"} & settings.params.keys()
        is_ours = isinstance(vocabulary, RemoteVocabulary) and not own
        self._slots = Slots(client) if is_ours else None

    @property
    def vocabulary(self) -> Vocabulary | None:
        return self._vocabulary

    @property
    def n_ctx(self) -> int:
        """As configured; else what llama-server gives one request; else an assumption."""
        if self.settings.n_ctx or not isinstance(self._vocabulary, RemoteVocabulary):
            return self.settings.n_ctx or DEFAULT_N_CTX
        told = self._vocabulary.props.get("default_generation_settings", {})
        return int(told.get("n_ctx") or DEFAULT_N_CTX)

    @property
    def prompt_tokens_per_s(self) -> float | None:
        return self._dialect.prompt_tokens_per_s

    @property
    def is_estimating(self) -> bool:
        """Whether budgets are guessed from characters, because the server has no tokenizer."""
        return self._vocabulary is None

    @property
    def fills_own_template(self) -> bool:
        """Whether the server takes prefix and suffix, so that no template of ours is needed."""
        return self.settings.infill or self.settings.kind is Kind.FIM

    @property
    def is_reachable(self) -> bool:
        """Whether the server answered when it was last asked; true before that."""
        return self._client.is_reachable

    def probe(self) -> None:
        """Ask the server for a sign of life. Raises ``EngineError`` when there is none.

        A server that answers "no such page" lives; that a completion works shows when
        one is asked for.
        """
        path = "/health" if self.settings.kind is Kind.LLAMA_SERVER else "/v1/models"
        self._client.probe(path, self.settings.connect_timeout_s)

    def stream(self, request: Request, cancel: Cancel) -> HttpStream:
        if request.given:
            raise BadRequest("servers weigh no given text: they tell of what they generate")
        has_name = bool(request.prompt.tokens) and request.sampling.temperature == 0
        if self._slots is None or not has_name:
            return HttpStream(self._client, self._dialect, request, cancel)
        return SlotStream(self._slots, self._client, self._dialect, request, cancel)

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        request: Request,
        cancel: Cancel,
        schema: Mapping[str, Any] | None = None,
    ) -> HttpStream:
        """Stream a chat's answer: ``messages`` have "role" and "content".

        ``request`` gives budget and sampling; its prompt is not used. ``schema`` is a JSON
        schema that the answer must satisfy, where the server supports it.
        """
        chat = Chat(self.settings, tuple(messages), schema)
        return HttpStream(self._client, chat, request, cancel)

    def close(self) -> None:
        self._client.close()


def open_http_engine(settings: HttpSettings, vocabulary: Vocabulary | None = None) -> HttpEngine:
    """The engine of an ``[engines.NAME]`` table; ``vocabulary`` is that of its key."""
    if settings.api_key and settings.url.startswith("http:") and not settings.is_local:
        logger.warning(
            "engine %s: its key goes unencrypted to %s; use https",
            settings.name,
            settings.shown_url,
        )
    client = Client(settings)
    dialect: Dialect
    if settings.kind is Kind.LLAMA_SERVER:
        dialect = LlamaServer(settings.params, infill=settings.infill)
        vocabulary = None if settings.infill else RemoteVocabulary(client)
    elif settings.kind is Kind.FIM:
        dialect = FimEndpoint(settings)
    elif settings.kind is Kind.OLLAMA:
        dialect = Ollama(settings)
    else:
        dialect = Completions(settings, vocabulary)
    if settings.path:
        dialect.path = settings.path
    return HttpEngine(settings, client, dialect, vocabulary)
