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
from specflow.graph.compat import is_control_flow
from specflow.graph.confirm import Answer, Confirmer
from specflow.graph.host import Host
from specflow.graph.intercept import AsyncBody, SyncBody, intercepted
from specflow.graph.place import Place, call_id, call_identity, messages_of, place_of
from specflow.journal.event import CallEvent, EventKind
from specflow.policy.verdict import Asking, Verdict
from specflow.speculation.adopt import RealCall
from specflow.speculation.background import Caller
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.parts import Mode
from specflow.speculation.session import Session


class ToolCalls:
    """`wrap_tool_call` and `awrap_tool_call` for ToolNode and for middleware: the same signature."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._confirmer = Confirmer()

    async def awrap(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Answer]]
    ) -> Answer:
        """Asynchronous runs."""
        if self._host.off:
            return await handler(request)
        verdict = self._verdict(request)
        refused = self._refusal(request, verdict)
        if refused is not None:
            return refused
        if request.tool is None:
            return await handler(request)
        real = _RealRun(self._host, request)

        async def run(agreed: ToolCallRequest) -> Answer:
            barred = self._refusal(agreed, self._verdict(agreed))
            if barred is not None:
                return barred
            assert agreed.tool is not None
            return await handler(agreed.override(tool=intercepted(agreed.tool, real.approved(agreed))))

        try:
            if self._asks(verdict):
                return await self._confirmer.awrap(request, verdict, self._teller(request, real), run)
            return await handler(request.override(tool=intercepted(request.tool, real)))
        except BaseException as error:
            if is_control_flow(error):
                await real.pause(self._host.coordinator())
            raise

    def wrap(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]) -> Answer:
        """Synchronous runs."""
        if self._host.off:
            return handler(request)
        verdict = self._verdict(request)
        refused = self._refusal(request, verdict)
        if refused is not None:
            return refused
        if request.tool is None:
            return handler(request)
        real = _RealRun(self._host, request)

        def run(agreed: ToolCallRequest) -> Answer:
            barred = self._refusal(agreed, self._verdict(agreed))
            if barred is not None:
                return barred
            assert agreed.tool is not None
            return handler(agreed.override(tool=intercepted(agreed.tool, real.approved(agreed))))

        try:
            if self._asks(verdict):
                return self._confirmer.wrap(request, verdict, self._teller(request, real), run)
            return handler(request.override(tool=intercepted(request.tool, real)))
        except BaseException as error:
            if is_control_flow(error):
                background = self._host.background
                coordinator = self._host.coordinator(background.loop)
                background.run(lambda _caller: real.pause(coordinator))
            raise

    def _verdict(self, request: ToolCallRequest) -> Verdict:
        spec = self._host.spec(request.tool) if request.tool is not None else None
        parts = self._host.parts
        call = _call(spec, request.tool_call["args"], request.tool_call["name"])
        return parts.judge.judge(spec, call, context=parts.context)

    def _asks(self, verdict: Verdict) -> bool:
        """Shadow mode changes nothing, so it asks nobody."""
        asks = verdict.effect is EffectClass.CONFIRMATION_REQUIRED and verdict.confirm is Asking.ASK
        return asks and self._host.parts.mode is Mode.ON

    def _refusal(self, request: ToolCallRequest, verdict: Verdict) -> ToolMessage | None:
        """What the model is told about a call that is not to be made at all."""
        why = "; ".join(f"{reason.code}: {reason.message}" for reason in verdict.reasons)
        if verdict.effect is EffectClass.DENY:
            return _told(request, f"the policy denies it ({why})")
        if request.tool is None and self._asks(verdict):
            # Another middleware may bring in a tool for it below us, where nobody could be asked.
            return _told(request, f"it needs a person's approval, and its tool is not known here ({why})")
        return None

    def _teller(self, request: ToolCallRequest, real: _RealRun) -> Callable[[str], None]:
        parts = self._host.parts
        session_id = real.session_id()
        call = _call(real.spec, request.tool_call["args"])

        def told(word: str) -> None:
            asked = word == "asked"
            parts.observers.see(
                CallEvent(
                    kind=EventKind.CONFIRMATION_ASKED if asked else EventKind.CONFIRMATION_ANSWERED,
                    at=parts.clock.monotonic(),
                    session_id=session_id,
                    thread=real.place.session.thread,
                    call_id=real.call_id,
                    call=call,
                    cause="" if asked else word,
                    facts={"tool_call_id": real.tool_call_id},
                )
            )

        return told


class _RealRun:
    """Stands about the tool's body in the real run: adopts early work, or runs the body once."""

    def __init__(self, host: Host, request: ToolCallRequest, *, approval: Call | None = None) -> None:
        assert request.tool is not None
        self._host = host
        self._approval = approval
        self.spec = host.spec(request.tool)
        self.place: Place = place_of(request.runtime.config)
        self.tool_call_id = str(request.tool_call["id"] or "")
        self.call_id = call_id(self.place, messages_of(request.state), request.tool_call["id"])

    def approved(self, agreed: ToolCallRequest) -> _RealRun:
        """INVARIANT: a person's yes is to exactly the arguments shown or edited, and to no others."""
        made = _RealRun(self._host, agreed, approval=_call(self.spec, agreed.tool_call["args"]))
        made.call_id = self.call_id
        return made

    def session_id(self) -> str:
        """The id of the session it belongs to; from the thread of the run."""
        key = self.place.session
        try:
            return self._host.coordinator().session(key).session_id
        except RuntimeError:
            background = self._host.background
            coordinator = self._host.coordinator(background.loop)
            return background.call(lambda: coordinator.session(key).session_id)

    async def pause(self, coordinator: Coordinator) -> None:
        """The run stops here to ask somebody."""
        await coordinator.pause(coordinator.session(self.place.session))

    async def around_async(self, args: dict[str, Any], body: AsyncBody) -> Any:
        async def runner(_call: Call, context: CallContext) -> Any:
            return await body(_key(context))

        return await self._make(self._host.coordinator(), args, runner)

    def around_sync(self, args: dict[str, Any], body: SyncBody) -> Any:
        async def run(caller: Caller) -> Any:
            async def runner(_call: Call, context: CallContext) -> Any:
                return await caller.run(lambda: body(_key(context)))

            return await self._make(self._host.coordinator(asyncio.get_running_loop()), args, runner)

        return self._host.background.run(run)

    async def _make(self, coordinator: Coordinator, args: dict[str, Any], runner: Any) -> Any:
        session: Session = coordinator.session(self.place.session)
        call = _call(self.spec, args)
        try:
            return await coordinator.real_call(
                session,
                RealCall(
                    call=call,
                    tool=self.spec,
                    runner=runner,
                    identity=call_identity(self.place, self.call_id, call),
                    call_id=self.call_id,
                    tool_call_id=self.tool_call_id,
                    approved=call == self._approval or self._host.parts.mode is Mode.SHADOW,
                ),
            )
        finally:
            if self.place.alone:
                await coordinator.finish(session, self.place.lane, "run_ended")


def _key(context: CallContext) -> dict[str, Any]:
    """What specflow fills in; a value chosen by the model is overwritten."""
    return {context.key_parameter: context.idempotency_key} if context.key_parameter else {}


def _call(spec: ToolSpec | None, args: dict[str, Any], name: str = "") -> Call:
    try:
        return spec.call(args) if spec is not None else Call(tool=name, args=args)
    except NotJsonError:
        # A person's edit, or another middleware, may have put in what JSON does not know.
        plain = json.loads(json.dumps(args, default=repr))
        return spec.call(plain) if spec is not None else Call(tool=name, args=plain)


def _told(request: ToolCallRequest, why: str) -> ToolMessage:
    name = request.tool_call["name"]
    return ToolMessage(
        content=f"Error: {name} was not run: {why}",
        name=name,
        tool_call_id=request.tool_call["id"],
        status="error",
    )
