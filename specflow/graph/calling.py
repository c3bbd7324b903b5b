"""The wrapper around every tool call of a graph: judged, confirmed, adopted or run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest

from specflow.effects.call import Call, NotJsonError
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.graph.confirm import Answer, Confirmer
from specflow.graph.host import Host
from specflow.graph.intercept import AsyncBody, SyncBody, intercepted
from specflow.graph.place import call_identity, messages_of, place_of
from specflow.journal.event import CallEvent, EventKind
from specflow.policy.verdict import Asking, Verdict
from specflow.speculation.adopt import RealCall
from specflow.speculation.background import Caller
from specflow.speculation.parts import Mode


class ToolCalls:
    """`wrap_tool_call` and `awrap_tool_call` for ToolNode and for middleware: the same signature."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._confirmer = Confirmer()

    async def awrap(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Answer]]
    ) -> Answer:
        """Asynchronous runs."""
        if self._host.off or request.tool is None:
            return await handler(request)
        verdict = self._verdict(request)
        refused = _refusal(request, verdict)
        if refused is not None:
            return refused

        async def run(agreed: ToolCallRequest) -> Answer:
            assert agreed.tool is not None
            again = self._verdict(agreed)
            barred = _refusal(agreed, again)
            if barred is not None:
                return barred
            real = _RealRun(self._host, agreed, approved=True)
            return await handler(agreed.override(tool=intercepted(agreed.tool, real)))

        if self._asks(verdict):
            return await self._confirmer.awrap(request, verdict, self._teller(request), run)
        real = _RealRun(self._host, request, approved=False)
        return await handler(request.override(tool=intercepted(request.tool, real)))

    def wrap(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]) -> Answer:
        """Synchronous runs."""
        if self._host.off or request.tool is None:
            return handler(request)
        verdict = self._verdict(request)
        refused = _refusal(request, verdict)
        if refused is not None:
            return refused

        def run(agreed: ToolCallRequest) -> Answer:
            assert agreed.tool is not None
            again = self._verdict(agreed)
            barred = _refusal(agreed, again)
            if barred is not None:
                return barred
            real = _RealRun(self._host, agreed, approved=True)
            return handler(agreed.override(tool=intercepted(agreed.tool, real)))

        if self._asks(verdict):
            return self._confirmer.wrap(request, verdict, self._teller(request), run)
        real = _RealRun(self._host, request, approved=False)
        return handler(request.override(tool=intercepted(request.tool, real)))

    def _verdict(self, request: ToolCallRequest) -> Verdict:
        assert request.tool is not None
        spec = self._host.spec(request.tool)
        parts = self._host.parts
        return parts.judge.judge(spec, _call(spec, request.tool_call["args"]), context=parts.context)

    def _asks(self, verdict: Verdict) -> bool:
        """Shadow mode changes nothing, so it asks nobody."""
        asks = verdict.effect is EffectClass.CONFIRMATION_REQUIRED and verdict.confirm is Asking.ASK
        return asks and self._host.parts.mode is Mode.ON

    def _teller(self, request: ToolCallRequest) -> Callable[[str], None]:
        assert request.tool is not None
        parts = self._host.parts
        place = place_of(messages_of(request.state), request.runtime.config)
        call = _call(self._host.spec(request.tool), request.tool_call["args"])

        def told(word: str) -> None:
            asked = word == "asked"
            parts.observers.see(
                CallEvent(
                    kind=EventKind.CONFIRMATION_ASKED if asked else EventKind.CONFIRMATION_ANSWERED,
                    at=parts.clock.monotonic(),
                    thread=place.session.thread,
                    call_id=str(request.tool_call["id"] or ""),
                    call=call,
                    cause="" if asked else word,
                )
            )

        return told


class _RealRun:
    """Stands about the tool's body in the real run: adopts early work, or runs the body once."""

    def __init__(self, host: Host, request: ToolCallRequest, *, approved: bool) -> None:
        assert request.tool is not None
        self._host = host
        self._spec = host.spec(request.tool)
        self._messages = messages_of(request.state)
        self._place = place_of(self._messages, request.runtime.config)
        self._tool_call_id = request.tool_call["id"]
        self._approved = approved or host.parts.mode is Mode.SHADOW

    async def around_async(self, args: dict[str, Any], body: AsyncBody) -> Any:
        async def runner(_call: Call, context: CallContext) -> Any:
            return await body(_key(context))

        coordinator = self._host.coordinator()
        session = coordinator.session(self._place.session)
        return await coordinator.real_call(session, self._real(args, runner))

    def around_sync(self, args: dict[str, Any], body: SyncBody) -> Any:
        async def run(caller: Caller) -> Any:
            async def runner(_call: Call, context: CallContext) -> Any:
                return await caller.run(lambda: body(_key(context)))

            coordinator = self._host.coordinator(asyncio.get_running_loop())
            session = coordinator.session(self._place.session)
            return await coordinator.real_call(session, self._real(args, runner))

        return self._host.background.run(run)

    def _real(self, args: dict[str, Any], runner: Any) -> RealCall:
        call = _call(self._spec, args)
        return RealCall(
            call=call,
            tool=self._spec,
            runner=runner,
            identity=call_identity(self._place, self._messages, self._tool_call_id, call),
            call_id=str(self._tool_call_id or ""),
            approved=self._approved,
        )


def _key(context: CallContext) -> dict[str, Any]:
    """What specflow fills in; a value chosen by the model is overwritten."""
    return {context.key_parameter: context.idempotency_key} if context.key_parameter else {}


def _call(spec: ToolSpec, args: dict[str, Any]) -> Call:
    try:
        return spec.call(args)
    except NotJsonError:
        # A person's edit, or another middleware, may have put in what JSON does not know.
        return spec.call(json.loads(json.dumps(args, default=repr)))


def _refusal(request: ToolCallRequest, verdict: Verdict) -> ToolMessage | None:
    """What the model is told about a call that the policy denies outright."""
    if verdict.effect is not EffectClass.DENY:
        return None
    why = "; ".join(f"{reason.code}: {reason.message}" for reason in verdict.reasons)
    name = request.tool_call["name"]
    return ToolMessage(
        content=f"Error: {name} was not run: the policy denies it ({why})",
        name=name,
        tool_call_id=request.tool_call["id"],
        status="error",
    )
