"""A tool's result as the model will see it, without running the tool through a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool

from specflow.graph.compat import formatted
from specflow.graph.pairing import returns_pair, unpaired


def rendering(tool: BaseTool) -> Callable[[Any], str]:
    """Makes of what the tool's body returned the text of the message that LangChain would make of it.

    It raises TypeError for what is no message (a `Command`), ValueError for a tuple that is no pair.
    """

    def render(value: Any) -> str:
        value = unpaired(tool, value)
        if returns_pair(tool):
            value, _artifact = value
        message = formatted(value)
        if not isinstance(message, ToolMessage):
            raise TypeError(f"{tool.name} returned {type(message).__name__}, which is no message")
        return str(message.text)

    return render
