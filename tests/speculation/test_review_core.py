"""What an adversary of the core found: lost cancellations, stale reads, sessions that close under others."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.errors import ConflictError, FencedError, JournalError, RefusedError
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.lifecycle import SessionState, Stage
from specflow.policy.settings import Match
from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.settlement.undo import Persistence
from specflow.speculation.adopt import RealCall
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.parts import Mode
from specflow.speculation.session import SessionKey
from specflow.speculation.turn import Turn
from specflow.testing.cancellation import cancel_everywhere
from specflow.testing.explore import explore, run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import StaticJudge
from tests.speculation.scenarios import ended_once, scenario


class LateJournal:
    """The memory journal as a database is seen: an answer comes late, and a cancelled wait cancels nothing.

    `before` seconds pass until a change is made, `after` until the answer is there.
    """

    def __init__(self, *, before: float = 0.0, after: float = 0.0) -> None:
        self.inner = MemoryJournal(LoopClock())
        self.before, self.after = before, after
        self.tail: asyncio.Future[Any] | None = None
        self.failing: dict[str, list[BaseException]] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def ask(*args: Any, **options: Any) -> Any:
            if self.failing.get(name):
                raise self.failing[name].pop(0)
            previous, done = self.tail, asyncio.get_running_loop().create_future()

            async def in_order() -> Any:
                try:
                    if previous is not None:
                        await asyncio.wait({previous})
                    await asyncio.sleep(self.before)
                    value = await method(*args, **options)
                finally:
                    done.set_result(None)
                await asyncio.sleep(self.after)
                return value

            self.tail = done
            task = asyncio.ensure_future(in_order())
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            return await asyncio.shield(task)

        return ask


def core_of(world: LedgerWorld, **options: Any) -> ScriptedCore:
    judge = options.pop("judge", None) or world.judge()
    journal = options.pop("journal", None) or MemoryJournal(LoopClock())
    return ScriptedCore(world.tools(), judge, journal, **options)


def judge_with(world: LedgerWorld, **settings: Any) -> StaticJudge:
    """The world's policy with other settings for `look`."""
    judge = world.judge()
    rule = judge._rules["look"]
    judge._rules["look"] = replace(rule, settings=replace(rule.settings, **settings))
    return judge


def begin_run(core: ScriptedCore) -> Turn:
    """A turn that answers the user's own words: a run begins."""
    history = (HistoryItem(role="user", text="go"),)
    context = TurnContext(tools=core.parts.registry, history=history)
    return core.coordinator.begin_turn(core.session, context, contextvars.copy_context())


async def at_rest(core: ScriptedCore) -> None:
    snapshot = await core.journal.snapshot()
    assert verify(snapshot) == ()
    ended_once(core)


# ---------------------------------------------------------------------- freshness


@scenario
async def test_a_read_older_than_its_ttl_is_not_adopted() -> None:
    world = LedgerWorld()
    core = core_of(world, judge=judge_with(world, ttl=5.0))
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(6.0)
    core.end(turn, [look])
    await core.call(look)
    await core.settle()
    assert core.log.outcomes()["stale"] == 1
    assert len(world.log) == 2
    await at_rest(core)


@scenario
async def test_a_read_within_its_ttl_outlives_its_turn_and_is_adopted() -> None:
    world = LedgerWorld()
    core = core_of(world, judge=judge_with(world, ttl=5.0))
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [])
    turn = core.begin()
    await asyncio.sleep(1.0)
    core.end(turn, [look])
    await core.call(look)
    await core.settle()
    assert core.log.outcomes()["hit"] == 1
    await at_rest(core)


@scenario
async def test_a_slow_read_still_running_is_as_old_as_its_runway() -> None:
    world = LedgerWorld(latency={"look": 9.0})
    core = core_of(world, judge=judge_with(world, ttl=2.0))
    for patience in (1.0, 6.0):
        turn = core.begin()
        look = core.propose(turn, "look", seat="A1")
        await asyncio.sleep(patience)
        core.end(turn, [look])
        await core.call(look)
    await core.settle()
    assert (core.log.outcomes()["late"], core.log.outcomes()["stale"]) == (1, 1)


