"""The model server, asked by the real clients over real HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from langchain_core.messages import BaseMessage
from langchain_openai import ChatOpenAI

from specflow.errors import ConfigurationError
from specflow.testing.model_server import CallPlan, ModelServer, Reply, ScriptedError, Usage, first_times
from specflow.testing.model_server.request import Answered

HELLO = [{"role": "user", "content": "hello"}]
BUSY = Reply(
    reasoning="I will look, then book.",
    text="One moment.",
    calls=(
        CallPlan("search", {"city": "Oslo", "days": 3}, fragments=4),
        CallPlan("weather", {"city": "Tromsø"}),
    ),
)


@pytest.fixture
def clients() -> Iterator[Any]:
    made: list[openai.OpenAI] = []

    def client(server: ModelServer, **options: Any) -> openai.OpenAI:
        made.append(
            openai.OpenAI(base_url=server.url, api_key="none", **{"timeout": 30, "max_retries": 0, **options})
        )
        return made[-1]

    yield client
    for each in made:
        each.close()


def ask(client: openai.OpenAI, messages: list[Any] = HELLO, **options: Any) -> Any:
    return client.chat.completions.create(model=options.pop("model", "m"), messages=messages, **options)


def joined(chunks: list[Any]) -> dict[str, Any]:
    """What a client makes of the deltas."""
    whole: dict[str, Any] = {"text": "", "reasoning": "", "calls": {}, "finish": None}
    for chunk in chunks:
        for choice in chunk.choices:
            whole["finish"] = choice.finish_reason or whole["finish"]
            whole["text"] += choice.delta.content or ""
            whole["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
            for call in choice.delta.tool_calls or []:
                entry = whole["calls"].setdefault(call.index, {"args": "", "pieces": 0})
                if call.function.name:
                    entry |= {"name": call.function.name, "id": call.id}
                    assert call.function.arguments == ""
                entry["args"] += call.function.arguments
                entry["pieces"] += bool(call.function.arguments)
    return whole


def test_a_streamed_reply_arrives_in_its_parts_and_order(clients: Any) -> None:
    with ModelServer([BUSY]) as server:
        chunks = list(ask(clients(server), stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    whole = joined(chunks)
    assert whole["reasoning"] == "I will look, then book."
    assert whole["text"] == "One moment."
    assert whole["finish"] == "tool_calls"
    first, second = whole["calls"][0], whole["calls"][1]
    assert (first["name"], first["id"], first["pieces"]) == ("search", "call_0_0", 4)
    assert json.loads(first["args"]) == {"city": "Oslo", "days": 3}
    assert second["name"] == "weather"
    assert second["pieces"] > 2
    assert json.loads(second["args"]) == {"city": "Tromsø"}
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens > 0
    assert sum(chunk.usage is not None for chunk in chunks) == 1


def test_without_streaming_the_same_message_comes_whole(clients: Any) -> None:
    with ModelServer([BUSY]) as server:
        answer = ask(clients(server))
    message = answer.choices[0].message
    assert (message.content, message.reasoning_content) == ("One moment.", "I will look, then book.")
    assert [call.function.name for call in message.tool_calls] == ["search", "weather"]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.usage.prompt_tokens == 1
    assert answer.usage.total_tokens == 1 + answer.usage.completion_tokens


def test_usage_is_sent_only_when_asked_for_and_can_be_scripted(clients: Any) -> None:
    with ModelServer([Reply(text="hi", usage=Usage(prompt_tokens=7, completion_tokens=9))]) as server:
        client = clients(server)
        assert all(getattr(chunk, "usage", None) is None for chunk in ask(client, stream=True))
        assert ask(client).usage.total_tokens == 16


@pytest.mark.parametrize("per_reply", [True, False])
def test_inline_reasoning_is_split_inside_its_tags(clients: Any, per_reply: bool) -> None:
    reply = Reply(reasoning="hmm", text="yes", reasoning_as="inline" if per_reply else None)
    with ModelServer([reply], reasoning="field" if per_reply else "inline") as server:
        deltas = [chunk.choices[0].delta.content for chunk in ask(clients(server), stream=True)]
    assert "".join(delta or "" for delta in deltas) == "<think>hmm</think>yes"
    assert "<think>" not in deltas


def test_the_order_of_the_parts_can_be_chosen(clients: Any) -> None:
    reply = Reply(text="done", calls=(CallPlan("f"),), order=("calls", "reasoning", "text"))
    with ModelServer([reply]) as server:
        chunks = list(ask(clients(server), stream=True))
    kinds = ["call" if chunk.choices[0].delta.tool_calls else "text" for chunk in chunks[1:-1]]
    assert kinds == sorted(kinds)


def test_broken_arguments_travel_as_they_are(clients: Any) -> None:
    with ModelServer([Reply(calls=(CallPlan("f", '{"a": '),))]) as server:
        whole = joined(list(ask(clients(server), stream=True)))
    assert whole["calls"][0]["args"] == '{"a": '


def test_the_reply_depends_on_the_conversation_alone(clients: Any) -> None:
    with ModelServer([Reply(text="one"), Reply(text="two")]) as server:
        client = clients(server)
        second = [*HELLO, {"role": "assistant", "content": "one"}, *HELLO]
        texts = [ask(client, turn).choices[0].message.content for turn in (second, HELLO, HELLO, second)]
        third = [*second, {"role": "assistant", "content": "two"}]
        with pytest.raises(openai.BadRequestError, match="2 replies, this request asks for number 3"):
            ask(client, third)
    assert texts == ["two", "one", "one", "two"]


def test_the_model_name_chooses_the_script(clients: Any) -> None:
    scripts = {"big": [Reply(text="B")], "small": lambda messages: Reply(text=f"{len(messages)} messages")}
    with ModelServer(scripts) as server:
        client = clients(server)
        assert [model.id for model in client.models.list()] == ["big", "small"]
        assert ask(client, model="big").choices[0].message.content == "B"
        assert ask(client, HELLO * 3, model="small").choices[0].message.content == "3 messages"
        with pytest.raises(openai.NotFoundError, match="known: big, small"):
            ask(client, model="huge")


def test_many_conversations_at_once_do_not_mix(clients: Any) -> None:
    def echo(messages: Any) -> Reply:
        return Reply(text=messages[-1]["content"], pace=500)

    with ModelServer(echo) as server, ThreadPoolExecutor(12) as pool:
        client = clients(server)
        words = [f"word {number}" for number in range(60)]
        said = pool.map(
            lambda word: joined(list(ask(client, [{"role": "user", "content": word}], stream=True)))["text"],
            words,
        )
        assert list(said) == words
        assert [request.number for request in server.requests] == list(range(1, 61))
        assert {request.answered for request in server.requests} == {Answered.FINISHED}


async def test_the_async_client_gets_the_same(clients: Any) -> None:
    with ModelServer([BUSY]) as server:
        sync = await asyncio.to_thread(lambda: joined(list(ask(clients(server), stream=True))))
        async with openai.AsyncOpenAI(base_url=server.url, api_key="none") as client:
            stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
            assert joined([chunk async for chunk in stream]) == sync


def test_a_scripted_error_has_status_body_and_retry_after(clients: Any) -> None:
    error = ScriptedError(
        status=429, message="slow down", type="requests", code="rate_limit_exceeded", retry_after=1.5
    )
    with ModelServer([Reply(error=error)]) as server:
        with pytest.raises(openai.RateLimitError, match="slow down") as caught:
            ask(clients(server), stream=True)
        assert server.requests[0].answered is Answered.ERROR
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after"] == "1.5"


def test_a_client_that_retries_gets_through(clients: Any) -> None:
    script = first_times(
        [Reply(text="at last")], Reply(error=ScriptedError(status=503, retry_after=0)), times=2
    )
    with ModelServer(script) as server:
        assert ask(clients(server, max_retries=2)).choices[0].message.content == "at last"
        assert len(server.requests) == 3


@pytest.mark.parametrize("stream", [True, False])
def test_a_connection_that_dies_is_a_connection_error(clients: Any, stream: bool) -> None:
    got: list[str] = []
    with ModelServer([Reply(text="one two three", die_after=2)]) as server:
        client = clients(server)

        def listen() -> None:
            got.extend(chunk.choices[0].delta.content for chunk in ask(client, stream=stream))

        # The streaming client may let the transport's own error through: it is known by its name below.
        with pytest.raises(Exception, match=r".") as caught:
            listen()
        assert server.requests[0].wait()
        assert server.requests[0].answered is Answered.DIED
    assert (
        "ConnectionError" in type(caught.value).__name__
        or "RemoteProtocolError" in type(caught.value).__name__
    )
    assert "".join(got) == ("one two" if stream else "")


def test_an_error_can_come_inside_the_stream(clients: Any) -> None:
    reply = Reply(text="one two three", die_after=1, error=ScriptedError(message="overloaded"))
    with ModelServer([reply]) as server:
        stream = ask(clients(server), stream=True)
        with pytest.raises(openai.APIError, match="overloaded"):
            list(stream)


def test_a_hanging_stream_ends_when_the_client_goes(clients: Any) -> None:
    with ModelServer([Reply(text="one two three", hang_after=1)]) as server:
        stream = ask(clients(server), stream=True)
        got = [next(stream).choices[0].delta.content for _ in range(2)]
        assert server.requests[0].answered is Answered.RUNNING
        stream.close()
        assert server.requests[0].wait()
        assert server.requests[0].answered is Answered.ABANDONED
    assert got == ["", "one"]


def test_a_hanging_answer_meets_the_clients_timeout(clients: Any) -> None:
    with ModelServer([Reply(text="x", hang_after=0)]) as server:
        with pytest.raises(openai.APITimeoutError):
            ask(clients(server, timeout=0.2))
        assert server.requests[0].wait()


def test_closing_ends_open_streams_and_leaves_no_thread(clients: Any) -> None:
    before = set(threading.enumerate())
    server = ModelServer([Reply(text="a long story " * 50, pace=5)]).start()
    streams = [ask(clients(server), stream=True) for _ in range(8)]
    for stream in streams:
        next(stream)
    url = server.url
    server.close()
    server.close()
    assert {request.answered for request in server.requests} == {Answered.CLOSED}
    assert set(threading.enumerate()) <= before
    for stream in streams:
        with pytest.raises(Exception, match=r"peer closed|incomplete|[Cc]onnection|disconnected"):
            list(stream)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url + "/models", timeout=5)
    with pytest.raises(ConfigurationError, match="not running"):
        _ = server.url


def test_time_passes_as_scripted_and_speed_divides_it(clients: Any) -> None:
    reply = Reply(text="one two three four", first_token=0.1, pace=20)
    with ModelServer([reply]) as server:
        started = time.monotonic()
        list(ask(clients(server), stream=True))
        assert time.monotonic() - started >= 0.3
    slow = Reply(text="x", seconds=3600)
    with ModelServer([slow], speed=None) as server:
        assert ask(clients(server)).choices[0].message.content == "x"
    with ModelServer([slow], speed=36_000.0) as server:
        assert ask(clients(server)).choices[0].message.content == "x"


def test_a_taken_port_is_named() -> None:
    with ModelServer([]) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(ConfigurationError, match=str(port)):
            ModelServer([], port=port).start()
    with pytest.raises(ConfigurationError, match="99999"):
        ModelServer([], port=99999).start()


def test_a_given_port_is_used_and_free_again_afterwards() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for _ in range(2):
        with ModelServer([], port=port) as server:
            assert f":{port}/v1" in server.url


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "JSON object"),
        (b'{"messages": []}', "model"),
        (b'{"model": "m", "messages": []}', "at least one"),
        (b'{"model": "m", "messages": [{"role": "robot"}]}', "needs a role"),
        (b'{"model": "m", "messages": [{"role": "tool", "tool_call_id": "x"}]}', "must answer a preceding"),
        (
            b'{"model":"m", "messages": [{"role": "assistant", "tool_calls": [{"id":"x"}]},{"role":"user"}]}',
            "no answer for: x",
        ),
    ],
)
def test_a_request_the_real_service_would_refuse_is_refused(body: bytes, says: str) -> None:
    with ModelServer([Reply(text="x")]) as server:
        status, answer = post(server, body)
    assert status == 400
    assert says in answer["error"]["message"]
    assert server.requests == []
    assert server.differences == []


def test_other_paths_and_bodies_without_length_are_refused() -> None:
    with ModelServer([Reply(text="x")]) as server:
        assert post(server, b"{}", "/v1/embeddings")[0] == 404
        connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=10)
        connection.request("POST", "/v1/chat/completions", body=iter([b"{}"]), encode_chunked=True)
        assert connection.getresponse().status == 411
        connection.close()
        connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=10)
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("Content-Length", str(2**40))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()


def test_a_script_that_raises_is_said_and_not_retried(clients: Any) -> None:
    def broken(messages: Any) -> Reply:
        raise KeyError("city")

    with ModelServer(broken) as server:
        with pytest.raises(openai.BadRequestError, match="the script raised KeyError"):
            ask(clients(server, max_retries=2))
        assert server.differences == ["request 1: the script raised KeyError: 'city'"]
    with (
        ModelServer(lambda messages: "hi") as server,  # type: ignore[arg-type,return-value]  # the mistake
        pytest.raises(openai.BadRequestError, match="must return a Reply, not str"),
    ):
        ask(clients(server))


def test_the_server_keeps_what_was_asked_but_no_key(clients: Any) -> None:
    with ModelServer([Reply(text="x")]) as server:
        before = time.monotonic()
        ask(clients(server), temperature=0.5)
        request = server.requests[0]
    assert (request.model, request.messages, request.stream) == ("m", HELLO, False)
    assert request.body["temperature"] == 0.5
    assert before <= request.arrived <= time.monotonic()
    assert "none" not in repr(request)


def test_connections_can_be_kept_alive() -> None:
    with ModelServer([Reply(text="x")], keep_alive=True) as server:
        connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=10)
        for stream in (True, False, True):
            body = json.dumps({"model": "m", "messages": HELLO, "stream": stream})
            connection.request("POST", "/v1/chat/completions", body=body)
            first = connection.sock
            assert connection.getresponse().read()
            assert connection.sock is first
        connection.close()


@pytest.mark.parametrize("streaming", [True, False])
def test_a_model_on_an_address_seen_before_works_in_another_event_loop(streaming: bool) -> None:
    """langchain-openai shares its clients by address, for the life of the process; a port comes again."""
    port = 0
    for _ in range(3):
        with ModelServer([Reply(text="x")], port=port) as server:
            port = urlsplit(server.url).port or 0
            model = ChatOpenAI(base_url=server.url, api_key="none", model="m", streaming=streaming)
            answers = asyncio.run(_both(model))
            assert [answer.text for answer in answers] == ["x", "x"]


async def _both(model: ChatOpenAI) -> list[BaseMessage]:
    return await asyncio.gather(model.ainvoke("Well?"), model.ainvoke("Well?"))


def test_each_answer_ends_its_connection_also_a_refusal() -> None:
    with ModelServer([Reply(text="x")]) as server:
        for path, body, status in (
            ("/v1/chat/completions", json.dumps({"model": "m", "messages": HELLO, "stream": True}), 200),
            ("/v1/chat/completions", json.dumps({"model": "m", "messages": HELLO}), 200),
            ("/v1/chat/completions", "no JSON", 400),
            ("/v1/elsewhere", "{}", 404),
        ):
            connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=10)
            connection.request("POST", path, body=body)
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("Connection")) == (status, "close")
            answer.read()
            assert connection.sock is None
            connection.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reply(pace=0),
        lambda: Reply(seconds=-1),
        lambda: Reply(first_token=math.nan),
        lambda: Reply(die_after=1, hang_after=1),
        lambda: Reply(order=("text",)),
        lambda: CallPlan("f", {}, fragments=0),
        lambda: CallPlan("f", {"a": 1}, fragments=("{", "}")),
        lambda: ScriptedError(status=200),
        lambda: ScriptedError(retry_after=-1),
        lambda: ModelServer([], speed=0),
        lambda: ModelServer([], pace=-1),
        lambda: ModelServer("hello"),
        lambda: ModelServer([], reasoning="nowhere"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()


def post(server: ModelServer, body: bytes, path: str = "/v1/chat/completions") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=10)
    try:
        connection.request("POST", path, body=body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_who_has_read_the_answer_finds_the_request_marked(clients: Any) -> None:
    """Invariant; raced many times, since a late mark is seen only now and then."""
    replies = {"ok": [Reply(text="x")], "bad": [Reply(error=ScriptedError(status=400))]}
    with ModelServer(replies) as server:
        client = clients(server)
        for turn in range(150):
            if turn % 3 == 0:
                with pytest.raises(openai.BadRequestError):
                    ask(client, model="bad")
            elif turn % 3 == 1:
                ask(client, model="ok")
            else:
                list(ask(client, model="ok", stream=True))
            assert server.requests[-1].answered in {Answered.FINISHED, Answered.ERROR}
