"""The life of a call through the real core: hits, late hits, misses, stale reads, undone writes."""

from __future__ import annotations

import asyncio

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.errors import ConflictError, RefusedError
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.settlement.undo import Persistence
from specflow.speculation.parts import Mode
from specflow.testing.explore import explore, run
from specflow.testing.ledger_world import LedgerWorld, SeatTakenError
from specflow.testing.scripted_core import ScriptedCore
from tests.speculation.scenarios import ended_once, scenario

SEATS = 2000


def core_of(world: LedgerWorld, **options: object) -> ScriptedCore:
    judge = options.pop("judge", None) or world.judge()
    journal = options.pop("journal", None) or MemoryJournal(LoopClock())
    return ScriptedCore(world.tools(), judge, journal, **options)


async def at_rest(core: ScriptedCore) -> None:
    """What must hold after every run, whatever happened in it."""
    snapshot = await core.journal.snapshot()
    assert verify(snapshot) == ()
    ended_once(core)


@scenario
async def test_a_finished_early_read_is_a_hit() -> None:
    world = LedgerWorld(latency={"look": 1.0})
    core = core_of(world)
    turn = core.begin()
    call = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(2.0)
    core.end(turn, [call])
    before = asyncio.get_running_loop().time()
    assert await core.call(call) == {"seat": "A1", "bookings": 0}
    assert asyncio.get_running_loop().time() == before
    assert world.log == [("read", "A1", "")]
    await core.settle()
    assert core.log.outcomes()["hit"] == 1
    (ended,) = core.log.of(EventKind.CALL_ENDED)
    assert ended.facts["saved"] == pytest.approx(1.0)
    assert ended.facts["runway"] == pytest.approx(2.0)
    await at_rest(core)


@scenario
async def test_an_early_read_still_running_is_promoted() -> None:
    world = LedgerWorld(latency={"look": 3.0})
    core = core_of(world)
    turn = core.begin()
    call = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [call])
    await core.call(call)
    assert asyncio.get_running_loop().time() == pytest.approx(3.0)
    assert len(world.log) == 1
    await core.settle()
    assert core.log.outcomes()["late"] == 1
    await at_rest(core)


@scenario
async def test_a_wrong_read_is_cancelled_and_the_right_one_run() -> None:
    world = LedgerWorld(latency={"look": 3.0})
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    right = Call(tool="look", args={"seat": "B2"})
    core.end(turn, [right])
    assert (await core.call(right))["seat"] == "B2"
    await core.settle()
    counted = core.log.outcomes()
    assert (counted["cancelled"], counted["miss"], counted["hit"]) == (1, 1, 0)
    assert world.log == [("read", "B2", "")], "the wrong one never finished"
    await at_rest(core)


@scenario
async def test_an_early_booking_is_adopted_once() -> None:
    world = LedgerWorld(latency={"book": 1.0})
    core = core_of(world)
    turn = core.begin()
    call = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(2.0)
    assert world.seats == {"A1": 1}
    core.end(turn, [call])
    booked = await core.call(call)
    await core.settle()
    assert world.seats == {"A1": 1}
    assert booked["seat"] == "A1"
    (row,) = (await core.journal.snapshot()).effects
    assert row.stage is Stage.COMMITTED
    await at_rest(core)


@scenario
async def test_a_booking_the_model_thought_better_of_disappears() -> None:
    world = LedgerWorld(latency={"book": 1.0, "cancel": 0.5})
    core = core_of(world)
    turn = core.begin()
    wrong = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.5)
    assert world.seats == {"A1": 1}
    core.retract(turn, wrong)
    right = core.propose(turn, "book", seat="B2")
    await asyncio.sleep(2.0)
    assert world.seats == {"B2": 1}
    core.end(turn, [right])
    await core.call(right)
    await core.settle()
    assert world.seats == {"B2": 1}
    assert [entry[:2] for entry in world.log] == [("book", "A1"), ("cancel", "A1"), ("book", "B2")]
    assert core.log.outcomes()["compensated"] == 1
    await at_rest(core)


@scenario
async def test_a_booking_in_flight_is_waited_for_and_then_undone() -> None:
    world = LedgerWorld(latency={"book": 5.0})
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [])
    await core.settle()
    assert asyncio.get_running_loop().time() >= 5.0
    assert world.seats == {}
    assert [entry[0] for entry in world.log] == ["book", "cancel"]
    await at_rest(core)


@scenario
async def test_a_real_read_waits_for_the_undo_in_its_way() -> None:
    world = LedgerWorld(latency={"cancel": 2.0})
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    look = Call(tool="look", args={"seat": "A1"})
    core.end(turn, [look])
    assert await core.call(look) == {"seat": "A1", "bookings": 0}, "it must not see what is being undone"
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_real_read_of_something_else_does_not_wait() -> None:
    world = LedgerWorld(latency={"cancel": 2.0})
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    look = Call(tool="look", args={"seat": "Z9"})
    core.end(turn, [look])
    await core.call(look)
    assert asyncio.get_running_loop().time() == pytest.approx(1.0)
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_real_call_that_cannot_wait_any_longer_says_so() -> None:
    world = LedgerWorld(latency={"cancel": 60.0})
    core = core_of(world, conflict_wait=5.0)
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    look = Call(tool="look", args={"seat": "A1"})
    core.end(turn, [look])
    with pytest.raises(ConflictError, match="still being undone"):
        await core.call(look)
    await core.settle()


