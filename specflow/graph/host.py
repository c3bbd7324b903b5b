"""What the LangGraph parts share: the coordinators, one per event loop, and the tools they know."""

from __future__ import annotations

import asyncio
import threading
import weakref

from langchain_core.tools import BaseTool

from specflow.effects.tool import ToolSpec
from specflow.graph.tools import spec_of
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
        self._lock = threading.Lock()

    @property
    def off(self) -> bool:
        """Whether everything passes through as if specflow were not there."""
        return self.parts.mode is Mode.OFF

    def coordinator(self, loop: asyncio.AbstractEventLoop | None = None) -> Coordinator:
        """The coordinator of the given loop, or of the running one."""
        owner = loop or asyncio.get_running_loop()
        with self._lock:
            if owner not in self._coordinators:
                self._coordinators[owner] = Coordinator(self.parts)
            return self._coordinators[owner]

    def spec(self, tool: BaseTool) -> ToolSpec:
        """The specification of a tool that is about to run; one nobody registered is registered now."""
        known = self.parts.registry.get(tool.name)
        if known is None:
            known = spec_of(tool)
            self.parts.registry.add(known)
        return known

    async def aclose(self) -> None:
        """Settle every session of the running loop and of the background loop."""
        await self.coordinator().aclose()
        if self.background.running:
            loop = self.background.loop
            closing = asyncio.run_coroutine_threadsafe(self.coordinator(loop).aclose(), loop)
            await asyncio.wrap_future(closing)

    def close(self) -> None:
        """Settle every session of the background loop."""
        if self.background.running:
            loop = self.background.loop
            asyncio.run_coroutine_threadsafe(self.coordinator(loop).aclose(), loop).result()
