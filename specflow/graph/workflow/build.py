"""From a declaration to a StateGraph: a node for every step, edges where something is taken."""

from __future__ import annotations

import asyncio
import typing
import uuid
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.types import Overwrite
from pydantic import BaseModel, TypeAdapter, ValidationError

from specflow.errors import ConfigurationError
from specflow.graph.host import Host
from specflow.graph.place import place_of
from specflow.graph.workflow.declared import BEGIN, FINISH, Declared
from specflow.graph.workflow.expression import NotThereError, SkippedError
from specflow.graph.workflow.making import (
    AskingPerson,
    Calling,
    CallingEach,
    Computing,
    Maker,
    Working,
)
from specflow.graph.workflow.reference import node_of, resolve, text_of
from specflow.graph.workflow.results import RUN, STEPS, StepError, known, left, merged, plain, skipped
from specflow.graph.workflow.run import Runs
from specflow.graph.workflow.shape import adapter_of
from specflow.graph.workflow.step import (
    AgentStep,
    CallStep,
    FlowStep,
    HumanStep,
    MapStep,
    PlainStep,
    Step,
)

State = Mapping[str, Any]


class Builder:
    """Builds the graph of one workflow."""

    def __init__(self, flow: Declared, host: Host) -> None:
        self._flow = flow
        self._host = host
        self._runs = Runs(host, flow)
        self._hints = _hints(flow.state_type)
        if STEPS in self._hints:
            raise ConfigurationError(f"the state of {flow.name} has a field {STEPS!r}, which is taken")
        self._adapter: TypeAdapter[Any] | None = (
            adapter_of(flow.state_type) if flow.state_type is not None else None
        )

    def graph(self) -> StateGraph[Any, Any, Any, Any]:
        """The graph, not compiled yet."""
        steps_too = {**self._hints, STEPS: Annotated[dict[str, Any], merged]}
        # Schemas made of what the user's state declares; LangGraph's own types cannot follow that.
        graph: Any = StateGraph(
            _fields(f"{self._flow.name}_state", steps_too),
            input_schema=_fields(f"{self._flow.name}_input", self._hints),
        )
        graph.add_node(BEGIN, self._begin)
        graph.add_edge(START, BEGIN)
        steps = self._flow.order()
        for step in steps:
            graph.add_node(step.name, StepNode(self, step).runnable(), metadata=_metadata(step))
        graph.add_node(FINISH, RunnableLambda(self._finish, afunc=self._afinish, name=FINISH))
        needed: set[str] = set()
        for step in steps:
            names = _direct(step, self._flow.steps)
            needed |= set(names)
            graph.add_edge(list(names) if names else [BEGIN], step.name)
        last = [step.name for step in steps if step.name not in needed] or [BEGIN]
        graph.add_edge(last, FINISH)
        graph.add_edge(FINISH, END)
        made: StateGraph[Any, Any, Any, Any] = graph
        return made

    @property
    def runs(self) -> Runs:
        return self._runs

    @property
    def host(self) -> Host:
        return self._host

    def known(self, state: State) -> dict[str, Any]:
        """What references can be resolved against now."""
        return known(state, tuple(self._hints))

    def maker(self, step: Step) -> Maker:
        """What makes the value of a step."""
        match step:
            case CallStep():
                return Calling(step, self._host)
            case MapStep():
                return CallingEach(step, self._host)
            case AgentStep():
                return Working(step, self._host)
            case PlainStep():
                return Computing(step)
            case HumanStep():
                return AskingPerson(step)
            case FlowStep():
                return Nesting(step, self._host)
        raise ConfigurationError(f"{step.name}: there is no such kind of step")

    def into(self, step: Step, value: Any) -> dict[str, Any]:
        """The field of the state that the step's result goes to, in the field's own type."""
        if not step.into:
            return {}
        try:
            return {step.into: TypeAdapter(self._hints[step.into]).validate_python(value)}
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"]
            raise StepError(
                f"{step.name}: its result does not fit the field {step.into!r}: {problem}"
            ) from error

    def _begin(self, state: State) -> dict[str, Any]:
        """Check what the workflow is started with, fill in what has a default, name the run."""
        # What an earlier run of the conversation has left does not count in this one.
        started = {STEPS: Overwrite({RUN: uuid.uuid4().hex})}
        if self._adapter is None:
            return started
        given = {name: state[name] for name in self._hints if name in state}
        try:
            checked = self._adapter.validate_python(given)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, item['loc'])) or 'state'}: {item['msg']}"
                for item in error.errors(include_url=False)
            )
            raise ConfigurationError(f"{self._flow.name} cannot be started like this: {problems}") from error
        whole = (
            checked
            if isinstance(checked, Mapping)
            else {name: getattr(checked, name) for name in self._hints}
        )
        # What a reducer adds up is not given twice.
        plain = {
            name: whole[name] for name in self._hints if name in whole and not _reduced(self._hints[name])
        }
        return {**plain, **started}

    async def _afinish(self, state: State) -> dict[str, Any]:
        await self._runs.end(self._host.coordinator(), place_of())
        return {}

    def _finish(self, state: State) -> dict[str, Any]:
        place = place_of()
        self._runs.go(lambda coordinator: self._runs.end(coordinator, place))
        return {}


