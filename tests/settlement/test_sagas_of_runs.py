"""A run that fails takes back what all its sessions did, newest first, also after a crash, and ends there."""

from __future__ import annotations

import asyncio

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.errors import ConflictError, JournalError
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import Lease
from specflow.journal.verify import verify
from specflow.lifecycle import SessionState, Stage
from specflow.probe import install
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore


class Died(BaseException):
    """The process is gone."""


async def book(core: ScriptedCore, *seats: str) -> None:
    for seat in seats:
        await core.call(Call(tool="book", args={"seat": seat}), identity=f"m-{seat}")


async def trip(core: ScriptedCore) -> None:
    """A run in three sessions: it pauses twice, and then fails."""
    for seats in (("A1", "A2"), ("B1",), ("C1",)):
        core.begin_run("trip")
        await book(core, *seats)
        if seats != ("C1",):
            await core.coordinator.pause(core.session)
    await core.take_back()


def core_of(world: LedgerWorld, journal: MemoryJournal, owner: str = "first", seed: int = 0) -> ScriptedCore:
    return ScriptedCore(world.tools(), world.judge(), journal, owner=owner, seed=seed)


def undone(world: LedgerWorld) -> bool:
    return len(world.bookings) == 4 and set(world.bookings.values()) == {""}


def test_what_earlier_sessions_did_is_taken_back_newest_first() -> None:
    world, journal = LedgerWorld(), MemoryJournal(LoopClock())

    async def body() -> None:
        core = core_of(world, journal)
        await trip(core)
        assert undone(world)
        rows = await journal.snapshot()
        assert verify(rows) == ()
        assert {row.stage for row in rows.effects} == {Stage.COMPENSATED}
        assert sorted(row.decision for row in rows.sessions) == ["completed", "completed", "saga_aborted"]
        assert {row.state for row in rows.sessions} == {SessionState.CLOSED}
        seats = {row.effect_id: row.args["seat"] for row in rows.effects}
        order = [seats[row.subject] for row in rows.events if row.target == Stage.COMPENSATED]
        assert order == ["C1", "B1", "A2", "A1"]

    run(body(), seed=0)


def test_a_run_that_fails_before_it_does_anything_new_takes_back_the_rest() -> None:
    world, journal = LedgerWorld(), MemoryJournal(LoopClock())

    async def body() -> None:
        core = core_of(world, journal)
        core.begin_run("trip")
        await book(core, "A1")
        await core.coordinator.pause(core.session)
        core.begin_run("trip")
        core.end(core.begin())
        await core.take_back()
        assert set(world.bookings.values()) == {""}
        assert verify(await journal.snapshot()) == ()

    run(body(), seed=0)


def test_a_run_that_was_taken_back_does_not_go_on() -> None:
    world, journal = LedgerWorld(), MemoryJournal(LoopClock())

    async def body() -> None:
        core = core_of(world, journal)
        await trip(core)
        core.begin_run("trip")
        with pytest.raises(ConflictError, match="taken back as a whole"):
            await book(core, "D1")
        assert undone(world)
        core.begin_run("another trip")
        await book(core, "E1")
        await core.settle()
        assert "E1" in world.bookings.values()

    run(body(), seed=0)


def test_other_runs_of_the_conversation_are_left_alone() -> None:
    world, journal = LedgerWorld(), MemoryJournal(LoopClock())

    async def body() -> None:
        core = core_of(world, journal)
        core.begin_run("earlier")
        await book(core, "Z9")
        await core.settle()
        await trip(core)
        assert sorted(world.bookings.values()).count("") == 4
        assert "Z9" in world.bookings.values()
        assert verify(await journal.snapshot()) == ()

    run(body(), seed=0)


