"""A checkpoint was lost, the model runs again under new ids: what was done is given again, once, in this
run only; what the run never asks for is taken back. Never beside its own twin, never what is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.errors import ConflictError
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import EffectRow
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.probe import install
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld, SeatTakenError
from specflow.testing.scripted_core import ScriptedCore

SEATS = ("A1", "B2", "C3", "D4")


class Died(BaseException):
    """The process is gone."""


class Lives:
    """One world and one journal; each life is a process that resumes the run of the one before."""

    def __init__(self) -> None:
        self.world = LedgerWorld()
        self.journal = MemoryJournal(LoopClock(), is_dead=lambda _owner: True)
        self._number = 0

    def next(self, run_key: str = "run", known: Iterable[tuple[str, Call]] | None = ()) -> ScriptedCore:
        self._number += 1
        owner, judge = f"life {self._number}", self.world.judge()
        core = ScriptedCore(self.world.tools(), judge, self.journal, owner=owner, seed=self._number)
        core.begin_run(run_key, known)
        return core

    def booked(self) -> list[str]:
        return sorted(seat for seat in self.world.bookings.values() if seat)

    async def rows(self) -> list[EffectRow]:
        rows = await self.journal.snapshot()
        assert verify(rows) == ()
        return list(rows.effects)


def book(seat: str) -> Call:
    return Call(tool="book", args={"seat": seat})


async def turn(core: ScriptedCore, seat: str, identity: str) -> object:
    core.end(core.begin(), [book(seat)])
    return await core.call(book(seat), identity=identity)


def test_the_same_call_under_a_new_id_gets_what_is_on_record() -> None:
    lives = Lives()

    async def body() -> None:
        first = await turn(lives.next(), "A1", "old")
        core = lives.next()
        assert await turn(core, "A1", "new") == first
        await core.settle()
        assert lives.booked() == ["A1"]
        (row,) = await lives.rows()
        assert row.stage is Stage.COMMITTED
        assert await turn(core, "A1", "new") == first, "and once more"
        assert lives.booked() == ["A1"]

    run(body(), seed=0)


def test_what_is_not_asked_for_again_is_taken_back_at_the_end_of_the_run() -> None:
    lives = Lives()

    async def body() -> None:
        core = lives.next()
        for seat in SEATS[:3]:
            await turn(core, seat, f"old {seat}")
        core = lives.next(known=[("old A1", book("A1"))])
        await turn(core, "B2", "new B2")
        assert lives.booked() == ["A1", "B2", "C3"], "the run may still ask"
        await core.settle()
        assert lives.booked() == ["A1", "B2"]
        stages = [row.stage for row in await lives.rows()]
        assert stages == [Stage.COMMITTED, Stage.COMMITTED, Stage.COMPENSATED]

    run(body(), seed=0)


def test_a_run_that_ends_without_another_call_takes_back_too() -> None:
    lives = Lives()

    async def body() -> None:
        await turn(lives.next(), "A1", "old")
        core = lives.next()
        core.end(core.begin(), [])
        await core.session.ready()
        await core.settle()
        assert lives.booked() == []

    run(body(), seed=0)


def test_a_pause_is_not_the_end() -> None:
    lives = Lives()

    async def body() -> None:
        await turn(lives.next(), "A1", "old")
        core = lives.next()
        await turn(core, "B2", "new B2")
        await core.coordinator.pause(core.session)
        assert lives.booked() == ["A1", "B2"]
        core = lives.next(known=[("new B2", book("B2"))])
        await turn(core, "A1", "new A1")
        await core.settle()
        assert lives.booked() == ["A1", "B2"]

    run(body(), seed=0)


@pytest.mark.parametrize(
    ("run_key", "known"),
    [("another request", ()), ("", ()), ("run", None)],
    ids=["another run", "no key", "nothing known"],
)
def test_a_new_request_is_not_the_old_one(run_key: str, known: Iterable[tuple[str, Call]] | None) -> None:
    """The user may well want two of the same."""
    lives = Lives()

    async def body() -> None:
        core = lives.next()
        await turn(core, "A1", "old")
        await core.settle()
        core = lives.next(run_key, known)
        await turn(core, "A1", "new")
        await core.settle()
        assert lives.booked() == ["A1", "A1"]

    run(body(), seed=0)


def test_in_one_process_a_new_run_gets_a_session_of_its_own() -> None:
    lives = Lives()

    async def body() -> None:
        core = lives.next()
        await turn(core, "A1", "old")
        before = core.session
        core.begin_run("run")
        assert core.session is before, "it is the same run"
        core.begin_run("next run", ())
        assert core.session is not before
        await turn(core, "A1", "new")
        await core.settle()
        assert lives.booked() == ["A1", "A1"]

    run(body(), seed=0)


def test_a_retry_after_a_failure_is_still_the_call_that_the_conversation_knows() -> None:
    """A failed try is on record under the call's own name, the one that worked under a further one."""
    lives = Lives()

    async def body() -> None:
        core = lives.next()
        lives.world.before["book"] = [SeatTakenError("sold out for a moment")]
        with pytest.raises(Exception, match="sold out"):
            await turn(core, "A1", "call")
        await turn(core, "A1", "call")
        core = lives.next(known=[("call", book("A1"))])
        core.end(core.begin(), [])
        await core.session.ready()
        await core.settle()
        assert lives.booked() == ["A1"], "known, so neither asked for again nor taken back"
        core = lives.next()
        await turn(core, "A1", "call")
        await core.settle()
        assert lives.booked() == ["A1"], "asked for under its own name"

    run(body(), seed=0)


