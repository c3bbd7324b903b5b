"""What an adversary of undo found: writes put back over newer ones, calls repeated that somebody was told had
failed, sessions out of everybody's reach, take-backs that nobody heard of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.errors import ConflictError, JournalError
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import Intent, Lease, Outcome, UndoPlan
from specflow.journal.verify import verify
from specflow.lifecycle import SessionState, Stage
from specflow.settlement.recover import settle_session
from specflow.settlement.undo import Persistence
from specflow.settlement.watch import News, Notice, Watch
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.settings_world import SettingsWorld


class Shaky(MemoryJournal):
    """A journal of which the next calls of a method fail, as often as the test says."""

    def __init__(self, *dead: str) -> None:
        super().__init__(LoopClock(), is_dead=lambda owner: owner in dead)
        self.failing: dict[str, int] = {}

    def _fail(self, name: str) -> None:
        if self.failing.get(name):
            self.failing[name] -= 1
            raise JournalError("the database is away")

    async def abort(self, lease: Lease, branch_id: str, cause: str) -> bool:
        self._fail("abort")
        return await super().abort(lease, branch_id, cause)

    async def record(self, lease: Lease, effect_id: str, outcome: Outcome, *, rev: int | None = None) -> bool:
        self._fail("record")
        return await super().record(lease, effect_id, outcome, rev=rev)

    async def intend(self, lease: Lease, intent: Intent) -> int:
        seq = await super().intend(lease, intent)
        self._fail("intend")  # the commit is made, and its answer lost
        return seq

    async def readopt(self, lease: Lease, effect_id: str, adopted_by: str, *, moment: str = "") -> bool:
        self._fail("readopt")
        return await super().readopt(lease, effect_id, adopted_by, moment=moment)

    async def decide_session(self, lease: Lease, decision: str) -> bool:
        self._fail("decide_session")
        return await super().decide_session(lease, decision)


def core_of(world: LedgerWorld | SettingsWorld, journal: MemoryJournal, **options: Any) -> ScriptedCore:
    judge = options.pop("judge", None) or (
        world.policy() if isinstance(world, SettingsWorld) else world.judge()
    )
    return ScriptedCore(world.tools(), judge, journal, **options)


def put(value: int) -> Call:
    return Call(tool="set_setting", args={"name": "price", "value": value})


def book(seat: str) -> Call:
    return Call(tool="book", args={"seat": seat})


async def guess_price(core: ScriptedCore, value: int) -> None:
    """A price is set early that the message then does not ask for."""
    turn = core.begin()
    core.propose(turn, "set_setting", name="price", value=value)
    await asyncio.sleep(1)
    core.end(turn, [])
    await asyncio.sleep(60)


def scenario(body: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        run(body(), seed=0)

    test.__name__ = body.__name__
    test.__doc__ = body.__doc__
    return test


async def at_rest(journal: MemoryJournal) -> Mapping[str, Stage]:
    rows = await journal.snapshot()
    assert verify(rows) == ()
    assert {row.state for row in rows.sessions} == {SessionState.CLOSED}
    return {row.effect_id: row.stage for row in rows.effects}


# ------------------------------------------------------------------ what is written back, and when


@scenario
async def test_an_undo_that_the_journal_kept_from_beginning_is_made_before_the_next_write() -> None:
    """At the end of the run it would put back what was there before both."""
    world, journal = SettingsWorld(values={"price": 3}), Shaky()
    core = core_of(world, journal)
    journal.failing["abort"] = 1
    await guess_price(core, 5)
    assert world.values == {"price": 5}, "the journal was away"
    await core.call(put(7), identity="real")
    await core.settle()
    assert world.values == {"price": 7}
    await at_rest(journal)


@scenario
async def test_nothing_is_written_while_the_journal_keeps_an_undo_from_beginning() -> None:
    world, journal = SettingsWorld(values={"price": 3}), Shaky()
    core = core_of(world, journal)
    journal.failing["abort"] = 2
    await guess_price(core, 5)
    with pytest.raises(JournalError):
        await core.call(put(7), identity="real")
    await core.settle()
    assert world.values == {"price": 3}
    await at_rest(journal)


@scenario
async def test_nothing_is_written_over_what_an_operator_may_still_put_back() -> None:
    world, journal = SettingsWorld(values={"price": 3}), Shaky()
    core = core_of(world, journal, persistence=Persistence(tries=1))
    turn = core.begin()
    core.propose(turn, "set_setting", name="price", value=5)
    await asyncio.sleep(1)
    world.before["set_setting"] = [OSError("away")]
    core.end(turn, [])
    await asyncio.sleep(60)
    (row,) = (await journal.snapshot()).effects
    assert row.stage is Stage.STUCK
    with pytest.raises(ConflictError, match="resolve"):
        await core.call(put(7), identity="real")
    lease = Lease(session_id=row.session_id, owner="scripted", fence=1)
    assert await core.settler.retry(lease, row) is Stage.COMPENSATED
    assert world.values == {"price": 3}
    await core.call(put(7), identity="real again")
    await core.settle()
    assert world.values == {"price": 7}
    await at_rest(journal)


# ------------------------------------------------------------------ outcomes that the journal missed


@scenario
async def test_a_call_that_was_told_to_have_failed_is_not_made_again_at_the_end() -> None:
    """The journal was away when the tool raised: the run heard the error, and went on without it."""
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal, judge=world.judge(verifiable=False))
    world.before["book"] = [OSError("the service said no")]
    journal.failing["record"] = 1
    with pytest.raises(OSError, match="said no"):
        await core.call(book("A1"), identity="call")
    await core.settle()
    assert world.seats == {}
    assert list((await at_rest(journal)).values()) == [Stage.STUCK], "nobody can tell whether it happened"


@scenario
async def test_an_outcome_that_the_journal_missed_is_written_when_it_is_back() -> None:
    """Nobody could find out any more: without a key, and without a way to ask."""
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal, judge=world.judge(keyed=False, verifiable=False, tolerant=False))
    journal.failing["record"] = 1
    with pytest.raises(JournalError):
        await core.call(book("A1"), identity="call")
    assert (await core.call(book("A1"), identity="call"))["seat"] == "A1"
    await core.settle()
    assert world.seats == {"A1": 1}
    assert list((await at_rest(journal)).values()) == [Stage.COMMITTED]


@scenario
async def test_what_happened_unheard_is_not_made_again_under_another_id() -> None:
    """The model was told that the journal is away, and asks again."""
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal)
    journal.failing["record"] = 1
    with pytest.raises(JournalError):
        await core.call(book("A1"), identity="call")
    assert (await core.call(book("A1"), identity="another"))["seat"] == "A1"
    await core.settle()
    assert world.seats == {"A1": 1}
    await at_rest(journal)


@scenario
async def test_a_call_whose_intent_nobody_confirmed_is_never_made() -> None:
    """The run was told that it was not; the same key once more would make it at the end of the run."""
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal, judge=world.judge(verifiable=False))
    journal.failing["intend"] = 1
    with pytest.raises(JournalError):
        await core.call(book("A1"), identity="call")
    await core.settle()
    assert world.seats == {}
    assert list((await at_rest(journal)).values()) == [Stage.FAILED]


@scenario
async def test_a_call_whose_intent_nobody_confirmed_can_be_asked_for_again() -> None:
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal)
    journal.failing["intend"] = 1
    with pytest.raises(JournalError):
        await core.call(book("A1"), identity="call")
    await core.call(book("A1"), identity="call")
    await core.settle()
    assert world.seats == {"A1": 1}
    assert list((await at_rest(journal)).values()) == [Stage.FAILED, Stage.COMMITTED]


@scenario
async def test_a_journal_away_while_an_answer_is_given_again_does_not_make_a_second_booking() -> None:
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal)
    world.failing["book"] = [OSError("the line is dead")]
    with pytest.raises(OSError, match="line is dead"):
        await core.call(book("A1"), identity="first")
    journal.failing["readopt"] = 1
    with pytest.raises(JournalError):
        await core.call(book("A1"), identity="second")
    await core.call(book("A1"), identity="third")
    await core.settle()
    assert world.seats == {"A1": 1}
    await at_rest(journal)


# ------------------------------------------------------------------ sessions out of reach


async def two_storeys(core: ScriptedCore, *, stubborn: bool) -> Lease:
    """An effect and one that builds on it, both under lost branches or both committed; see `stubborn`."""
    lease = await core.session.lease()
    for number in (0, 1):
        undo = UndoPlan(tool="cancel", arguments={"booking": "key"}, tolerates_missing=True)
        await core.journal.intend(
            lease,
            Intent(
                effect_id=f"e{number}",
                branch_id=f"b{number}",
                tool="book",
                schema_hash="h",
                policy_hash="p",
                effect=EffectClass.COMPENSATABLE,
                fingerprint=f"f{number}",
                args={"seat": "A1"},
                idem_key=f"k{number}",
                hypothesis="test",
                adopted_by=None if stubborn else f"real {number}",
                undo=None if stubborn and number else undo,
                depends_on=("e0",) if number else (),
            ),
        )
        await core.journal.record(lease, f"e{number}", Outcome(stage=Stage.DONE, result={"ok": True}))
    return lease


@scenario
async def test_what_waits_for_the_stuck_is_left_where_an_operator_can_take_it() -> None:
    """The process lives on: it must not keep what it does not come back to."""
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal)
    await two_storeys(core, stubborn=True)
    await core.settle()
    (session,) = (await journal.snapshot()).sessions
    assert session.state is SessionState.ACTIVE
    await asyncio.sleep(1)
    lease = await journal.take_session(session.session_id, owner="operator")
    assert lease is not None
    await journal.move(lease, "e1", Stage.STUCK, Stage.COMPENSATED, cause="resolved", error="by hand")
    await settle_session(journal, core.settler, lease, cause="resolved")
    assert set((await at_rest(journal)).values()) == {Stage.COMPENSATED}


@scenario
async def test_an_orphan_on_which_something_builds_that_stands_is_stuck_and_its_session_closes() -> None:
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal)
    await two_storeys(core, stubborn=False)
    await core.settle()
    run_lease = await journal.open_session("again", thread="thread", owner="heir")
    (lease,) = await journal.condemn(run_lease, ["e0"])
    report = await settle_session(journal, core.settler, lease, cause="orphaned")
    assert (report.stuck, report.waiting) == (1, 0)
    await journal.close_session(run_lease)
    assert await at_rest(journal) == {"e0": Stage.STUCK, "e1": Stage.COMMITTED}
    row = await journal.effect("e0")
    assert row is not None
    assert "builds on it" in row.error


@scenario
async def test_an_orphan_on_which_something_stuck_builds_waits_for_it() -> None:
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal, persistence=Persistence(tries=1))
    await two_storeys(core, stubborn=False)
    await core.settle()
    run_lease = await journal.open_session("again", thread="thread", owner="heir")
    (lease,) = await journal.condemn(run_lease, ["e1", "e0"])
    world.before["cancel"] = [OSError("away")]
    report = await settle_session(journal, core.settler, lease, cause="orphaned")
    assert (report.stuck, report.waiting) == (1, 1)
    row = await journal.effect("e1")
    assert row is not None
    assert await core.settler.retry(lease, row) is Stage.COMPENSATED
    await settle_session(journal, core.settler, lease, cause="orphaned")
    await journal.close_session(run_lease)
    assert set((await at_rest(journal)).values()) == {Stage.COMPENSATED}


@scenario
async def test_a_recovery_that_is_cancelled_gives_the_session_back() -> None:
    world, journal = LedgerWorld(), Shaky("scripted")
    core = core_of(world, journal)
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1)
    world.latency["cancel"] = 10
    recovering = asyncio.ensure_future(core.recover(owner="one"))
    await asyncio.sleep(5)
    recovering.cancel()
    await asyncio.wait({recovering})
    assert recovering.cancelled()
    report = await core.recover(owner="another")
    assert (report.recovered, report.held) == (1, 0)
    assert world.seats == {}


# ------------------------------------------------------------------ taking back as a whole


@scenario
async def test_a_run_that_is_over_cannot_be_taken_back_and_says_so() -> None:
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal)
    await core.call(book("A1"), identity="call")
    session = core.session
    await core.settle()
    with pytest.raises(ConflictError, match="taken back"):
        await core.coordinator.take_back(session)
    assert world.seats == {"A1": 1}


@scenario
async def test_a_journal_that_is_away_for_a_moment_does_not_lose_the_decision_to_take_back() -> None:
    world, journal = LedgerWorld(), Shaky("scripted")
    core = core_of(world, journal)
    await core.call(book("A1"), identity="call")
    journal.failing["decide_session"] = 1
    await core.take_back()
    assert world.seats == {}
    assert list((await at_rest(journal)).values()) == [Stage.COMPENSATED]


@scenario
async def test_a_take_back_that_cannot_be_decided_is_an_error_and_undoes_nothing() -> None:
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal)
    await core.call(book("A1"), identity="call")
    journal.failing["decide_session"] = 3
    with pytest.raises(JournalError, match="away"):
        await core.take_back()
    assert world.seats == {"A1": 1}


@scenario
async def test_a_take_back_of_a_run_that_goes_on_elsewhere_is_left_to_that() -> None:
    world, journal = LedgerWorld(), Shaky()
    core = core_of(world, journal)
    await core.call(book("A1"), identity="call")
    assert await journal.take_session(core.session.session_id, owner="heir", force=True)
    await core.take_back()
    assert world.seats == {"A1": 1}


# ------------------------------------------------------------------ who watches


@scenario
async def test_who_watches_survives_a_session_that_nobody_understands() -> None:
    """It is told once and left for a while, like any other that could not be finished."""
    world = LedgerWorld()
    told: list[Notice] = []
    looked = 0

    class Odd(MemoryJournal):
        async def unsettled(self, session_id: str) -> Any:
            nonlocal looked
            if session_id == "odd":
                looked += 1
                raise ValueError("'later' is not a valid Stage")
            return await super().unsettled(session_id)

    journal = Odd(LoopClock(), is_dead=lambda owner: owner == "dead")
    core = core_of(world, journal)
    for name in ("odd", "fine"):
        await journal.open_session(name, thread=name, owner="dead")
    watch = Watch(journal, core.settler, core.parts.registry, owner="watch", tell=told.append, every=0.05)
    stop = asyncio.Event()
    watching = asyncio.ensure_future(watch.run(stop))
    await asyncio.sleep(0.5)
    stop.set()
    await watching
    assert looked == 1
    assert {one.session_id: one.news for one in told} == {"odd": News.FAILED, "fine": News.RECOVERED}
