"""HTTP engines on the wire: what is sent, what is read, what is said when it goes wrong."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from fimls.cancel import Cancel
from fimls.engine.base import Given, Request, Sampling
from fimls.engine.http import HttpEngine, HttpSettings, open_http_engine
from fimls.engine.http.failures import words
from fimls.engine.http.stream import StopFilter
from fimls.errors import BadRequest, EngineError, EngineFailed, EngineUnreachable
from fimls.fim import Chunk, Prompt, Segment, SegmentKind, Window
from tests.faulty_proxy import Fault, FaultyProxy
from tests.tiny_server import TinyServer

TEXT = Prompt(
    (Segment(SegmentKind.SOURCE, "def add(a, b):\n    return "),),
    stop_texts=("<|endoftext|>", "<|fim_pad|>", "<A>", "<B>", "<C>"),
    window=Window("def add(a, b):\n", "    return ", "\n\nprint(add(1, 2))"),
    chunks=(Chunk("b.py", "x = 1"),),
)
IDS = Prompt((Segment(SegmentKind.SOURCE, "def ", (750, 220)),), stops=frozenset({151643}))


def completion(*texts: str, reason: str = "stop") -> list[Any]:
    """Events of ``/v1/completions``."""
    events: list[Any] = [{"choices": [{"text": text, "finish_reason": None}]} for text in texts]
    events.append({"choices": [{"text": "", "finish_reason": reason}]})
    usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 7}}
    return [*events, {"choices": [], "usage": usage}, "[DONE]"]


def native(*pieces: tuple[str, int], stop_type: str = "eos") -> list[Any]:
    """Events of llama-server's ``/completion``."""
    progress = {"total": 12, "cache": 11, "processed": 11}
    events: list[Any] = [{"content": "", "tokens": [0], "prompt_progress": progress}]
    events += [{"content": text, "tokens": [token], "stop": False} for text, token in pieces]
    return [*events, {"content": "", "tokens": [], "stop": True, "stop_type": stop_type}]


def engine(url: str, kind: str = "openai", **keys: Any) -> HttpEngine:
    table = {"kind": kind, "url": url, "retries": 0, **keys}
    return open_http_engine(HttpSettings.from_table("gpu", table, {"KEY": "s3cret"}))


def generate(
    made: HttpEngine, prompt: Prompt = TEXT, n_predict: int = 32, **sampling: Any
) -> tuple[str, Any]:
    stream = made.stream(Request(prompt, n_predict, Sampling(**sampling)), Cancel())
    try:
        return "".join(piece.text for piece in stream), stream.usage
    finally:
        stream.close()


def test_streams_a_completion() -> None:
    """Pieces arrive in order; the server's count of what it had cached is ours."""
    with TinyServer(completion("a", " +", " b")) as server:
        text, usage = generate(engine(server.url, model="coder", params={"priority": 7}))
    assert text == "a + b"
    assert (usage.n_generated, usage.n_prompt, usage.n_evaluated) == (3, 9, 2)
    assert usage.ended
    body = server.bodies[0]
    assert server.paths == ["/v1/completions"]
    assert body["prompt"] == TEXT.text
    assert body["stop"] == ["<|endoftext|>", "<|fim_pad|>", "<A>", "<B>"]  # OpenAI takes four
    assert (body["model"], body["priority"], body["max_tokens"]) == ("coder", 7, 32)


def test_a_stop_string_that_the_server_let_through_ends_the_text() -> None:
    """Even when it comes in pieces, and text that only looked like it is not lost."""
    with TinyServer(completion("if a <", "B or a <", "C", "> b")) as server:
        text, usage = generate(engine(server.url))
    assert (text, usage.ended) == ("if a <B or a ", True)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["ab", "c"], "abc"),
        (["a<", "A", "x"], "a<Ax"),
        (["a<A>b"], "a"),
        (["<", "<A", ">"], "<"),
        (["<"], "<"),
    ],
)
def test_stop_filter(pieces: list[str], expected: str) -> None:
    """Held back is only what may still become a stop string."""
    stops = StopFilter(("<A>",))
    assert "".join(map(stops.feed, pieces)) + stops.rest() == expected


def test_reads_no_further_than_it_is_asked() -> None:
    """The server streams into a closed window: hang up, and it stops."""
    with TinyServer(completion(*["x"] * 5000), pause_s=0.002) as server:
        made = engine(server.url)
        stream = made.stream(Request(TEXT, 5000), Cancel())
        next(stream)
        stream.close()
        assert server.left.wait(30)
    assert server.n_sent < 2500  # a handful on an idle machine


def test_n_predict_is_ours() -> None:
    """A server that counts otherwise does not get to go on."""
    with TinyServer(completion(*["x"] * 50)) as server:
        text, usage = generate(engine(server.url), n_predict=3)
    assert (text, usage.ended) == ("xxx", False)