@scenario
async def test_a_turn_of_another_agent_does_not_forget_the_write_that_a_promoted_read_met() -> None:
    world = LedgerWorld(latency={"look": 5.0})
    core = core_of(world)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [look, Call(tool="book", args={"seat": "A1"})])
    reading = asyncio.create_task(core.call(look))
    await asyncio.sleep(1.0)
    await core.call(Call(tool="book", args={"seat": "A1"}))
    await asyncio.sleep(1.0)
    other = core.begin(lane="another agent")
    await reading
    core.end(other, [])
    await core.settle()
    assert core.log.outcomes()["stale"] == 1, "the write began and ended while the read was awaited"
    await at_rest(core)


@scenario
async def test_a_read_under_another_spelling_meets_the_write_all_the_same() -> None:
    world = LedgerWorld()
    match = Match(mode="normalised", fields={"seat": "upper"})
    core = core_of(world, judge=judge_with(world, match=match))
    turn = core.begin()
    core.propose(turn, "look", seat=" a1 ")
    await asyncio.sleep(1.0)
    book, look = Call(tool="book", args={"seat": "A1"}), Call(tool="look", args={"seat": "A1"})
    core.end(turn, [book, look])
    await core.call(book)
    assert (await core.call(look))["bookings"] == 1, "what was read before the booking is stale"
    await core.settle()
    assert core.log.outcomes()["stale"] == 1
    await at_rest(core)


# ---------------------------------------------------------------------- hostile values


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999"])
def test_a_number_that_is_none_breaks_nothing(text: str) -> None:
    async def body() -> None:
        world = LedgerWorld()
        match = Match(mode="normalised", fields={"seat": "number"})
        core = core_of(world, judge=judge_with(world, match=match))
        turn = core.begin()
        look = core.propose(turn, "look", seat=text)
        core.end(turn, [look])
        assert (await core.call(look))["seat"] == text
        await core.settle()
        await at_rest(core)

    run(body(), seed=0)


@scenario
async def test_a_result_that_cannot_be_copied_is_handed_out_as_it_is() -> None:
    world = LedgerWorld()
    core = core_of(world)
    made = [iter(())]

    async def opening(call: Call, context: Any) -> Any:
        return made[0]

    spec = core.parts.registry.require("look")
    core.parts.registry._tools["look"] = replace(spec, runner=opening)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    generator = (number for number in range(3))
    made[0] = generator  # type: ignore[call-overload]  # what a tool may well return
    await asyncio.sleep(1.0)
    core.end(turn, [look])
    assert await core.call(look) is generator
    await core.settle()


@scenario
async def test_a_judge_or_schema_that_fails_starts_nothing_and_breaks_nothing() -> None:
    world = LedgerWorld()
    core = core_of(world)
    spec = core.parts.registry.require("look")
    broken = {"type": "object", "properties": {"seat": {"$ref": "#/nowhere"}}}
    core.parts.registry._tools["look"] = replace(spec, parameters=broken)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    assert world.log == []
    core.end(turn, [look])
    assert (await core.call(look))["seat"] == "A1"
    await core.settle()


# ---------------------------------------------------------------------- cancellation


class Setting:
    """A world and a core on a journal whose answers come late."""

    def __init__(self, **latency: float) -> None:
        self.world = LedgerWorld(latency={"book": 0.2, "look": 0.1, "cancel": 0.1, **latency})
        self.journal = LateJournal(before=0.01, after=0.01)
        self.core = core_of(self.world, journal=self.journal)


async def _booking(it: Setting) -> None:
    await it.core.call(Call(tool="book", args={"seat": "A1"}), identity="m1 c0")
    await it.core.settle()


async def _adoption(it: Setting) -> None:
    turn = it.core.begin()
    book = it.core.propose(turn, "book", seat="A1")
    look = it.core.propose(turn, "look", seat="Z9")
    await asyncio.sleep(0.1)
    it.core.end(turn, [book, look])
    await it.core.call(look)
    await it.core.call(book, identity="m1 c0")
    await it.core.settle()


