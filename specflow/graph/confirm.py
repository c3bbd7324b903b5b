"""Asking a person before a confirmation-required call: LangChain's own human-in-the-loop, call by call."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import HumanInTheLoopMiddleware, InterruptOnConfig
from langchain_core.messages import ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from specflow.graph.compat import is_control_flow
from specflow.policy.verdict import Verdict

Answer = ToolMessage | Command[Any]
Told = Callable[[str], None]
"""Is told `asked`, or the decision: approve, edit, reject, respond."""


class Confirmer:
    """Interrupts before the call, in the standard format; runs what the person approved or edited."""

    async def awrap(
        self,
        request: ToolCallRequest,
        verdict: Verdict,
        told: Told,
        run: Callable[[ToolCallRequest], Awaitable[Answer]],
    ) -> Answer:
        """Ask, then run. Raises LangGraph's interrupt while there is no answer."""
        approved: list[ToolCallRequest] = []

        async def go(agreed: ToolCallRequest) -> Answer:
            approved.append(agreed)
            told(_decision(request, agreed))
            return await run(agreed)

        try:
            answer = await self._asker(request, verdict).awrap_tool_call(request, go)
        except BaseException as error:
            if is_control_flow(error) and not approved:
                told("asked")
            raise
        if not approved:
            told(_refusal(answer))
        return answer

    def wrap(
        self,
        request: ToolCallRequest,
        verdict: Verdict,
        told: Told,
        run: Callable[[ToolCallRequest], Answer],
    ) -> Answer:
        """The same for synchronous runs."""
        approved: list[ToolCallRequest] = []

        def go(agreed: ToolCallRequest) -> Answer:
            approved.append(agreed)
            told(_decision(request, agreed))
            return run(agreed)

        try:
            answer = self._asker(request, verdict).wrap_tool_call(request, go)
        except BaseException as error:
            if is_control_flow(error) and not approved:
                told("asked")
            raise
        if not approved:
            told(_refusal(answer))
        return answer

    def _asker(self, request: ToolCallRequest, verdict: Verdict) -> HumanInTheLoopMiddleware[Any, Any, Any]:
        name = request.tool_call["name"]
        why = "; ".join(reason.message for reason in verdict.reasons)

        def describe(tool_call: Any, state: Any, runtime: Any) -> str:
            shown = json.dumps(tool_call["args"], indent=2, default=str, sort_keys=True)
            return f"{name} needs your approval ({why})\n\nTool: {name}\nArgs: {shown}"

        ask: InterruptOnConfig = {
            "allowed_decisions": ["approve", "edit", "reject", "respond"],
            "description": describe,
        }
        return HumanInTheLoopMiddleware(interrupt_on={name: ask}, interrupt_mode="per_call")


def _decision(asked: ToolCallRequest, agreed: ToolCallRequest) -> str:
    return "approve" if agreed.tool_call["args"] == asked.tool_call["args"] else "edit"


def _refusal(answer: Answer) -> str:
    return "respond" if isinstance(answer, ToolMessage) and answer.status == "success" else "reject"
