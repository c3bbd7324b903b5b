"""The parts for hand-built graphs in LangGraph's functional API: an entrypoint, and a task for each call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.types import Command

import specflow as sf
from specflow.journal.verify import verify
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  search: {effect: read_only, speculate: now}
  pay: {effect: confirmation_required, confirm: ask}
"""
SAID = 'I will call search with query "x".' + " Hmm, let me think about that a little more." * 8


class Shop:
    """A model that searches, then pays, then answers; and what was really done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.model = ScriptedChatModel(script=self.script, delay=0.001)

    @staticmethod
    def script(messages: list[dict[str, Any]]) -> Reply:
        told = [message for message in messages if message["role"] == "tool"]
        if not told:
            return Reply(reasoning=SAID, calls=(CallPlan("search", {"query": "x"}),))
        if len(told) == 1:
            return Reply(text="Paying.", calls=(CallPlan("pay", {"amount": 3.0}),))
        return Reply(text=f"answer: {told[0]['content']}, {told[1]['content']}")

    def tools(self) -> list[Any]:
        @tool
        def search(query: str) -> str:
            """Search the web for a query."""
            self.done.append(f"search {query}")
            return f"found {query}"

        @tool
        def pay(amount: float) -> str:
            """Pay an amount."""
            self.done.append(f"pay {amount}")
            return f"paid {amount}"

        return [search, pay]


def app_of(rt: sf.Runtime, shop: Shop, tools: list[Any], *, asynchronous: bool) -> Any:
    node, saver = rt.tool_node(tools), InMemorySaver()

    if asynchronous:

        @task
        @rt.model_node
        async def call_model(messages: list[BaseMessage]) -> AIMessage:
            return await shop.model.ainvoke(messages)

        @task
        async def call_tool(messages: list[BaseMessage], call: Any) -> list[ToolMessage]:
            made = await node.ainvoke({"messages": [*messages[:-1], only(messages[-1], call)]})
            return list(made["messages"])

        @entrypoint(checkpointer=saver)
        async def agent(messages: list[BaseMessage]) -> list[BaseMessage]:
            while (answer := await call_model(messages)).tool_calls:
                messages = [*messages, answer]
                told = [await call_tool(messages, call) for call in answer.tool_calls]
                messages = [*messages, *(message for some in told for message in some)]
            return [*messages, answer]

        return agent

    @task
    @rt.model_node
    def call_model_sync(messages: list[BaseMessage]) -> AIMessage:
        return shop.model.invoke(messages)

    @task
    def call_tool_sync(messages: list[BaseMessage], call: Any) -> list[ToolMessage]:
        return list(node.invoke({"messages": [*messages[:-1], only(messages[-1], call)]})["messages"])

    @entrypoint(checkpointer=saver)
    def agent_sync(messages: list[BaseMessage]) -> list[BaseMessage]:
        while (answer := call_model_sync(messages).result()).tool_calls:
            messages = [*messages, answer]
            told = [call_tool_sync(messages, call).result() for call in answer.tool_calls]
            messages = [*messages, *(message for some in told for message in some)]
        return [*messages, answer]

    return agent_sync


def only(answer: BaseMessage, call: Any) -> AIMessage:
    """The message with that one call: a task for each, so that a resume does not run the others again."""
    assert isinstance(answer, AIMessage)
    return answer.model_copy(update={"tool_calls": [call]})


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_an_entrypoint_reads_early_asks_once_and_pays_once(tmp_path: Path, asynchronous: bool) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    log, shop = EventLog(), Shop()
    tools = shop.tools()
    config: Any = {"configurable": {"thread_id": "t"}}
    async with sf.Runtime(
        tmp_path / "policy.yaml",
        tools=tools,
        journal=f"sqlite:///{tmp_path / 'journal.db'}",
        observers=[log],
        telemetry=False,
        durability="process",
    ) as rt:
        app = app_of(rt, shop, tools, asynchronous=asynchronous)

        async def ask(given: Any) -> Any:
            if asynchronous:
                return await app.ainvoke(given, config)
            return await asyncio.to_thread(app.invoke, given, config)

        paused = await ask([HumanMessage("find x and pay", id="h1")])
        (question,) = paused["__interrupt__"]
        assert question.value["args"] == {"amount": 3.0}
        assert shop.done == ["search x"], "read once, early, and nothing is paid yet"
        done = await ask(Command(resume={question.id: {"type": "approve"}}))
        assert done[-1].text == "answer: found x, paid 3.0"
        assert verify(await rt.journal.snapshot()) == ()
    assert shop.done == ["search x", "pay 3.0"], "what ran before the question is not run again"
    outcomes = log.outcomes()
    assert outcomes["hit"] + outcomes["late"] == 1