async def _retraction(it: Setting) -> None:
    turn = it.core.begin()
    wrong = it.core.propose(turn, "book", seat="A1")
    await asyncio.sleep(0.1)
    it.core.retract(turn, wrong)
    right = it.core.propose(turn, "book", seat="B2")
    await asyncio.sleep(0.1)
    it.core.end(turn, [right])
    await it.core.call(right, identity="m1 c0")
    await it.core.settle()


async def _settle(it: Setting) -> None:
    turn = it.core.begin()
    it.core.propose(turn, "book", seat="A1")
    await asyncio.sleep(0.1)
    it.core.end(turn, [])
    await it.core.settle()


async def _clean(it: Setting) -> None:
    """After a cancellation anywhere, the runtime's own end brings everything to rest."""
    await it.core.coordinator.aclose()
    await at_rest(it.core)
    snapshot = await it.journal.snapshot()
    for row in snapshot.sessions:
        assert row.state is SessionState.CLOSED
    committed = {row.args["seat"] for row in snapshot.effects if row.stage is Stage.COMMITTED}
    assert set(it.world.seats) == committed, "booked is what is committed, and nothing else"
    assert all(count == 1 for count in it.world.seats.values())
    # The same real call again: answered, made, or refused, but never a second booking.
    for seat in ("A1", "B2"):
        if seat in committed:
            await it.core.call(Call(tool="book", args={"seat": seat}), identity="m1 c0")
            assert it.world.seats[seat] == 1
    # And the conversation goes on.
    await it.core.call(Call(tool="book", args={"seat": "C3"}), identity="m2 c0")
    await it.core.coordinator.aclose()
    assert it.world.seats["C3"] == 1


@pytest.mark.parametrize("story", [_booking, _adoption, _retraction, _settle])
def test_cancelled_at_any_await_nothing_is_lost_or_doubled(story: Any) -> None:
    report = cancel_everywhere(story, world=Setting, check=_clean, leaks="error")
    assert report.trials > 5


@pytest.mark.parametrize("story", [_booking, _adoption, _settle])
def test_cancelled_while_the_tool_is_slow(story: Any) -> None:
    report = cancel_everywhere(story, world=lambda: Setting(book=1.0), check=_clean)
    assert report.trials > 5


@scenario
async def test_a_payment_cancelled_before_it_was_made_is_not_made_when_the_run_is_settled() -> None:
    """The intent is in the journal, the call was never made, and we know it was not."""
    it = Setting()
    it.journal.after = 1.0
    calling = asyncio.create_task(_booking(it))
    while not (await it.journal.inner.snapshot()).effects:
        await asyncio.sleep(0.05)
    calling.cancel()
    await asyncio.wait({calling})
    it.journal.after = 0.0
    await it.core.settle()
    assert it.world.log == [], "nobody wants it any more"
    (row,) = (await it.journal.snapshot()).effects
    assert row.stage is Stage.FAILED
    await at_rest(it.core)


# ---------------------------------------------------------------------- sessions that end


@scenario
async def test_an_agent_that_finishes_does_not_settle_under_a_sibling_that_is_thinking() -> None:
    world = LedgerWorld(latency={"book": 2.0})
    core = core_of(world)
    await core.call(Call(tool="book", args={"seat": "Z9"}))
    one, two = core.begin(lane="one"), core.begin(lane="two")
    core.end(one, [])
    await core.coordinator.finish(one.session, "one", "run_ended")
    book = core.propose(two, "book", seat="A1")
    await asyncio.sleep(3.0)
    core.end(two, [book])
    await core.call(book)
    assert [entry[:2] for entry in world.log] == [("book", "Z9"), ("book", "A1")]
    assert core.log.outcomes()["hit"] == 1
    await core.coordinator.finish(two.session, "two", "run_ended")
    assert len(core.log.of(EventKind.SETTLED)) == 1
    await at_rest(core)


@scenario
async def test_nothing_is_started_in_a_session_that_is_closing() -> None:
    world = LedgerWorld(latency={"cancel": 3.0})
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    closing = asyncio.create_task(core.settle())
    await asyncio.sleep(1.0)
    core.propose(turn, "book", seat="B2")
    core.propose(turn, "look", seat="C3")
    await closing
    await asyncio.sleep(10.0)
    assert [entry[:2] for entry in world.log] == [("book", "A1"), ("cancel", "A1")]
    assert world.seats == {}
    core.end(turn, [])
    await at_rest(core)


