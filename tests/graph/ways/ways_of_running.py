"""The ways in: each runs a graph and gives what it handed out, part by part."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

Run = Callable[[Any, Any, Any, dict[str, Any]], Awaitable[list[Any]]]


@dataclass(frozen=True)
class Way:
    """`streams`: the model streams in this way with and without specflow, which else makes it stream."""

    name: str
    asynchronous: bool
    run: Run
    streams: bool = True

    def having(self, name: str, **options: Any) -> Way:
        """The same with options of LangGraph's."""

        async def run(graph: Any, given: Any, config: Any, more: dict[str, Any]) -> list[Any]:
            return await self.run(graph, given, config, {**more, **options})

        return replace(self, name=name, run=run)


async def _invoke(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
    return [await asyncio.to_thread(graph.invoke, given, config, **options)]


async def _ainvoke(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
    return [await graph.ainvoke(given, config, **options)]


def _three(given: Any) -> list[Any]:
    """Three questions at once; a workflow asks its one."""
    if "messages" not in given:
        return [given]
    return [{"messages": [("user", f"scout {city}")]} for city in ("Rome", "Oslo", "Bern")]


async def _batch(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
    found: list[Any] = await asyncio.to_thread(graph.batch, _three(given), config, **options)
    return found


async def _abatch(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
    found: list[Any] = await graph.abatch(_three(given), config, **options)
    return found


async def _stream(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
    return await asyncio.to_thread(lambda: list(graph.stream(given, config, **options)))


async def _astream(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
    return [part async for part in graph.astream(given, config, **options)]


async def _events_v2(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
    return [event async for event in graph.astream_events(given, config, version="v2", **options)]


async def _events_v3(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
    return [event async for event in await graph.astream_events(given, config, version="v3", **options)]


async def _events_v3_sync(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
    return await asyncio.to_thread(lambda: list(graph.stream_events(given, config, version="v3", **options)))


INVOKE = Way("invoke", False, _invoke, streams=False)
AINVOKE = Way("ainvoke", True, _ainvoke, streams=False)
BATCH = Way("batch", False, _batch, streams=False)
ABATCH = Way("abatch", True, _abatch, streams=False)
STREAM = Way("stream", False, _stream)
ASTREAM = Way("astream", True, _astream)
EVENTS_V2 = Way("astream_events v2", True, _events_v2)
EVENTS_V3 = Way("astream_events v3", True, _events_v3)
STREAM_EVENTS_V3 = Way("stream_events v3", False, _events_v3_sync)
ALL_MODES = ["values", "updates", "messages", "custom", "checkpoints", "tasks", "debug"]

WAYS = (
    INVOKE,
    AINVOKE,
    STREAM.having("stream", stream_mode=["values", "updates", "messages", "custom"], subgraphs=True),
    replace(ASTREAM.having("astream values", stream_mode="values"), streams=False),
    replace(ASTREAM.having("astream updates", stream_mode="updates", subgraphs=True), streams=False),
    ASTREAM.having("astream messages", stream_mode="messages", subgraphs=True),
    EVENTS_V2,
    EVENTS_V3,
)
