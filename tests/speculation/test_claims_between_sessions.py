"""Two sessions want the same thing: a guess gives way, a real call waits, what is stuck switches off."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.errors import ClaimedError, ConflictError, JournalError
from specflow.execution.inside import being_inside, inside
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.settlement.undo import Persistence
from specflow.speculation.session import SessionKey
from specflow.speculation.switched_off import SwitchedOff
from specflow.testing.explore import explore, run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from tests.speculation.scenarios import ended_once, scenario


def two(world: LedgerWorld, **options: object) -> tuple[ScriptedCore, ScriptedCore]:
    """Two processes, each with a conversation of its own, over one journal."""
    journal = MemoryJournal(LoopClock())
    judge = options.pop("judge", None) or world.judge()
    one, other = (
        ScriptedCore(world.tools(), judge, journal, thread=name, seed=seed, owner=name, **options)
        for seed, name in enumerate(("anna", "bert"))
    )
    return one, other


def now() -> float:
    return asyncio.get_running_loop().time()


async def at_rest(*cores: ScriptedCore) -> None:
    snapshot = await cores[0].journal.snapshot()
    assert verify(snapshot) == ()
    for core in cores:
        ended_once(core)


SEAT = Call(tool="book", args={"seat": "A1"})


@scenario
async def test_an_early_call_whose_key_is_claimed_elsewhere_is_withheld() -> None:
    world = LedgerWorld(latency={"book": 1.0})
    anna, bert = two(world)
    first, second = anna.begin(), bert.begin()
    anna.propose(first, "book", seat="A1")
    await asyncio.sleep(0.5)
    bert.propose(second, "book", seat="A1")
    bert.propose(second, "book", seat="B2")
    await asyncio.sleep(2.0)
    (withheld,) = bert.log.of(EventKind.WITHHELD)
    (holder,) = [row for row in (await anna.journal.snapshot()).effects if row.args == {"seat": "A1"}]
    assert (withheld.cause, withheld.effect_id) == ("claimed", holder.effect_id)
    assert world.seats == {"A1": 1, "B2": 1}, "the tool was not called for what was withheld"
    assert bert.session.spending.wasted_usd == 0.0
    ended = [event for event in bert.log.of(EventKind.RESOLVED) if event.cause == "claimed"]
    assert [event.outcome for event in ended] == ["cancelled"]
    anna.end(first, [SEAT])
    await anna.call(SEAT)
    bert.end(second, [SEAT])
    await bert.call(SEAT)
    assert world.seats == {"A1": 2}, "what the real run asks for is made, once nobody holds it"
    await anna.settle()
    await bert.settle()
    await at_rest(anna, bert)


@scenario
async def test_a_real_call_waits_for_the_end_of_a_claim() -> None:
    world = LedgerWorld(latency={"book": 3.0, "cancel": 1.0})
    anna, bert = two(world)
    turn = anna.begin()
    anna.propose(turn, "book", seat="A1")
    await asyncio.sleep(0.5)
    waiting = asyncio.create_task(bert.call(SEAT))
    await asyncio.sleep(1.0)
    anna.end(turn, [])
    await waiting
    assert now() >= 7.0, "the booking (3 s), its undo (1 s), and only then the real one (3 s)"
    assert [entry[0] for entry in world.log] == ["book", "cancel", "book"]
    assert world.seats == {"A1": 1}
    await anna.settle()
    await bert.settle()
    await at_rest(anna, bert)


@scenario
async def test_real_calls_for_one_key_take_turns() -> None:
    world = LedgerWorld(latency={"book": 2.0})
    anna, bert = two(world)
    await asyncio.gather(anna.call(SEAT), bert.call(SEAT), bert.call(Call(tool="book", args={"seat": "B2"})))
    assert 4.0 <= now() < 5.0
    assert world.seats == {"A1": 2, "B2": 1}
    await anna.settle()
    await bert.settle()
    await at_rest(anna, bert)


@scenario
async def test_a_real_call_waits_only_so_long_and_names_the_row() -> None:
    world = LedgerWorld(latency={"book": 60.0})
    anna, bert = two(world, conflict_wait=4.0)
    turn = anna.begin()
    anna.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    with pytest.raises(ConflictError, match=r"after 4 s") as caught:
        await bert.call(SEAT)
    assert now() == pytest.approx(5.0)
    (row,) = (await anna.journal.snapshot()).effects
    assert caught.value.facts["effect_id"] == row.effect_id
    assert row.effect_id in str(caught.value)
    assert "specflow journal show" in caught.value.hint
    assert world.log == []
    anna.end(turn, [])
    await anna.settle()
    await bert.settle()
    await at_rest(anna, bert)


@scenario
async def test_nobody_waits_for_what_only_a_person_can_settle() -> None:
    world = LedgerWorld(before={"cancel": [OSError("down") for _ in range(9)]})
    anna, bert = two(world, persistence=Persistence(tries=2, pause=0.1))
    turn = anna.begin()
    anna.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    anna.end(turn, [])
    await anna.settle()
    before = now()
    with pytest.raises(ClaimedError, match="stuck") as caught:
        await bert.call(SEAT)
    assert now() == before
    assert "specflow journal resolve" in caught.value.hint
    await bert.call(Call(tool="book", args={"seat": "B2"}))
    await bert.settle()
    await at_rest(anna, bert)


@scenario
async def test_a_real_call_ends_a_guess_of_another_conversation_of_the_process() -> None:
    world = LedgerWorld(latency={"cancel": 1.0})
    core = ScriptedCore(world.tools(), world.judge(), MemoryJournal(LoopClock()), thread="anna")
    guessing = core.begin()
    core.propose(guessing, "book", seat="A1")
    core.propose(guessing, "book", seat="B2")
    await asyncio.sleep(1.0)
    assert world.seats == {"A1": 1, "B2": 1}
    core.key = SessionKey(thread="bert")
    await core.call(SEAT)
    assert now() == pytest.approx(2.0, abs=1.0), "it did not wait for the end of the other turn"
    assert world.seats == {"A1": 1, "B2": 1}
    causes = [event.cause for event in core.log.of(EventKind.RESOLVED)]
    assert causes == ["preempted"]
    await core.settle()
    core.key = SessionKey(thread="anna")
    core.end(guessing, [])
    await core.settle()
    assert world.seats == {"A1": 1}
    await at_rest(core)


@scenario
async def test_what_a_message_asks_for_is_no_guess_any_more() -> None:
    world = LedgerWorld()
    core = ScriptedCore(world.tools(), world.judge(), MemoryJournal(LoopClock()), thread="anna")
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [SEAT])
    core.key = SessionKey(thread="bert")
    waiting = asyncio.create_task(core.call(SEAT))
    await asyncio.sleep(1.0)
    core.key = SessionKey(thread="anna")
    await core.call(SEAT)
    await waiting
    assert [entry[0] for entry in world.log] == ["book", "book"], "nothing had to be undone"
    assert core.log.outcomes()["hit"] == 1
    await core.settle()
    core.key = SessionKey(thread="bert")
    await core.settle()
    await at_rest(core)


@pytest.mark.parametrize("synchronous", [False, True])
def test_an_agent_that_is_a_tool_does_not_wait_for_its_caller(synchronous: bool) -> None:
    async def body() -> None:
        world = LedgerWorld()
        outer, inner = two(world)
        book = outer.parts.registry.require("book").runner
        assert book is not None

        async def delegate(call: Call, context: CallContext) -> object:
            if synchronous:
                # As on the caller's own thread: its context knows nothing of the call.
                effects = inside()
                alone = contextvars.Context()
                await asyncio.get_running_loop().create_task(again(effects), context=alone)
            else:
                await inner.call(SEAT)
            return await book(call, context)

        async def again(effects: tuple[str, ...]) -> None:
            assert inside() == ()
            with being_inside(effects):
                await inner.call(SEAT)

        await outer.call(SEAT, runner=delegate)
        assert now() == 0.0
        assert world.seats == {"A1": 2}
        assert inside() == ()
        await inner.settle()
        await outer.settle()
        await at_rest(outer, inner)

    run(body(), seed=0)


def get_stuck(world: LedgerWorld, core: ScriptedCore) -> Awaitable[None]:
    async def make() -> None:
        turn = core.begin()
        core.propose(turn, "book", seat="A1")
        await asyncio.sleep(1.0)
        core.end(turn, [])
        await core.settle()

    return make()


@scenario
async def test_one_stuck_effect_switches_early_writes_of_the_tool_off_in_other_sessions_too() -> None:
    world = LedgerWorld(before={"cancel": [OSError("down"), OSError("down")]})
    anna, bert = two(world, persistence=Persistence(tries=2, pause=0.1))
    await get_stuck(world, anna)
    (row,) = (await anna.journal.snapshot()).effects
    assert row.stage is Stage.STUCK
    turn = bert.begin()
    bert.propose(turn, "book", seat="C3")
    read = bert.propose(turn, "look", seat="C3")
    await asyncio.sleep(1.0)
    bert.propose(turn, "book", seat="D4")
    withheld = [(event.cause, event.effect_id) for event in bert.log.of(EventKind.WITHHELD)]
    assert withheld == [("stuck", row.effect_id)] * 2
    assert world.seats == {"A1": 1}
    bert.end(turn, [read])
    await bert.call(read)
    await bert.call(Call(tool="book", args={"seat": "C3"}))
    assert world.seats == {"A1": 1, "C3": 1}, "reads and real calls go on"
    await bert.settle()

    lease = await anna.journal.reopen_session(row.session_id, owner="operator")
    assert lease is not None
    assert await anna.journal.move(
        lease, row.effect_id, Stage.STUCK, Stage.COMPENSATED, cause="resolved", error="by hand"
    )
    await anna.journal.close_session(lease)
    for core, seat in ((anna, "E5"), (bert, "F6")):
        turn = core.begin()
        core.propose(turn, "book", seat=seat)
        await asyncio.sleep(1.0)
        assert world.seats[seat] == 1, "a new session switches it on again"
        core.end(turn, [])
        await core.settle()
    await at_rest(anna, bert)


@scenario
async def test_an_older_answer_does_not_hide_what_has_got_stuck_since() -> None:
    answers: list[tuple[float, dict[str, str]]] = [(3.0, {}), (1.0, {"book": "old"}), (1.0, {})]

    class Slow(MemoryJournal):
        async def stuck_tools(self, tenant: str) -> dict[str, str]:
            seconds, found = answers.pop(0)
            await asyncio.sleep(seconds)
            return found

    switched = SwitchedOff(Slow(LoopClock()), "")
    first = asyncio.create_task(switched.read())
    await asyncio.sleep(0.5)
    await switched.read()
    assert switched.by("book") == "old"
    await first
    assert switched.by("book") == "old", "the first question was answered last"
    third = asyncio.create_task(switched.read())
    await asyncio.sleep(0.5)
    switched.tell("pay", "new")
    await third
    assert (switched.by("book"), switched.by("pay"), switched.by("look")) == ("", "new", "")
    switched.resolved("pay", "another")
    assert switched.by("pay") == "new"
    switched.resolved("pay", "new")
    assert switched.by("pay") == ""


@scenario
async def test_a_journal_that_cannot_be_asked_starts_nothing() -> None:
    world = LedgerWorld()
    core, _other = two(world)
    journal = core.journal

    async def broken(tenant: str) -> dict[str, str]:
        raise JournalError("no answer")

    journal.stuck_tools = broken  # type: ignore[method-assign] # a journal whose reads fail
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    assert world.log == []
    core.end(turn, [SEAT])
    await core.call(SEAT)
    assert world.seats == {"A1": 1}
    await core.settle()
    await at_rest(core)


def test_two_conversations_in_any_order_keep_out_of_each_others_way() -> None:
    """Right and wrong guesses and real calls for one seat, in two sessions, under many schedules."""

    async def body() -> None:
        world = LedgerWorld(latency={"book": 0.2, "cancel": 0.1})
        cores = two(world)

        async def live(core: ScriptedCore, wanted: Call, guessed: str) -> None:
            turn = core.begin()
            core.propose(turn, "book", seat=guessed)
            await asyncio.sleep(0.1)
            core.end(turn, [wanted])
            await core.call(wanted)
            await core.settle()

        other = Call(tool="book", args={"seat": "B2"})
        await asyncio.gather(live(cores[0], SEAT, "A1"), live(cores[1], other, "A1"))
        assert world.seats == {"A1": 1, "B2": 1}
        await at_rest(*cores)

    explore(body, schedules=300)
