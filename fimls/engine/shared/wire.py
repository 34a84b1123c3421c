"""The protocol between an engine's process and those who use it.

A frame is four bytes of length (big-endian) and a JSON object. The client asks, the host
answers, one request per connection at a time, so that no token is computed before it is
asked for:

    {"op": "stream", "request": {...}}   -> {}
    {"op": "next"}                       -> {"piece": [...], "usage": [...]} or {"usage": [...]}
    {"op": "cancel"}                     -> nothing; the answer that is due comes at once
    {"op": "close"}                      -> {}
    {"op": "ask", "method": "tokenize", "arguments": [...]} -> {"value": ...}

Before all that a host sends ``{"progress": 0.5}`` while it loads, then ``{"ready": {...}}``.
Any answer may be ``{"error": [class, message]}`` instead.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

from fimls import errors
from fimls.engine.base import Given, Priority, Request, Sampling, Usage
from fimls.fim import Piece, Prompt, Segment, SegmentKind

_LENGTH = struct.Struct("!I")
# A prompt of a million tokens is about 8 MB.
MOST_BYTES = 64_000_000


def send(to: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one frame. Raises ``OSError``."""
    body = json.dumps(message, separators=(",", ":")).encode()
    to.sendall(_LENGTH.pack(len(body)) + body)


def receive(of: socket.socket) -> dict[str, Any] | None:
    """The next frame; ``None`` at the end. Raises ``OSError``, also for a frame cut short."""
    head = _exactly(of, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MOST_BYTES:
        raise OSError(f"a frame of {length} bytes is not ours")
    body = _exactly(of, length)
    if body is None:
        raise OSError("the connection ended within a frame")
    message: dict[str, Any] = json.loads(body)
    return message


def _exactly(of: socket.socket, n_bytes: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < n_bytes:
        part = of.recv(min(n_bytes - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def from_request(request: Request) -> dict[str, Any]:
    sampling = dataclasses.asdict(request.sampling)
    sampling["logit_bias"] = list(request.sampling.logit_bias.items())
    prompt = request.prompt
    return {
        "segments": [[s.kind.value, s.text, s.tokens] for s in prompt.segments],
        "stops": sorted(prompt.stops),
        "heal": prompt.heal,
        "template": prompt.template,
        "stop_texts": prompt.stop_texts,
        "n_predict": request.n_predict,
        "sampling": sampling,
        "priority": int(request.priority),
        "logprobs": request.logprobs,
        "given": [[one.token, one.rivals] for one in request.given],
    }


def to_request(message: Mapping[str, Any]) -> Request:
    sampling = dict(message["sampling"])
    sampling["logit_bias"] = dict(sampling["logit_bias"])
    return Request(
        prompt=Prompt(
            tuple(
                Segment(SegmentKind(k), text, tuple(ids)) for k, text, ids in message["segments"]
            ),
            frozenset(message["stops"]),
            message["heal"],
            message["template"],
            tuple(message["stop_texts"]),
        ),
        n_predict=message["n_predict"],
        sampling=Sampling(**sampling),
        priority=Priority(message["priority"]),
        logprobs=message["logprobs"],
        given=tuple(Given(token, tuple(rivals)) for token, rivals in message["given"]),
    )


def from_piece(piece: Piece) -> list[Any]:
    return [piece.text, piece.token, piece.logprob, piece.rivals]


def to_piece(message: list[Any]) -> Piece:
    text, token, logprob, rivals = message
    return Piece(text, token, logprob, tuple(rivals))


def from_usage(usage: Usage) -> list[Any]:
    return [getattr(usage, field.name) for field in dataclasses.fields(usage)]


def update_usage(usage: Usage, message: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(usage), message, strict=True):
        setattr(usage, field.name, value)


def from_error(error: BaseException) -> list[str]:
    """An error as class and message; foreign ones become ``EngineFailed``."""
    if isinstance(error, errors.FimlsError):
        return [type(error).__name__, str(error)]
    return ["EngineFailed", f"the engine's process failed: {type(error).__name__}: {error}"]


def to_error(message: list[str]) -> errors.FimlsError:
    kind = getattr(errors, message[0], None)
    if not (isinstance(kind, type) and issubclass(kind, errors.FimlsError)):
        kind = errors.EngineFailed
    # Not through __init__: some classes make their message themselves.
    error = kind.__new__(kind)
    error.args = (message[1],)
    return error
