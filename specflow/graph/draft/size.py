"""How much there is of what a model or a tool has said, without going deeper into it than one may."""

from __future__ import annotations

from langchain_core.messages import AIMessage, BaseMessage

LONGEST = 200_000
"""Characters of an answer that are looked at."""


def size_of(value: object) -> int:
    """Characters and values of plain data; above `LONGEST` it is not counted to the end."""
    size, waiting = 0, [value]
    while waiting and size <= LONGEST:
        one = waiting.pop()
        size += len(one) + 1 if isinstance(one, str | dict | list) else 1
        if size > LONGEST:
            break
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
    return size


def characters_of(message: BaseMessage) -> int:
    """Of its text, and of the calls in it."""
    calls = message.tool_calls if isinstance(message, AIMessage) else ()
    return len(message.text) + sum(size_of(call.get("name")) + size_of(call.get("args")) for call in calls)
