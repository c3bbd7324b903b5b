"""Recorded runs of real models, played again through a real agent: sequential and speculative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver

from specflow.demo.approval import Approval, say_yes
from specflow.demo.database import Database
from specflow.demo.drive import Driver
from specflow.demo.measure import Measured, bound_seconds
from specflow.demo.recorded_tools import RecordedWorld, TellRecorded
from specflow.demo.recovery import recovery_tools
from specflow.demo.sidebyside import clear, may_run_early, scripted_model, together
from specflow.demo.timeline import Timeline
from specflow.demo.watch import Watch
from specflow.effects.call import digest
from specflow.errors import ConfigurationError
from specflow.policy.load import load
from specflow.resources import bundled
from specflow.runtime import Runtime
from specflow.testing.model_server import ModelServer, Reply, recorded_script
from specflow.testing.model_server.script import Messages, Script, replies_given
from specflow.traces.recorded import RecordedRun, RecordedTurn, RecordingError, read_runs

Exchange = tuple[AnyMessage, ...]
"""What is handed to the agent at once; it then runs until it has answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One run, played both ways. `differences` are lines about requests that are not as recorded."""

    run: RecordedRun
    sequential: Measured
    speculative: Measured
    watch: Watch
    bound: float
    differences: tuple[str, ...]
    speed: float
    journal: str

    @property
    def saved(self) -> float:
        """Seconds that the speculative run was faster."""
        return self.sequential.seconds - self.speculative.seconds

    @property
    def regret(self) -> float:
        """Seconds between the speculative run and the bound."""
        return max(0.0, self.speculative.seconds - self.bound)

    @property
    def same(self) -> bool:
        """Whether both agents said and did what the record says."""
        return not self.differences and self.sequential.world == self.speculative.world

    def as_json(self) -> dict[str, Any]:
        """What `--run --json` prints for one run. Times are as measured, at `speed`."""
        return {
            "run": self.run.number,
            "task_id": self.run.task_id,
            "model": self.run.model,
            "sequential": self.sequential.as_json(),
            "speculative": {**self.speculative.as_json(), "outcomes": dict(self.watch.outcomes)},
            "wasted_calls": self.watch.wasted,
            "saved_seconds": round(self.saved, 3),
            "bound_seconds": round(self.bound, 3),
            "regret_seconds": round(self.regret, 3),
            "speed": self.speed,
            "same": self.same,
            "differences": list(self.differences),
            "journal": self.journal,
        }


async def play(
    file: Path,
    *,
    first: int,
    count: int,
    database: Database,
    speed: float,
    tool_latency: float,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Played]:
    """Play `count` runs of a file from number `first` (from 0). `tell` hears of each as it ends.

    Of several runs, one that no agent can have made is left out, and `tell` hears why.

    Raises:
        RecordingError: the file, or the only run, cannot be played.
        ConfigurationError: the file has no run of that number.
    """
    runs = list(islice(read_runs(file), first, first + count))
    if not runs:
        raise ConfigurationError(f"{file} has no run number {first}", hint="the first one is 0")
    await _recover_desk(database)
    played = []
    for run in runs:
        try:
            played.append(await _play(run, database, speed=speed, tool_latency=tool_latency))
        except RecordingError as error:
            if len(runs) == 1:
                raise
            tell(f"left out: {error}")
        else:
            tell(f"played: run {run.number}")
    return played


async def _play(run: RecordedRun, database: Database, *, speed: float, tool_latency: float) -> Played:
    lead, exchanges = conversation(run)
    slow, fast = Timeline("sequential"), Timeline("speculative")
    worlds = [RecordedWorld(run, latency=tool_latency / speed) for _ in range(2)]
    policy = load(bundled("policies/airline.yaml"))
    tools = [world.tools(policy) for world in worlds]
    watch = Watch(fast, {tool.name: tuple(tool.args) for tool in tools[1]})
    # What the other side said after the model's last word is never sent anywhere.
    heard = run.model_copy(update={"turns": run.turns[: _last(run) + 1]})
    script = _ToTheEnd(recorded_script(heard, speed=speed), heard)
    async with Runtime(
        bundled("policies/airline.yaml"), tools=tools[1], journal=database.url, observers=[watch]
    ) as runtime:
        await clear(runtime)
        with ModelServer(script) as one, ModelServer(script) as two:

            async def agent(number: int, server: ModelServer, line: Timeline, more: list[Any]) -> Measured:
                model = scripted_model(server, run.model or "recorded")
                built: Any = create_agent(
                    model, tools[number], middleware=[TellRecorded(), *more], checkpointer=InMemorySaver()
                )
                driver = Driver(
                    built, thread=f"recorded-{uuid4().hex}", timeline=line, approval=Approval(say_yes)
                )
                world = worlds[number]
                driver.on_turn = lambda turn: setattr(world, "answer", lead + turn - 1)
                line.start()
                for messages in exchanges:
                    await driver.say(*messages)
                return await driver.result(_writes(runtime, world))

            plain, ahead = await together(
                agent(0, one, slow, []), agent(1, two, fast, [runtime.middleware()])
            )
            differences = tuple(dict.fromkeys([*one.differences, *two.differences]))
        bound = bound_seconds(plain.turns, lambda call: may_run_early(runtime, call))
    return Played(
        run=run,
        sequential=plain,
        speculative=ahead,
        watch=watch,
        bound=bound,
        differences=differences,
        speed=speed,
        journal=database.url,
    )


def conversation(run: RecordedRun) -> tuple[int, list[Exchange]]:
    """How to play the other side of a run: how many answers of the model are put into the first exchange
    (a greeting), and what to say, exchange by exchange.

    Raises:
        RecordingError: for a run that no agent loop can have made.
    """
    exchanges: list[Exchange] = []
    said: list[AnyMessage] = []
    lead = 0
    expecting = True
    for at, turn in enumerate(run.turns[: _last(run) + 1]):
        if turn.role != "assistant":
            if not expecting:
                raise RecordingError(
                    f"run {run.number}, turn {at}: the model was interrupted after a tool call"
                )
            said.append(_message(turn))
        elif not exchanges and not turn.calls and not any(isinstance(item, HumanMessage) for item in said):
            said.append(AIMessage(turn.content))
            lead += 1
        elif said or not expecting:
            if said:
                exchanges.append(tuple(said))
                said = []
            expecting = not turn.calls
        else:
            raise RecordingError(f"run {run.number}, turn {at}: the model speaks twice without being asked")
    if not exchanges:
        raise RecordingError(f"run {run.number} has no turn of a model to play")
    return lead, exchanges


def _last(run: RecordedRun) -> int:
    """The position of the model's last message; -1 when it said nothing."""
    return max((at for at, turn in enumerate(run.turns) if turn.role == "assistant"), default=-1)


