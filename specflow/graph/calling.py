"""The wrapper around every tool call of a graph: judged, confirmed, adopted or run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from langchain_core.messages import ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest

from specflow.effects.kind import EffectClass
from specflow.graph.confirm import Answer, Confirmer
from specflow.graph.elsewhere import asked_elsewhere
from specflow.graph.fork.current import current_fork
from specflow.graph.fork.forking import forking
from specflow.graph.fork.purity import Wrapped
from specflow.graph.host import Host
from specflow.graph.intercept import intercepted
from specflow.graph.matter import matter_of, missing_matter, name_of
from specflow.graph.place import place_of
from specflow.graph.real_run import RealRun, call_of
from specflow.graph.stops import stops
from specflow.graph.twice import already
from specflow.journal.approval import Consent
from specflow.policy.verdict import Asking, Verdict
from specflow.speculation.parts import Mode


class ToolCalls(Wrapped):
    """`wrap_tool_call` and `awrap_tool_call` for ToolNode and for middleware: the same signature."""

    def __init__(self, host: Host, name: Callable[[ToolCallRequest], str] | None = None) -> None:
        """`name` tells a call from all others where no message of a model asks for it; empty: it cannot."""
        self.host = self._host = host
        self._forking = forking(host)
        self._name = name
        self._confirmer = Confirmer(host)

    async def awrap(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Answer]]
    ) -> Answer:
        """Asynchronous runs."""
        if self._host.off:
            return await handler(request)
        fork = current_fork()
        if fork is not None:
            return await self._forking.shadows.awrap(fork, request, handler)
        if request.tool is not None and already(self._host, request.tool):
            return await handler(request)
        if request.tool is None and await self._confirmer.waiting(name_of(request, self._named(request))):
            missing = missing_matter(self._host, request, self._named(request))
            return await self._confirmer.awrap(missing, lambda agreed, _consent: handler(agreed))
        return await self._acall(request, handler)

    async def _acall(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Answer]]
    ) -> Answer:
        verdict = self._verdict(request)
        refused = self._refusal(request, verdict)
        if refused is not None:
            return refused
        if request.tool is None:
            return await handler(request)
        real = RealRun(self._host, request, name=self._named(request))

        async def run(agreed: ToolCallRequest, consent: Consent) -> Answer:
            barred = self._refusal(agreed, self._verdict(agreed))
            if barred is not None:
                return barred
            assert agreed.tool is not None
            approved = intercepted(agreed.tool, real.approved(agreed, consent))
            return await handler(agreed.override(tool=approved))

        try:
            if self._asks(request, verdict):
                return await self._confirmer.awrap(matter_of(self._host, request, real), run)
            return await handler(request.override(tool=intercepted(request.tool, real)))
        except BaseException as error:
            if stops(error):
                await real.pause(self._host.coordinator())
            raise

    def wrap(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]) -> Answer:
        """Synchronous runs."""
        if self._host.off:
            return handler(request)
        fork = current_fork()
        if fork is not None:
            return self._forking.shadows.wrap(fork, request, handler)
        if request.tool is not None and already(self._host, request.tool):
            return handler(request)
        if request.tool is None and self._confirmer.waiting_sync(name_of(request, self._named(request))):
            missing = missing_matter(self._host, request, self._named(request))
            return self._confirmer.wrap(missing, lambda agreed, _consent: handler(agreed))
        return self._call(request, handler)

    def _call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]) -> Answer:
        verdict = self._verdict(request)
        refused = self._refusal(request, verdict)
        if refused is not None:
            return refused
        if request.tool is None:
            return handler(request)
        real = RealRun(self._host, request, name=self._named(request))

        def run(agreed: ToolCallRequest, consent: Consent) -> Answer:
            barred = self._refusal(agreed, self._verdict(agreed))
            if barred is not None:
                return barred
            assert agreed.tool is not None
            approved = intercepted(agreed.tool, real.approved(agreed, consent))
            return handler(agreed.override(tool=approved))

        try:
            if self._asks(request, verdict):
                return self._confirmer.wrap(matter_of(self._host, request, real), run)
            return handler(request.override(tool=intercepted(request.tool, real)))
        except BaseException as error:
            if stops(error):
                background = self._host.background
                coordinator = self._host.coordinator(background.loop)
                background.run(lambda _caller: real.pause(coordinator))
            raise

    def _named(self, request: ToolCallRequest) -> str:
        return self._name(request) if self._name else ""

    def _verdict(self, request: ToolCallRequest) -> Verdict:
        spec = self._host.spec(request.tool) if request.tool is not None else None
        parts = self._host.parts
        call = call_of(spec, request.tool_call["args"], request.tool_call["name"])
        return parts.judge.judge(spec, call, context=parts.context)

    def _asks(self, request: ToolCallRequest, verdict: Verdict) -> bool:
        """Shadow mode changes nothing, so it asks nobody; nor is anybody asked in the control group.

        A human-in-the-loop middleware of the agent's own that asks about the call goes first.
        """
        asks = verdict.effect is EffectClass.CONFIRMATION_REQUIRED and verdict.confirm is Asking.ASK
        return asks and _mode(self._host, request) is Mode.ON and not asked_elsewhere(request)

    def _refusal(self, request: ToolCallRequest, verdict: Verdict) -> ToolMessage | None:
        """What the model is told about a call that is not to be made at all."""
        why = "; ".join(f"{reason.code}: {reason.message}" for reason in verdict.reasons)
        if verdict.effect is EffectClass.DENY:
            return _told(request, f"the policy denies it ({why})")
        if request.tool is None and self._asks(request, verdict):
            # Another middleware may bring in a tool for it below us, where nobody could be asked.
            return _told(request, f"it needs a person's approval, and its tool is not known here ({why})")
        return None


def _mode(host: Host, request: ToolCallRequest) -> Mode:
    """What specflow does in the conversation that the call belongs to."""
    parts = host.parts
    if parts.canary is None:
        return parts.mode
    key = place_of(request.runtime.config).session
    return parts.mode_of(key.thread, key.run)


def _told(request: ToolCallRequest, why: str) -> ToolMessage:
    name = request.tool_call["name"]
    return ToolMessage(
        content=f"Error: {name} was not run: {why}",
        name=name,
        tool_call_id=request.tool_call["id"],
        status="error",
    )