@scenario
async def test_shutting_down_waits_for_the_real_write_in_flight() -> None:
    world = LedgerWorld(latency={"book": 5.0})
    core = core_of(world, judge=world.judge(keyed=False, verifiable=False, tolerant=False))
    calling = asyncio.create_task(core.call(Call(tool="book", args={"seat": "A1"})))
    await asyncio.sleep(1.0)
    await core.coordinator.aclose()
    assert (await calling)["seat"] == "A1"
    (row,) = (await core.journal.snapshot()).effects
    assert row.stage is Stage.COMMITTED, "it was made, and is on record as made"
    await at_rest(core)


@scenario
async def test_shutting_down_waits_for_the_promoted_write() -> None:
    world = LedgerWorld(latency={"book": 5.0})
    core = core_of(world)
    turn = core.begin()
    book = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [book])
    calling = asyncio.create_task(core.call(book))
    await asyncio.sleep(1.0)
    await core.coordinator.aclose()
    await calling
    assert [entry[0] for entry in world.log] == ["book"]
    await at_rest(core)


@scenario
async def test_a_call_that_comes_while_the_session_closes_waits_and_gets_a_new_one() -> None:
    world = LedgerWorld(latency={"cancel": 3.0})
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [])
    closing = asyncio.create_task(core.settle())
    await asyncio.sleep(0.5)
    await core.call(Call(tool="book", args={"seat": "A1"}))
    await closing
    await core.settle()
    assert [entry[0] for entry in world.log] == ["book", "cancel", "book"]
    assert world.seats == {"A1": 1}
    await at_rest(core)


@scenario
async def test_a_journal_that_fails_at_the_end_does_not_take_the_answer_away() -> None:
    world = LedgerWorld()
    journal = LateJournal()
    core = core_of(world, journal=journal)
    turn = core.begin()
    core.end(turn, [])
    await core.call(Call(tool="book", args={"seat": "A1"}))
    journal.failing["close_session"] = [JournalError("the disk is full")]
    await core.coordinator.finish(core.session, "", "run_ended")
    # What could not be closed is recovered with the next run of the conversation.
    await core.call(Call(tool="look", args={"seat": "A1"}))
    await core.settle()
    assert {row.state for row in (await journal.snapshot()).sessions} == {SessionState.CLOSED}


@scenario
async def test_a_conversation_that_went_on_elsewhere_can_come_back() -> None:
    """Process A is left at an interrupt; B goes on with the conversation; then A gets the next message."""
    world = LedgerWorld()
    journal = MemoryJournal(LoopClock())
    here = core_of(world, journal=journal, owner="A")
    there = core_of(world, journal=journal, owner="B", seed=9)
    await here.call(Call(tool="book", args={"seat": "A1"}))
    await there.call(Call(tool="book", args={"seat": "B2"}))
    turn = begin_run(here)
    book = here.propose(turn, "book", seat="C3")
    await asyncio.sleep(1.0)
    here.end(turn, [book])
    await here.call(book)
    await here.coordinator.finish(here.session, "", "run_ended")
    with pytest.raises(FencedError):
        await there.call(Call(tool="book", args={"seat": "D4"}))
    assert world.seats == {"A1": 1, "B2": 1, "C3": 1}, "a run that was overtaken writes nothing more"
    turn = begin_run(there)
    there.end(turn, [])
    await there.call(Call(tool="book", args={"seat": "E5"}))
    await there.settle()
    assert world.seats == {"A1": 1, "B2": 1, "C3": 1, "E5": 1}
    assert verify(await journal.snapshot()) == ()