class StepNode:
    """The node of one step."""

    def __init__(self, builder: Builder, step: Step) -> None:
        self._builder = builder
        self.step = step
        self.maker = builder.maker(step)

    def runnable(self) -> RunnableLambda[State, dict[str, Any]]:
        return RunnableLambda(self.run, afunc=self.arun, name=self.step.name)

    async def arun(self, state: State) -> dict[str, Any]:
        runs, coordinator, place = self._builder.runs, self._builder.host.coordinator(), place_of()
        name = self.step.name
        turn = await runs.enter(coordinator, place, _run_id(state))
        try:
            values = self._builder.known(state)
            runs.tell(coordinator, turn, name, values)
            takes = self._takes(values)
            if isinstance(takes, str):
                return skipped(self.step, takes)
            value = plain(name, await self.maker.amake(takes, values, state))
            runs.tell(coordinator, turn, name, {name: value})
            return self._left(value)
        except BaseException as error:
            await asyncio.shield(asyncio.ensure_future(runs.leave(coordinator, place, error)))
            raise

    def run(self, state: State) -> dict[str, Any]:
        runs, place = self._builder.runs, place_of()
        name = self.step.name
        turn = runs.go(lambda coordinator: runs.enter(coordinator, place, _run_id(state)))
        try:
            values = self._builder.known(state)
            runs.post(turn, name, values)
            takes = self._takes(values)
            if isinstance(takes, str):
                return skipped(self.step, takes)
            value = plain(name, self.maker.make(takes, values, state))
            runs.post(turn, name, {name: value})
            return self._left(value)
        except BaseException as error:
            reason = error
            runs.go(lambda coordinator: runs.leave(coordinator, place, reason))
            raise

    def _left(self, value: Any) -> dict[str, Any]:
        return {**left(self.step, value), **self._builder.into(self.step, value)}

    def _takes(self, values: Mapping[str, Any]) -> dict[str, Any] | str:
        """The arguments; or why the step does not run."""
        step = self.step
        try:
            for condition in step.conditions:
                if not node_of(condition).value(values):
                    return f"{text_of(condition)} does not hold"
            if isinstance(step, MapStep):
                resolve(step.over, values)
                return {}
            return dict(resolve(dict(step.takes), values))
        except SkippedError as error:
            return f"{error} was skipped"
        except NotThereError as error:
            raise NotThereError(f"{step.name}: {error.message}", hint=error.hint) from error


class Nesting:
    """Another workflow as a subgraph: it shares the run, the journal and the checkpointer."""

    def __init__(self, step: FlowStep, host: Host) -> None:
        self.step = step
        self.graph = Builder(step.flow, host).graph().compile(name=step.name)

    async def amake(self, takes: Mapping[str, Any], values: Mapping[str, Any], state: State) -> Any:
        return self._left(await self.graph.ainvoke(dict(takes)))

    def make(self, takes: Mapping[str, Any], values: Mapping[str, Any], state: State) -> Any:
        return self._left(self.graph.invoke(dict(takes)))

    @staticmethod
    def _left(state: State) -> dict[str, Any]:
        return {
            name: item["value"]
            for name, item in state[STEPS].items()
            if isinstance(item, Mapping) and "value" in item
        }


def _fields(name: str, hints: Mapping[str, Any]) -> Any:
    make: Any = TypedDict
    return make(name, dict(hints), total=False)


def _run_id(state: State) -> str:
    return str((state.get(STEPS) or {}).get(RUN) or "")


def _metadata(step: Step) -> dict[str, Any]:
    return {"specflow_step": step.kind}


def _direct(step: Step, steps: Mapping[str, Step]) -> tuple[str, ...]:
    """What it needs, without what something else that it needs has waited for already."""
    needed = step.needs
    earlier: set[str] = set()
    for name in needed:
        earlier |= _all_needs(steps[name], steps)
    return tuple(sorted(needed - earlier))


def _all_needs(step: Step, steps: Mapping[str, Step]) -> set[str]:
    found: set[str] = set()
    waiting = list(step.needs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += steps[name].needs
    return found


def _hints(state_type: Any) -> dict[str, Any]:
    """The fields of a state by name, with their annotations as they were written."""
    if state_type is None:
        return {}
    fits = isinstance(state_type, type) and (
        issubclass(state_type, BaseModel) or is_dataclass(state_type) or typing.is_typeddict(state_type)
    )
    if not fits:
        raise ConfigurationError(
            f"state={state_type!r} is no state", hint="a pydantic model, a dataclass or a TypedDict"
        )
    return typing.get_type_hints(state_type, include_extras=True)


def _reduced(annotation: Any) -> bool:
    return any(callable(item) for item in getattr(annotation, "__metadata__", ()))
