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
from specflow.graph.fork.current import current_fork
from specflow.graph.fork.forking import in_fork
from specflow.graph.fork.purity import ModelNode
from specflow.graph.fork.watch import watching
from specflow.graph.hearing import listening, listening_sync
from specflow.graph.host import Host
from specflow.graph.place import messages_of
from specflow.graph.tap import StreamTap
from specflow.graph.tool_errors import handled_as_without_wrapper
from specflow.graph.tools import ToolLike
from specflow.graph.twice import two_runtimes

__all__ = ["ToolNode", "fan_out", "model_node", "tool_node"]


def model_node(host: Host, call_model: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a node function that calls a model and returns `{"messages": [...]}`, a message or a list.

    Forks run it as well, once its model was seen to adopt: it does nothing else than to call its model.
    What this runtime wrapped already stays as it is.

    Raises:
        ConfigurationError: another runtime wrapped it.
    """
    known = getattr(call_model, "__specflow__", None)
    if isinstance(known, ModelNode) and known.function is call_model:
        if known.host is host:
            return call_model
        raise two_runtimes("this model node")
    mark = ModelNode(host)
    if inspect.iscoroutinefunction(call_model):

        @functools.wraps(call_model)
        async def node(state: Any, *args: Any, **kwargs: Any) -> Any:
            if host.off:
                return await call_model(state, *args, **kwargs)
            fork = current_fork()
            if fork is not None:
                with in_fork(fork, mark) as deaf:
                    return await call_model(state, *args, **_heard(deaf, kwargs))
            async with listening(host, messages_of(state), None) as hearing:
                with watching(mark):
                    update = await call_model(state, *args, **_heard(hearing.tap, kwargs))
                hearing.answer = _answer(update)
            return update

        return mark.on(node)  # type: ignore[no-any-return]  # the node itself

    @functools.wraps(call_model)
    def node_sync(state: Any, *args: Any, **kwargs: Any) -> Any:
        if host.off:
            return call_model(state, *args, **kwargs)
        fork = current_fork()
        if fork is not None:
            with in_fork(fork, mark) as deaf:
                return call_model(state, *args, **_heard(deaf, kwargs))
        with listening_sync(host, messages_of(state), None) as hearing:
            with watching(mark):
                update = call_model(state, *args, **_heard(hearing.tap, kwargs))
            hearing.answer = _answer(update)
        return update

    return mark.on(node_sync)  # type: ignore[no-any-return]  # the node itself


def tool_node(
    host: Host,
    tools: Sequence[ToolLike],
    *,
    wrap_tool_call: Callable[..., Any] | None = None,
    awrap_tool_call: Callable[..., Any] | None = None,
    **options: Any,
) -> ToolNode:
    """LangGraph's ToolNode, in which early work is adopted. `options` go to ToolNode.

    Wrappers of the user stand about ours: what they change in a call, the policy sees.
    """
    calls = ToolCalls(host)
    if "handle_tool_errors" in options:
        options["handle_tool_errors"] = handled_as_without_wrapper(options["handle_tool_errors"])
    # As in a ToolNode without us, a synchronous wrapper alone serves asynchronous runs as well.
    alone = wrap_tool_call is not None and awrap_tool_call is None
    node = ToolNode(
        list(tools),
        wrap_tool_call=calls.wrap if wrap_tool_call is None else _about(wrap_tool_call, calls.wrap),
        awrap_tool_call=(
            _about_async(awrap_tool_call, calls.awrap) if awrap_tool_call else None if alone else calls.awrap
        ),
        **options,
    )
    for tool in node.tools_by_name.values():
        host.spec(tool)
    return node


def _about(outer: Callable[..., Any], inner: Callable[..., Any]) -> Callable[..., Any]:
    def wrap(request: Any, handler: Callable[..., Any]) -> Any:
        return outer(request, lambda changed: inner(changed, handler))

    return wrap


def _about_async(outer: Callable[..., Any], inner: Callable[..., Any]) -> Callable[..., Any]:
    async def awrap(request: Any, handler: Callable[..., Any]) -> Any:
        async def within(changed: Any) -> Any:
            return await inner(changed, handler)

        return await outer(request, within)

    return awrap


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


def _heard(tap: StreamTap, given: dict[str, Any]) -> dict[str, Any]:
    """A node that hands its config on to the model hands on our ear with it."""
    config: RunnableConfig | None = given.get("config")
    if not config:
        return given
    return {**given, "config": merge_configs(config, {"callbacks": [tap]})}


def _answer(update: Any) -> AIMessage | None:
    if isinstance(update, Command):
        update = update.update
    if isinstance(update, AIMessage):
        return update
    return next((item for item in reversed(messages_of(update)) if isinstance(item, AIMessage)), None)
