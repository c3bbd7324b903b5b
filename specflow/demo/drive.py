"""An agent run to its end, question by question, with the time of everything it did.

It reads LangGraph's own `tasks` stream, so that both runs are measured the same way and neither carries
code for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langgraph.types import Command

from specflow.demo.approval import Approval
from specflow.demo.measure import Measured, TimedCall, TimedTurn
from specflow.demo.timeline import Kind, Timeline, describe

_MOST_STEPS = 200


class Driver:
    """Runs one compiled agent on one thread."""

    # Any: a compiled agent's four type parameters say nothing that is used here.
    def __init__(self, agent: Any, *, thread: str, timeline: Timeline, approval: Approval) -> None:
        self._agent = agent
        self._config = {"configurable": {"thread_id": thread}, "recursion_limit": _MOST_STEPS}
        self._timeline = timeline
        self._approval = approval
        self._turns: list[TimedTurn] = []
        self._running: dict[str, TimedCall] = {}
        self._calls: dict[str, TimedCall] = {}
        self._confirmations = 0
        self.on_turn: Callable[[int], None] = lambda turn: None
        """Is told the number of each turn, from 1, as the model is called."""

    async def say(self, *messages: Any) -> None:
        """Hand the agent new messages and run it until it has answered them."""
        await self._run({"messages": list(messages)})
        while answers := await self._answers():
            await self._run(Command(resume=answers))

    async def messages(self) -> list[Any]:
        """The conversation so far."""
        state = await self._agent.aget_state(self._config)
        return list(state.values.get("messages", ()))

    async def result(self, world: str) -> Measured:
        """What the run came to; stops its clock."""
        seconds = self._timeline.finish()
        messages = await self.messages()
        return Measured(
            seconds=seconds,
            answer=str(messages[-1].text) if messages else "",
            world=world,
            turns=tuple(self._turns),
            confirmations=self._confirmations,
        )

    async def _run(self, given: Any) -> None:
        async for event in self._agent.astream(given, self._config, stream_mode="tasks"):
            if "triggers" in event:
                self._started(event)
            else:
                self._ended(event)

    def _started(self, event: Mapping[str, Any]) -> None:
        key, timeline = str(event["id"]), self._timeline
        if event["name"] == "model":
            self._turns.append(TimedTurn(started=timeline.now()))
            self._calls.clear()  # ids are only unique within a turn
            self.on_turn(len(self._turns))
            timeline.begin(key, Kind.THINK, f"model, turn {len(self._turns)}")
        elif event["name"] == "tools":
            for wanted in _tool_calls(event["input"]):
                self._call_started(key, wanted)

    def _call_started(self, key: str, wanted: Mapping[str, Any]) -> None:
        call = self._calls.get(wanted["id"])
        if call is None:
            call = TimedCall(call_id=wanted["id"], tool=wanted["name"], args=wanted["args"])
            self._calls[call.call_id] = call
            self._turns[-1].calls.append(call)
        if call.to_action:
            return  # After a question LangGraph announces the turn's finished calls again.
        # A call that was asked about starts a second time once it has its answer; that start counts.
        call.started = self._timeline.now()
        self._running[key] = call
        self._timeline.begin(key, Kind.TOOL, describe(call.tool, call.args))

    def _ended(self, event: Mapping[str, Any]) -> None:
        key, now = str(event["id"]), self._timeline.now()
        if event["name"] == "model" and self._turns:
            self._turns[-1].model_seconds = now - self._turns[-1].started
        call = self._running.pop(key, None)
        if call is not None and event.get("interrupts"):
            self._timeline.drop(key)
            return
        if call is not None:
            call.seconds = now - call.started
            call.to_action = now - self._turns[-1].started
        self._timeline.end(key)

    async def _answers(self) -> dict[str, Any]:
        state = await self._agent.aget_state(self._config)
        answers: dict[str, Any] = {}
        for question in state.interrupts:
            self._confirmations += 1
            request: Mapping[str, Any] = question.value if isinstance(question.value, Mapping) else {}
            label = describe(str(request.get("name")), request.get("args") or {})
            self._timeline.begin(question.id, Kind.ASK, label)
            self._timeline.pause()
            try:
                answers[question.id] = await self._approval.decide(request)
            finally:
                self._timeline.resume()
            self._timeline.end(question.id, answers[question.id]["type"])
        return answers


def _tool_calls(given: Any) -> list[Mapping[str, Any]]:
    """The calls that a tools task was sent, in either form in which LangGraph sends them."""
    if isinstance(given, Mapping) and isinstance(given.get("tool_call"), Mapping):
        return [given["tool_call"]]
    if isinstance(given, list):
        return [item for item in given if isinstance(item, Mapping) and "name" in item]
    return []
