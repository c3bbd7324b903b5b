"""The travel desk, both ways at the same time: plain LangGraph, and the same agent with specflow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import uuid4

from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from specflow.demo.approval import Approval
from specflow.demo.bundle import DeskLike, load_agent, load_desk
from specflow.demo.database import Database
from specflow.demo.drive import Driver
from specflow.demo.measure import Measured, TimedCall, bound_seconds
from specflow.demo.timeline import Timeline
from specflow.demo.watch import Watch
from specflow.effects.call import Call
from specflow.errors import ConfigurationError
from specflow.graph.reasoning import ReasoningChatOpenAI
from specflow.policy.verdict import Speculate
from specflow.resources import bundled
from specflow.runtime import Runtime
from specflow.testing.model_server import ModelServer

T = TypeVar("T")
SCRIPTED = "scripted"
"""The name of the model that reads from the example's script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the demo is asked to do.

    `model` is empty for the scripted one, else the name of an OpenAI-compatible model. `speed` divides
    every waiting time of the scripted run: 1 is the pace of real models and services.
    """

    database: Database
    model: str = ""
    speed: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both runs, measured. `bound` is in seconds."""

    sequential: Measured
    speculative: Measured
    timelines: tuple[Timeline, Timeline]
    watch: Watch
    bound: float
    journal: str

    @property
    def same(self) -> bool:
        """Whether both runs said the same and left the same world behind."""
        return (self.sequential.answer, self.sequential.world) == (
            self.speculative.answer,
            self.speculative.world,
        )

    def as_json(self) -> dict[str, Any]:
        """What `specflow demo --json` prints."""
        outcomes = dict(self.watch.outcomes)
        return {
            "sequential": self.sequential.as_json(),
            "speculative": {
                **self.speculative.as_json(),
                "outcomes": outcomes,
                "wasted_calls": self.watch.wasted,
                "compensated": list(self.watch.undone),
            },
            "bound_seconds": round(self.bound, 3),
            "saved_seconds": round(self.sequential.seconds - self.speculative.seconds, 3),
            "same": self.same,
            "journal": self.journal,
        }


async def compare(
    setup: Setup,
    approval: Approval,
    *,
    show: Callable[[Timeline, Timeline], AbstractContextManager[object]] | None = None,
) -> Comparison:
    """Recover what an earlier demo left, reset the desks, and run the agent both ways side by side.

    `show` is given both timelines before anything runs, and is open while it does.

    Raises:
        SpecflowError: the policy, the journal or the database cannot be used.
    """
    parts, travel = load_desk(), load_agent()
    sequential, speculative = Timeline("sequential"), Timeline("speculative")
    pace = 1.0 / setup.speed
    plain_desk = parts.desk(setup.database.sequential, pace=pace)
    desk = parts.desk(setup.database.path, pace=pace)
    tools = parts.tools(desk)
    watch = Watch(speculative, {tool.name: tuple(tool.args) for tool in tools.everything})
    async with Runtime(
        bundled("policies/travel.yaml"),
        tools=tools.everything,
        journal=setup.database.url,
        observers=[watch],
    ) as runtime:
        await clear(runtime)
        plain_desk.store.reset()
        desk.store.reset()
        server = nullcontext() if setup.model else ModelServer(travel.script, speed=setup.speed)
        shown = show(sequential, speculative) if show else nullcontext()
        with server as serving, shown:
            model = _model(setup, serving)

            async def run(line: Timeline, where: DeskLike, tools: Any, middleware: Any) -> Measured:
                agent = travel.agent(model, tools, middleware=[middleware])
                driver = Driver(agent, thread=f"demo-{uuid4().hex}", timeline=line, approval=approval)
                line.start()
                await driver.say(HumanMessage(travel.request))
                return await driver.result(where.store.world())

            plain, ahead = await together(
                run(sequential, plain_desk, parts.tools(plain_desk).model, travel.ask_before_charging()),
                run(speculative, desk, tools.model, runtime.middleware()),
            )
        bound = bound_seconds(plain.turns, lambda call: may_run_early(runtime, call))
    # Closing settled what was still open; only now is the world final.
    return Comparison(
        sequential=plain,
        speculative=replace(ahead, world=desk.store.world()),
        timelines=(sequential, speculative),
        watch=watch,
        bound=bound,
        journal=setup.database.url,
    )


async def clear(runtime: Runtime) -> None:
    """Bring to rest what a killed demo left behind.

    Raises:
        ConfigurationError: another demo is at work on the same database; its desk is not reset under it.
    """
    await runtime.recover()
    if active := await runtime.journal.active_sessions():
        raise ConfigurationError(
            f"another run is at work on this database (session {active[0].session_id})",
            hint="wait for it, or name another file with --db",
        )


def _model(setup: Setup, server: ModelServer | None) -> ReasoningChatOpenAI:
    if server is not None:
        return scripted_model(server, SCRIPTED)
    try:
        return ReasoningChatOpenAI(model=setup.model)
    except Exception as error:
        raise ConfigurationError(
            f"the model {setup.model} cannot be used: {error}",
            hint="set OPENAI_API_KEY, and OPENAI_BASE_URL for a server of your own",
        ) from error


def scripted_model(server: ModelServer, name: str) -> ReasoningChatOpenAI:
    """A client of the model server; a request that fails is not repeated."""
    return ReasoningChatOpenAI(base_url=server.url, api_key=SecretStr("demo"), model=name, max_retries=0)


def may_run_early(runtime: Runtime, call: TimedCall) -> bool:
    """Whether the policy lets this call run before the model has asked for it."""
    tool = runtime.registry.get(call.tool)
    verdict = runtime.policy.judge(
        tool, Call(tool=call.tool, args=call.args), context=runtime.host.parts.context
    )
    return verdict.speculate is Speculate.NOW


async def together(first: Awaitable[T], second: Awaitable[T]) -> tuple[T, T]:
    """Await both; when one fails, the other is cancelled first and the failure raised as it was."""
    tasks = [asyncio.ensure_future(item) for item in (first, second)]
    try:
        one, two = await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    return one, two
