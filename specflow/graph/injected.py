"""The parameters of a tool that LangGraph fills, told by its own rules; fragile, and watched by a test."""

from __future__ import annotations

from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import _get_all_injected_args  # no public way to ask for this


def injected_parameters(tool: BaseTool) -> frozenset[str]:
    """Names of the parameters that LangGraph fills with state of the run, as its ToolNode finds them."""
    found = _get_all_injected_args(tool)
    named = (*found.state, found.store, found.runtime)
    return frozenset(found.all_injected_keys) | {name for name in named if name}
