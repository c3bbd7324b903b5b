"""For hand-built graphs: a model node, a tool node, and an edge that gives every call a task of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.graph import END
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallWithContext
from langgraph.types import Command, Send

from specflow.graph.calling import ToolCalls
from specflow.graph.hearing import Hearing, listening, listening_sync
from specflow.graph.host import Host
from specflow.graph.place import messages_of
from specflow.graph.tools import ToolLike

__all__ = ["ToolNode", "fan_out", "model_node", "tool_node"]


def model_node(host: Host, call_model: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a node function that calls a model and returns `{"messages": [...]}`, a message or a list."""
    if inspect.iscoroutinefunction(call_model):

        @functools.wraps(call_model)
        async def node(state: Any, *args: Any, **kwargs: Any) -> Any:
            if host.off:
                return await call_model(state, *args, **kwargs)
            async with listening(host, messages_of(state), None) as hearing:
                update = await call_model(state, *args, **_heard(hearing, kwargs))
                hearing.answer = _answer(update)
            return update

        return node

    @functools.wraps(call_model)
    def node_sync(state: Any, *args: Any, **kwargs: Any) -> Any:
        if host.off:
            return call_model(state, *args, **kwargs)
        with listening_sync(host, messages_of(state), None) as hearing:
            update = call_model(state, *args, **_heard(hearing, kwargs))
            hearing.answer = _answer(update)
        return update

    return node_sync


def tool_node(host: Host, tools: Sequence[ToolLike], **options: Any) -> ToolNode:
    """LangGraph's ToolNode, in which early work is adopted. `options` go to ToolNode."""
    calls = ToolCalls(host)
    node = ToolNode(list(tools), wrap_tool_call=calls.wrap, awrap_tool_call=calls.awrap, **options)
    for tool in node.tools_by_name.values():
        host.spec(tool)
    return node


def fan_out(state: Any, tools_node: str = "tools") -> list[Send] | str:
    """The edge after the model: one task per tool call, or the end.

    One task with several calls would run all of them again on every resume.
    """
    messages = messages_of(state)
    last = next((at for at in range(len(messages) - 1, -1, -1) if isinstance(messages[at], AIMessage)), None)
    if last is None:
        return END
    answer = messages[last]
    assert isinstance(answer, AIMessage)
    done = {item.tool_call_id for item in messages[last + 1 :] if isinstance(item, ToolMessage)}
    waiting = [call for call in answer.tool_calls if call["id"] not in done]
    if not waiting:
        return END
    return [
        Send(
            tools_node,
            ToolCallWithContext(__type="tool_call_with_context", tool_call=call, state=state),
        )
        for call in waiting
    ]


def _heard(hearing: Hearing, given: dict[str, Any]) -> dict[str, Any]:
    """A node that hands its config on to the model hands on our ear with it."""
    config: RunnableConfig | None = given.get("config")
    if not config:
        return given
    return {**given, "config": merge_configs(config, {"callbacks": [hearing.tap]})}


def _answer(update: Any) -> AIMessage | None:
    if isinstance(update, Command):
        update = update.update
    if isinstance(update, AIMessage):
        return update
    return next((item for item in reversed(messages_of(update)) if isinstance(item, AIMessage)), None)
