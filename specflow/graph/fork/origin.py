"""Where a call is pending: all that is needed to run the graph ahead from there."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.store.base import BaseStore

from specflow.graph.compat import PREGEL_PREFIX, run_context, running_loop_of
from specflow.graph.fork.attached import Attached, Attachments
from specflow.graph.fork.entry import whole_state
from specflow.graph.fork.siblings import Siblings
from specflow.graph.place import messages_of
from specflow.speculation.session import Session

log = logging.getLogger("specflow")

CHECKPOINT_KEYS = frozenset({"checkpoint_ns", "checkpoint_id", "checkpoint_map"})
NODE_KEYS = ("langgraph_", "checkpoint_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A node of an attached graph, in the middle of a step. `answers` counts the model's messages so far.

    `threaded`: the run is a synchronous one, and so are its forks. `around` is the context of the node.
    """

    attached: Attached
    node: str
    state: Mapping[str, Any]
    config: Mapping[str, Any]
    context: Any
    store: BaseStore | None
    around: contextvars.Context
    answers: int
    threaded: bool
    session: Session | None = None
    siblings: Siblings | None = None

    def graph(self) -> Any:
        """The graph that goes on from here."""
        return self.attached.entry(self.node)

    def started_with(self, guess: Any) -> Mapping[str, Any]:
        """The input of the fork that presumes `guess`; the tool's body gets it where a call is pending."""
        return self.state

    def seen_from(self, session: Session, siblings: Siblings | None = None) -> Origin:
        """The same place, as part of a session."""
        return replace(self, session=session, siblings=siblings)


def origin_of(attachments: Attachments, config: Mapping[str, Any], *, threaded: bool) -> Origin | None:
    """The place of the node that is running with `config`; None where its graph may not be run ahead."""
    if not attachments:
        return None
    try:
        return _origin(attachments, config, threaded=threaded)
    except Exception:
        # INVARIANT: whatever cannot be found out about a run, it goes on.
        log.exception("a run cannot be run ahead from here")
        return None


def _origin(attachments: Attachments, config: Mapping[str, Any], *, threaded: bool) -> Origin | None:
    running = running_loop_of(config)
    node = (config.get("metadata") or {}).get("langgraph_node")
    if running is None or not isinstance(node, str):
        return None
    attached = attachments.find(running.nodes, node)
    if attached is None:
        return None
    state = whole_state(attached.graph, running.channels)
    if state is None:
        return None
    return Origin(
        attached=attached,
        node=node,
        state=state,
        config=_plain(config),
        context=run_context(config),
        store=running.store,
        around=contextvars.copy_context(),
        answers=answers_in({name: getattr(value, "value", value) for name, value in state.items()}),
        threaded=threaded,
    )


def answers_in(state: Any) -> int:
    """How many messages of the model there are in a state."""
    return sum(isinstance(message, AIMessage) for message in messages_of(state))


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The user's part of a node's config: who they are, not where the run is."""
    configurable = {
        name: value
        for name, value in (config.get("configurable") or {}).items()
        if not name.startswith(PREGEL_PREFIX) and name not in CHECKPOINT_KEYS
    }
    metadata = {
        name: value
        for name, value in (config.get("metadata") or {}).items()
        if not name.startswith(NODE_KEYS)
    }
    return {"configurable": configurable, "metadata": metadata, "tags": list(config.get("tags") or ())}
