"""ReasoningChatOpenAI passes LangChain's standard suites, and keeps what ChatOpenAI drops."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langchain_tests.unit_tests import ChatModelUnitTests

from specflow.graph.reasoning import ReasoningChatOpenAI
from specflow.testing.model_server import CallPlan, ModelServer, Reply

THINKING = Reply(reasoning="Let me think.", text="Oslo.", calls=(CallPlan("find", {"to": "Oslo"}),))
HELLO = [HumanMessage("where to?")]


_timeouts = itertools.count(60)


def own_client(options: dict[str, Any]) -> dict[str, Any]:
    """LangChain shares clients by address and time-out, also between event loops; and ports come again."""
    return {"timeout": float(next(_timeouts)), **options}


class TestStandardSuite(ChatModelUnitTests):
    """The unit suite that every LangChain chat model has to pass."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ReasoningChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "scripted"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return (
            {"OPENAI_API_KEY": "key", "OPENAI_API_BASE": "http://127.0.0.1:9/v1"},
            {"model": "scripted"},
            {"openai_api_key": "key", "openai_api_base": "http://127.0.0.1:9/v1"},
        )

    @pytest.fixture(autouse=True)
    def _key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "key")


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer([THINKING, Reply(text="bye")]) as running:
        yield running


def model(server: ModelServer, **options: Any) -> ReasoningChatOpenAI:
    return ReasoningChatOpenAI(base_url=server.url, api_key="none", model="scripted", **own_client(options))


async def ask(model: Any, way: str) -> Any:
    if way == "invoke":
        return await asyncio.to_thread(model.invoke, HELLO)
    if way == "ainvoke":
        return await model.ainvoke(HELLO)
    if way == "stream":
        chunks = await asyncio.to_thread(lambda: list(model.stream(HELLO)))
    else:
        chunks = [chunk async for chunk in model.astream(HELLO)]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("bound", [True, False])
async def test_reasoning_is_kept_in_every_way_of_asking(server: ModelServer, way: str, bound: bool) -> None:
    asked: Any = model(server).bind(temperature=0) if bound else model(server)
    message = await ask(asked, way)
    assert message.additional_kwargs["reasoning_content"] == "Let me think."
    assert message.text == "Oslo."
    assert message.tool_calls[0]["args"] == {"to": "Oslo"}
    assert message.usage_metadata["output_tokens"] > 0


async def test_each_delta_is_its_own_chunk(server: ModelServer) -> None:
    thoughts = [
        chunk.additional_kwargs["reasoning_content"]
        async for chunk in model(server).astream(HELLO)
        if "reasoning_content" in chunk.additional_kwargs
    ]
    assert len(thoughts) > 2
    assert "".join(thoughts) == "Let me think."


def test_usage_is_streamed_unless_told_otherwise(server: ModelServer) -> None:
    list(model(server).stream(HELLO))
    list(model(server, stream_usage=False).stream(HELLO))
    assert [request.with_usage for request in server.requests] == [True, False]


@pytest.mark.parametrize("sent_back", [True, False])
def test_reasoning_goes_back_only_when_asked_for(server: ModelServer, sent_back: bool) -> None:
    asked = model(server, return_reasoning=sent_back)
    first = asked.invoke(HELLO)
    asked.invoke(
        [*HELLO, first, ToolMessage("ok", tool_call_id=first.tool_calls[0]["id"]), AIMessage("x"), *HELLO][:3]
    )
    message = server.requests[1].messages[1]
    assert message.get("reasoning_content") == ("Let me think." if sent_back else None)
    assert "reasoning_content" not in server.requests[1].messages[0]


@pytest.mark.parametrize(
    ("delta", "kept"),
    [
        ({"reasoning": "a"}, "a"),
        ({"reasoning_content": "a", "reasoning": "a"}, "a"),
        ({"reasoning_content": "", "reasoning": "b"}, "b"),
        ({"reasoning_content": None}, None),
        ({"reasoning_content": ["a"], "reasoning": {"text": "b"}}, None),
        ({}, None),
    ],
)
def test_the_other_field_and_hostile_values(delta: dict[str, Any], kept: str | None) -> None:
    asked = ReasoningChatOpenAI(model="m", api_key="none")
    message = {"role": "assistant", "content": "x", **delta}
    chunk = {"choices": [{"index": 0, "delta": message, "finish_reason": None}]}
    made = asked._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, None)
    assert made is not None
    assert made.message.additional_kwargs.get("reasoning_content") == kept
    whole = asked._create_chat_result({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert whole.generations[0].message.additional_kwargs.get("reasoning_content") == kept
    empty = asked._convert_chunk_to_generation_chunk({"choices": []}, AIMessageChunk, None)
    assert empty is not None


def test_an_answer_that_is_no_answer_is_chat_openais_own_error() -> None:
    bare, ours = (kind(model="m", api_key="none") for kind in (ChatOpenAI, ReasoningChatOpenAI))
    with pytest.raises(Exception, match="str") as theirs:
        bare._create_chat_result("<html>")  # type: ignore[arg-type]  # it is what some servers send
    with pytest.raises(type(theirs.value)) as raised:
        ours._create_chat_result("<html>")
    assert str(raised.value) == str(theirs.value)
