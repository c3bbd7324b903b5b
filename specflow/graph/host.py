"""What the LangGraph parts share: the coordinators, one per event loop, and the tools they know."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Iterable

from langchain_core.tools import BaseTool

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.graph.logical_run import LogicalRuns
from specflow.graph.tools import BodyRunner, only_asynchronous, same_body, spec_of
from specflow.policy.settings import Judge
from specflow.speculation.assemble import hide_filled
from specflow.speculation.background import Background
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.parts import Mode, Parts


class Host:
    """One per runtime. Asynchronous runs use their own loop's coordinator, synchronous ones the
    background loop's.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.background = Background()
        self._coordinators: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Coordinator] = (
            weakref.WeakKeyDictionary()
        )
        self.runs = LogicalRuns()
        self._lock = threading.Lock()
        self._others: set[str] = set()

    @property
    def off(self) -> bool:
        """Whether everything passes through as if specflow were not there."""
        return self.parts.mode is Mode.OFF

    def coordinator(self, loop: asyncio.AbstractEventLoop | None = None) -> Coordinator:
        """The coordinator of the given loop, or of the running one."""
        owner = loop or asyncio.get_running_loop()
        with self._lock:
            known = self._coordinators.get(owner)
            if known is not None:
                return known
            closed = [other for other in self._coordinators if other.is_closed()]
            ended = [self._coordinators.pop(other) for other in closed]
            made = self._coordinators[owner] = Coordinator(self.parts)
        for coordinator in ended:
            coordinator.abandon()
        orphans = self.parts.living.orphans()
        if orphans and loop is None:
            made.take_over(orphans)
        elif orphans:
            owner.call_soon_threadsafe(made.take_over, orphans)
        return made

    def spec(self, tool: BaseTool) -> ToolSpec:
        """The specification of a tool that is about to run; one nobody registered is registered now.

        A tool that only has the name of a registered one gets a specification of its own.
        """
        registry = self.parts.registry
        known = registry.get(tool.name)
        if known is None:
            registry.add(spec_of(tool))
            hide_filled(registry, self.parts.judge, registry.require(tool.name))
        elif not self.knows(tool):
            self._others.add(tool.name)
            return _apart(spec_of(tool), self.parts.judge)
        return registry.require(tool.name)

    def knows(self, tool: BaseTool) -> bool:
        """Whether this very tool is registered, and not just one of its name."""
        known = self.parts.registry.get(tool.name)
        if known is None:
            return False
        return not isinstance(known.runner, BodyRunner) or same_body(known.runner.tool, tool)

    def offered(self, tools: Iterable[BaseTool] | None, *, synchronous: bool = False) -> ToolRegistry:
        """What may be started early for a model that has these tools.

        When nobody can say which: all that are registered, but none whose name another tool has too.
        A synchronous run cannot call what only has a coroutine, so nothing of it would be adopted.
        """
        registry = self.parts.registry
        if tools is not None:
            found = [registry.require(tool.name) for tool in tools if self.knows(tool)]
        else:
            found = [tool for tool in registry if tool.name not in self._others]
        return ToolRegistry(tool for tool in found if not (synchronous and _asynchronous(tool)))

    async def aclose(self) -> None:
        """Settle every session of the running loop and of the background loop."""
        await self.coordinator().aclose()
        if self.background.running:
            loop = self.background.loop
            closing = asyncio.run_coroutine_threadsafe(self.coordinator(loop).aclose(), loop)
            await asyncio.wrap_future(closing)

    def close(self) -> None:
        """Settle every session of the background loop, and of loops that have ended.

        Those of a loop that still runs cannot be waited for here: use `aclose` there.
        """
        if self.background.running or self.parts.living.orphans():
            coordinator = self.coordinator(self.background.loop)
            self.background.run(lambda _caller: coordinator.aclose())


class HasHost:
    """What works for a runtime without standing about anything itself: the runtime, in a user's own node."""

    host: Host


def _asynchronous(tool: ToolSpec) -> bool:
    return isinstance(tool.runner, BodyRunner) and only_asynchronous(tool.runner.tool)


def _apart(tool: ToolSpec, judge: Judge) -> ToolSpec:
    """As it would be registered, had it not the name of another one."""
    registry = ToolRegistry([tool])
    hide_filled(registry, judge, tool)
    return registry.require(tool.name)