@scenario
async def test_an_early_read_that_met_a_write_is_stale() -> None:
    world = LedgerWorld()
    core = core_of(world)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    book = Call(tool="book", args={"seat": "A1"})
    core.end(turn, [book, look])
    await core.call(book)
    assert (await core.call(look))["bookings"] == 1, "an early read from before the booking would say 0"
    await core.settle()
    assert core.log.outcomes()["stale"] == 1
    await at_rest(core)


@scenario
async def test_an_early_read_of_something_else_stays_fresh() -> None:
    world = LedgerWorld()
    core = core_of(world)
    turn = core.begin()
    look = core.propose(turn, "look", seat="Z9")
    await asyncio.sleep(1.0)
    book = Call(tool="book", args={"seat": "A1"})
    core.end(turn, [book, look])
    await core.call(book)
    await core.call(look)
    await core.settle()
    assert core.log.outcomes()["hit"] == 1
    await at_rest(core)


@scenario
async def test_without_footprints_any_write_makes_every_early_read_stale() -> None:
    world = LedgerWorld()
    core = core_of(world, judge=world.judge(footprints=False))
    turn = core.begin()
    look = core.propose(turn, "look", seat="Z9")
    await asyncio.sleep(1.0)
    book = Call(tool="book", args={"seat": "A1"})
    core.end(turn, [book, look])
    await core.call(book)
    await core.call(look)
    await core.settle()
    assert core.log.outcomes()["stale"] == 1
    await at_rest(core)


@scenario
async def test_a_write_during_the_wait_for_a_promoted_read_makes_it_stale() -> None:
    world = LedgerWorld(latency={"look": 3.0, "book": 1.0})
    core = core_of(world)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    book = Call(tool="book", args={"seat": "A1"})
    core.end(turn, [look, book])
    seen, _ = await asyncio.gather(core.call(look), core.call(book))
    assert seen["bookings"] == 1
    await core.settle()
    assert core.log.outcomes()["stale"] == 1
    await at_rest(core)


@scenario
async def test_the_same_call_twice_in_one_message_runs_twice() -> None:
    world = LedgerWorld()
    core = core_of(world)
    turn = core.begin()
    call = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [call, call])
    one, two = await asyncio.gather(core.call(call), core.call(call))
    assert one == two
    assert one is not two
    assert len(world.log) == 2, "one result is never given to two callers"
    await core.settle()
    counted = core.log.outcomes()
    assert (counted["hit"], counted["miss"]) == (1, 1)
    await at_rest(core)


@scenario
async def test_changing_a_result_changes_nobody_elses() -> None:
    world = LedgerWorld()
    core = core_of(world)
    turn = core.begin()
    call = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    speculation = core.session.pending.first(call.fingerprint)
    assert speculation is not None
    core.end(turn, [call])
    given = await core.call(call)
    given["bookings"] = 99
    assert speculation.work is not None
    assert speculation.work.result().value["bookings"] == 0
    await core.settle()


@scenario
async def test_the_same_real_call_again_is_answered_from_the_journal() -> None:
    world = LedgerWorld()
    core = core_of(world)
    book = Call(tool="book", args={"seat": "A1"})
    first = await core.call(book, identity="message 1, call 0")
    again = await core.call(book, identity="message 1, call 0")
    assert first == again
    assert len(world.log) == 1
    other = await core.call(book, identity="message 2, call 0")
    assert other != first, "a new, identical request of the user is a new call"
    await core.settle()
    await at_rest(core)


@scenario
async def test_an_adopted_booking_is_replayed_after_a_resume() -> None:
    world = LedgerWorld()
    journal = MemoryJournal(LoopClock())
    core = core_of(world, journal=journal)
    turn = core.begin()
    book = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [book])
    first = await core.call(book, identity="m1 c0")
    resumed = core_of(world, journal=journal, seed=7, owner="next process")
    again = await resumed.call(book, identity="m1 c0")
    assert again == first
    assert world.seats == {"A1": 1}
    await resumed.settle()
    await at_rest(resumed)


@scenario
async def test_a_failed_early_call_leaves_the_error_to_the_real_one() -> None:
    world = LedgerWorld(before={"look": [ValueError("broken line")]})
    core = core_of(world)
    turn = core.begin()
    call = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [call])
    assert (await core.call(call))["seat"] == "A1"
    await core.settle()
    assert core.log.outcomes()["miss"] == 1
    await at_rest(core)


@scenario
async def test_an_early_booking_of_unknown_outcome_is_undone_before_the_real_one_is_made() -> None:
    world = LedgerWorld(failing={"book": [TimeoutError("no answer")]})
    core = core_of(world)
    turn = core.begin()
    call = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [call])
    await core.call(call)
    await core.settle()
    assert world.seats == {"A1": 1}
    assert [entry[0] for entry in world.log] == ["book", "cancel", "book"]
    await at_rest(core)


