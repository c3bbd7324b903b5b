"""Where in a LangGraph run we are: the conversation, the agent's lane, the identity of a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langgraph.config import get_config

from specflow.effects.call import Call, digest
from specflow.speculation.session import SessionKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`lane` is the checkpoint namespace of the agent, which tells sub-agents apart."""

    session: SessionKey
    lane: str


def place_of(messages: Sequence[BaseMessage], config: Any = None) -> Place:
    """The place of the node that is running; outside a graph a place of its own."""
    if config is None:
        try:
            config = get_config()
        except RuntimeError:
            config = {}
    configurable = config.get("configurable") or {}
    thread = configurable.get("thread_id")
    namespace = str(configurable.get("checkpoint_ns") or "")
    lane = namespace.rsplit("|", 1)[0] if "|" in namespace else ""
    if thread is not None:
        return Place(session=SessionKey(thread=str(thread)), lane=lane)
    # Without a thread the first message tells runs apart: reducers give every message an id.
    first = next((str(message.id) for message in messages if message.id), "")
    return Place(session=SessionKey(thread="", run=first), lane=lane)


def messages_of(state: Any) -> list[BaseMessage]:
    """The messages of a graph state, whatever form it has."""
    if isinstance(state, list):
        found = state
    elif isinstance(state, dict):
        found = state.get("messages") or []
    else:
        found = getattr(state, "messages", None) or []
    return [message for message in found if isinstance(message, BaseMessage)]


def asking_message(messages: Sequence[BaseMessage], tool_call_id: str | None) -> AIMessage | None:
    """The newest message of the model that asks for this call."""
    for message in reversed(messages):
        if isinstance(message, AIMessage) and any(
            call.get("id") == tool_call_id for call in message.tool_calls
        ):
            return message
    return None


def call_identity(place: Place, messages: Sequence[BaseMessage], tool_call_id: str | None, call: Call) -> str:
    """The digest that makes a real call this one and no other, also after a resume elsewhere.

    The message id is part of it: ids such as `call_0` repeat across runs and turns.
    """
    message = asking_message(messages, tool_call_id)
    return digest(
        "call",
        place.session.thread,
        place.session.run,
        place.lane,
        str(message.id) if message is not None else "",
        tool_call_id or "",
        call.fingerprint,
    )
