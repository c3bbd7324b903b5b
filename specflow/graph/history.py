"""The conversation so far, as predictors see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from specflow.prediction.predictor import HistoryItem, PastCall

ROLES = {"human": "user", "ai": "assistant", "system": "system"}


def history_of(messages: Sequence[BaseMessage]) -> tuple[HistoryItem, ...]:
    """One item per message, oldest first; a tool message carries the call it answers."""
    return tuple(_items(messages))


def _items(messages: Sequence[BaseMessage]) -> Iterable[HistoryItem]:
    asked: dict[str | None, tuple[str, dict[str, object]]] = {}
    for message in messages:
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                asked[call["id"]] = (call["name"], call["args"])
        if isinstance(message, ToolMessage):
            name, args = asked.get(message.tool_call_id, (message.name or "", {}))
            past = PastCall(tool=name, args=dict(args), result=message.text, failed=message.status == "error")
            yield HistoryItem(role="tool", text=past.result, call=past)
        elif message.type in ROLES:
            yield HistoryItem(role=ROLES[message.type], text=message.text)
