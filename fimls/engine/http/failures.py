"""What can go wrong on the way to a server, and what a person can do about it."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fimls.engine.http.settings import HttpSettings
from fimls.errors import EngineError, EngineFailed, EngineUnreachable

# A server's own words are shown, but not a page of HTML.
MOST_WORDS = 200
# 408 and 425 ask for another attempt, 429 asks for patience; 503 is llama-server loading its
# model; 502 and 504 come from balancers whose backend is gone for a moment.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
HANGS_UP = "it hangs up"
DOWN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that got no answer, and what to raise when no further attempt is made."""

    error: EngineError
    is_passing: bool  # another attempt may succeed
    is_down: bool = True  # nothing else can be expected of the server now
    retry_after_s: float = 0.0
    cause: Exception | None = None


def of_exception(settings: HttpSettings, error: Exception) -> Refusal:
    """The refusal behind an exception of httpx or of the TLS layer, before any answer."""
    import httpx  # noqa: PLC0415  # only where a request was made

    who = f"engine {settings.name} ({settings.shown_url})"
    reason = _reason(error)
    passing = False
    certificate = _cause(error, ssl.SSLCertVerificationError)
    if isinstance(certificate, ssl.SSLCertVerificationError):
        problem = (
            f"has a certificate that is not trusted ({certificate.verify_message}); "
            "set ca_file to the PEM file of the authority that signed it"
        )
    elif _cause(error, ssl.SSLError):
        problem = (
            f"does not speak TLS as we do ({reason}); check http or https in url, "
            "and cert_file if it asks for a client certificate"
        )
    elif isinstance(error, httpx.ProxyError):
        problem = f"is behind a proxy that refuses ({reason}); check proxy"
    elif isinstance(error, httpx.ConnectTimeout):
        passing = True
        problem = (
            f"takes no connection within {settings.connect_timeout_s:g} s; "
            "check the network, url and proxy"
        )
    elif isinstance(error, httpx.TimeoutException):
        # Not tried again: the server is busy with the first attempt.
        problem = _silence(settings)
    elif isinstance(error, httpx.TransportError):
        passing = True
        problem = f"does not answer ({reason}); start it, correct url, or see its log"
    else:
        problem = f"cannot be asked ({reason}); check url, headers and proxy"
    message = settings.mask(f"{who} {problem}")
    return Refusal(EngineUnreachable(message), passing, cause=error)


def in_mid_answer(settings: HttpSettings, error: Exception) -> EngineError:
    """The error for an answer that began and did not end as it should."""
    import httpx  # noqa: PLC0415  # only where a request was made

    silent = isinstance(error, httpx.TimeoutException)
    problem = _silence(settings) if silent else "broke the connection in mid-answer; see its log"
    return EngineFailed(f"engine {settings.name} ({settings.shown_url}) {problem}")


def _silence(settings: HttpSettings) -> str:
    return (
        f"was silent for {settings.timeout_s:g} s; "
        "it may be overloaded: raise timeout_s, or send it less work"
    )


def of_status(
    settings: HttpSettings, status: int, headers: Mapping[str, str], text: str
) -> Refusal:
    """The refusal behind an HTTP status other than success."""
    who = f"engine {settings.name} ({settings.shown_url})"
    said = settings.mask(words(text))
    said = f": {said}" if said else ""
    advice = {
        401: 'refuses our key (401); set api_key = "$VARIABLE" to a valid one',
        403: "forbids this (403); the key or certificate lacks the right",
        404: "has no such endpoint or model (404); check kind, url, path and model",
        407: "is behind a proxy that wants a login (407); put it into proxy",
        413: "finds the prompt too long (413); lower completion.n_prefix",
        429: "asks for fewer requests (429); wait, or raise its limit",
    }.get(status)
    if advice is None:
        if 300 <= status < 400:
            target = headers.get("location", "elsewhere")
            advice = f"redirects to {settings.mask(target[:MOST_WORDS])} ({status}); correct url"
        elif status in {400, 422}:
            advice = f"refuses the request ({status}); check params, model and n_ctx"
        elif status in {502, 503, 504}:
            advice = f"is not ready ({status}); it may be loading its model"
        else:
            advice = f"failed ({status}); see its log"
    kind = EngineUnreachable if status in DOWN else EngineFailed
    return Refusal(
        kind(f"{who} {advice}{said}"),
        is_passing=status in PASSING,
        is_down=status in DOWN or status in {401, 403} or status >= 500,
        retry_after_s=_retry_after(headers),
    )


def parsed(who: str, text: bytes | str) -> Any:
    """JSON, or ``EngineFailed``."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise EngineFailed(
            f"{who} sends broken JSON; check that url and kind name the right server"
        ) from error


def words(text: str) -> str:
    """A server's own message, in whichever of the field's shapes it comes.

    Only the message: FastAPI servers also send back the offending input, which is the
    user's code.
    """
    try:
        body: Any = json.loads(text)
    except ValueError:
        return "" if "<" in text[:200] else " ".join(text.split())[:MOST_WORDS]
    for key in ("error", "detail", "message", "msg"):
        while isinstance(body, Mapping) and key in body:
            body = body[key]
            if isinstance(body, list) and body:
                body = body[0]
    if not isinstance(body, str):
        return ""
    # llama-cpp-python's server quotes the same errors within its message.
    return " ".join(body.partition(", 'input':")[0].split())[:MOST_WORDS]


def _cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None


def _reason(error: Exception) -> str:
    """The system's own words: "Connection refused" rather than "[Errno 111] …".

    Hanging up shows as this or that, as luck has it; a person is to see one message.
    """
    import httpx  # noqa: PLC0415  # only where a request was made

    cause = _cause(error, OSError)
    if isinstance(cause, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return HANGS_UP
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" in str(error):
        return HANGS_UP
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(error) or type(error).__name__


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:  # absent, or a date, which no inference server sends
        return 0.0
