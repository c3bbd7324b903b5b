"""Where in a LangGraph run we are: the conversation, the agent's lane, the identity of a call."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langgraph.config import get_config

from specflow.effects.call import Call, digest
from specflow.graph.compat import run_control
from specflow.graph.run_names import RunNames
from specflow.speculation.session import SessionKey

_RUNS = RunNames()
"""Of the process: runs of several runtimes may be in one journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`lane` is the agent's part of the checkpoint namespace, which tells sub-agents apart; `namespace`
    the whole of it, which names the task. `alone`: nothing says which run this is, so it shares with nobody.
    """

    session: SessionKey
    lane: str
    namespace: str
    alone: bool = False


def config_here() -> Any:
    """The config of the node that is running; outside a graph there is none."""
    try:
        return get_config()
    except RuntimeError:
        return {}


def place_of(config: Any = None) -> Place:
    """The place of the node that is running; outside a graph a place of its own."""
    if config is None:
        config = config_here()
    configurable = config.get("configurable") or {}
    thread = configurable.get("thread_id")
    namespace = str(configurable.get("checkpoint_ns") or "")
    lane = namespace.rsplit("|", 1)[0] if "|" in namespace else ""
    if thread is not None:
        return Place(session=SessionKey(thread=str(thread)), lane=lane, namespace=namespace)
    # Message ids do not tell runs apart: an object that is used again (a constant system message, say)
    # keeps the id it was given in its first run, and one user would get what another one's run found.
    control = run_control(configurable)
    if control is None:
        key = SessionKey(thread="", run=f"alone {uuid.uuid4().hex}")
        return Place(session=key, lane=lane, namespace=namespace, alone=True)
    key = SessionKey(thread="", run=_RUNS.of(control), anchor=control)
    return Place(session=key, lane=lane, namespace=namespace)


USERS = ("user_id", "langgraph_auth_user_id")
"""Where in `configurable` the user may be named: by the application, or by LangGraph's server."""


def user_of(config: Any) -> str:
    """For whom it runs, or empty."""
    configurable = config.get("configurable") or {}
    return next((str(configurable[name]) for name in USERS if configurable.get(name)), "")


def messages_of(state: Any) -> list[BaseMessage]:
    """The messages of a graph state, whatever form it has."""
    found: Any
    if isinstance(state, list):
        found = state
    elif isinstance(state, dict):
        found = state.get("messages") or []
    else:
        found = getattr(state, "messages", None) or []
    if isinstance(found, BaseMessage):
        return [found]
    return [message for message in found if isinstance(message, BaseMessage)]


def asking_message(messages: Sequence[BaseMessage], tool_call_id: str | None) -> AIMessage | None:
    """The newest message of the model that asks for this call."""
    for message in reversed(messages):
        if isinstance(message, AIMessage) and any(
            call.get("id") == tool_call_id for call in message.tool_calls
        ):
            return message
    return None


def call_id(place: Place, messages: Sequence[BaseMessage], tool_call_id: str | None) -> str:
    """One real call, again the same when its run is resumed: ids such as `call_0` repeat in every turn.

    It is told by the message that asks for it; where messages have no ids, by the task that runs it.
    """
    message = asking_message(messages, tool_call_id)
    known = str(message.id) if message is not None and message.id else place.namespace
    return f"{known or uuid.uuid4().hex}:{tool_call_id or ''}"


def call_name(place: Place, one_call: str) -> str:
    """The same, whatever its arguments turn out to be: what a person is asked about."""
    return digest("asked", place.session.thread, place.session.run, place.lane, one_call)


def call_identity(place: Place, one_call: str, call: Call) -> str:
    """The digest that makes a real call this one and no other, also after a resume elsewhere."""
    return digest("call", place.session.thread, place.session.run, place.lane, one_call, call.fingerprint)
