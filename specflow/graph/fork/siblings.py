"""What the other calls of the same message have returned already: a fork need not make them again."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from specflow.graph.place import Place, asking_message
from specflow.speculation.keep import private


class Siblings:
    """The results of the calls of one message, by tool_call_id; kept while any of them is pending."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self._results: dict[str, Any] = {}

    def returned(self, tool_call_id: str, value: Any) -> None:
        """A real call has returned."""
        self._results[tool_call_id] = private(value)

    def result(self, messages: Sequence[BaseMessage], tool_call_id: str) -> tuple[Any, bool]:
        """A copy of what the real call returned, and whether it has; only for a call of that very message."""
        message = asking_message(messages, tool_call_id)
        if message is None or message.id != self.message_id or tool_call_id not in self._results:
            return None, False
        return private(self._results[tool_call_id]), True


class Families:
    """The siblings that are known, of all runs."""

    def __init__(self) -> None:
        self._known: weakref.WeakValueDictionary[tuple[str, ...], Siblings] = weakref.WeakValueDictionary()

    def of(self, place: Place, messages: Sequence[BaseMessage], tool_call_id: str) -> Siblings | None:
        """Those of one call; None where it has none, or its message cannot be told."""
        message = asking_message(messages, tool_call_id)
        if message is None or not message.id or place.alone or len(message.tool_calls) < 2:
            return None
        key = (place.session.thread, place.session.run, place.lane, str(message.id))
        family = self._known.get(key)
        if family is None:
            family = self._known[key] = Siblings(str(message.id))
        return family
