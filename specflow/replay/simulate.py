"""Playing a recorded run through the real coordinator: on virtual time, or by the wall clock."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from specflow.clock import LoopClock
from specflow.effects.call import Call, digest
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import CallContext
from specflow.errors import ConflictError, RefusedError, ToolTimeoutError
from specflow.identity import SeededIds
from specflow.journal.event import Observers
from specflow.journal.memory import MemoryJournal
from specflow.policy.settings import Judge
from specflow.prediction.calibration.ensemble import Ensemble
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import AnyPredictor, TurnContext
from specflow.replay.hurried_loop import run_hurried
from specflow.replay.latency import Latency
from specflow.replay.recorded_times import of_unlisted
from specflow.replay.steps import Step
from specflow.replay.user_time import pauses
from specflow.speculation.adopt import RealCall
from specflow.speculation.assemble import assemble
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.durations import ENOUGH_FOR_MEDIAN
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.session import Session, SessionKey
from specflow.speculation.turn import Turn
from specflow.testing.explore import drive
from specflow.testing.scripted_core import EventLog
from specflow.testing.seeded_loop import SeededLoop

HAPPENS = (RefusedError, ToolTimeoutError)
"""What may come of a call in a replay without stopping it: the agent would have been told and gone on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One run, played. `steps` are the seconds each step took, model and tools, `begins` when each began on
    the clock of the events; `turns` their turn ids. Users' own time is in none of the `seconds`.
    """

    seconds: float
    steps: tuple[float, ...]
    begins: tuple[float, ...]
    turns: tuple[str, ...]
    log: EventLog


class Tools:
    """The body of every tool of a replay: it takes its time and answers what was recorded.

    `step` is the one that is being played.
    """

    def __init__(self, steps: Sequence[Step], latency: Latency) -> None:
        self.latency = latency
        self.step = 0
        self._answers: dict[str, str] = {}
        for step in steps:
            for call, result in zip(step.calls, step.results, strict=True):
                self._answers.setdefault(call.fingerprint, result)

    async def __call__(self, call: Call, context: CallContext) -> Any:
        await asyncio.sleep(self.latency(call, self.step))
        # What the record never saw was a wrong guess: nobody will read the answer.
        return self._answers.get(call.fingerprint, "")


def play(
    steps: Sequence[Step],
    *,
    registry: ToolRegistry,
    judge: Judge,
    tools: Tools,
    predictors: Sequence[AnyPredictor],
    mode: Mode = Mode.ON,
    speed: float | None = None,
    ensemble: Ensemble | None = None,
    model: str = "",
    user_takes: float = 0.0,
) -> Played:
    """Play the steps once and return what happened and how long it took, without the users' own time:
    `user_takes` seconds, which pass before each answer to them but the first.

    `ensemble` knows what the words of predictors have been worth before, and learns; `model` is who speaks.
    Without `speed` time is virtual: nothing waits, and what is computed takes no time. With it the run
    takes its time on an ordinary event loop, `speed` times as fast; the seconds returned are the run's own.
    """
    log = EventLog()
    parts = _parts(registry, judge, predictors, log, mode=mode, ensemble=ensemble or Ensemble())
    _experience(parts, steps, tools)
    stage = _Stage(
        coordinator=Coordinator(parts), registry=registry, tools=tools, listens=bool(predictors), model=model
    )
    main = stage.play(steps, pauses(steps, user_takes), log)
    if speed is not None:
        return run_hurried(main, speed=speed)
    # A sleep is three steps of the loop; a long run must not look like a live-lock.
    steps_needed = 1_000_000 + 10 * sum(len(step.pieces) for step in steps)
    return drive(SeededLoop(0, max_steps=steps_needed), main)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What a run is played on. The same on every loop; only the loop's clock differs."""

    coordinator: Coordinator
    registry: ToolRegistry
    tools: Tools
    listens: bool
    model: str = ""

    async def play(self, steps: Sequence[Step], waits: Sequence[float], log: EventLog) -> Played:
        loop = asyncio.get_running_loop()
        opened = loop.time()
        begins, took, turns, waited = [], [], [], 0.0
        for number, (step, pause) in enumerate(zip(steps, waits, strict=True)):
            waited += await _wait(pause)
            began = loop.time()
            begins.append(began)
            self.tools.step = number
            turn = await self._think(step, began)
            turns.append(turn.turn_id)
            # Where the user has spoken, the turn may belong to a new session of the conversation.
            await self._act(turn.session, step, number)
            took.append(loop.time() - began)
        seconds = loop.time() - opened - waited
        self.coordinator.hopes.over()  # a record is a whole conversation
        await self.coordinator.aclose()
        return Played(seconds=seconds, steps=tuple(took), begins=tuple(begins), turns=tuple(turns), log=log)

    async def _think(self, step: Step, began: float) -> Turn:
        """The model streams its answer."""
        loop, coordinator = asyncio.get_running_loop(), self.coordinator
        session = coordinator.session(SessionKey(thread="replay"))
        context = TurnContext(tools=self.registry, history=step.history, model=self.model)
        turn = coordinator.begin_turn(session, context, contextvars.copy_context())
        # The question is with the model: what can be guessed without hearing it starts now.
        coordinator.hear(turn, Chunk(kind=ChunkKind.REASONING, text=""))
        for due, chunk in step.pieces if self.listens else ():
            # Deadlines rather than pauses: by the wall clock, delays must not add up.
            await asyncio.sleep(max(0.0, began + due - loop.time()))
            coordinator.hear(turn, chunk)
        await asyncio.sleep(max(0.0, began + step.seconds - loop.time()))
        coordinator.end_turn(turn, step.calls)
        return turn

    async def _act(self, session: Session, step: Step, number: int) -> None:
        """The real run makes the calls of the message side by side, as LangGraph's tool node does."""
        ended = await asyncio.gather(
            *(self._make(session, real) for real in self._real(step.calls, number)),
            # Who answered them does not matter: where the record says how long that took, it takes so long.
            *(asyncio.sleep(seconds) for seconds in self._unlisted(step.calls, number) if seconds),
            return_exceptions=True,
        )
        for error in ended:
            if isinstance(error, BaseException) and not isinstance(error, HAPPENS):
                raise error

    async def _make(self, session: Session, real: RealCall) -> None:
        try:
            await self.coordinator.real_call(session, real)
        except ConflictError:
            # An early write stood in its way for too long. Failing sooner is no saving: the call has to be
            # made again, so its time is charged on top of the wait.
            await self.tools(real.call, CallContext())

    def _unlisted(self, calls: Iterable[Call], number: int) -> Iterable[float]:
        return (
            of_unlisted(self.tools.latency, call, number) for call in calls if call.tool not in self.registry
        )

    def _real(self, calls: Iterable[Call], number: int) -> Iterable[RealCall]:
        for place, call in enumerate(calls):
            tool = self.registry.get(call.tool)
            # A tool that does not exist was answered by the framework.
            if tool is not None:
                yield RealCall(
                    call=call,
                    tool=tool,
                    runner=self.tools,
                    identity=digest("replay", str(number), str(place)),
                    call_id=f"call_{number}_{place}",
                    # The record says that it was run: whoever had to agree, agreed.
                    approved=True,
                )


async def _wait(seconds: float) -> float:
    """The user takes his time; what still runs goes on. Returns the seconds that it was."""
    began = asyncio.get_running_loop().time()
    if seconds:
        await asyncio.sleep(seconds)
    return asyncio.get_running_loop().time() - began


def _experience(parts: Parts, steps: Sequence[Step], tools: Tools) -> None:
    """A runtime at work knows how long its tools usually take; one run is too short to find out."""
    usual: dict[str, list[float]] = {}
    for number, step in enumerate(steps):
        for call in step.calls:
            usual.setdefault(call.tool, []).append(tools.latency(call, number))
    for tool, seconds in usual.items():
        for _ in range(ENOUGH_FOR_MEDIAN):
            parts.durations.saw(tool, median(seconds))


def _parts(
    registry: ToolRegistry,
    judge: Judge,
    predictors: Sequence[AnyPredictor],
    log: EventLog,
    *,
    mode: Mode,
    ensemble: Ensemble,
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
        ensemble=ensemble,
        mode=mode,
        owner="replay",
    )