@scenario
async def test_the_end_of_a_run_that_was_overtaken_is_no_error_of_the_users() -> None:
    world = LedgerWorld()
    journal = MemoryJournal(LoopClock())
    here = core_of(world, journal=journal, owner="A")
    there = core_of(world, journal=journal, owner="B", seed=9)
    await here.call(Call(tool="book", args={"seat": "A1"}))
    await there.call(Call(tool="book", args={"seat": "B2"}))
    await here.coordinator.finish(here.session, "", "run_ended")
    await there.coordinator.finish(there.session, "", "run_ended")
    assert verify(await journal.snapshot()) == ()


@scenario
async def test_a_second_coordinator_of_the_process_leaves_a_living_session_alone() -> None:
    """A sub-agent called synchronously runs on another loop, in the same conversation."""
    world = LedgerWorld(latency={"book": 4.0})
    core = core_of(world)
    inner = Coordinator(core.parts)
    outer = asyncio.create_task(core.call(Call(tool="book", args={"seat": "A1"})))
    await asyncio.sleep(1.0)
    tool = core.parts.registry.require("book")
    assert tool.runner is not None
    await inner.real_call(
        inner.session(core.key),
        RealCall(call=Call(tool="book", args={"seat": "B2"}), tool=tool, runner=tool.runner, identity="in"),
    )
    await inner.aclose()
    await outer
    await core.settle()
    assert world.seats == {"A1": 1, "B2": 1}
    assert {row.stage for row in (await core.journal.snapshot()).effects} == {Stage.COMMITTED}
    assert len(world.log) == 2
    await at_rest(core)


@scenario
async def test_a_booking_the_message_asked_for_is_undone_when_nobody_comes_for_it() -> None:
    """The run stopped between the message and its tools (another middleware's interrupt, a crash)."""
    world = LedgerWorld()
    core = core_of(world)
    turn = core.begin()
    book = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [book])
    await asyncio.sleep(3600.0)
    assert world.seats == {}, "a write never outlives its turn by much"
    await core.settle()
    await at_rest(core)


@scenario
async def test_sessions_of_conversations_that_never_end_are_let_go() -> None:
    world = LedgerWorld()
    core = core_of(world)
    kept: list[weakref.ref[Any]] = []
    for number in range(50):
        session = core.coordinator.session(SessionKey(thread=f"thread {number}"))
        tool = core.parts.registry.require("book")
        assert tool.runner is not None
        call = Call(tool="book", args={"seat": f"S{number}"})
        await core.coordinator.real_call(
            session, RealCall(call=call, tool=tool, runner=tool.runner, identity=f"id {number}")
        )
        kept.append(weakref.ref(session))
        del session
        await asyncio.sleep(600.0)
    gc.collect()
    assert sum(ref() is not None for ref in kept) < 10
    assert len(core.log.of(EventKind.SETTLED)) > 40
    await core.coordinator.aclose()
    assert {row.state for row in (await core.journal.snapshot()).sessions} == {SessionState.CLOSED}


# ---------------------------------------------------------------------- stuck


@scenario
async def test_a_stuck_twin_stands_in_the_way_until_it_is_resolved_and_no_longer() -> None:
    world = LedgerWorld(before={"cancel": [OSError("down") for _ in range(2)]})
    core = core_of(world, persistence=Persistence(tries=2, pause=0.1))
    turn = core.begin()
    wrong = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [])
    await asyncio.sleep(5.0)
    with pytest.raises(ConflictError, match="stuck"):
        await core.call(wrong)
    (row,) = (await core.journal.snapshot()).effects
    lease = await core.session.lease()
    await core.journal.move(lease, row.effect_id, Stage.STUCK, Stage.COMPENSATED, cause="resolved by hand")
    world.bookings.clear()
    assert (await core.call(wrong))["seat"] == "A1"
    await core.settle()


def test_a_twin_that_recovery_finds_stuck_stands_in_the_way_too() -> None:
    """The process died; the resumed run asks for the very call whose early twin nobody can settle."""

    async def body() -> None:
        world = LedgerWorld(latency={"book": 5.0})
        judge = world.judge(tolerant=False, verifiable=False)
        journal = MemoryJournal(LoopClock())
        dying = core_of(world, journal=journal, judge=judge, owner="dying")
        turn = dying.begin()
        book = dying.propose(turn, "book", seat="A1")
        await asyncio.sleep(1.0)
        resumed = core_of(world, journal=journal, judge=judge, owner="next", seed=5)
        with pytest.raises(ConflictError, match="stuck"):
            await resumed.call(book)
        assert len(world.log) <= 1, "it is not booked a second time beside it"
        await resumed.settle()

    run(body(), seed=0)  # what the dying one had begun is left, as it would be