def test_nothing_is_written_early_that_this_run_has_done() -> None:
    lives = Lives()

    async def body() -> None:
        await turn(lives.next(), "A1", "old")
        core = lives.next()
        model = core.begin()
        guess = core.propose(model, "book", seat="A1")
        await asyncio.sleep(1)
        assert len(lives.world.bookings) == 1
        core.end(model, [guess])
        await core.call(guess, identity="new")
        await core.settle()
        assert lives.booked() == ["A1"]
        assert len(await lives.rows()) == 1

    run(body(), seed=0)


def test_what_cannot_be_given_again_is_an_error_and_not_a_second_booking() -> None:
    lives = Lives()

    async def body() -> None:
        async def boxed(call: Call, context: CallContext) -> object:
            return (await lives.world.book(call, context),)

        core = lives.next()
        core.end(core.begin(), [book("A1")])
        await core.call(book("A1"), identity="old", runner=boxed)
        core = lives.next()
        with pytest.raises(ConflictError, match="cannot be given again"):
            await turn(core, "A1", "new")
        assert lives.booked() == ["A1"]

    run(body(), seed=0)


@pytest.mark.parametrize("point", ["undo.intended", "undo.called", "undo.committed", "session.close"])
def test_who_recovers_goes_on_taking_back(point: str) -> None:
    lives, dead = Lives(), False

    def hook(name: str) -> None:
        nonlocal dead
        if dead or name == point:
            dead = True
            raise Died(name)

    async def body() -> None:
        core = lives.next()
        for seat in SEATS[:2]:
            await turn(core, seat, f"old {seat}")
        await core.settle()
        core = lives.next()
        core.end(core.begin(), [])
        await core.session.ready()
        previous = install(hook)
        try:
            with pytest.raises(Died):
                await core.settle()
        finally:
            install(previous)
        heir = lives.next("somebody else")
        await heir.recover(owner="heir")
        assert lives.booked() == []
        assert {row.stage for row in await lives.rows()} == {Stage.COMPENSATED}

    run(body(), seed=0)


@given(
    asked=st.lists(st.lists(st.sampled_from(SEATS), max_size=4), min_size=1, max_size=4),
    checkpoints=st.lists(st.integers(0, 4), min_size=4, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_after_any_number_of_lost_checkpoints_the_world_is_that_of_the_conversation(
    asked: list[list[str]], checkpoints: list[int]
) -> None:
    """Each life goes on from what its checkpoint kept of the conversation, and may ask otherwise."""
    lives = Lives()

    async def body() -> None:
        conversation: list[tuple[str, str]] = []
        for number, (seats, keeps) in enumerate(zip(asked, checkpoints, strict=False)):
            conversation = conversation[:keeps]
            core = lives.next(known=[(name, book(seat)) for name, seat in conversation])
            for count, seat in enumerate(seats):
                identity = f"life {number} call {count}"
                await turn(core, seat, identity)
                conversation.append((identity, seat))
            if number == len(asked) - 1:
                await core.session.ready()
                await core.settle()
        assert lives.booked() == sorted(seat for _, seat in conversation)
        await lives.rows()

    run(body(), seed=0)