def test_llama_server_takes_our_ids() -> None:
    """Ids go out as they are; the first event tells what the cache held."""
    with TinyServer(native(("a", 64), (" +", 488), ("", 151643), ("!", 0))) as server:
        text, usage = generate(engine(server.url, "llama-server"), IDS, seed=3, temperature=0.5)
    assert (text, usage.ended, usage.n_evaluated, usage.n_prompt) == ("a +", True, 1, 12)
    body = server.bodies[0]
    assert server.paths == ["/completion"]
    assert (body["prompt"], body["cache_prompt"], body["seed"]) == ([750, 220], True, 3)
    assert "grammar" not in body


def test_llama_server_heals_by_grammar() -> None:
    """The tail is generated again under a grammar and not reported again."""
    healing = Prompt(IDS.segments, heal='p"')
    with TinyServer(native(("p", 1), ('"r', 2), ("x", 3))) as server:
        text, _ = generate(engine(server.url, "llama-server"), healing)
    assert text == "rx"
    assert server.bodies[0]["grammar"].startswith('root ::= "\\U00000070\\U00000022" [')


def test_indentation_that_was_left_out_is_dropped_again() -> None:
    """String prompts end before the indentation; what more the model indents stays."""
    bare = Prompt(TEXT.segments, heal="    ")
    for generated, expected in (("      x", "  x"), ("  x", "x"), ("x", "x")):
        with TinyServer(completion(*generated)) as server:
            assert generate(engine(server.url), bare)[0] == expected


def test_infill_where_asked_for() -> None:
    """The server fills its own template from the window."""
    with TinyServer(native(("a", 64))) as server:
        made = engine(server.url, "llama-server", infill=True)
        assert made.fills_own_template
        assert made.vocabulary is None
        generate(made)
    body = server.bodies[0]
    assert server.paths == ["/infill"]
    assert (body["input_prefix"], body["prompt"]) == ("def add(a, b):\n", "    return ")
    assert body["input_suffix"] == "\n\nprint(add(1, 2))"
    assert body["input_extra"] == [{"filename": "b.py", "text": "x = 1"}]


@pytest.mark.parametrize(
    ("path", "choice"),
    [("/v1/fim/completions", {"delta": {"content": "a"}}), ("/beta/completions", {"text": "a"})],
)
def test_fim_endpoints(path: str, choice: dict[str, Any]) -> None:
    """Mistral's answer is shaped like a chat, DeepSeek's like a completion."""
    with TinyServer([{"choices": [choice]}, "[DONE]"]) as server:
        text, _ = generate(engine(server.url, "fim", model="codestral-latest", path=path))
    assert text == "a"
    body = server.bodies[0]
    assert server.paths == [path]
    assert (body["prompt"], body["suffix"]) == (
        "def add(a, b):\n    return ",
        "\n\nprint(add(1, 2))",
    )
    assert not {"min_p", "seed", "stream_options", "logit_bias"} & set(body)


def test_chat_with_a_schema() -> None:
    """Reviews at servers without a vocabulary: messages in, JSON out."""
    schema = {"type": "object"}
    events = [{"choices": [{"delta": {"content": "{}"}, "finish_reason": "stop"}]}, "[DONE]"]
    with TinyServer(events) as server:
        made = engine(server.url)
        messages = [{"role": "user", "content": "?"}]
        request = Request(Prompt(()), 10)
        text = "".join(p.text for p in made.chat(messages, request, Cancel(), schema))
    assert text == "{}"
    assert server.paths == ["/v1/chat/completions"]
    assert server.bodies[0]["response_format"]["json_schema"]["schema"] == schema


def test_ollama() -> None:
    """Our prompt raw, one JSON document a line, and options where Ollama wants them."""
    lines = [
        {"response": "a", "done": False},
        {"response": "", "done": True, "done_reason": "stop"},
    ]
    with TinyServer(lines, form="lines") as server:
        made = engine(server.url, "ollama", model="coder", params={"options": {"num_gpu": 0}})
        text, usage = generate(made)
    assert (text, usage.ended) == ("a", True)
    body = server.bodies[0]
    assert server.paths == ["/api/generate"]
    assert (body["raw"], body["prompt"]) == (True, TEXT.text)
    assert (body["options"]["num_predict"], body["options"]["num_gpu"]) == (32, 0)


def test_a_plain_answer_to_a_streaming_request() -> None:
    """Some servers ignore ``stream``; their one document is read all the same."""
    with TinyServer() as server:
        server.documents["/v1/completions"] = {"choices": [{"text": "a", "finish_reason": "stop"}]}
        assert generate(engine(server.url))[0] == "a"