POINTS = ("saga.decided", "undo.intended", "undo.called", "undo.committed", "session.close", "recover.taken")


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("point", POINTS)
def test_who_recovers_it_goes_on_with_all_sessions(point: str, nth: int) -> None:
    world, dead, count, armed = LedgerWorld(), False, 0, False
    journal = MemoryJournal(LoopClock(), is_dead=lambda owner: owner == "first")

    def hook(name: str) -> None:
        nonlocal dead, count
        if not armed:
            return
        count += name == point
        if dead or (name == point and count == nth):
            dead = True
            raise Died(name)

    async def body() -> None:
        nonlocal armed
        core = core_of(world, journal)
        core.begin_run("trip")
        await book(core, "A1", "A2")
        await core.coordinator.pause(core.session)
        core.begin_run("trip")
        await book(core, "B1", "C1")
        previous, armed = install(hook), True
        try:
            await core.take_back()
        except (Died, JournalError):
            pass
        finally:
            install(previous)
        heir = core_of(world, journal, owner="heir", seed=1)
        await heir.recover(owner="heir")
        assert undone(world)
        rows = await journal.snapshot()
        assert verify(rows) == ()
        assert {row.stage for row in rows.effects} == {Stage.COMPENSATED}
        assert {row.state for row in rows.sessions} == {SessionState.CLOSED}

    run(body(), seed=0)


def test_two_who_take_it_back_at_once_undo_each_once() -> None:
    world, journal = LedgerWorld(), MemoryJournal(LoopClock())

    async def body() -> None:
        core = core_of(world, journal)
        core.begin_run("trip")
        await book(core, "A1")
        await core.coordinator.pause(core.session)
        core.begin_run("trip")
        await book(core, "B1")
        await asyncio.gather(core.take_back(), core.take_back(), return_exceptions=True)
        assert set(world.bookings.values()) == {""}
        assert verify(await journal.snapshot()) == ()

    run(body(), seed=0)


@pytest.mark.parametrize("written_down", [False, True])
def test_a_session_that_is_still_open_is_taken_back_with_its_run(written_down: bool) -> None:
    """Something of it waited for an operator, say: the run went on in another session, and failed there."""
    world = LedgerWorld()
    journal = MemoryJournal(LoopClock(), is_dead=lambda owner: owner == "first")

    async def body() -> None:
        core = core_of(world, journal)
        core.begin_run("trip")
        await book(core, "A1")
        (row,) = (await journal.snapshot()).effects
        if written_down:
            lease = await core.session.lease()
            await journal.move(lease, row.effect_id, Stage.DONE, Stage.COMMITTED, cause="settled")
        later = await journal.open_session("later", thread="thread", owner="first", tenant="", run_key="trip")
        assert await journal.decide_session(later, "saga_aborted")
        await asyncio.sleep(1.0)
        for owner in ("second", "third"):
            await core_of(world, journal, owner, seed=2).recover(owner)
        assert set(world.bookings.values()) == {""}
        rows = await journal.snapshot()
        assert {row.stage for row in rows.effects} == {Stage.COMPENSATED}
        assert {row.state for row in rows.sessions} == {SessionState.CLOSED}
        assert verify(rows) == ()

    run(body(), seed=0)


class Hiccup(MemoryJournal):
    """Cannot close one session, once."""

    trouble = ""

    async def close_session(self, lease: Lease, *, decision: str = "completed") -> None:
        if lease.session_id == self.trouble:
            self.trouble = ""
            raise JournalError("gone for a moment")
        await super().close_session(lease, decision=decision)


@pytest.mark.parametrize("nth", [0, 1, 2])
def test_what_trouble_keeps_from_being_taken_back_is_given_to_others(nth: int) -> None:
    """Whoever could not go on lives on, and must not hold what it has condemned."""
    world, journal = LedgerWorld(), Hiccup(LoopClock())

    async def body() -> None:
        core = core_of(world, journal)
        for seat in ("A1", "B1"):
            core.begin_run("trip")
            await book(core, seat)
            await core.coordinator.pause(core.session)
        core.begin_run("trip")
        await book(core, "C1")
        sessions = sorted((await journal.snapshot()).sessions, key=lambda row: row.created_at, reverse=True)
        journal.trouble = sessions[nth].session_id
        with pytest.raises(JournalError):
            await core.take_back()
        for _ in range(2):
            await asyncio.sleep(1.0)
            await core_of(world, journal, "heir", seed=1).recover("heir")
        assert set(world.bookings.values()) == {""}
        rows = await journal.snapshot()
        left = {row.session_id for row in rows.sessions if row.state is SessionState.ACTIVE}
        own = {sessions[0].session_id} if nth == 0 else set()
        assert left == own, "its own session a living process recovers itself"
        assert verify(rows) == ()

    run(body(), seed=0)
