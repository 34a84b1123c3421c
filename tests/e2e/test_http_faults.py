"""An editor, our server, and a remote engine that goes wrong: one message, and on it goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faulty_proxy import Fault, FaultyProxy
from tests.tiny_server import TinyServer

TEXT = "def add(a, b):\n    return \n"
FAULTS = {
    Fault.REFUSE: "does not answer (it hangs up); start it",
    Fault.RESET: "broke the connection in mid-answer",
    Fault.SILENT: "was silent for 1 s",
    Fault.UNAUTHORIZED: "refuses our key (401); set api_key",
    Fault.TOO_MANY: "asks for fewer requests (429); wait",
    Fault.BROKEN: "failed (500); see its log",
    Fault.BROKEN_JSON: "sends broken JSON; check",
    Fault.ENDLESS_LINE: "sends a line without end",
}


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    """A remote engine that says ``a + b``, and whatever stands between it and us."""
    events: list[Any] = [{"choices": [{"text": text}]} for text in ("a", " +", " b")]
    events += [{"choices": [{"text": "", "finish_reason": "stop"}]}, "[DONE]"]
    with TinyServer(events) as server, FaultyProxy(server.port) as made:
        made.after_bytes = 100
        yield made


def settings(url: str, timeout_s: float = 30) -> dict[str, Any]:
    remote = {"kind": "openai", "url": url, "template": "qwen2.5-coder", "retries": 0}
    return {"completion": {"engine": "gpu"}, "engines": {"gpu": {**remote, "timeout_s": timeout_s}}}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_one_message_and_back_again(edit: Any, proxy: FaultyProxy, fault: Fault) -> None:
    """However often a person types into it."""
    timeout_s = 1 if fault is Fault.SILENT else 30
    async with edit(settings(proxy.url, timeout_s)) as editor:
        uri = editor.open(TEXT)
        proxy.fault = fault
        for _ in range(3):
            assert await editor.ghost_texts(uri, 1, 11, invoked=True) == []
        [message] = editor.messages
        assert FAULTS[fault] in message
        assert message.startswith(f"fimls: engine gpu ({proxy.url}) ")
        await editor.status_is("error")
        proxy.fault = Fault.NONE
        assert await editor.ghost_texts(uri, 1, 11, invoked=True) == ["a + b"]
        await editor.status_is("idle")
        assert len(editor.messages) == 1


async def test_typing_on_hangs_up(edit: Any, proxy: FaultyProxy) -> None:
    """A newer request takes the older one back, and the server is left at once."""
    proxy.fault = Fault.SILENT
    async with edit(settings(proxy.url)) as editor:
        uri = editor.open(TEXT)
        first = editor.ask(uri, 1, 11, invoked=True)
        await editor.eventually(lambda: proxy.n_requests == 1)
        proxy.fault = Fault.NONE
        editor.type(uri, 1, 11, "a")
        assert await editor.ghost_texts(uri, 1, 12, invoked=True)
        assert await first.answer is None
        assert editor.messages == []


async def test_the_fallback_answers_and_the_status_says_so(edit: Any, proxy: FaultyProxy) -> None:
    """One message when it takes over, one when the server is back."""
    proxy.fault = Fault.REFUSE
    both = settings(proxy.url)
    both["completion"] |= {"fallback": "local", "template": "qwen2.5-coder"}
    both["engines"]["local"] = {"kind": "scripted", "answer": "b + a"}
    async with edit(both) as editor:
        uri = editor.open(TEXT)
        assert await editor.ghost_texts(uri, 1, 11, invoked=True) == ["b + a"]
        [message] = editor.messages
        assert message.startswith("fimls: the local model answers: engine gpu ")
        await editor.eventually(
            lambda: str(editor.statuses[-1].get("message")).startswith("the local model answers")
        )
        proxy.fault = Fault.NONE
        for number in range(100):
            editor.type(uri, 0, 0, f"# {number}\n")
            texts = await editor.ghost_texts(uri, number + 2, 11, invoked=True)
            if texts == ["a + b"]:
                break
            await editor.pause(0.1)
        else:
            pytest.fail("the server was not found again")
        assert editor.messages[1:] == ["fimls: the remote engine is back"]
