"""The same agent made with `create_agent` and as a hand-built StateGraph, with specflow and without.

Without specflow a person is asked by LangChain's own middleware, which is what specflow asks by, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallWithContext
from langgraph.types import Send

import specflow as sf

CITY = "Rome"


def asking() -> HumanInTheLoopMiddleware[Any, Any, Any]:
    """LangChain's own question about `pay`, call by call."""
    decisions: Any = ["approve", "edit", "reject", "respond"]
    return HumanInTheLoopMiddleware(
        interrupt_on={"pay": {"allowed_decisions": decisions}}, interrupt_mode="per_call"
    )


class Asking(AgentMiddleware[Any, Any, Any]):
    """Only that part of it which stands about the calls: it has a node of its own for the other mode."""

    def __init__(self) -> None:
        super().__init__()
        self._asking = asking()

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return self._asking.wrap_tool_call(request, handler)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await self._asking.awrap_tool_call(request, handler)


def with_create_agent(
    rt: sf.Runtime | None, model: Any, tools: list[BaseTool], *, asks: bool, **options: Any
) -> Any:
    """With a scout: an agent of its own that a tool of the first one runs."""
    bare = [Asking()] if asks else []
    middleware: list[Any] = [rt.middleware()] if rt else bare
    look = [tool for tool in tools if tool.name == "look"]
    scout = create_agent(model, look, middleware=[rt.middleware()] if rt else [], name="scout")

    async def ascout(city: str) -> str:
        """Send a scout to a city."""
        found = await scout.ainvoke({"messages": [("user", f"scout {city}")]})
        return str(found["messages"][-1].text)

    def scout_sync(city: str) -> str:
        """Send a scout to a city."""
        return str(scout.invoke({"messages": [("user", f"scout {city}")]})["messages"][-1].text)

    asynchronous = tools[0].coroutine is not None  # type: ignore[attr-defined]
    sent = (
        StructuredTool.from_function(coroutine=ascout, name="scout")
        if asynchronous
        else StructuredTool.from_function(scout_sync, name="scout")
    )
    return create_agent(model, [*tools, sent], middleware=middleware, name="agent", **options)


def fan_out(state: MessagesState) -> Any:
    """One task for every call: as specflow's edge does it, written by hand."""
    calls = getattr(state["messages"][-1], "tool_calls", None)
    if not calls:
        return END
    return [
        Send("tools", ToolCallWithContext(__type="tool_call_with_context", tool_call=call, state=state))
        for call in calls
    ]


def with_state_graph(
    rt: sf.Runtime | None, model: Any, tools: list[BaseTool], *, asks: bool, **options: Any
) -> Any:
    """With a scout: a subgraph that is a node, after the agent proper has ended."""
    asynchronous = tools[0].coroutine is not None  # type: ignore[attr-defined]

    def agent(tools: list[BaseTool], after: str, *, asks: bool) -> StateGraph[Any, Any, Any, Any]:
        bound = model.bind_tools(tools)

        async def acall(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await bound.ainvoke(state["messages"])]}

        def call(state: MessagesState) -> dict[str, Any]:
            return {"messages": [bound.invoke(state["messages"])]}

        def brief(state: MessagesState) -> dict[str, Any]:
            return {"messages": [HumanMessage("scout Oslo")]}

        node: Callable[..., Any] = acall if asynchronous else call
        node.__name__ = "call_model"
        wraps: dict[str, Any] = {}
        if asks and not rt:
            person = asking()
            wraps = {"wrap_tool_call": person.wrap_tool_call, "awrap_tool_call": person.awrap_tool_call}
        builder: StateGraph[Any, Any, Any, Any] = StateGraph(MessagesState)
        builder.add_node("model", rt.model_node(node) if rt else node)
        builder.add_node("tools", rt.tool_node(tools) if rt else ToolNode(tools, **wraps))
        builder.add_edge(START, "model")
        edge = rt.fan_out if rt else fan_out
        builder.add_conditional_edges("model", edge, {"tools": "tools", END: after})
        builder.add_edge("tools", "model")
        if after != END:
            builder.add_node("brief", brief)
        return builder

    look = [tool for tool in tools if tool.name == "look"]
    builder = agent(tools, "brief", asks=asks)
    builder.add_node("scout", agent(look, END, asks=False).compile())
    builder.add_edge("brief", "scout")
    builder.add_edge("scout", END)
    return builder.compile(name="agent", **options)
