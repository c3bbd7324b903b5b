"""The assistant: a graph of two nodes, and tools that an MCP server gives. What a researcher would write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.sessions import Connection
from langchain_mcp_adapters.tools import load_mcp_tools
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

import specflow as sf
from specflow.journal.event import Observer

POLICY = Path(__file__).with_name("policy.yaml")
SYSTEM = SystemMessage(
    "You answer from the library alone. Search for papers on each topic of the question, read the most "
    "promising paper of each, and say what they found, with their numbers."
)


def assistant(
    model: BaseChatModel, tools: list[BaseTool], rt: sf.Runtime
) -> CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]:
    """An ordinary graph; its nodes and its edge are specflow's."""
    bound = model.bind_tools(tools)

    async def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke([SYSTEM, *state["messages"]])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", rt.model_node(call_model))
    builder.add_node("tools", rt.tool_node(tools))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", rt.fan_out, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile()


async def research(
    question: str,
    *,
    model: BaseChatModel,
    library: Connection,
    journal: str,
    mode: str = "on",
    observers: Iterable[Observer] = (),
) -> str:
    """Answer one question. `library` says where the server is, as langchain-mcp-adapters takes it."""
    client = MultiServerMCPClient({"library": library})
    # One session for the whole question: a server that is a program does not start anew for every call.
    async with client.session("library") as session:
        tools = await load_mcp_tools(session, connection=library, server_name="library")
        async with sf.Runtime(POLICY, tools=tools, journal=journal, mode=mode, observers=observers) as rt:
            graph = assistant(model, tools, rt)
            result = await graph.ainvoke({"messages": [HumanMessage(question)]})
    return str(result["messages"][-1].text)
