"""A process that is stopped between putting a call on record and making it: it comes too late to make it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.errors import ToolTimeoutError
from specflow.execution.time_allowed import LATE, UNBOUNDED
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import EffectRow
from specflow.lifecycle import Stage
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

BOOK = Call(tool="book", args={"seat": "A1"})


class Desk:
    """A process that is stopped for `asleep` seconds as soon as its intent is on record."""

    def __init__(self, *, timeout: float | None, latency: float, asleep: float) -> None:
        self.world = LedgerWorld(latency={"book": latency})
        self.journal = MemoryJournal(LoopClock())
        self.core = ScriptedCore(
            self.world.tools(), self.world.judge(tolerant=False, timeout=timeout), self.journal
        )
        broken: Any = self.journal
        intend = self.journal.intend
        self.asleep = asleep

        async def stopped(*args: Any, **given: Any) -> int:
            seq = await intend(*args, **given)
            await asyncio.sleep(self.asleep)
            return seq

        broken.intend = stopped

    async def book(self) -> Any:
        return await self.core.call(BOOK, identity="m1 c0")

    async def rows(self) -> list[EffectRow]:
        return sorted((await self.journal.snapshot()).effects, key=lambda row: row.seq)


@given(timeout=st.none() | st.floats(0.5, 90.0), latency=st.floats(0.0, 100.0), asleep=st.floats(0.0, 200.0))
def test_nothing_happens_after_others_may_believe_that_it_did_not(
    timeout: float | None, latency: float, asleep: float
) -> None:
    async def body() -> None:
        desk = Desk(timeout=timeout, latency=latency, asleep=asleep)
        loop = asyncio.get_running_loop()
        try:
            await desk.book()
        except ToolTimeoutError as error:
            told = error.message
        else:
            told = ""
        (row,) = await desk.rows()
        if timeout is None:
            assert row.call_deadline is None
            began = asleep < UNBOUNDED
            assert bool(desk.world.bookings) == began, "without a time-out it only has to begin in time"
        else:
            assert row.call_deadline == pytest.approx(LATE + timeout)
            assert loop.time() <= max(row.call_deadline, asleep) + 1e-6
            assert not (desk.world.bookings and loop.time() > row.call_deadline + 1e-6)
            began = asleep < LATE + timeout
            if asleep <= LATE and latency < timeout:
                assert desk.world.bookings, "a second is not late"
        assert ("was not called" in told) != began
        if not began:
            assert (row.stage, desk.world.bookings) == (Stage.FAILED, {})

    run(body(), seed=0)


def test_what_came_too_late_can_be_called_again_as_another_call() -> None:
    async def body() -> None:
        desk = Desk(timeout=5.0, latency=0.0, asleep=7.0)
        with pytest.raises(ToolTimeoutError, match="not called: its 5 s were over before it could be"):
            await desk.book()
        desk.asleep = 0.0
        await desk.book()
        assert [row.stage for row in await desk.rows()] == [Stage.FAILED, Stage.DONE]
        assert len(desk.world.bookings) == 1

    run(body(), seed=0)
