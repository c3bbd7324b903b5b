"""One call of a tool by a workflow: as a model's call would be made, but the value comes back as it is."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolCallWithContext

from specflow.effects.result import seen as seen_by_policies
from specflow.graph.calling import ToolCalls
from specflow.graph.confirm import Answer
from specflow.graph.host import Host
from specflow.graph.intercept import Around, AsyncBody, SyncBody, intercepted
from specflow.graph.workflow.results import RUN, STEPS, StepError, StepRejectedError


class _Seen(Around):
    """Sees what the body, or the early work in its place, returned or raised."""

    def __init__(self) -> None:
        self.answered = False
        self.value: Any = None
        self.error: BaseException | None = None

    async def around_async(self, args: dict[str, Any], body: AsyncBody) -> Any:
        try:
            self.value = await body({})
        except BaseException as error:
            self.error = error
            raise
        self.answered = True
        return self.value

    def around_sync(self, args: dict[str, Any], body: SyncBody) -> Any:
        try:
            self.value = body({})
        except BaseException as error:
            self.error = error
            raise
        self.answered = True
        return self.value


_seen: contextvars.ContextVar[_Seen] = contextvars.ContextVar("specflow_workflow_call")


class StepCalls:
    """Calls one tool through LangGraph's own ToolNode: injected state and interrupts are as anywhere."""

    def __init__(self, host: Host, tool: BaseTool) -> None:
        calls = ToolCalls(host, _name)
        self._name = tool.name

        async def awrap(
            request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Answer]]
        ) -> Answer:
            return await calls.awrap(request, lambda agreed: handler(_watched(agreed)))

        def wrap(request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]) -> Answer:
            return calls.wrap(request, lambda agreed: handler(_watched(agreed)))

        self._node = ToolNode([tool], wrap_tool_call=wrap, awrap_tool_call=awrap, handle_tool_errors=False)
        host.spec(tool)

    async def acall(self, args: Mapping[str, Any], call_id: str, state: Any) -> Any:
        """The tool's own value.

        Raises:
            StepRejectedError: a person said no.
            StepError: the policy refuses it.
            Exception: whatever the tool raised.
        """
        seen = _Seen()
        token = _seen.set(seen)
        try:
            answer = await self._node.ainvoke(self._request(args, call_id, state))
        finally:
            _seen.reset(token)
        return self._value(seen, answer)

    def call(self, args: Mapping[str, Any], call_id: str, state: Any) -> Any:
        """The same for synchronous runs."""
        seen = _Seen()
        token = _seen.set(seen)
        try:
            answer = self._node.invoke(self._request(args, call_id, state))
        finally:
            _seen.reset(token)
        return self._value(seen, answer)

    def _request(self, args: Mapping[str, Any], call_id: str, state: Any) -> ToolCallWithContext:
        call = {"type": "tool_call", "name": self._name, "args": dict(args), "id": call_id}
        return ToolCallWithContext(__type="tool_call_with_context", tool_call=call, state=state)  # type: ignore[typeddict-item]  # the literal is checked by the test that calls it

    def _value(self, seen: _Seen, answer: Any) -> Any:
        if seen.answered:
            return seen_by_policies(seen.value)
        if seen.error is not None:
            # The tool turns its errors into words for a model; there is no model here.
            raise seen.error
        messages = answer.get("messages") if isinstance(answer, Mapping) else answer
        message = messages[0] if isinstance(messages, list) and messages else messages
        if not isinstance(message, ToolMessage):
            raise StepError(f"{self._name} was not run")
        if message.status == "success":
            return message.content  # a person answered in its place
        text = str(message.content)
        if text.startswith("Error: "):
            raise StepError(f"{self._name} was not run: {text.removeprefix('Error: ')}")
        raise StepRejectedError(f"a person said no to {self._name}: {text}")


def _name(request: ToolCallRequest) -> str:
    """A step is made once in a run: run and step name its call, also when a checkpoint was lost."""
    steps = request.state.get(STEPS) if isinstance(request.state, Mapping) else None
    run_id = (steps or {}).get(RUN)
    return f"{run_id}:{request.tool_call['id']}" if run_id else ""


def _watched(agreed: ToolCallRequest) -> ToolCallRequest:
    if agreed.tool is None:
        return agreed
    return agreed.override(tool=intercepted(agreed.tool, _seen.get()))