def _message(turn: RecordedTurn) -> AnyMessage:
    return SystemMessage(turn.content) if turn.role == "system" else HumanMessage(turn.content)


class _ToTheEnd:
    """A recorded script; a run that was cut off after a tool's answer is brought to an end."""

    def __init__(self, script: Script, run: RecordedRun) -> None:
        self._script = script
        self._answers = run.answers

    def reply_to(self, messages: Messages) -> Reply:
        if replies_given(messages) == len(self._answers) and self._answers[-1].calls:
            return Reply(text="The recording ends here.", seconds=0.0)
        return self._script.reply_to(messages)

    def differences(self, messages: Messages) -> Sequence[str]:
        return self._script.differences(messages)


def _writes(runtime: Runtime, world: RecordedWorld) -> str:
    """A hash of the calls that were made and may have changed something, in order."""
    made = []
    for call in world.made:
        verdict = runtime.policy.judge(runtime.registry.get(call.tool), call, context={})
        if verdict.effect.writes:
            made.append(repr(call))
    return digest(*made)


async def _recover_desk(database: Database) -> None:
    """What a killed travel demo left in this file is undone with the desk's tools, not with a record's."""
    tools = recovery_tools(database.url)
    if tools is not None:
        async with Runtime(bundled("policies/travel.yaml"), tools=tools, journal=database.url) as runtime:
            await runtime.recover()
