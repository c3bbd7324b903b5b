"""Whether somebody else asks about a call: LangChain's human-in-the-loop middleware around the same node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from langchain.agents.middleware import HumanInTheLoopMiddleware
from langgraph.prebuilt.tool_node import ToolCallRequest

from specflow.graph.compat import running_loop_of
from specflow.graph.fork.reachable import reachable


def asked_elsewhere(request: ToolCallRequest) -> bool:
    """Whether a human-in-the-loop middleware of the running agent asks about this call.

    It may stand before or after us, and ask about each call or about all of an answer together: then asking
    is its business, as with `confirm: host`. One whose `when` says no asks nobody, and so does not count.
    """
    config = request.runtime.config
    loop = running_loop_of(config)
    name = str((config.get("metadata") or {}).get("langgraph_node") or "")
    node = loop.nodes.get(name) if loop is not None else None
    if node is None:
        return False
    return any(_asks(human, request) for human in reachable(node, (HumanInTheLoopMiddleware,)))


def _asks(human: HumanInTheLoopMiddleware[Any, Any, Any], request: ToolCallRequest) -> bool:
    config = human.interrupt_on.get(request.tool_call["name"])
    if config is None:
        return False
    when = config.get("when")
    if when is None:
        return True
    # Where it asks about all calls together, it does not know the tools.
    seen = replace(request, tool=None) if human.interrupt_mode == "batched" else request
    return bool(when(seen))
