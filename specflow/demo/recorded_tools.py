"""Tools that answer what they answered in a recorded run, after a while."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ToolCallRequest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.types import Command

from specflow.effects.annotate import confirmation_required
from specflow.effects.call import Call
from specflow.effects.tool import ToolSpec
from specflow.policy.settings import Judge
from specflow.traces.recorded import RecordedResult, RecordedRun, RecordedTurn, RecordingError

PLAIN = {"type": "object", "properties": {}}


class RecordedError(Exception):
    """What the tool answered in the record was an error: this is its text, and nothing happened."""


class NotRecordedError(Exception):
    """The record does not hold this call: nobody knows what the tool would have said."""


class RecordedWorld:
    """The results of one run, by call.

    `latency` is how many seconds every call takes. `answer` must be kept at the number (from 0) of the
    model's answer that is being made or acted upon: the same call may have another result later on.
    """

    def __init__(self, run: RecordedRun, *, latency: float) -> None:
        self.run = run
        self.answer = 0
        self.made: list[Call] = []
        self._latency = latency
        self._results: dict[Call, list[tuple[int, RecordedResult]]] = defaultdict(list)
        for number, turn in enumerate(run.answers):
            for call, result in _paired(turn):
                self._results[call].append((number, result))

    async def call(self, call: Call) -> str:
        """The text that the tool answered.

        Raises:
            RecordedError: when that was an error.
            NotRecordedError: when the record does not hold the call.
        """
        number = self.answer
        await asyncio.sleep(self._latency)
        self.made.append(call)
        known = self._results.get(call)
        if not known:
            raise NotRecordedError(f"{call.tool} was not called with these arguments in the record")
        # This turn's or the next one's; a call that only lies in the past was a wrong guess.
        result = next((item for at, item in known if at >= number), known[-1][1])
        if result.error:
            raise RecordedError(result.content)
        return result.content

    def tools(self, policy: Judge) -> list[BaseTool]:
        """The tools of the run as LangChain tools, annotated where the policy says that they write.

        Raises:
            RecordingError: when a tool of the record has no name or no usable schema.
        """
        return [self._tool(schema, policy) for schema in self.run.tools]

    def _tool(self, schema: Mapping[str, Any], policy: Judge) -> BaseTool:
        function = schema.get("function", schema)
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not name:
            raise RecordingError(f"run {self.run.number}: a tool without a name: {str(schema)[:80]}")
        parameters = function.get("parameters") or PLAIN
        if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":
            raise RecordingError(f"run {self.run.number}: {name} has no object schema for its arguments")

        async def body(**args: Any) -> str:
            return await self.call(Call(tool=name, args=args))

        tool = StructuredTool(
            name=name,
            description=str(function.get("description") or name),
            args_schema={"title": name, **PLAIN, **parameters},
            coroutine=body,
        )
        verdict = policy.judge(ToolSpec(name=name), Call(tool=name), context={})
        if verdict.effect.writes:
            # What was an error in the record had changed nothing.
            confirmation_required(not_done=(RecordedError,))(tool)
        return tool


class TellRecorded(AgentMiddleware[Any, Any, Any]):
    """What was an error in the record becomes the same text for the model."""

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        try:
            return await handler(request)
        except RecordedError as error:
            call = request.tool_call
            return ToolMessage(str(error), tool_call_id=call["id"], name=call["name"], status="error")


def _paired(turn: RecordedTurn) -> list[tuple[Call, RecordedResult]]:
    """Calls with their results, by id; where an id is missing or repeated, in order."""
    left = list(turn.results)
    pairs = []
    for call in turn.calls:
        result = next((item for item in left if item.id == call.id), left[0] if left else None)
        if result is not None:
            left.remove(result)
            pairs.append((Call(tool=call.name, args=call.args), result))
    return pairs