def test_connections_are_reused() -> None:
    """Whole answers leave the connection to the next request."""
    with TinyServer(completion("a")) as server:
        made = engine(server.url)
        for _ in range(5):
            generate(made)
    assert len(server.ports) == 1


def test_a_late_cancel_does_not_hurt_the_next_request() -> None:
    """A request that is over has given its connection away."""
    with TinyServer(completion("a")) as server:
        made = engine(server.url)
        cancel = Cancel()
        list(made.stream(Request(TEXT, 8), cancel))
        stream = made.stream(Request(TEXT, 8), Cancel())
        cancel.set()
        assert "".join(piece.text for piece in stream) == "a"


def test_secrets_go_to_the_server_and_nowhere_else() -> None:
    """The key is in the header, and neither in repr nor in an error that echoes it."""
    with TinyServer(completion("a")) as server:
        made = engine(server.url, api_key="$KEY", headers={"X-Team": "t-${KEY}"})
        generate(made)
        assert server.headers[0]["authorization"] == "Bearer s3cret"
        assert server.headers[0]["x-team"] == "t-s3cret"
        server.events = [{"error": {"message": "bad key s3cret"}}]
        with pytest.raises(EngineFailed, match=r"bad key \*\*\*") as failed:
            generate(made)
    assert "s3cret" not in repr(made.settings) + str(made.settings) + str(failed.value)


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    words = completion(*["word "] * 400)
    with TinyServer(words, pause_s=0.001) as server, FaultyProxy(server.port) as made:
        yield made


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault.REFUSE, EngineUnreachable, "it hangs up"),
        (Fault.RESET, EngineFailed, "broke the connection in mid-answer; see its log"),
        (Fault.SILENT, EngineUnreachable, "was silent for 1 s.*raise timeout_s"),
        (Fault.UNAUTHORIZED, EngineFailed, r"refuses our key \(401\); set api_key.*so says the"),
        (Fault.TOO_MANY, EngineUnreachable, r"fewer requests \(429\); wait"),
        (Fault.BROKEN, EngineFailed, r"failed \(500\); see its log: so says the proxy"),
        (Fault.LOADING, EngineUnreachable, r"not ready \(503\); it may be loading its model"),
        (Fault.BROKEN_JSON, EngineFailed, "broken JSON; check that url and kind"),
        (Fault.ENDLESS_LINE, EngineFailed, "a line without end"),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
def test_each_fault_is_one_clear_error(
    proxy: FaultyProxy, fault: Fault, error: type[EngineError], says: str
) -> None:
    """One message with the next move, no traceback, and all is well when the server is."""
    proxy.fault = fault
    made = engine(proxy.url, timeout_s=1 if fault is Fault.SILENT else 30)
    with pytest.raises(error, match=says) as failed:
        generate(made, n_predict=1000)
    assert str(failed.value).startswith(f"engine gpu (http://127.0.0.1:{proxy.port}) ")
    assert "\n" not in str(failed.value)
    proxy.fault = Fault.NONE
    assert generate(made, n_predict=3)[0] == "word " * 3
    assert made.is_reachable


def test_a_server_that_echoes_the_input_is_not_quoted() -> None:
    """Validation errors of some servers hold the prompt, which is the user's code."""
    said = "1 error: {'msg': 'Input should be a string', 'input': [750, 220], 'ctx': 'secret()'}"
    assert words(json.dumps({"error": {"message": said}})).endswith("'Input should be a string'")
    detail = [{"msg": "Input should be a string", "input": "secret()"}]
    assert words(json.dumps({"detail": detail})) == "Input should be a string"


def test_a_closed_port_is_refused() -> None:
    """Nobody listens: say so, and what to do."""
    with FaultyProxy() as gone:
        pass
    made = engine(gone.url)
    with pytest.raises(EngineUnreachable, match=r"does not answer .connection refused.; start it"):
        generate(made)
    assert not made.is_reachable


def test_an_endless_stream_ends_at_n_predict(proxy: FaultyProxy) -> None:
    """What a server babbles beyond the budget is not even read."""
    proxy.fault = Fault.ENDLESS_STREAM
    assert generate(engine(proxy.url), n_predict=10)[0] == "x" * 10


def test_a_slow_stream_is_patience(proxy: FaultyProxy) -> None:
    """Slow is not broken, as long as something comes within the time."""
    proxy.fault, proxy.pause_s = Fault.SLOW, 0.1
    text, usage = generate(engine(proxy.url, timeout_s=5), n_predict=3)
    assert text == "word " * 3
    assert usage.t_first_token_ms > 80


