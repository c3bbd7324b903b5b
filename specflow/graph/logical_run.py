"""Which logical run an invocation of a graph belongs to, and what the checkpoint it was loaded from knows.

A run is one request of the user with all its resumes. LangGraph has no name for it: what survives a crash is
the id of the user's message, as far as a checkpoint was saved that holds it; else only what the user gives.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

from specflow.graph.compat import run_control
from specflow.graph.loop import Loaded, checkpoints_above, loaded_from, tell_of_end
from specflow.graph.place import Place
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.session import Session

RUN_KEY = "specflow_run_key"
"""In `configurable`: the user's own name for the run, where no checkpoint may have survived."""

GIVEN, BY_MESSAGE = "given:", "message:"
"""Before the key of a run: who has named it. A workflow names its runs itself, without either."""

MOST_INVOCATIONS = 10_000
"""Invocations remembered; one forgotten is looked at as if it began again."""


Path = tuple[tuple[str, str], ...]
"""The graphs around a node, the outermost first: the namespace of each, and its newest checkpoint."""


class LoadedRun:
    """The conversation as one invocation has loaded it, a part (a nested graph) at a time.

    LangGraph's checkpoint ids are in the order of their making. What was done in a step that began from an
    older one than was loaded is known to what was loaded; what began from a newer one was lost.
    """

    def __init__(self) -> None:
        self.branched = False
        self.says_end = False
        self._parts: dict[str, Loaded] = {}
        self._asked: set[str] = set()
        self._given: list[tuple[str, Path]] = []

    @property
    def resumed(self) -> bool:
        """Whether the steps that a saved checkpoint left undone are made again; there is no new request."""
        root = self._parts.get("")
        return root is not None and root.again

    def see(self, config: Mapping[str, Any]) -> None:
        """A node is running: note what the graphs around it were loaded from, once each."""
        above = checkpoints_above(config)
        for depth, (namespace, current) in enumerate(above, 1):
            known = self._parts.get(namespace)
            found = loaded_from(config) if depth == len(above) else None
            if found is not None and (known is None or not known.exact):
                self._parts[namespace] = found
                self.branched = self.branched or (not namespace and found.superseded)
            elif known is None:
                # Only the innermost graph can be asked: of one further out, nothing newer is known than this.
                self._parts[namespace] = Loaded(checkpoint=current, again=True, exact=False)

    def ask(self, identity: str) -> None:
        """That call is made in this invocation: whatever comes of it, it is known from now on."""
        self._asked.add(identity)

    def holds(self, identity: str, moment: str) -> bool:
        """See `Conversation.holds`."""
        if identity in self._asked:
            return True
        path = _read(moment)[1]
        if any(_within(path, outer) for outer in self._given):
            return True
        for namespace, checkpoint in path:
            part = self._parts.get(namespace)
            if part is None:
                return True  # a part that is not made again is over, and its result is known
            if checkpoint != part.checkpoint:
                return checkpoint < part.checkpoint
            if not part.again:
                return False  # a new request has taken the place of what was left to do
        return True  # of the very step that is made again: it is asked for under its own name

    def give(self, moment: str) -> None:
        """See `Conversation.give`: an agent may be another one's tool."""
        self._given.append(_read(moment))


def _within(path: Path, outer: tuple[str, Path]) -> bool:
    """Whether a call with these graphs around it was made inside the task of another call."""
    task, above = outer
    if not task or path[: len(above)] != above or len(path) == len(above):
        return False
    return f"{path[len(above)][0]}|".startswith(f"{task}|")


def moment_of(place: Place, config: Mapping[str, Any]) -> str:
    """Where in its conversation a call is made: its task, and the checkpoints its graphs stand at."""
    if not place.session.thread:
        return ""
    return json.dumps([place.namespace, *checkpoints_above(config)], separators=(",", ":"))


def _read(moment: str) -> tuple[str, Path]:
    """What `moment_of` wrote: the task; the graphs, the outermost first, or none where it cannot be read."""
    try:
        task, *path = json.loads(moment)
        return str(task), tuple((str(namespace), str(checkpoint)) for namespace, checkpoint in path)
    except (TypeError, ValueError):
        return "", ()


@dataclass(slots=True, kw_only=True)
class _Invocation:
    """`anchor` is LangGraph's object of it, held so that no other one has its id."""

    anchor: object
    loaded: LoadedRun = field(default_factory=LoadedRun)
    key: str = ""
    begun: bool = False


class LogicalRuns:
    """The invocations under way in this process, and the logical runs they belong to."""

    def __init__(self) -> None:
        self._invocations: OrderedDict[tuple[int, str], _Invocation] = OrderedDict()
        self._lock = threading.Lock()

    def enter(
        self,
        coordinator: Coordinator,
        place: Place,
        config: Mapping[str, Any],
        messages: Callable[[], Sequence[BaseMessage]],
    ) -> tuple[Session, LoadedRun | None]:
        """The session in which a node works that is about to call a model or a tool, and what is known there.

        `messages` are those of its graph's state. None: it belongs to no conversation.
        """
        session = coordinator.session(place.session)
        configurable = config.get("configurable") or {}
        control = run_control(configurable)
        if place.alone or not place.session.thread or control is None:
            return session, None
        invocation = self._invocation(control, place.session.thread)
        if not invocation.key:
            given = configurable.get(RUN_KEY)
            invocation.key = f"{GIVEN}{given}" if given else _by_message(messages())
        invocation.loaded.see(config)
        return self._joined(coordinator, session, place, invocation, config), invocation.loaded

    def _invocation(self, control: object, thread: str) -> _Invocation:
        with self._lock:
            found = self._invocations.get((id(control), thread))
            if found is None:
                found = self._invocations[id(control), thread] = _Invocation(anchor=control)
                if len(self._invocations) > MOST_INVOCATIONS:
                    self._invocations.popitem(last=False)
            return found

    def _joined(
        self,
        coordinator: Coordinator,
        session: Session,
        place: Place,
        invocation: _Invocation,
        config: Mapping[str, Any],
    ) -> Session:
        key, loaded = invocation.key, invocation.loaded
        if not key or (session.run_key == key and invocation.begun):
            return session
        if session.run_key != key and not _may_begin(session, place):
            return session
        invocation.begun = True
        # INVARIANT: a message may be sent twice. Only the user's own word makes two requests the same one.
        if not (loaded.resumed or key.startswith(GIVEN)):
            return coordinator.begin_run(session, key)
        # A model's answer is not the end of a graph that goes on with another model.
        loaded.says_end = loaded.says_end or tell_of_end(
            config, lambda: coordinator.end_run(place.session, key)
        )
        return coordinator.begin_run(session, key, known=loaded)


def _may_begin(session: Session, place: Place) -> bool:
    """Whether a run may begin in this session, in place of what it has been for."""
    if session.run_key and not session.run_key.startswith((GIVEN, BY_MESSAGE)):
        return False  # a workflow's, which says itself when its run begins
    if session.busy:
        return False  # two requests in one conversation at the same time: they share what they have
    # A part of something that has no name for its run, and goes on.
    return not (place.lane and session.touched and not session.run_key)


def _by_message(messages: Sequence[BaseMessage]) -> str:
    newest = next((item for item in reversed(messages) if isinstance(item, HumanMessage)), None)
    return f"{BY_MESSAGE}{newest.id}" if newest is not None and newest.id else ""
