"""For agents made with `create_agent`: one middleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest

from specflow.graph.calling import ToolCalls
from specflow.graph.confirm import Answer
from specflow.graph.fork.current import current_fork
from specflow.graph.fork.forking import forking, streaming
from specflow.graph.fork.purity import Wrapped
from specflow.graph.hearing import listening, listening_sync
from specflow.graph.host import Host


class SpecflowMiddleware(AgentMiddleware[Any, Any, Any], Wrapped):
    """Listens to the model, starts likely tool calls early, and adopts them where tools run."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = self._host = host
        self._calls = ToolCalls(host)
        self._forking = forking(host)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        if self._host.off:
            return handler(request)
        request = self._adopting(request)
        fork = current_fork()
        if fork is not None:
            with streaming(fork):
                return handler(request)
        with listening_sync(self._host, _messages(request), _tools(request), request.model) as hearing:
            response = handler(request)
            hearing.answer = _answer(response)
        return response

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        if self._host.off:
            return await handler(request)
        request = self._adopting(request)
        fork = current_fork()
        if fork is not None:
            with streaming(fork):
                return await handler(request)
        async with listening(self._host, _messages(request), _tools(request), request.model) as hearing:
            response = await handler(request)
            hearing.answer = _answer(response)
        return response

    def _adopting(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        model = self._forking.model_if_attached(request.model)
        return request if model is request.model else request.override(model=model)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]
    ) -> Answer:
        return self._calls.wrap(request, handler)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Answer]]
    ) -> Answer:
        return await self._calls.awrap(request, handler)


def _messages(request: ModelRequest[Any]) -> list[BaseMessage]:
    system = [request.system_message] if request.system_message is not None else []
    return [*system, *request.messages]


def _tools(request: ModelRequest[Any]) -> list[BaseTool]:
    """Tools given as provider dictionaries are run by the provider; nothing to do early there."""
    return [tool for tool in request.tools if isinstance(tool, BaseTool)]


def _answer(response: Any) -> AIMessage | None:
    if isinstance(response, AIMessage):
        return response
    result = getattr(response, "result", None) or ()
    return next((message for message in result if isinstance(message, AIMessage)), None)