def test_retries_are_bounded_and_only_before_the_first_token(proxy: FaultyProxy) -> None:
    """Two retries are three requests; an answer that broke off is not asked for again."""
    proxy.fault = Fault.BROKEN
    with pytest.raises(EngineFailed):
        generate(engine(proxy.url, retries=2))
    assert proxy.n_requests == 3
    proxy.fault, proxy.n_requests, proxy.is_read = Fault.RESET, 0, threading.Event()
    stream = engine(proxy.url, retries=2).stream(Request(TEXT, 1000), Cancel())
    next(stream)
    proxy.is_read.set()
    with pytest.raises(EngineFailed):
        list(stream)
    assert proxy.n_requests == 1


def test_a_retry_finds_the_server_again(proxy: FaultyProxy) -> None:
    """A server that restarts costs a pause, not the completion."""
    proxy.fault = Fault.LOADING
    threading.Timer(0.1, lambda: setattr(proxy, "fault", Fault.NONE)).start()
    assert generate(engine(proxy.url, retries=3), n_predict=2)[0] == "word word "


def test_retry_after_is_honoured(proxy: FaultyProxy) -> None:
    """A minute is longer than anybody waits for a completion: say so at once."""
    proxy.fault, proxy.retry_after = Fault.TOO_MANY, "60"
    started = time.perf_counter()
    with pytest.raises(EngineUnreachable, match="429"):
        generate(engine(proxy.url, retries=5))
    assert time.perf_counter() - started < 30
    assert proxy.n_requests == 1


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.SLOW, Fault.LOADING])
def test_cancel_from_another_thread(proxy: FaultyProxy, fault: Fault) -> None:
    """Whatever the request waits for (headers, a piece, a retry), it ends without an error."""
    proxy.fault, proxy.pause_s = fault, 30
    made = engine(proxy.url, retries=9)
    cancel = Cancel()
    at: list[float] = []

    def take_back() -> None:
        time.sleep(0.2)
        at.append(time.perf_counter())
        cancel.set()

    threading.Thread(target=take_back).start()
    assert list(made.stream(Request(TEXT, 100), cancel)) == []
    assert time.perf_counter() - at[0] < 10  # a few milliseconds on an idle machine, of 30 s


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls(authority: trustme.CA, *, wants_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if wants_client:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_a_certificate_that_nobody_signed_is_refused(authority: trustme.CA) -> None:
    """The message names the setting that mends it."""
    says = r"not trusted \(.*\); set ca_file"
    with (
        FaultyProxy(tls=tls(authority)) as server,
        pytest.raises(EngineUnreachable, match=says),
    ):
        generate(engine(server.url, retries=2))
    assert server.n_requests == 0


def test_a_company_authority_and_client_certificates(authority: trustme.CA, tmp_path: Path) -> None:
    """``ca_file`` makes the server trusted, ``cert_file`` us."""
    ca_file, cert_file = tmp_path / "ca.pem", tmp_path / "me.pem"
    authority.cert_pem.write_to_path(ca_file)
    authority.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(cert_file)
    with TinyServer(completion("a")) as upstream:
        context = tls(authority, wants_client=True)
        with FaultyProxy(upstream.port, tls=context) as server:
            made = engine(server.url, ca_file=str(ca_file), cert_file=str(cert_file))
            assert generate(made)[0] == "a"
            with pytest.raises(EngineError, match=r"cert_file|does not answer"):
                generate(engine(server.url, ca_file=str(ca_file)))


def test_cancel_through_tls(authority: trustme.CA, tmp_path: Path) -> None:
    """The socket below TLS is shut down; the reader wakes up in peace."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with FaultyProxy(tls=tls(authority)) as server:
        server.fault = Fault.SILENT
        cancel = Cancel()
        threading.Timer(0.2, cancel.set).start()
        made = engine(server.url, ca_file=str(tmp_path / "ca.pem"))
        assert list(made.stream(Request(TEXT, 100), cancel)) == []


def test_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured proxy is used; the environment's is not for servers on this machine."""
    with TinyServer(completion("a")) as server, FaultyProxy(server.port) as forward:
        assert generate(engine("http://inference.example", proxy=forward.url))[0] == "a"
        assert forward.requests[0].startswith(b"POST http://inference.example/v1/completions ")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        assert generate(engine(server.url))[0] == "a"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:1", "http://h:1/v1/completions"),
        ("http://h:1/v1/", "http://h:1/v1/completions"),
        ("http://h:1/llm", "http://h:1/llm/v1/completions"),
    ],
)
def test_urls_with_and_without_v1(url: str, expected: str) -> None:
    """People copy the URL with its ``/v1`` from other tools' documentation."""
    assert engine(url)._client.url("/v1/completions") == expected


def test_given_text_is_refused_before_anything_is_sent() -> None:
    """No server weighs it; whoever asks goes on without."""
    with pytest.raises(BadRequest, match="given text"):
        engine("http://127.0.0.1:9").stream(Request(IDS, 1, given=(Given(750),)), Cancel())
