"""Every form in which a model is handed over is heard, and costs what it costs without specflow.

Over real HTTP with the real client; then, without it, every shape in which providers stream their reasoning.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

import specflow as sf
from specflow.graph.reasoning import ReasoningChatOpenAI
from specflow.journal.event import EventKind
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server import CallPlan, ModelServer, Reply
from specflow.testing.scripted_core import EventLog

POLICY = "version: 1\ntools:\n  search: {effect: read_only, speculate: now}\n"
SAID = 'I will call search with query "x". ' + "Hmm, let me think about that a little more. " * 8


@tool
def search(query: str) -> str:
    """Search the web for a query."""
    return f"found {query}"


class Answer(BaseModel):
    """A structured answer."""

    text: str


def script(messages: list[dict[str, Any]], *, final: Reply) -> Reply:
    if messages[-1]["role"] == "tool":
        return final
    return Reply(text=SAID, calls=(CallPlan("search", {"query": "x"}),))


FINAL = {
    "ToolStrategy": Reply(calls=(CallPlan("Answer", {"text": "found x"}),)),
    "ProviderStrategy": Reply(text='{"text": "found x"}'),
}
Make = Callable[[dict[str, Any]], Any]


def configurable(at: dict[str, Any]) -> Any:
    return init_chat_model(
        model_provider="openai", configurable_fields=("temperature",), stream_usage=True, **at
    )


AGENTS: dict[str, tuple[Make, dict[str, Any]]] = {
    "plain": (lambda at: ReasoningChatOpenAI(**at), {}),
    "ChatOpenAI": (lambda at: ChatOpenAI(**at, stream_usage=True), {}),
    "configurable": (configurable, {}),
    "ToolStrategy": (lambda at: ReasoningChatOpenAI(**at), {"response_format": ToolStrategy(Answer)}),
    "ProviderStrategy": (lambda at: ReasoningChatOpenAI(**at), {"response_format": ProviderStrategy(Answer)}),
    "fallback middleware": (
        lambda at: ReasoningChatOpenAI(**{**at, "base_url": "http://127.0.0.1:9/v1", "max_retries": 0}),
        {"fallback": True},
    ),
    "string": (lambda at: f"openai:{at['model']}", {}),
    "streaming=False": (lambda at: ReasoningChatOpenAI(**at, streaming=False), {}),
    "disable_streaming": (lambda at: ReasoningChatOpenAI(**at, disable_streaming=True), {}),
}
NODES: dict[str, Make] = {
    "bind": lambda at: ReasoningChatOpenAI(**at).bind_tools([search]).bind(temperature=0.1),
    "with_fallbacks": lambda at: (
        ReasoningChatOpenAI(**{**at, "base_url": "http://127.0.0.1:9/v1", "max_retries": 0})
        .bind_tools([search])
        .with_fallbacks([ReasoningChatOpenAI(**at).bind_tools([search])])
    ),
    "with_retry": lambda at: ReasoningChatOpenAI(**at).bind_tools([search]).with_retry(),
    "with_config": lambda at: ReasoningChatOpenAI(**at).bind_tools([search]).with_config(tags=["mine"]),
}
DEAF = ("streaming=False", "disable_streaming")
FORMS = [*AGENTS, *NODES]


def graph_of(form: str, at: dict[str, Any], rt: sf.Runtime | None, *, asynchronous: bool) -> Any:
    if form in AGENTS:
        make, options = AGENTS[form]
        middleware: list[Any] = [rt.middleware()] if rt else []
        options = dict(options)
        if options.pop("fallback", False):
            middleware.append(ModelFallbackMiddleware(ReasoningChatOpenAI(**at)))
        return create_agent(make(at), [search], middleware=middleware, **options)
    model = NODES[form](at)

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def edge(state: MessagesState) -> Any:
        return "tools" if state["messages"][-1].tool_calls else END  # type: ignore[union-attr]  # a model's

    node: Any = acall if asynchronous else call
    builder = StateGraph(MessagesState)
    builder.add_node("model", rt.model_node(node) if rt else node)
    if rt:
        builder.add_node("tools", rt.tool_node([search]))
    else:
        builder.add_node("tools", lambda state: {"messages": [_told(state)]})
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", edge, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile()


def _told(state: MessagesState) -> ToolMessage:
    (call,) = state["messages"][-1].tool_calls  # type: ignore[union-attr]  # a model's
    return search.invoke(call)  # type: ignore[no-any-return]  # a ToolMessage, for a call


async def said(graph: Any, *, asynchronous: bool) -> list[Any]:
    question: Any = {"messages": [("user", "find x")]}
    if asynchronous:
        done = await graph.ainvoke(question)
    else:
        done = await asyncio.to_thread(graph.invoke, question)
    return [
        (message.text, [call["args"] for call in message.tool_calls], message.usage_metadata)
        for message in done["messages"]
        if isinstance(message, AIMessage)
    ]


def runtime(folder: Path, log: EventLog, **options: Any) -> sf.Runtime:
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    return sf.Runtime(
        policy,
        tools=[search],
        journal=f"sqlite:///{folder / 'journal.db'}",
        observers=[log],
        telemetry=False,
        durability="process",
        **options,
    )


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_a_model_is_heard_and_counted(
    tmp_path: Path, form: str, asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, final = EventLog(), FINAL.get(form, Reply(text="answer: found x"))
    with ModelServer(lambda messages: script(messages, final=final)) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        # Of our own, to be closed: LangChain keeps its clients until it has too many.
        clients: dict[str, Any] = {"http_client": httpx.Client(), "http_async_client": httpx.AsyncClient()}
        at = {"base_url": server.url, "api_key": "none", "model": "scripted", **clients}
        bare = await said(graph_of(form, at, None, asynchronous=asynchronous), asynchronous=asynchronous)
        async with runtime(tmp_path, log) as rt:
            ours = await said(graph_of(form, at, rt, asynchronous=asynchronous), asynchronous=asynchronous)
        clients["http_client"].close()
        await clients["http_async_client"].aclose()
    if form == "string":
        # Streamed, such a server is not asked for its counts unless stream_usage says so; doctor tells.
        bare, ours = ([message[:2] for message in one] for one in (bare, ours))
    else:
        assert all(usage for _text, _calls, usage in bare), "there is something to compare"
    assert ours == bare
    outcomes = log.outcomes()
    assert outcomes["hit"] + outcomes["late"] == (0 if form in DEAF else 1)


# ---------------------------------------------------------------------- shapes of reasoning

WORDS = [word + " " for word in SAID.split(" ")]
CALL = {"name": "search", "args": '{"query": "x"}', "id": "call_1", "index": 2, "type": "tool_call_chunk"}


def anthropic(word: str) -> list[Any]:
    return [{"type": "thinking", "thinking": word, "index": 0}]


def gemini(word: str) -> list[Any]:
    return [{"type": "thinking", "thinking": word}]


def responses(word: str) -> list[Any]:
    summary = [{"type": "summary_text", "text": word, "index": 0}]
    return [{"type": "reasoning", "summary": summary, "index": 0, "id": "rs_1"}]


def standard(word: str) -> list[Any]:
    return [{"type": "reasoning", "reasoning": word, "index": 0}]


LAST: dict[str, list[Any]] = {
    "anthropic": [
        {"type": "thinking", "signature": "EqQBCgIYAh", "thinking": "", "index": 0},
        {"type": "redacted_thinking", "data": "EmwKAhgB", "index": 1},
        {"type": "tool_use", "id": "call_1", "name": "search", "input": {}, "index": 2},
    ],
    "google_genai": [
        {"type": "text", "text": "", "extras": {"signature": "CpcB"}},
        {"type": "function_call", "id": "call_1", "name": "search", "args": {"query": "x"}},
    ],
    "openai": [{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "search", "index": 2}],
    "standard": [{"type": "reasoning", "index": 1}],
}
SHAPES = {"anthropic": anthropic, "google_genai": gemini, "openai": responses, "standard": standard}


class Blocks(BaseChatModel):
    """Streams its reasoning in the blocks of one provider, as that provider's own package does."""

    provider: str

    @property
    def _llm_type(self) -> str:
        return "blocks"

    def bind_tools(self, tools: Any, **given: Any) -> Any:
        return self

    def _pieces(self, messages: list[BaseMessage]) -> Iterator[ChatGenerationChunk]:
        known = {} if self.provider == "standard" else {"model_provider": self.provider}

        def piece(content: Any, **given: Any) -> ChatGenerationChunk:
            return ChatGenerationChunk(
                message=AIMessageChunk(content=content, response_metadata=dict(known), **given)
            )

        if isinstance(messages[-1], ToolMessage):
            yield piece([{"type": "text", "text": f"answer: {messages[-1].text}", "index": 0}])
            return
        for word in WORDS:
            yield piece(SHAPES[self.provider](word))
        yield piece(LAST[self.provider], tool_call_chunks=[CALL])

    async def _astream(self, messages: Any, *_: Any, **given: Any) -> AsyncIterator[ChatGenerationChunk]:
        for piece in self._pieces(messages):
            await asyncio.sleep(0)
            if manager := given.get("run_manager"):
                await manager.on_llm_new_token("", chunk=piece)
            yield piece

    def _stream(self, messages: Any, *_: Any, **given: Any) -> Iterator[ChatGenerationChunk]:
        for piece in self._pieces(messages):
            if manager := given.get("run_manager"):
                manager.on_llm_new_token("", chunk=piece)
            yield piece

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("shape", [*SHAPES, "inline", "field", "blocks"])
async def test_reasoning_of_every_shape_starts_the_call(
    tmp_path: Path, shape: str, asynchronous: bool
) -> None:
    log = EventLog()

    def reply(messages: list[dict[str, Any]]) -> Reply:
        if messages[-1]["role"] == "tool":
            return Reply(text="answer: found x")
        return Reply(reasoning=SAID, calls=(CallPlan("search", {"query": "x"}),))

    model: Any = (
        Blocks(provider=shape)
        if shape in SHAPES
        else ScriptedChatModel(script=reply, reasoning=shape, delay=0.0005)
    )
    async with runtime(tmp_path, log, predictors=[ReasoningSniffer()]) as rt:
        agent = create_agent(model, [search], middleware=[rt.middleware()])
        done = await said(agent, asynchronous=asynchronous)
    assert done[-1][0] == "answer: found x"
    assert len(log.of(EventKind.LAUNCHED)) == 1
    assert log.outcomes()["hit"] + log.outcomes()["late"] == 1
