"""A whole agent over real HTTP, side by side: sequential, with specflow, and with what others predict by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import fmean
from time import perf_counter
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

import specflow as sf
from specflow.bench.draft import Draft
from specflow.bench.effort import Effort
from specflow.bench.paired import Measure, in_turn, paired
from specflow.bench.regex_sniffer import RegexSniffer
from specflow.bench.row import Row, row
from specflow.bench.sample import folder, musing, runtime, tools
from specflow.effects.call import Call
from specflow.speculation.lookahead import Lookahead
from specflow.testing.model_server import CallPlan, ModelServer, Reply
from specflow.testing.model_server.pieces import speak
from specflow.testing.scripted_core import EventLog

BENCH, METRIC, UNIT = "agent", "time per run", "s"
PACE = 50.0
"""Tokens a second, before `speed`."""
CALLS = (
    ("look_up_order", {"order_id": "A-10432"}),
    ("list_shipments", {"order_id": "A-10432"}),
    ("product_details", {"product_id": "P-7731"}),
)
NAMED = (
    "I will call look_up_order with order_id A-10432.",
    "I will call list_shipments with order_id A-10432.",
    "I will call product_details with product_id P-7731.",
)
PARAPHRASED = (
    "First I should look up order A-10432.",
    "Now let me list the shipments of order A-10432.",
    "Next I need the details of product P-7731.",
)
NOTHING = ("", "", "")
DRAFT_SECONDS = 0.5
"""How long a small model takes to say a call, before `speed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A conversation and its times: `latency` seconds for each tool; `speed` divides all times."""

    replies: tuple[Reply, ...]
    latency: float
    speed: float

    @property
    def _turns(self) -> list[float]:
        return [speak(one, number=0, prompt_tokens=0, inline=False).whole / PACE for one in self.replies]

    @property
    def turn_seconds(self) -> float:
        """A model turn, in the mean."""
        return fmean(self._turns) / self.speed

    @property
    def bound(self) -> float:
        """The best ratio there can be one step ahead: every call starts with its model turn."""
        turns = self._turns
        tools_take = [self.latency if one.calls else 0.0 for one in self.replies]
        ideal = sum(max(turn, tool) for turn, tool in zip(turns, tools_take, strict=True))
        return ideal / (sum(turns) + sum(tools_take))


def rows(effort: Effort) -> Iterator[Row]:
    """Where the reasoning tells, with names or without; and where nothing is to be gained."""
    for case, openings in (("named in the reasoning", NAMED), ("paraphrased in the reasoning", PARAPHRASED)):
        effort.tell(f"agent: {case}")
        scene = Scene(replies=replies_of(openings, 90), latency=1.5, speed=5.0 if not effort.quick else 25.0)
        yield from asyncio.run(_helped(case, scene, effort))
    effort.tell("agent: nothing to gain")
    # At the true pace: what is added to a run does not shrink with its waiting times.
    scene = Scene(replies=replies_of(NOTHING, 60), latency=0.0, speed=1.0 if not effort.quick else 25.0)
    yield asyncio.run(_overhead(scene, effort))


def replies_of(openings: Sequence[str], words: int) -> tuple[Reply, ...]:
    """Three calls, each after some reasoning that begins with its opening, and an answer."""
    steps = (
        Reply(reasoning=musing(words, seed=number, opening=opening), calls=(CallPlan(tool, args),))
        for number, (opening, (tool, args)) in enumerate(zip(openings, CALLS, strict=True))
    )
    return (*steps, Reply(text="The parcel is on its way."))


async def _helped(case: str, scene: Scene, effort: Effort) -> list[Row]:
    """All side by side, in turn: what each may do early is the same, how it comes to it is not."""
    calls = [Call(tool=tool, args=args) for tool, args in CALLS]
    draft = Draft(calls, DRAFT_SECONDS / scene.speed)
    ways: dict[str, dict[str, Any]] = {
        "specflow": {},
        "regex sniffer": {"predictors": [RegexSniffer()]},
        "draft, one step ahead": {"predictors": [draft], "lookahead": Lookahead(depth=0)},
        "draft, chains": {"predictors": [draft]},
    }
    rounds = effort.pairs(5)
    logs = {name: EventLog() for name in ways}
    async with AsyncExitStack() as stack:
        place, server = stack.enter_context(folder()), stack.enter_context(_server(scene))
        latency = scene.latency / scene.speed
        variants = {"sequential": _run(_agent(server, tools(latency)))}
        for name, options in ways.items():
            offered = tools(latency)
            made = runtime(place, offered, name.replace(" ", "_"), observers=[logs[name]], **options)
            variants[name] = _run(_agent(server, offered, await stack.enter_async_context(made)))
        measured = await in_turn(variants, rounds=rounds, warm_up=False)
    baseline = measured.pop("sequential")
    return [
        row(
            BENCH,
            f"{case}: {name}",
            METRIC,
            UNIT,
            paired(values, baseline),
            note=f"{_early(logs[name], rounds)}; bound {scene.bound:.3f}; {PACE * scene.speed:.0f} tokens/s",
        )
        for name, values in measured.items()
    ]


async def _overhead(scene: Scene, effort: Effort) -> Row:
    log = EventLog()
    offered = [tools() for _ in range(2)]
    rounds = effort.pairs(9)
    with folder() as place, _server(scene) as server:
        async with runtime(place, offered[1], "overhead", observers=[log]) as rt:
            measured = await in_turn(
                {
                    "sequential": _run(_agent(server, offered[0])),
                    "specflow": _run(_agent(server, offered[1], rt)),
                },
                rounds=rounds,
                warm_up=False,
            )
    return row(
        BENCH,
        "nothing to gain: specflow",
        METRIC,
        UNIT,
        paired(measured["specflow"], measured["sequential"]),
        note=f"{_early(log, rounds)}, of tools without latency; goal below 1.02; "
        f"{PACE * scene.speed:.0f} tokens/s",
    )


def _early(log: EventLog, rounds: int) -> str:
    outcomes = log.outcomes()
    return f"{outcomes['hit'] + outcomes['late']} of {rounds * len(CALLS)} calls adopted"


def _server(scene: Scene) -> ModelServer:
    return ModelServer(scene.replies, pace=PACE, speed=scene.speed)


# Any: a compiled agent's four type parameters say nothing that is used here.
def _agent(server: ModelServer, offered: Sequence[Any], rt: sf.Runtime | None = None) -> Any:
    model = sf.ReasoningChatOpenAI(base_url=server.url, api_key=SecretStr("none"), model="scripted")
    return create_agent(model, list(offered), middleware=[rt.middleware()] if rt else [])


def _run(agent: Any) -> Measure:
    async def measure() -> float:
        started = perf_counter()
        done = await agent.ainvoke({"messages": [HumanMessage("Where is my order A-10432?")]})
        seconds = perf_counter() - started
        assert done["messages"][-1].text, "the agent answered"
        return seconds

    return measure
