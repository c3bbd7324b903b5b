"""A call made once more under its old key: what is on record of it, whatever comes in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.errors import ConflictError, JournalError, ToolTimeoutError
from specflow.execution.attempt import attempt, longest
from specflow.execution.time_allowed import LATE
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import EffectRow, Outcome
from specflow.lifecycle import Stage
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

BOOK = Call(tool="book", args={"seat": "A1"})


class InterruptError(Exception):
    """A framework's own control flow."""


class Desk:
    """One process whose real booking has failed, with nobody knowing how; it may be made again."""

    def __init__(self, *, timeout: float | None = 5.0, verifiable: bool = False) -> None:
        self.world = LedgerWorld()
        self.journal = MemoryJournal(LoopClock())
        judge = self.world.judge(tolerant=False, verifiable=verifiable, timeout=timeout)
        self.core = ScriptedCore(self.world.tools(), judge, self.journal)

    async def fail(self) -> EffectRow:
        self.world.before["book"] = [OSError("the line is bad")]
        with pytest.raises(OSError, match="bad"):
            await self.again()
        return await self.row()

    async def again(self) -> Any:
        """As a framework that runs the same step once more."""
        self.core.session.doubtful.clear()
        return await self.core.call(BOOK, identity="m1 c0")

    async def row(self) -> EffectRow:
        rows = (await self.journal.snapshot()).effects
        return max(rows, key=lambda row: row.seq)

    def before_repeat(self, *steps: Callable[[], Coroutine[Any, Any, Any]], after: bool = False) -> None:
        """Something happens just before a repetition is put on record, or just `after` that."""
        broken: Any = self.journal
        repeat = self.journal.repeat

        async def meanwhile(*args: Any, **given: Any) -> bool:
            written = await repeat(*args, **given) if after else False
            for step in steps:
                await step()
            return written if after else await repeat(*args, **given)

        broken.repeat = meanwhile


def on_loop(body: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        run(body(), seed=0)

    test.__name__ = body.__name__
    return test


@given(
    within=st.floats(0.5, 20.0),
    retries=st.integers(0, 8),
    backoff=st.floats(0.01, 30.0),
)
def test_all_tries_of_a_call_take_no_longer_than_is_said(within: float, retries: int, backoff: float) -> None:
    async def body() -> None:
        async def never(_call: Call, _context: CallContext) -> None:
            await asyncio.sleep(1e6)

        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(ToolTimeoutError):
            await attempt(never, BOOK, CallContext(), within=within, retries=retries, backoff=backoff)
        assert loop.time() - began == pytest.approx(longest(within, retries, backoff))

    run(body(), seed=0)


@on_loop
async def test_the_deadline_on_record_covers_every_try() -> None:
    desk = Desk()
    judge: Any = desk.core.parts.judge
    rule = judge._rules["book"]
    judge._rules["book"] = replace(rule, settings=replace(rule.settings, retries=2, backoff=1.0))
    desk.world.before["book"] = [OSError("bad"), OSError("bad"), OSError("bad")]
    with pytest.raises(OSError, match="bad"):
        await desk.again()
    assert (await desk.row()).call_deadline == 5.0 * 3 + 1.0 + 2.0 + LATE


@on_loop
async def test_a_repetition_has_a_deadline_of_its_own_also_without_a_timeout() -> None:
    for timeout, seconds in ((5.0, 5.0 + LATE), (None, 60.0)):
        desk = Desk(timeout=timeout)
        began = asyncio.get_running_loop().time()
        await desk.fail()
        await asyncio.sleep(3)
        await desk.again()
        row = await desk.row()
        assert (row.stage, row.rev) == (Stage.DONE, 4)
        assert row.call_deadline == pytest.approx(began + 3 + seconds)


@on_loop
async def test_an_interrupt_says_nothing_of_an_earlier_try() -> None:
    desk = Desk()
    desk.core.parts.door.steers = lambda error: isinstance(error, InterruptError)
    await desk.fail()
    desk.world.before["book"] = [InterruptError()]
    with pytest.raises(InterruptError):
        await desk.again()
    assert (await desk.row()).stage is Stage.UNKNOWN
    await desk.again()
    assert len(desk.world.bookings) == len((await desk.journal.snapshot()).effects) == 1, "under the same key"


@on_loop
async def test_what_comes_too_late_is_not_called() -> None:
    desk = Desk()
    await desk.fail()
    desk.before_repeat(lambda: asyncio.sleep(6.5), after=True)
    with pytest.raises(ToolTimeoutError, match="not called: its 5 s"):
        await desk.again()
    assert ((await desk.row()).stage, desk.world.bookings) == (Stage.UNKNOWN, {})


@on_loop
async def test_a_slow_journal_leaves_the_call_less_time() -> None:
    desk = Desk()
    await desk.fail()
    desk.world.latency["book"] = 4.5
    desk.before_repeat(lambda: asyncio.sleep(2), after=True)
    began = asyncio.get_running_loop().time()
    with pytest.raises(ToolTimeoutError):
        await desk.again()
    row = await desk.row()
    assert asyncio.get_running_loop().time() == row.call_deadline == pytest.approx(began + 5.0 + LATE)


@pytest.mark.parametrize("error", ["cancelled", "journal"])
def test_a_repetition_that_nobody_is_about_to_make_is_not_left_on_record(error: str) -> None:
    async def body() -> None:
        desk = Desk()
        await desk.fail()

        async def trouble() -> None:
            if error == "journal":
                raise JournalError("the answer to the commit is lost")
            await asyncio.sleep(2)

        desk.before_repeat(trouble, after=True)
        work = asyncio.ensure_future(desk.again())
        await asyncio.sleep(1)
        work.cancel()
        with pytest.raises(asyncio.CancelledError if error == "cancelled" else JournalError):
            await work
        row = await desk.row()
        assert (row.stage, row.error, row.rev) == (Stage.UNKNOWN, "OSError: the line is bad", 4)
        assert desk.world.bookings == {}

    run(body(), seed=0)


@on_loop
async def test_what_has_been_found_out_meanwhile_is_taken_as_it_is() -> None:
    done = {"booking_id": "k", "seat": "A1"}
    for outcome in (
        Outcome(stage=Stage.FAILED, error="verified: it did not happen"),
        Outcome(stage=Stage.DONE, result=done),
    ):
        desk = Desk()
        row = await desk.fail()
        lease = await desk.core.session.lease()
        desk.before_repeat(partial(desk.journal.record, lease, row.effect_id, outcome))
        answer = await desk.again()
        if outcome.stage is Stage.DONE:
            assert (answer, desk.world.bookings) == (done, {})
        else:
            assert (await desk.row()).effect_id != row.effect_id, "the next try has a row of its own"
            assert list(desk.world.bookings) == [(await desk.row()).idem_key]


@on_loop
async def test_two_at_once_make_one_repetition() -> None:
    desk = Desk()
    row = await desk.fail()
    desk.world.latency["book"] = 1.0
    lease = await desk.core.session.lease()
    desk.before_repeat(
        lambda: desk.journal.record(lease, row.effect_id, Outcome(stage=Stage.UNKNOWN, error="again"))
    )
    first = asyncio.ensure_future(desk.again())
    second = asyncio.ensure_future(desk.again())
    answers = await asyncio.gather(first, second, return_exceptions=True)
    kinds = sorted(type(answer).__name__ for answer in answers)
    assert kinds == sorted(["dict", ConflictError.__name__])
    assert len(desk.world.log) == 1
    with contextlib.suppress(ConflictError):
        await desk.core.settle()
