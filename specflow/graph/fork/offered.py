"""What a model is offered: functions that come back to us, or tools that the provider runs by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

ASKED = frozenset({"function", "custom"})
"""Types of tools that a model only asks for."""

BY_ITSELF = frozenset(
    {
        "background",
        "code_execution",
        "connectors",
        "container",
        "conversation",
        "mcp_servers",
        "previous_response_id",
        "search_parameters",
        "store",
        "use_previous_response_id",
        "web_search_options",
    }
)
"""Settings by which a provider searches, runs, keeps or continues something beyond the answer."""


def acts_by_itself(model: BaseChatModel, arguments: Mapping[str, Any]) -> bool:
    """Whether the call may do more than answer: such a call is never made early.

    # INVARIANT: what is not known to be a function that comes back to us counts as one that does not.
    """
    tools = arguments.get("tools") or ()
    if not isinstance(tools, list | tuple) or not all(map(_only_asked, tools)):
        return True
    inner = {
        **arguments,
        **(getattr(model, "model_kwargs", None) or {}),
        **(arguments.get("extra_body") or {}),
    }
    own = {name: getattr(model, name, None) for name in BY_ITSELF}
    return any(own.values()) or any(inner.get(name) for name in BY_ITSELF)


def _only_asked(tool: object) -> bool:
    if not isinstance(tool, Mapping):
        return False
    if tool.keys() == {"function_declarations"}:
        return True
    kind = tool.get("type")
    if kind == "function":
        return "function" in tool or "name" in tool
    return kind in ASKED | {None} and "name" in tool and ("input_schema" in tool or "parameters" in tool)
