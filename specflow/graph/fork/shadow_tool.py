"""Tool calls inside a fork: answered by the guess, joined, started early, or the end of the fork."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.pregel import Pregel

from specflow.effects.call import Call, NotJsonError
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, Runner, ToolSpec
from specflow.errors import NotEarlyError
from specflow.graph.confirm import Answer
from specflow.graph.fork.attached import Attachments
from specflow.graph.fork.current import Fork
from specflow.graph.fork.effects import WithEffects, noting, result_of
from specflow.graph.fork.origin import Origin, answers_in, origin_of
from specflow.graph.fork.purity import Wrapped
from specflow.graph.fork.reachable import reachable
from specflow.graph.fork.run import on_thread
from specflow.graph.history import history_of
from specflow.graph.host import Host
from specflow.graph.intercept import AsyncBody, SyncBody, intercepted
from specflow.graph.place import messages_of
from specflow.policy.verdict import Speculate
from specflow.prediction.predictor import HistoryItem


class Inner(Enum):
    """Whether a tool's body runs an agent, and one whose memory a fork must not touch."""

    NONE = "none"
    AGENT = "agent"
    WITH_MEMORY = "with_memory"


class ShadowCalls:
    """Stands where `ToolCalls` stands in the real run."""

    def __init__(self, host: Host, attachments: Attachments) -> None:
        self._host = host
        self._attachments = attachments

    async def awrap(
        self, fork: Fork, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Answer]]
    ) -> Answer:
        """Asynchronous forks."""
        return await handler(self._shadowed(fork, request, threaded=False))

    def wrap(
        self, fork: Fork, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]
    ) -> Answer:
        """Synchronous forks."""
        return handler(self._shadowed(fork, request, threaded=True))

    def _shadowed(self, fork: Fork, request: ToolCallRequest, *, threaded: bool) -> ToolCallRequest:
        if request.tool is None or fork.origin is None:
            fork.halt(f"{request.tool_call['name']} is no tool that is known here")
        known = fork.origin.siblings
        if known is not None:
            value, there = known.result(messages_of(request.state), str(request.tool_call["id"]))
            if there:
                return request.override(tool=intercepted(request.tool, _Answered(value)))
        shadow = _ShadowRun(
            fork,
            self._host.spec(request.tool),
            step=max(1, answers_in(request.state) - fork.origin.answers),
            origin=origin_of(self._attachments, request.runtime.config, threaded=threaded),
            history=history_of(messages_of(request.state)),
            inner=agents_in(getattr(request.tool, "func", None), getattr(request.tool, "coroutine", None)),
        )
        return request.override(tool=intercepted(request.tool, shadow))


class _Answered:
    """Stands about the body of a tool that the real run has called already, in the same step."""

    def __init__(self, value: Any) -> None:
        self._value = value

    async def around_async(self, args: dict[str, Any], body: AsyncBody) -> Any:
        return self._value

    def around_sync(self, args: dict[str, Any], body: SyncBody) -> Any:
        return self._value


class _ShadowRun:
    """Stands about the tool's body in a fork."""

    def __init__(
        self,
        fork: Fork,
        spec: ToolSpec,
        *,
        step: int,
        origin: Origin | None,
        history: Sequence[HistoryItem],
        inner: Inner,
    ) -> None:
        self._fork = fork
        self._spec = spec
        self._step = step
        self._origin = origin
        self._history = history
        self._inner = inner

    async def around_async(self, args: dict[str, Any], body: AsyncBody) -> Any:
        async def noted() -> Any:
            with noting() as log:
                return result_of(await body({}), log)

        wanted = self._call(args)
        if self._runs_through(wanted):
            return await body({})
        here = contextvars.copy_context()

        async def runner(call: Call, context: CallContext) -> Any:
            # In the place of the tool in the fork's graph, wherever the core runs it.
            return await asyncio.get_running_loop().create_task(noted(), context=here)

        return await self._make(wanted, runner)

    def around_sync(self, args: dict[str, Any], body: SyncBody) -> Any:
        def noted() -> Any:
            with noting() as log:
                return result_of(body({}), log)

        wanted = self._call(args)
        if self._runs_through(wanted):
            return body({})
        here = contextvars.copy_context()

        async def runner(call: Call, context: CallContext) -> Any:
            return await on_thread(lambda: here.run(noted), name="specflow-fork-tool")

        return self._fork.wait(lambda: self._make(wanted, runner))

    def _call(self, args: dict[str, Any]) -> Call:
        try:
            return self._spec.call(args)
        except NotJsonError:
            self._fork.halt(f"arguments of {self._spec.name} that are no JSON")

    def _runs_through(self, call: Call) -> bool:
        """Whether it is an agent whose own calls are what is recorded: it runs again in the real run."""
        if self._inner is Inner.NONE or any(
            above.guess is not None and above.call == call for above in self._fork.branch.path
        ):
            return False
        if self._inner is Inner.WITH_MEMORY:
            self._fork.halt(f"{call.tool} runs an agent with a memory of its own")
        verdict = self._fork.coordinator.verdict(call)
        if verdict.speculate is not Speculate.NOW or verdict.effect is not EffectClass.READ_ONLY:
            self._fork.halt(f"{call.tool} must not run early")
        return True

    async def _make(self, call: Call, runner: Runner) -> Any:
        fork = self._fork
        if fork.coordinator.verdict(call).effect.writes:
            # As any early write, with nothing of the fork about it.
            if self._spec.runner is None:
                fork.halt(f"{call.tool} cannot be run by itself")
            runner = self._spec.runner
        origin = self._origin.seen_from(fork.session) if self._origin is not None else None
        try:
            value = await fork.coordinator.shadow_call(
                fork.session,
                fork.branch,
                call,
                self._spec,
                runner,
                step=self._step,
                origin=origin,
                history=self._history,
            )
        except NotEarlyError as error:
            fork.halt(str(error))
        # What it did beside its result is done in this fork's own store already, or by the real run.
        return value.value if isinstance(value, WithEffects) else value


@lru_cache(maxsize=256)
def agents_in(*bodies: object) -> Inner:
    """What a tool's functions run, as far as can be told from what they hold."""
    found = reachable(bodies, (Pregel, Wrapped), into_globals=True)
    if any(isinstance(agent, Pregel) and agent.checkpointer for agent in found):
        return Inner.WITH_MEMORY
    return Inner.AGENT if found else Inner.NONE