# ---------------------------------------------------------------------- the door


class SteeringError(Exception):
    """A framework's own control flow."""


@scenario
async def test_control_flow_is_not_retried() -> None:
    world = LedgerWorld(before={"look": [SteeringError("pause"), SteeringError("again")]})
    core = core_of(world, judge=judge_with(world, retries=2, backoff=0.1))
    core.parts.door.steers = lambda error: isinstance(error, SteeringError)
    with pytest.raises(SteeringError, match="pause"):
        await core.call(Call(tool="look", args={"seat": "A1"}))
    await core.settle()


@scenario
async def test_a_real_call_whose_outcome_is_unknown_is_verified_before_it_is_made_again() -> None:
    world = LedgerWorld(failing={"book": [TimeoutError("no answer")]})
    core = core_of(world, judge=world.judge(keyed=False))
    book = Call(tool="book", args={"seat": "A1"})
    with pytest.raises(TimeoutError):
        await core.call(book, identity="m1 c0")
    again = await core.call(book, identity="m1 c0")
    assert again["seat"] == "A1"
    assert world.seats == {"A1": 1}, "it had happened: the answer is found, not made again"
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_real_call_that_verifiably_did_not_happen_is_made() -> None:
    world = LedgerWorld(before={"book": [TimeoutError("no answer")]})
    core = core_of(world, judge=world.judge(keyed=False))
    book = Call(tool="book", args={"seat": "A1"})
    with pytest.raises(TimeoutError):
        await core.call(book, identity="m1 c0")
    assert (await core.call(book, identity="m1 c0"))["seat"] == "A1"
    assert world.seats == {"A1": 1}
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_real_call_nobody_can_tell_about_stays_refused() -> None:
    world = LedgerWorld(failing={"book": [TimeoutError("no answer")]})
    core = core_of(world, judge=world.judge(keyed=False, verifiable=False, tolerant=False))
    book = Call(tool="book", args={"seat": "A1"})
    with pytest.raises(TimeoutError):
        await core.call(book, identity="m1 c0")
    with pytest.raises(ConflictError, match="unknown"):
        await core.call(book, identity="m1 c0")
    assert world.seats == {"A1": 1}
    await core.settle()


# ---------------------------------------------------------------------- schedules


def test_lanes_that_finish_in_any_order_keep_the_promises() -> None:
    """Two agents of one conversation, one finishing while the other thinks, acts or is undone."""

    async def body() -> None:
        world = LedgerWorld(latency={"book": 0.2, "look": 0.1, "cancel": 0.2})
        core = core_of(world, journal=LateJournal(before=0.01, after=0.02))

        async def agent(lane: str, seat: str, wrong: str) -> None:
            turn = core.begin(lane=lane)
            guess = core.propose(turn, "book", seat=wrong)
            await asyncio.sleep(0.15)
            core.retract(turn, guess)
            right = core.propose(turn, "book", seat=seat)
            await asyncio.sleep(0.05)
            core.end(turn, [right])
            await core.call(right)
            last = core.begin(lane=lane)
            await asyncio.sleep(0.1)
            core.end(last, [])
            await core.coordinator.finish(last.session, lane, "run_ended")

        await asyncio.gather(agent("one", "A1", "X1"), agent("two", "B2", "X2"), agent("three", "C3", "X3"))
        await core.coordinator.aclose()
        assert world.seats == {"A1": 1, "B2": 1, "C3": 1}
        await at_rest(core)

    explore(body, schedules=80, step_seconds=0.01)


@scenario
async def test_off_and_shadow_still_refuse_what_the_policy_denies_by_name() -> None:
    world = LedgerWorld()
    core = core_of(world, mode=Mode.SHADOW)
    with pytest.raises(RefusedError):
        await core.call(Call(tool="charge", args={"amount": 5}))
    assert world.charges == []
