"""Playing a recorded run through the real coordinator, on a seeded loop with virtual time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from specflow.clock import LoopClock
from specflow.effects.call import Call, digest
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import CallContext
from specflow.identity import SeededIds
from specflow.journal.event import Observers
from specflow.journal.memory import MemoryJournal
from specflow.policy.settings import Judge
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import Predictor, TurnContext
from specflow.replay.latency import Latency
from specflow.replay.steps import Step
from specflow.speculation.adopt import RealCall
from specflow.speculation.assemble import assemble
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.session import SessionKey
from specflow.testing.explore import run
from specflow.testing.scripted_core import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One run, played. `steps` are the seconds each step took, model and tools; `turns` their turn ids."""

    seconds: float
    steps: tuple[float, ...]
    turns: tuple[str, ...]
    log: EventLog


class Tools:
    """The body of every tool of a replay: it takes its time and answers what was recorded."""

    def __init__(self, steps: Sequence[Step], latency: Latency) -> None:
        self._latency = latency
        self._answers: dict[str, str] = {}
        for step in steps:
            for call, result in zip(step.calls, step.results, strict=True):
                self._answers.setdefault(call.fingerprint, result)

    async def __call__(self, call: Call, context: CallContext) -> Any:
        await asyncio.sleep(self._latency(call))
        # What the record never saw was a wrong guess: nobody will read the answer.
        return self._answers.get(call.fingerprint, "")


def play(
    steps: Sequence[Step],
    *,
    registry: ToolRegistry,
    judge: Judge,
    tools: Tools,
    predictors: Sequence[Predictor],
    mode: Mode = Mode.ON,
) -> Played:
    """Play the steps once, on virtual time, and return what happened and how long it took."""
    log = EventLog()

    async def main() -> Played:
        parts = _parts(registry, judge, predictors, log, mode)
        coordinator = Coordinator(parts)
        loop = asyncio.get_running_loop()
        session = coordinator.session(SessionKey(thread="replay"))
        took, turns = [], []
        for number, step in enumerate(steps):
            began = loop.time()
            turn = coordinator.begin_turn(
                session, TurnContext(tools=registry, history=step.history), contextvars.copy_context()
            )
            turns.append(turn.turn_id)
            # The question is with the model: what can be guessed without hearing it starts now.
            coordinator.hear(turn, Chunk(kind=ChunkKind.REASONING, text=""))
            for due, chunk in step.pieces:
                await asyncio.sleep(max(0.0, began + due - loop.time()))
                coordinator.hear(turn, chunk)
            await asyncio.sleep(max(0.0, began + step.seconds - loop.time()))
            coordinator.end_turn(turn, step.calls)
            await asyncio.gather(
                *(
                    coordinator.real_call(session, _real(registry, tools, call, number, place))
                    for place, call in enumerate(step.calls)
                    if registry.get(call.tool) is not None
                )
            )
            took.append(loop.time() - began)
        seconds = loop.time()
        await coordinator.settle(session)
        return Played(seconds=seconds, steps=tuple(took), turns=tuple(turns), log=log)

    return run(main(), seed=0)


def _real(registry: ToolRegistry, tools: Tools, call: Call, number: int, place: int) -> RealCall:
    return RealCall(
        call=call,
        tool=registry.require(call.tool),
        runner=tools,
        identity=digest("replay", str(number), str(place)),
        call_id=f"call_{number}_{place}",
        # The record says that it was run: whoever had to agree, agreed.
        approved=True,
    )


def _parts(
    registry: ToolRegistry, judge: Judge, predictors: Sequence[Predictor], log: EventLog, mode: Mode
) -> Parts:
    clock = LoopClock()
    return assemble(
        registry=registry,
        judge=judge,
        journal=MemoryJournal(clock),
        clock=clock,
        ids=SeededIds(0),
        observers=Observers([log]),
        predictors=tuple(predictors),
        mode=mode,
        owner="replay",
    )
