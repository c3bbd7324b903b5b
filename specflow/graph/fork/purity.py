"""Which nodes a fork may run: those that are ours through and through, and those declared free of effects."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from langchain.agents.middleware import (
    AgentMiddleware,
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.runnables.config import run_in_executor
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode

from specflow.graph.fork.reachable import reachable

PURE = "pure"
"""`graph.add_node(..., metadata={"specflow": "pure"})` declares that a node has no side effects."""

AGENT_FACTORY = "langchain.agents.factory"
"""Where the model node of `create_agent` is defined."""

HARMLESS = (
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ToolRetryMiddleware,
)
"""LangChain's own, which only decide: calls, and whether they are made, go through those who wrap them."""


class Wrapped:
    """What stands about a user's model or tools in the name of one runtime, the one behind `host`."""

    host: object


class ModelNode(Wrapped):
    """The mark of a model node that this runtime wrapped. `adopts`: its model was seen to adopt."""

    def __init__(self, host: object) -> None:
        self.host = host
        self.function: object = None
        self.adopts = False

    def on(self, function: Any) -> Any:
        """Mark the node function; whoever wraps it again copies the mark, but is not the function."""
        self.function = function
        function.__specflow__ = self
        return function


def may_run(spec: Any, name: str, *, declared: frozenset[str], host: object) -> bool:
    """Whether a fork may run the node.

    # INVARIANT: only what is declared free of effects, or wrapped by this runtime and by nobody who is not.
    """
    if name in declared or (spec.metadata or {}).get("specflow") == PURE:
        return True
    runnable = spec.runnable
    if isinstance(runnable, CompiledStateGraph):
        inner = runnable.builder.nodes.items()
        return all(may_run(one, of, declared=frozenset(), host=host) for of, one in inner)
    if not _no_code_of_the_user(runnable):
        return False
    held = reachable(runnable, (AgentMiddleware, Wrapped))
    ours = [item for item in held if isinstance(item, Wrapped) and item.host is host]
    mine = set(map(id, ours))
    others = [item for item in held if isinstance(item, AgentMiddleware) and id(item) not in mine]
    return bool(ours) and all(type(item) in HARMLESS or item.name in declared for item in others)


def _no_code_of_the_user(runnable: Any) -> bool:
    """Whether the node itself is LangChain's or ours, so that only what it wraps is to be looked at."""
    if type(runnable) is ToolNode:
        return all(map(_known_wrapper, (runnable._wrap_tool_call, runnable._awrap_tool_call)))  # noqa: SLF001 - no public way to ask for these
    functions = [getattr(runnable, name, None) for name in ("func", "afunc")]
    return any(functions) and all(map(_known, filter(None, functions)))


def _known_wrapper(wrapper: Any) -> bool:
    """Whether what stands about a ToolNode's calls is ours, a middleware, or how an agent joins several."""
    wrapper = inspect.unwrap(wrapper) if wrapper is not None else None  # LangChain traces each of them
    if wrapper is None or isinstance(getattr(wrapper, "__self__", None), Wrapped | AgentMiddleware):
        return True
    return getattr(wrapper, "__module__", "") == AGENT_FACTORY


def _known(function: Any) -> bool:
    if isinstance(function, partial) and function.func is run_in_executor:
        function = function.args[-1]  # how LangGraph runs a synchronous node in an asynchronous run
    mark = getattr(function, "__specflow__", None)
    if isinstance(mark, ModelNode):
        return mark.function is function
    return getattr(function, "__module__", "") == AGENT_FACTORY


def middleware_of(spec: Any) -> set[str]:
    """The names of the middleware in a node."""
    return {item.name for item in reachable(spec.runnable, (AgentMiddleware,))}
