"""One run of a workflow as the core sees it: one long turn that pauses, ends, or is taken back."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from specflow.errors import SpecflowError
from specflow.graph.compat import shielded_context
from specflow.graph.host import Host
from specflow.graph.place import Place
from specflow.graph.stops import stops
from specflow.graph.workflow.ahead import FlowContext
from specflow.graph.workflow.declared import Declared
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.session import SessionKey
from specflow.speculation.turn import Turn

log = logging.getLogger("specflow")

MOST_OPEN = 10_000
"""Runs of which the turn is kept open; beyond it the oldest is ended, and only loses its head start."""


class Runs:
    """The runs of one compiled workflow that are under way in this process."""

    def __init__(self, host: Host, flow: Declared) -> None:
        self._host = host
        self._flow = flow
        self._compensate = flow.on_failure == "compensate"
        self._open: OrderedDict[tuple[SessionKey, str], Turn] = OrderedDict()

    def go(self, make: Callable[[Coordinator], Coroutine[Any, Any, Any]]) -> Any:
        """From a thread without a loop: the coroutine on the background loop."""
        background = self._host.background
        coordinator = self._host.coordinator(background.loop)
        return background.run(lambda _caller: make(coordinator))

    async def enter(self, coordinator: Coordinator, place: Place, run_id: str) -> Turn | None:
        """A step is about to run; returns the turn of its run. None: nothing says which run this is."""
        if place.alone or self._host.off:
            return None
        key = (place.session, place.lane)
        turn = self._open.get(key)
        if turn is not None and not turn.ended and not turn.session.closing:
            return turn
        session = coordinator.session(place.session)
        if self._compensate and not place.lane:
            # Its name is that of the whole run, so that what earlier sessions of it did is found again.
            session = coordinator.begin_run(session, run_id)
            await session.ready()
        context = FlowContext(tools=self._host.parts.registry, flow=self._flow)
        turn = coordinator.begin_turn(session, context, shielded_context(), lane=place.lane)
        self._open[key] = turn
        if len(self._open) > MOST_OPEN:
            _, oldest = self._open.popitem(last=False)
            coordinator.end_turn(oldest, (), "forgotten")
        return turn

    def tell(self, coordinator: Coordinator, turn: Turn | None, step: str, known: Mapping[str, Any]) -> None:
        """The step has begun, and so much is known: what the data flow makes certain starts early."""
        if turn is not None and isinstance(turn.context, FlowContext):
            turn.context.begun.add(step)
            turn.context.known.update(known)
            coordinator.hear(turn, Chunk(kind=ChunkKind.REASONING))

    def post(self, turn: Turn | None, step: str, known: Mapping[str, Any]) -> None:
        """`tell`, from a thread without a loop, without waiting."""
        background = self._host.background
        coordinator = self._host.coordinator(background.loop)
        background.post(lambda: self.tell(coordinator, turn, step, known))

    async def leave(self, coordinator: Coordinator, place: Place, error: BaseException) -> None:
        """A step has raised: the run pauses to ask somebody, or has failed."""
        turn = self._close(place)
        if turn is None:
            return
        if stops(error):
            coordinator.end_turn(turn, (), "paused")
            await coordinator.pause(turn.session)
            return
        coordinator.end_turn(turn, (), "failed")
        if not self._compensate or place.lane:
            # A workflow within another one is taken back with that one, or not at all.
            await coordinator.finish(turn.session, place.lane, "failed")
            return
        try:
            # To its end, whatever becomes of whoever waits: half taken back is the worst of all.
            await asyncio.shield(
                asyncio.ensure_future(coordinator.take_back(turn.session, f"failed: {type(error).__name__}"))
            )
        except SpecflowError as trouble:
            # The run has its own error to tell; what is not undone yet is on record, and recovery goes on.
            log.error("the workflow failed and is not taken back yet: %s", trouble)  # noqa: TRY400 - the world's fault, said in one line

    async def end(self, coordinator: Coordinator, place: Place) -> None:
        """The last step is over."""
        turn = self._close(place)
        if turn is not None:
            coordinator.end_turn(turn, ())
            await coordinator.finish(turn.session, place.lane, "run_ended")

    def _close(self, place: Place) -> Turn | None:
        return self._open.pop((place.session, place.lane), None)
