"""A synchronous early read that was given up takes its place until its thread has really ended."""

from __future__ import annotations

import asyncio
import threading

import pytest
from langchain_core.tools import StructuredTool

from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.graph.tools import BodyRunner, runs_in_thread
from specflow.speculation.slot import Slot, occupying


async def test_a_thread_that_cannot_be_cancelled_keeps_its_place() -> None:
    started, go_on = threading.Event(), threading.Event()

    def read(city: str) -> str:
        """Read."""
        started.set()
        go_on.wait(30)
        return city

    freed = asyncio.Event()
    slot = Slot(freed.set)
    runner = occupying(BodyRunner(StructuredTool.from_function(read)), slot)
    call = Call(tool="read", args={"city": "Oslo"})
    work = asyncio.create_task(runner(call, CallContext(early=True)))
    await asyncio.to_thread(started.wait, 30)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await asyncio.sleep(0)
    assert not freed.is_set()
    go_on.set()
    await asyncio.wait_for(freed.wait(), 30)


async def test_a_coroutine_gives_its_place_up_when_it_is_cancelled() -> None:
    async def read(city: str) -> str:
        """Read."""
        await asyncio.sleep(1_000)
        return city

    freed = asyncio.Event()
    slot = Slot(freed.set)
    runner = occupying(BodyRunner(StructuredTool.from_function(coroutine=read)), slot)
    work = asyncio.create_task(runner(Call(tool="read", args={"city": "Oslo"}), CallContext(early=True)))
    await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await asyncio.wait_for(freed.wait(), 30)


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
async def test_what_ends_a_program_does_not_end_the_loop(ending: type[BaseException]) -> None:
    def read(city: str) -> str:
        """Read."""
        raise ending(city)

    tool = StructuredTool.from_function(read)
    assert runs_in_thread(tool)
    with pytest.raises(RuntimeError, match="the tool ended with"):
        await BodyRunner(tool)(Call(tool="read", args={"city": "Oslo"}), CallContext(early=True))
