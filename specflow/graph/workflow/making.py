"""What each kind of step does when it is its turn: its value, asynchronous and not."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Protocol

from langchain.agents import create_agent
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.types import interrupt

from specflow.graph.host import Host
from specflow.graph.middleware import SpecflowMiddleware
from specflow.graph.workflow.reference import EACH, STATE, Reference, resolve
from specflow.graph.workflow.results import STEPS, StepError
from specflow.graph.workflow.step import AgentStep, CallStep, HumanStep, MapStep, PlainStep
from specflow.graph.workflow.toolcall import StepCalls
from specflow.policy.verdict import Asking

Known = Mapping[str, Any]


class Maker(Protocol):
    """Makes the value of one step. `takes` are its arguments, `known` what references refer to."""

    async def amake(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any: ...

    def make(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any: ...


class Calling:
    """A call of a tool."""

    def __init__(self, step: CallStep, host: Host) -> None:
        self._step = step
        self._calls = StepCalls(host, step.tool)

    async def amake(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        return await self._calls.acall(takes, self._step.name, state)

    def make(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        return self._calls.call(takes, self._step.name, state)


class CallingEach:
    """A call for every item. Where a person may be asked, one after the other: two questions at once from
    one task could not be told apart when the run is resumed.
    """

    def __init__(self, step: MapStep, host: Host) -> None:
        self._step = step
        self._host = host
        self._calls = StepCalls(host, step.tool)

    async def amake(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        calls = self._made(known)
        gate = asyncio.Semaphore(self._at_once(calls))

        async def one(number: int, args: Mapping[str, Any]) -> Any:
            async with gate:
                return await self._calls.acall(args, f"{self._step.name}[{number}]", state)

        tasks = [asyncio.ensure_future(one(number, args)) for number, args in enumerate(calls)]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def make(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        calls = self._made(known)

        def one(number: int, args: Mapping[str, Any]) -> Any:
            return self._calls.call(args, f"{self._step.name}[{number}]", state)

        if self._at_once(calls) == 1:
            return [one(number, args) for number, args in enumerate(calls)]
        with ThreadPoolExecutor(max_workers=self._at_once(calls)) as pool:
            going = [pool.submit(copy_context().run, one, number, args) for number, args in enumerate(calls)]
            return [item.result() for item in going]

    def _made(self, known: Known) -> list[dict[str, Any]]:
        items = resolve(self._step.over, known)
        if not isinstance(items, list):
            raise StepError(f"{self._step.name}: over is {type(items).__name__}, not a list")
        return [resolve(dict(self._step.takes), {**known, EACH: item}) for item in items]

    def _at_once(self, calls: list[dict[str, Any]]) -> int:
        parts = self._host.parts
        spec = self._host.spec(self._step.tool)
        verdicts = [parts.judge.judge(spec, spec.call(args), context=parts.context) for args in calls]
        asks = any(
            verdict.confirm is Asking.ASK and verdict.effect.value == "confirmation_required"
            for verdict in verdicts
        )
        return 1 if asks else max(1, min(self._step.at_once, len(calls)))


class AskingPerson:
    """A question to a person, by LangGraph's interrupt."""

    def __init__(self, step: HumanStep) -> None:
        self._step = step

    async def amake(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        return self.make(takes, known, state)

    def make(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        asked: dict[str, Any] = {
            "step": self._step.name,
            "question": self._step.question,
            "show": dict(takes),
        }
        if self._step.output is None:
            return interrupt(asked)
        # LangGraph checks the answer, so that a wrong one can be given again.
        return interrupt(asked, response_schema=self._step.output)


class Computing:
    """An ordinary function."""

    def __init__(self, step: PlainStep) -> None:
        self._step = step

    async def amake(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        if inspect.iscoroutinefunction(self._step.function):
            return await self._step.function(**takes)
        made = await asyncio.to_thread(self._step.function, **takes)
        return await made if inspect.isawaitable(made) else made

    def make(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        if inspect.iscoroutinefunction(self._step.function):
            raise StepError(f"{self._step.name} is asynchronous", hint="run the workflow with ainvoke")
        return self._step.function(**takes)


class Working:
    """An agent: LangChain's own, with specflow's middleware in it."""

    def __init__(self, step: AgentStep, host: Host) -> None:
        self._step = step
        self.agent = create_agent(
            step.model,
            list(step.tools),
            system_prompt=step.system or None,
            response_format=step.output,
            middleware=[SpecflowMiddleware(host), *step.middleware],
            name=step.name,
        )

    async def amake(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        return self._answer(await self.agent.ainvoke(self._task(takes, known, state)))

    def make(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        return self._answer(self.agent.invoke(self._task(takes, known, state)))

    def _task(self, takes: Mapping[str, Any], known: Known, state: Mapping[str, Any]) -> Any:
        prompt = (
            resolve(self._step.prompt, known)
            if isinstance(self._step.prompt, Reference)
            else self._step.prompt
        )
        messages: list[AnyMessage] = []
        if not prompt and not takes:
            messages = list(state.get("messages") or ())
            if not messages:
                own = {name: value for name, value in known.get(STATE, {}).items() if name != STEPS}
                prompt = json.dumps(own, indent=2, ensure_ascii=False)
        shown = "\n\n".join(f"{name}:\n{_rendered(value)}" for name, value in takes.items())
        text = "\n\n".join(part for part in (str(prompt), shown) if part)
        return {"messages": [*messages, *([HumanMessage(text)] if text else [])]}

    def _answer(self, state: Mapping[str, Any]) -> Any:
        if self._step.output is None:
            return state["messages"][-1].text
        answer = state.get("structured_response")
        if answer is None:
            raise StepError(f"{self._step.name} ended without an answer of the declared form")
        return answer


def _rendered(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
