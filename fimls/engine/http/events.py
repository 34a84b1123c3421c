"""Server-sent events, as inference servers send them.

https://html.spec.whatwg.org/multipage/server-sent-events.html, less what nobody sends
(ids, retry), plus what they do: a plain JSON answer although a stream was asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from fimls.engine.http.failures import parsed
from fimls.errors import EngineFailed

# A line holds a token and its probabilities; 1 MB is a server gone mad.
MOST_BYTES_PER_LINE = 1_000_000


def lines(who: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines without their ends; the last one may lack its end. Raises ``EngineFailed``."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")
        if len(rest) > MOST_BYTES_PER_LINE:
            raise EngineFailed(f"{who} sends a line without end; see its log")
    if rest:
        yield rest


def documents(who: str, chunks: Iterator[bytes]) -> Iterator[Any]:
    """The JSON documents of a stream, up to ``[DONE]`` or the end of the body."""
    data: list[bytes] = []
    all_lines = lines(who, chunks)
    for line in all_lines:
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line.startswith(b"error:"):  # llama-server and old TGI, in mid-stream
            yield {"error": parsed(who, line[6:])}
        elif not line and data:
            text, data = b"\n".join(data), []
            if text == b"[DONE]":
                # The end of the body follows at once; with it the connection is free again.
                for _ in itertools.islice(all_lines, 4):
                    pass
                return
            yield parsed(who, text)
        elif line.startswith(b"{"):  # not a stream after all: one document, or one a line
            yield parsed(who, line)
    if data and data != [b"[DONE]"]:
        yield parsed(who, b"\n".join(data))
