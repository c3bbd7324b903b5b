"""Ahead of people: what they will say or decide is guessed, and the graph run ahead while they think."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START
from langgraph.types import Command, Overwrite, StateSnapshot

from specflow.effects.call import Call
from specflow.errors import ConfigurationError
from specflow.graph.fork.attached import Attached, Attachments
from specflow.graph.fork.entry import as_input
from specflow.graph.fork.origin import Origin, answers_in
from specflow.graph.history import history_of
from specflow.graph.host import Host
from specflow.graph.place import messages_of, user_of
from specflow.prediction.predictor import TurnContext
from specflow.speculation.awaited import Awaited
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.session import SessionKey

USER = "user"
"""The name of the call that a user's next message answers, as guessers see it."""

PERSON = "person"
"""That which a person answers who was asked by an interrupt; its argument `asked` is what they see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserOrigin(Origin):
    """The run has ended; the user is to speak."""

    def started_with(self, guess: Any) -> Mapping[str, Any]:
        """As if the next run had begun with what the user is presumed to say."""
        held = self.state.get("messages")
        known = held.value if isinstance(held, Overwrite) else held or []
        return {**self.state, "messages": Overwrite([*known, HumanMessage(guess)])}


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonOrigin(Origin):
    """The run has stopped to ask a person. The fork resumes it in a copy of its checkpoint."""

    saved: CheckpointTuple

    def graph(self) -> Any:
        """The graph, with the copy as its only memory."""
        saver = InMemorySaver()
        at = {"configurable": {"thread_id": self.config["configurable"]["thread_id"], "checkpoint_ns": ""}}
        checkpoint = self.saved.checkpoint
        stored = saver.put(at, checkpoint, self.saved.metadata, checkpoint["channel_versions"])  # type: ignore[arg-type]
        for task_id, channel, value in self.saved.pending_writes or ():
            saver.put_writes(stored, [(channel, value)], task_id)
        return self.attached.entry(START).copy(update={"checkpointer": saver})

    def started_with(self, guess: Any) -> Any:
        """As if the run were resumed with what they are presumed to decide."""
        return Command(resume=guess)


class Expecting:
    """`Runtime.expecting`: while it is open, the graph is run ahead on guesses of the answer.

    Say `answered(value)` when it is there, and then go on with the graph as ever.
    """

    def __init__(
        self, host: Host, attachments: Attachments, graph: Any, config: Mapping[str, Any], context: Any
    ) -> None:
        attached = attachments.of(graph)
        thread = (config.get("configurable") or {}).get("thread_id")
        if attached is None or thread is None or not graph.checkpointer:
            raise ConfigurationError(
                "expecting: the graph must be attached, have a checkpointer, and be given a thread_id",
                hint="call Runtime.attach(graph) first",
            )
        self._host, self._graph, self._attached = host, graph, attached
        self._config, self._context, self._thread = config, context, str(thread)
        self._awaited: Awaited | None = None
        self._threaded = False

    def answered(self, value: Any) -> None:
        """The answer is there: what the user says, or what the run will be resumed with."""
        awaited, self._awaited = self._awaited, None
        if awaited is not None and self._threaded:
            self._host.background.call(lambda: awaited.answered(value))
        elif awaited is not None:
            awaited.answered(value)

    async def __aenter__(self) -> Self:
        state = await self._graph.aget_state(self._config)
        saved = await self._graph.checkpointer.aget_tuple(self._config) if state.interrupts else None
        self._begin(self._host.coordinator(), state, saved)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._awaited is not None:
            self._awaited.gave_up()

    def __enter__(self) -> Self:
        state = self._graph.get_state(self._config)
        saved = self._graph.checkpointer.get_tuple(self._config) if state.interrupts else None
        background = self._host.background
        coordinator = self._host.coordinator(background.loop)
        self._threaded = True
        background.call(lambda: self._begin(coordinator, state, saved))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        awaited = self._awaited
        if awaited is not None:
            self._host.background.call(awaited.gave_up)

    def _begin(self, coordinator: Coordinator, state: StateSnapshot, saved: CheckpointTuple | None) -> None:
        if self._host.off:
            return
        origin = self._origin(state, saved)
        if origin is None:
            return
        session = coordinator.session(SessionKey(thread=self._thread))
        history = history_of(messages_of(state.values))
        context = TurnContext(
            tools=self._host.offered(None),
            history=history,
            tenant=self._host.parts.tenant,
            user=user_of(self._config),
        )
        ask = Call(tool=USER) if saved is None else Call(tool=PERSON, args={"asked": _asked(state)})
        self._awaited = coordinator.awaiting(session, ask, context, replace(origin, session=session))

    def _origin(self, state: StateSnapshot, saved: CheckpointTuple | None) -> Origin | None:
        held = as_input(self._attached.graph, state.values)
        if held is None:
            return None
        configurable = {
            name: value
            for name, value in (self._config.get("configurable") or {}).items()
            if not name.startswith("checkpoint_")
        }
        about: dict[str, Any] = {
            "attached": self._attached,
            "node": START,
            "state": held,
            "config": {**self._config, "configurable": configurable},
            "context": self._context,
            "store": self._graph.store,
            "around": contextvars.copy_context(),
            "answers": answers_in(state.values),
            "threaded": self._threaded,
        }
        if saved is None:
            return None if state.next else UserOrigin(**about)
        stops: Attached = self._attached
        if any(node in stops.stops for node in state.next):
            return None  # it would go on in a node that no fork may run
        return PersonOrigin(**about, saved=saved)


def _asked(state: StateSnapshot) -> Any:
    """What the person is shown, as data."""
    shown = [interrupt.value for interrupt in state.interrupts]
    return json.loads(json.dumps(shown, default=repr))
