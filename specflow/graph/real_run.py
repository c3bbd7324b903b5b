"""What stands about a tool's body in the real run."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from langgraph.prebuilt.tool_node import ToolCallRequest

from specflow.effects.call import Call, NotJsonError
from specflow.effects.tool import CallContext, ToolSpec
from specflow.graph.elsewhere import asked_elsewhere
from specflow.graph.fork.effects import adopted, adopted_sync
from specflow.graph.fork.forking import forking
from specflow.graph.fork.origin import Origin, origin_of
from specflow.graph.host import Host
from specflow.graph.intercept import AsyncBody, SyncBody
from specflow.graph.logical_run import moment_of
from specflow.graph.place import Place, call_id, call_identity, messages_of, place_of
from specflow.graph.tools import only_asynchronous
from specflow.journal.approval import Consent
from specflow.speculation.adopt import RealCall
from specflow.speculation.background import Caller
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.parts import Mode


class RealRun:
    """Stands about the tool's body in the real run: adopts early work, or runs the body once."""

    def __init__(
        self,
        host: Host,
        request: ToolCallRequest,
        *,
        name: str = "",
        approval: Call | None = None,
        consent: Consent | None = None,
    ) -> None:
        assert request.tool is not None
        self.host = self._host = host
        self._request = request
        self._approval, self._consent = approval, consent
        self.spec = host.spec(request.tool)
        self.place: Place = place_of(request.runtime.config)
        self.tool_call_id = str(request.tool_call["id"] or "")
        asked = request.tool_call["id"]
        self._messages = messages_of(request.state)
        self.call_id = name or call_id(self.place, self._messages, asked)
        self._config = request.runtime.config
        self._asynchronous = only_asynchronous(request.tool)
        about = forking(host)
        self._siblings = (
            about.families.of(self.place, self._messages, self.tool_call_id) if about.attachments else None
        )

    def approved(self, agreed: ToolCallRequest, consent: Consent) -> RealRun:
        """INVARIANT: a person's yes is to exactly the arguments shown or edited, and to no others."""
        approval = call_of(self.spec, agreed.tool_call["args"])
        return RealRun(self._host, agreed, name=self.call_id, approval=approval, consent=consent)

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
            return await body({**context.key, **context.connection})

        origin = origin_of(forking(self._host).attachments, self._config, threaded=False)
        return self._told(await adopted(await self._make(self._host.coordinator(), args, runner, origin)))

    def around_sync(self, args: dict[str, Any], body: SyncBody) -> Any:
        if self._asynchronous:
            return body({})  # LangChain's own refusal: whether there was a guess must make no difference

        async def run(caller: Caller) -> Any:
            async def runner(_call: Call, context: CallContext) -> Any:
                return await caller.run(lambda: body({**context.key, **context.connection}))

            return await self._make(self._host.coordinator(asyncio.get_running_loop()), args, runner, origin)

        origin = origin_of(forking(self._host).attachments, self._config, threaded=True)
        return self._told(adopted_sync(self._host.background.run(run)))

    def _told(self, value: Any) -> Any:
        if self._siblings is not None:
            self._siblings.returned(self.tool_call_id, value)
        return value

    async def _make(
        self, coordinator: Coordinator, args: dict[str, Any], runner: Any, origin: Origin | None
    ) -> Any:
        session, loaded = self._host.runs.enter(coordinator, self.place, self._config, lambda: self._messages)
        call = call_of(self.spec, args)
        identity = call_identity(self.place, self.call_id, call)
        if loaded is not None:
            loaded.ask(identity)
        approved = call == self._approval
        try:
            return await coordinator.real_call(
                session,
                RealCall(
                    call=call,
                    tool=self.spec,
                    runner=runner,
                    identity=identity,
                    moment=moment_of(self.place, self._config),
                    call_id=self.call_id,
                    tool_call_id=self.tool_call_id,
                    lane=self.place.lane,
                    approved=approved or session.mode is Mode.SHADOW,
                    elsewhere=lambda: asked_elsewhere(self._request),
                    consent=self._consent if approved else None,
                    origin=origin.seen_from(session, self._siblings) if origin is not None else None,
                ),
            )
        finally:
            if self.place.alone:
                await coordinator.finish(session, self.place.lane, "run_ended")


def call_of(spec: ToolSpec | None, args: dict[str, Any], name: str = "") -> Call:
    try:
        return spec.call(args) if spec is not None else Call(tool=name, args=args)
    except NotJsonError:
        # A person's edit, or another middleware, may have put in what JSON does not know.
        plain = json.loads(json.dumps(args, default=repr))
        return spec.call(plain) if spec is not None else Call(tool=name, args=plain)
