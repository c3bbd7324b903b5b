"""The same process as a Workflow, and as the StateGraph that somebody without specflow would write for it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Overwrite
from ways_forms import asking
from ways_story import Gate

import specflow as sf


class Trip(TypedDict):
    city: str
    flight: str
    amount: float


class Visit(TypedDict):
    city: str


TRIP: Trip = {"city": "Rome", "flight": "R2", "amount": 80.0}
HELD = [("hold", {"flight": "R2"})]
OSLO = [("look", {"city": "Oslo"})]


def waiting(gate: Gate, calls: Any, *, asynchronous: bool) -> Callable[[], Any]:
    """A step that is over when these calls, of later steps, were made early."""

    async def await_early() -> str:
        await gate.acome(calls)
        return "ready"

    def wait_early() -> str:
        gate.come(calls)
        return "ready"

    return await_early if asynchronous else wait_early


def telling(*, asynchronous: bool) -> Callable[..., Any]:
    """A step that speaks to the user."""

    async def atell(said: str, found: str) -> str:
        get_stream_writer()({"telling": found})
        await adispatch_custom_event("telling", {"found": found})
        return f"{said} {found}"

    def tell(said: str, found: str) -> str:
        get_stream_writer()({"telling": found})
        dispatch_custom_event("telling", {"found": found})
        return f"{said} {found}"

    return atell if asynchronous else tell


def workflow(
    policy: Path, model: Any, tools: Mapping[str, BaseTool], gate: Gate, *, asynchronous: bool
) -> sf.Workflow:
    """An agent, an early write, a call that a person may have to confirm, a workflow within, a word."""
    inner = sf.Workflow("visit", state=Visit)
    there = inner.step("there", waiting(gate, OSLO, asynchronous=asynchronous))
    inner.call("seen", tools["look"], city=inner.state.city, after=there)
    flow = sf.Workflow("agent", state=Trip, policy=policy, tools=[tools["release"]])
    said = flow.agent("said", model=model, tools=[tools["look"]], prompt="scout Rome")
    ready = flow.step("ready", waiting(gate, HELD, asynchronous=asynchronous), after=said)
    held = flow.call("held", tools["hold"], flight=flow.state.flight, after=ready)
    paid = flow.call("paid", tools["pay"], amount=flow.state.amount, after=held)
    visit = flow.flow("visit", inner, city="Oslo", after=paid)
    flow.step("told", telling(asynchronous=asynchronous), said=said, found=visit.seen)
    return flow


def joined(one: dict[str, Any] | None, two: dict[str, Any] | None) -> dict[str, Any]:
    return {**(one or {}), **(two or {})}


class TripSteps(Trip, total=False):
    steps: Annotated[dict[str, Any], joined]


class VisitSteps(Visit, total=False):
    steps: Annotated[dict[str, Any], joined]


Line = tuple[str, Callable[[Mapping[str, Any]], Any], Callable[[Mapping[str, Any]], Any]]


def by_hand(
    model: Any, tools: Mapping[str, BaseTool], gate: Gate, *, asynchronous: bool, asks: bool, **options: Any
) -> Any:
    """One node after the other, each leaving its result under its name in `steps`."""

    def calling(name: str, tool: BaseTool, args: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Line:
        wraps: dict[str, Any] = {}
        if asks and tool.name == "pay":
            person = asking()
            wraps = {"wrap_tool_call": person.wrap_tool_call, "awrap_tool_call": person.awrap_tool_call}
        node = ToolNode([tool], handle_tool_errors=False, **wraps)

        def request(state: Mapping[str, Any]) -> Any:
            call = {"type": "tool_call", "name": tool.name, "args": args(state), "id": name}
            return {"__type": "tool_call_with_context", "tool_call": call, "state": state}

        def value(answer: Any) -> Any:
            said = answer["messages"][0].content
            return json.loads(said) if said.startswith("{") else said

        async def arun(state: Mapping[str, Any]) -> Any:
            return value(await node.ainvoke(request(state)))

        def run(state: Mapping[str, Any]) -> Any:
            return value(node.invoke(request(state)))

        return name, run, arun

    def stepping(name: str, function: Callable[..., Any], *takes: Callable[[Mapping[str, Any]], Any]) -> Line:
        async def arun(state: Mapping[str, Any]) -> Any:
            return await function(*(take(state) for take in takes))

        def run(state: Mapping[str, Any]) -> Any:
            return function(*(take(state) for take in takes))

        return name, run, arun

    def left(state: Mapping[str, Any], step: str) -> Any:
        return state["steps"][step]["value"]

    there = stepping("there", waiting(gate, OSLO, asynchronous=asynchronous))
    seen = calling("seen", tools["look"], lambda state: {"city": state["city"]})
    visit = _line(VisitSteps, Visit, [there, seen]).compile(name="visit")
    agent = create_agent(model, [tools["look"]], name="said")

    def task() -> Any:
        return {"messages": [HumanMessage("scout Rome")]}

    async def asaid(state: Mapping[str, Any]) -> Any:
        return (await agent.ainvoke(task()))["messages"][-1].text

    def said(state: Mapping[str, Any]) -> Any:
        return agent.invoke(task())["messages"][-1].text

    def found(steps: Mapping[str, Any]) -> Any:
        return {name: item["value"] for name, item in steps.items() if isinstance(item, dict)}

    async def avisit(state: Mapping[str, Any]) -> Any:
        return found((await visit.ainvoke({"city": "Oslo"}))["steps"])

    def visit_sync(state: Mapping[str, Any]) -> Any:
        return found(visit.invoke({"city": "Oslo"})["steps"])

    lines: list[Line] = [
        ("said", said, asaid),
        stepping("ready", waiting(gate, HELD, asynchronous=asynchronous)),
        calling("held", tools["hold"], lambda state: {"flight": state["flight"]}),
        calling("paid", tools["pay"], lambda state: {"amount": state["amount"]}),
        ("visit", visit_sync, avisit),
        stepping(
            "told",
            telling(asynchronous=asynchronous),
            lambda state: left(state, "said"),
            lambda state: left(state, "visit")["seen"],
        ),
    ]
    return _line(TripSteps, Trip, lines).compile(name="agent", **options)


def _line(state_type: Any, given: Any, lines: list[Line]) -> StateGraph[Any, Any, Any, Any]:
    graph: Any = StateGraph(state_type, input_schema=given)

    def begin(state: Any) -> dict[str, Any]:
        return {**{name: state[name] for name in state}, "steps": Overwrite({"_run": uuid.uuid4().hex})}

    def finish(state: Any) -> dict[str, Any]:
        return {}

    async def afinish(state: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {}

    graph.add_node("begin", begin)
    graph.add_edge(START, "begin")
    before = "begin"
    for name, run, arun in lines:
        graph.add_node(name, RunnableLambda(_leaving(name, run), afunc=_aleaving(name, arun), name=name))
        graph.add_edge([before], name)
        before = name
    graph.add_node("finish", RunnableLambda(finish, afunc=afinish, name="finish"))
    graph.add_edge([before], "finish")
    graph.add_edge("finish", END)
    made: StateGraph[Any, Any, Any, Any] = graph
    return made


def _leaving(name: str, run: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def leaving(state: Any) -> dict[str, Any]:
        return {"steps": {name: {"value": run(state)}}}

    return leaving


def _aleaving(name: str, arun: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def aleaving(state: Any) -> dict[str, Any]:
        return {"steps": {name: {"value": await arun(state)}}}

    return aleaving