@scenario
async def test_an_early_booking_that_certainly_did_not_happen_needs_no_undo() -> None:
    world = LedgerWorld(before={"book": [SeatTakenError("taken")]})
    core = core_of(world)
    turn = core.begin()
    call = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [call])
    await core.call(call)
    await core.settle()
    assert [entry[0] for entry in world.log] == ["book"]
    assert core.log.outcomes()["compensated"] == 0
    await at_rest(core)


@scenario
async def test_an_undo_that_fails_is_tried_again_under_the_same_key() -> None:
    world = LedgerWorld(before={"cancel": [OSError("down"), OSError("down")]})
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [])
    await core.settle()
    assert world.seats == {}
    (row,) = (await core.journal.snapshot()).effects
    assert row.stage is Stage.COMPENSATED
    assert row.attempts == 3
    await at_rest(core)


@scenario
async def test_an_undo_that_keeps_failing_is_stuck_and_blocks_its_own_twin_only() -> None:
    world = LedgerWorld(before={"cancel": [OSError("down") for _ in range(9)]})
    core = core_of(world, persistence=Persistence(tries=2, pause=0.1))
    turn = core.begin()
    wrong = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [])
    await asyncio.sleep(5.0)
    assert core.log.outcomes()["stuck"] == 1
    with pytest.raises(ConflictError, match="stuck"):
        await core.call(wrong)
    await core.call(Call(tool="book", args={"seat": "B2"}))
    turn = core.begin()
    core.propose(turn, "book", seat="C3")
    withheld = core.log.of(EventKind.WITHHELD)
    assert withheld[-1].cause == "stuck", "one stuck effect switches early writes of that tool off"
    core.end(turn, [])
    await core.settle()
    await at_rest(core)


@scenario
async def test_what_needs_a_person_never_runs_early_and_never_without_a_yes() -> None:
    world = LedgerWorld()
    core = core_of(world)
    turn = core.begin()
    charge = core.propose(turn, "charge", confidence=1.0, amount=99)
    await asyncio.sleep(1.0)
    core.end(turn, [charge])
    assert world.charges == []
    with pytest.raises(RefusedError, match="approval"):
        await core.call(charge)
    assert world.charges == []
    await core.call(charge, approved=True)
    assert world.charges == [99]
    await core.settle()
    await at_rest(core)


@scenario
async def test_shadow_mode_runs_nothing_early() -> None:
    world = LedgerWorld()
    core = core_of(world, mode=Mode.SHADOW)
    turn = core.begin()
    call = core.propose(turn, "look", seat="A1")
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    assert world.log == []
    assert [event.cause for event in core.log.of(EventKind.WITHHELD)] == ["mode", "mode"]
    core.end(turn, [call])
    await core.call(call)
    await core.settle()
    await at_rest(core)


@pytest.mark.parametrize(
    ("tool", "args"),
    [
        ("nothing_like_it", {}),
        ("look", {}),
        ("look", {"seat": 7}),
        ("cancel", {"booking": "x"}),
    ],
)
def test_what_cannot_or_may_not_run_is_withheld(tool: str, args: dict[str, object]) -> None:
    async def body() -> None:
        world = LedgerWorld()
        core = core_of(world)
        turn = core.begin()
        core.propose(turn, tool, **args)
        await asyncio.sleep(1.0)
        assert len(core.log.of(EventKind.WITHHELD)) == 1
        assert world.log == []
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_a_flood_of_candidates_starts_only_so_many() -> None:
    async def body() -> None:
        world = LedgerWorld(latency={"look": 1.0})
        core = core_of(world)
        turn = core.begin()
        for number in range(10_000):
            core.propose(turn, "look", seat=f"S{number}")
        await asyncio.sleep(5.0)
        assert len(world.log) <= 64
        core.end(turn, [])
        await core.settle()
        await at_rest(core)

    run(body(), seed=0)


def test_any_order_of_promotion_undo_and_end_keeps_the_promises() -> None:
    """Parallel calls, a retraction and the end of the run, under many schedules."""

    async def body() -> None:
        world = LedgerWorld(latency={"book": 0.2, "look": 0.1, "cancel": 0.1})
        core = core_of(world)
        turn = core.begin()
        wrong = core.propose(turn, "book", seat="A1")
        read = core.propose(turn, "look", seat="Z9")
        await asyncio.sleep(0.1)
        core.retract(turn, wrong)
        right = core.propose(turn, "book", seat="B2")
        await asyncio.sleep(0.1)
        core.end(turn, [right, read, Call(tool="look", args={"seat": "A1"})])
        answers = await asyncio.gather(
            core.call(right), core.call(read), core.call(Call(tool="look", args={"seat": "A1"}))
        )
        assert answers[2] == {"seat": "A1", "bookings": 0}
        await core.settle()
        assert world.seats == {"B2": 1}
        await at_rest(core)

    explore(body, schedules=500)
