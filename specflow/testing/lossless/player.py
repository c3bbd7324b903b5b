"""Playing a case through the real core, step by step as a graph does: hear, end the turn, make the calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.errors import SpecflowError
from specflow.journal.event import CallEvent
from specflow.journal.port import Journal
from specflow.journal.record import Snapshot
from specflow.policy.verdict import Asking
from specflow.prediction.candidate import Candidate, Proposal, Retraction
from specflow.prediction.predictor import HistoryItem
from specflow.settlement.undo import Persistence
from specflow.speculation.parts import Mode
from specflow.speculation.turn import Turn
from specflow.testing.lossless.case import Agent, Ask, Case, Guess, Step, Talk
from specflow.testing.lossless.foresight import Seer, Teller
from specflow.testing.lossless.manners import policy
from specflow.testing.lossless.program import Answer, Memory, edited, guessed, remember
from specflow.testing.lossless.services import Services
from specflow.testing.lossless.world import SeatTakenError, World
from specflow.testing.scripted_core import ScriptedCore

PATIENCE = 5_000.0
"""Virtual seconds that a real call waits for what is in its way: none ever needs as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of a case. `seen` holds what each agent saw, `left` what was not cleared away at the end."""

    seen: dict[str, tuple[str, ...]]
    cancelled: frozenset[str]
    world: World
    rows: Snapshot
    events: tuple[CallEvent, ...]
    forbidden: tuple[str, ...]
    left: tuple[str, ...]


async def play(case: Case, journal: Journal, mode: Mode) -> Played:
    """Play the whole case once, to the end of everything in it."""
    return await _Player(case, journal, mode).play()


class _Player:
    def __init__(self, case: Case, journal: Journal, mode: Mode) -> None:
        self._case = case
        self._journal = journal
        self._early = mode is not Mode.OFF
        self.foresees_runs = case.foresees_runs
        self._services = Services(case)
        ahead = case.foresight
        self._core = ScriptedCore(
            self._services.tools(),
            policy(case),
            journal,
            seed=case.seed,
            mode=mode,
            conflict_wait=PATIENCE,
            persistence=Persistence(tries=3, pause=0.1),
            predictors=(Seer(case, ahead),) if ahead is not None else (),
            result_guessers=(Teller(self._services.world, ahead),) if ahead is not None else (),
        )
        self._memories: dict[str, Memory] = {}
        self._cancelled: set[str] = set()

    async def play(self) -> Played:
        """All conversations side by side; then everything is closed, and an hour passes."""
        await asyncio.gather(*(self._talk(talk) for talk in self._case.talks))
        await self._core.coordinator.aclose()
        await asyncio.sleep(3600)
        return Played(
            seen={name: tuple(memory.lines) for name, memory in self._memories.items()},
            cancelled=frozenset(self._cancelled),
            world=self._services.world,
            rows=await self._journal.snapshot(),
            events=tuple(self._core.log.events),
            forbidden=tuple(self._services.forbidden),
            left=tuple(self._left()),
        )

    def _left(self) -> list[str]:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        return [*(f"task {task.get_name()}" for task in tasks), *self._core.left_behind()]

    async def _talk(self, talk: Talk) -> None:
        core = self._core.beside(talk.thread)
        agents = [_Actor(self, core, talk, agent) for agent in talk.agents]
        for actor in agents:
            self._memories[actor.name] = actor.memory
        for number in range(len(talk.agents[0].runs)):
            if talk.keyed:
                core.begin_run(f"run {number}")
            run = asyncio.gather(*(actor.run(number) for actor in agents))
            if talk.cancelled is None or not self._early:
                await run
            else:
                await self._until_cancelled(run, talk)
            if talk.thread in self._cancelled:
                return
            await asyncio.sleep(max(agent.runs[number].pause for agent in talk.agents))

    async def _until_cancelled(self, run: asyncio.Future[Any], talk: Talk) -> None:
        assert talk.cancelled is not None
        left = max(0.0, talk.cancelled - asyncio.get_running_loop().time())
        done, _ = await asyncio.wait({run}, timeout=left)
        if not done:
            run.cancel()
            self._cancelled.add(talk.thread)
        await asyncio.wait({run})
        if talk.thread not in self._cancelled or not isinstance(_error(run), asyncio.CancelledError):
            run.result()

    def approve(self, call: Call) -> None:
        """A person has said yes to it."""
        self._services.approved[call.fingerprint] += 1


def _error(run: asyncio.Future[Any]) -> BaseException | None:
    # A gathering that was cancelled has the cancellation as its error.
    return asyncio.CancelledError() if run.cancelled() else run.exception()


class _Actor:
    """One agent of a conversation, at work."""

    def __init__(self, player: _Player, core: ScriptedCore, talk: Talk, agent: Agent) -> None:
        self.name = f"{talk.thread}/{agent.name}"
        self.memory = Memory()
        self._player = player
        self._core = core
        self._agent = agent

    async def run(self, number: int) -> None:
        """From a user's message to the end of the run, whichever it is."""
        run = self._agent.runs[number]
        spoken, following = True, self._following(number)
        for place, step in enumerate(run.steps):
            later = run.steps[place + 1] if place + 1 < len(run.steps) else following
            message = self.memory.chosen(step)
            for _ in range(step.broken):
                await self._think(
                    step.guesses, message, later, step.think / 2, spoken=spoken, cause="model_error"
                )
            await self._think(step.guesses, message, later, step.think, spoken=spoken)
            spoken = False
            await asyncio.sleep(step.wait)
            answers = await asyncio.gather(
                *(self._make(ask, f"{number}.{place}.{at}") for at, ask in enumerate(message))
            )
            remember(self.memory, answers)
        cause = "" if run.ending == "answer" else run.ending
        await self._think(run.guesses, (), following, 1.0, spoken=spoken, cause=cause)

    def _following(self, number: int) -> Step | None:
        """The first step of the next run, where that is foreseen."""
        runs = self._agent.runs[number + 1 : number + 2] if self._player.foresees_runs else ()
        return next((run.steps[0] for run in runs if run.steps), None)

    async def _think(
        self,
        guesses: Sequence[Guess],
        message: Sequence[Ask],
        later: Step | None,
        seconds: float,
        *,
        spoken: bool,
        cause: str = "",
    ) -> None:
        """One model call: what is guessed meanwhile, and how it ends."""
        core = self._core
        turn = core.begin(lane=self._agent.name, history=(HistoryItem(role="user"),) if spoken else ())
        try:
            await self._guess(turn, guesses, message, later, seconds)
        except asyncio.CancelledError:
            core.end(turn, (), "cancelled")
            await core.coordinator.finish(turn.session, self._agent.name, "cancelled")
            raise
        core.end(turn, () if cause else [self.memory.call(ask) for ask in message], cause)
        if cause or not message:
            await core.coordinator.finish(turn.session, self._agent.name, cause or "run_ended")

    async def _guess(
        self, turn: Turn, guesses: Sequence[Guess], message: Sequence[Ask], later: Step | None, seconds: float
    ) -> None:
        said: list[Candidate] = []
        thought = 0.0
        for guess in guesses:
            await asyncio.sleep(guess.at * seconds - thought)
            thought = guess.at * seconds
            proposals: list[Proposal] = []
            if guess.what == "back" and said:
                old = said[guess.which % len(said)]
                proposals = [Retraction(call=old.call, predictor=old.predictor, reason="amended")]
            else:
                made = [
                    Candidate(call=call, confidence=guess.confidence, predictor=guess.predictor)
                    for call in guessed(guess, self.memory, message, later)
                ]
                said += made
                proposals = [*made]
            self._core.say(turn, *proposals)
        await asyncio.sleep(seconds - thought)

    async def _make(self, ask: Ask, place: str) -> Answer:
        """One call of a message, from there to what the agent is told about it."""
        await asyncio.sleep(ask.delay)
        call = asked = self.memory.call(ask)
        if ask.person == "edit":
            call = edited(call, ask.edited)
        verdict = self._core.coordinator.verdict(call)
        asks = verdict.effect is EffectClass.CONFIRMATION_REQUIRED and verdict.confirm is Asking.ASK
        approved = asks and ask.person in {"yes", "edit"}
        if asks:
            await self._core.coordinator.pause(self._core.session)
            await asyncio.sleep(1.0)
            if ask.person == "no":
                return Answer(call=asked, error="rejected")
            for _ in range(approved * (1 + ask.again)):
                self._player.approve(call)
        answer = await self._call(call, place, approved=approved)
        if ask.again:
            answer = await self._call(call, place, approved=approved)
        return Answer(call=asked, value=answer.value, error=answer.error)

    async def _call(self, call: Call, place: str, *, approved: bool) -> Answer:
        try:
            value = await self._core.call(
                call, identity=f"{self.name} {place}", approved=approved, lane=self._agent.name
            )
        except SpecflowError as error:
            return Answer(call=call, error=type(error).__name__)
        except (OSError, ValueError, SeatTakenError) as error:  # what tools raise; no mistake of ours
            return Answer(call=call, error=f"{type(error).__name__}: {error}")
        told = json.loads(json.dumps(value))
        if isinstance(value, dict):
            value["scribbled"] = True  # an agent may do with its result what it likes
        return Answer(call=call, value=told)
