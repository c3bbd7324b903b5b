"""One effect at a time: every way in which an undo, a verify or a repetition can go, and where it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import AuthorError, FencedError
from specflow.execution.time_allowed import UNBOUNDED
from specflow.identity import SeededIds
from specflow.journal.event import Observers
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import EffectRow, Intent, Lease, Outcome, UndoPlan, VerifyPlan
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.sealing.sealed import Sealed
from specflow.settlement.recover import recover
from specflow.settlement.rest import LOST, REPEAT_TIMEOUT
from specflow.settlement.stored import compile_stored
from specflow.settlement.undo import Persistence
from specflow.speculation.assemble import assemble
from specflow.speculation.parts import Parts
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import EventLog

UNDO = UndoPlan(tool="cancel", arguments={"booking": "result.booking_id"})
TOLERANT = UndoPlan(tool="cancel", arguments={"booking": "key"}, tolerates_missing=True)
VERIFY = VerifyPlan(tool="find", arguments={"booking": "key"})
DONE = Outcome(stage=Stage.DONE, result={"booking_id": "k1", "seat": "A1"})
RAISED = Outcome(stage=Stage.UNKNOWN, error="TimeoutError: no answer")


class Bench:
    """A journal with one effect in it, the tools of the ledger world, and the real settler."""

    def __init__(self, world: LedgerWorld, tools: list[ToolSpec] | None = None) -> None:
        self.world = world
        self.log = EventLog()
        self.journal = MemoryJournal(LoopClock(), is_dead=lambda owner: owner == "dead")
        self.registry = ToolRegistry(world.tools() if tools is None else tools)
        self.parts: Parts = assemble(
            registry=self.registry,
            judge=world.judge(),
            journal=self.journal,
            clock=LoopClock(),
            ids=SeededIds(0),
            observers=Observers([self.log]),
            persistence=Persistence(tries=2, pause=0.1),
        )
        self.lease = Lease(session_id="", owner="", fence=0)

    async def effect(
        self,
        outcome: Outcome | None,
        *,
        adopted: bool = False,
        abort: bool = True,
        **intent: Any,
    ) -> EffectRow:
        """A booking of seat A1 with key k1, early and aborted, or real; `outcome` None: it was lost."""
        self.lease = await self.journal.open_session("s1", thread="t", owner="dead")
        made = Intent(
            **{
                "effect_id": "e1",
                "branch_id": "b1",
                "tool": "book",
                "schema_hash": "h",
                "policy_hash": "p",
                "effect": EffectClass.COMPENSATABLE,
                "fingerprint": Call(tool="book", args={"seat": "A1"}).fingerprint,
                "args": {"seat": "A1"},
                "idem_key": "k1",
                "keyed": True,
                "hypothesis": "test",
                "adopted_by": "the real call" if adopted else None,
                "undo": UNDO,
                **intent,
            }
        )
        await self.journal.intend(self.lease, made)
        if outcome is not None:
            await self.journal.record(self.lease, "e1", outcome)
        if not adopted and abort:
            await self.journal.abort(self.lease, "b1", "test")
        return await self.row()

    async def row(self) -> EffectRow:
        found = await self.journal.effect("e1")
        assert found is not None
        return found

    async def rest(self) -> Stage:
        stage = await self.parts.settler.rest(self.lease, await self.row(), cause="test")
        assert verify(await self.journal.snapshot()) == ()
        assert (await self.row()).stage is stage
        return stage


def loop(body: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        run(body(), seed=0)

    test.__name__ = body.__name__
    return test


def booked() -> LedgerWorld:
    return LedgerWorld(bookings={"k1": "A1"})


def without(world: LedgerWorld, name: str) -> list[ToolSpec]:
    return [tool for tool in world.tools() if tool.name != name]


def bodiless(world: LedgerWorld, name: str) -> list[ToolSpec]:
    return [replace(tool, runner=None) if tool.name == name else tool for tool in world.tools()]


@loop
async def test_what_is_known_to_have_happened_is_undone() -> None:
    bench = Bench(booked())
    await bench.effect(DONE)
    assert await bench.rest() is Stage.COMPENSATED
    assert bench.world.seats == {}


@loop
async def test_a_branch_that_is_still_open_is_left_alone() -> None:
    bench = Bench(booked())
    await bench.effect(DONE, abort=False)
    assert await bench.rest() is Stage.DONE
    assert bench.world.seats == {"A1": 1}


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        (lambda world: without(world, "cancel"), "unknown tool 'cancel'"),
        (lambda world: bodiless(world, "cancel"), "cannot be run in this process"),
        (lambda world: without(world, "book"), "not declared to undo"),
    ],
    ids=["not registered", "no body", "the tool itself is unknown"],
)
def test_without_its_compensator_it_is_stuck_and_says_why(
    tools: Callable[[LedgerWorld], list[ToolSpec]], reason: str
) -> None:
    async def body() -> None:
        world = booked()
        bench = Bench(world, tools(world))
        await bench.effect(DONE)
        assert await bench.rest() is Stage.STUCK
        assert reason in (await bench.row()).error

    run(body(), seed=0)


@pytest.mark.parametrize(
    ("undo", "reason"),
    [
        (None, "no compensator on record"),
        (UndoPlan(tool="look", arguments={"seat": "args.seat"}), "not declared to undo"),
        (UndoPlan(tool="cancel", arguments={"booking": "result.nothing"}), "missing"),
        (UndoPlan(tool="cancel", arguments={"booking": "this is no CEL"}), "cannot be compiled"),
        (UndoPlan(tool="cancel", arguments={"booking": 'b"bytes"'}), "JSON"),
    ],
    ids=["none", "another tool", "missing field", "broken text", "not JSON"],
)
def test_an_undo_that_cannot_be_called_is_stuck(undo: UndoPlan | None, reason: str) -> None:
    async def body() -> None:
        bench = Bench(booked())
        await bench.effect(DONE, undo=undo)
        assert await bench.rest() is Stage.STUCK
        assert reason in (await bench.row()).error
        assert bench.world.log == [], "nothing else was called instead"

    run(body(), seed=0)


@pytest.mark.parametrize(
    ("succeeded_when", "reason"),
    [
        ('result.status == "no such word"', "not that it succeeded"),
        ("result.no_such_field", "cannot be told"),
    ],
)
def test_an_answer_that_is_no_success_is_tried_again_then_stuck(succeeded_when: str, reason: str) -> None:
    async def body() -> None:
        bench = Bench(booked())
        await bench.effect(DONE, undo=replace(UNDO, succeeded_when=succeeded_when))
        assert await bench.rest() is Stage.STUCK
        row = await bench.row()
        assert reason in row.error
        assert "2 tries" in row.error
        assert row.attempts == 2

    run(body(), seed=0)


@loop
async def test_a_stuck_effect_can_be_tried_again_by_a_person() -> None:
    bench = Bench(booked())
    bench.world.before["cancel"] = [OSError("down"), OSError("down")]
    await bench.effect(DONE)
    assert await bench.rest() is Stage.STUCK
    assert await bench.parts.settler.retry(bench.lease, await bench.row()) is Stage.COMPENSATED
    assert bench.world.seats == {}
    assert verify(await bench.journal.snapshot()) == ()


@loop
async def test_a_retry_that_cannot_even_start_stays_stuck() -> None:
    world = booked()
    bench = Bench(world, without(world, "cancel"))
    await bench.effect(DONE)
    assert await bench.rest() is Stage.STUCK
    assert await bench.parts.settler.retry(bench.lease, await bench.row()) is Stage.STUCK


@loop
async def test_an_undo_that_was_interrupted_goes_on_under_its_key() -> None:
    bench = Bench(booked())
    row = await bench.effect(DONE)
    await bench.journal.move(
        bench.lease, row.effect_id, Stage.DONE, Stage.COMPENSATING, comp_key="c1", comp_args={"booking": "k1"}
    )
    assert await bench.rest() is Stage.COMPENSATED
    done = await bench.row()
    assert (done.comp_key, done.attempts) == ("c1", 2)


@loop
async def test_somebody_else_was_faster() -> None:
    bench = Bench(booked())
    stale = await bench.effect(DONE)
    assert await bench.rest() is Stage.COMPENSATED
    assert await bench.parts.settler.rest(bench.lease, stale, cause="test") is Stage.COMPENSATED
    assert [entry[0] for entry in bench.world.log] == ["cancel"], "undone once"


@loop
async def test_two_at_once_make_one_undo() -> None:
    bench = Bench(booked())
    bench.world.latency["cancel"] = 1.0
    await bench.effect(DONE)
    ends = await asyncio.gather(bench.rest(), bench.rest())
    assert ends == [Stage.COMPENSATED, Stage.COMPENSATED]
    assert (await bench.row()).attempts == 1


@loop
async def test_an_undo_that_another_loop_left_behind_is_no_obstacle() -> None:
    bench = Bench(booked())
    await bench.effect(DONE)
    gone = asyncio.new_event_loop()
    bench.parts.settler._undoer._under_way["e1"] = gone.create_future()
    gone.close()
    assert await bench.rest() is Stage.COMPENSATED


@loop
async def test_an_unknown_early_booking_is_asked_after_then_undone() -> None:
    bench = Bench(booked())
    await bench.effect(RAISED, verify=VERIFY)
    assert await bench.rest() is Stage.COMPENSATED
    assert bench.world.seats == {}


@loop
async def test_an_unknown_early_booking_that_did_not_happen_has_failed() -> None:
    bench = Bench(LedgerWorld())
    await bench.effect(None, verify=VERIFY)
    assert await bench.rest() is Stage.FAILED
    assert "did not happen" in (await bench.row()).error


@loop
async def test_a_tolerant_undo_needs_no_answer() -> None:
    bench = Bench(LedgerWorld())
    await bench.effect(None, undo=TOLERANT)
    assert await bench.rest() is Stage.COMPENSATED
    assert bench.world.tombstones == {"k1"}, "and what still travels is refused when it arrives"


@pytest.mark.parametrize("text", ["result.booking_id", "no CEL at all"])
def test_tolerance_counts_only_for_an_undo_that_needs_no_result(text: str) -> None:
    async def body() -> None:
        bench = Bench(LedgerWorld())
        await bench.effect(None, undo=replace(TOLERANT, arguments={"booking": text}))
        assert await bench.rest() is Stage.STUCK

    run(body(), seed=0)


@loop
async def test_the_question_waits_until_the_request_can_no_longer_travel() -> None:
    bench = Bench(booked())
    await bench.effect(None, verify=VERIFY, call_deadline=LoopClock().wall() + 7.0)
    assert await bench.rest() is Stage.COMPENSATED
    assert asyncio.get_running_loop().time() >= 7.0


@loop
async def test_a_question_that_cannot_be_answered_leaves_it_stuck() -> None:
    bench = Bench(booked())
    bench.world.before["find"] = [OSError("down")]
    await bench.effect(None, verify=VERIFY)
    assert await bench.rest() is Stage.STUCK
    assert "down" in (await bench.row()).error


@loop
async def test_a_question_without_anybody_to_ask_leaves_it_stuck() -> None:
    world = booked()
    bench = Bench(world, bodiless(world, "find"))
    await bench.effect(None, verify=VERIFY)
    assert await bench.rest() is Stage.STUCK
    assert "cannot be run" in (await bench.row()).error


@loop
async def test_a_real_booking_that_was_lost_is_repeated_under_its_own_key() -> None:
    bench = Bench(LedgerWorld())
    await bench.effect(None, adopted=True)
    assert (await bench.row()).stage is Stage.INTENDED
    assert await bench.rest() is Stage.COMMITTED
    assert bench.world.bookings == {"k1": "A1"}


@loop
async def test_a_repetition_of_what_had_happened_changes_nothing() -> None:
    bench = Bench(booked())
    await bench.effect(None, adopted=True)
    assert await bench.rest() is Stage.COMMITTED
    assert bench.world.log == []


@pytest.mark.parametrize(
    ("outcome", "intent", "tools"),
    [
        (RAISED, {}, "all"),
        (None, {"keyed": False}, "all"),
        (None, {}, "no book"),
        (None, {}, "bodiless book"),
    ],
    ids=["the caller was told", "no key", "tool not registered", "tool has no body"],
)
def test_a_real_booking_nobody_can_tell_about_is_stuck(
    outcome: Outcome | None, intent: dict[str, Any], tools: str
) -> None:
    async def body() -> None:
        world = LedgerWorld()
        given = {
            "all": world.tools(),
            "no book": without(world, "book"),
            "bodiless book": bodiless(world, "book"),
        }
        bench = Bench(world, given[tools])
        await bench.effect(outcome, adopted=True, **intent)
        assert await bench.rest() is Stage.STUCK
        assert world.log == [], "nothing is repeated behind anybody's back"

    run(body(), seed=0)


@loop
async def test_a_real_booking_that_was_lost_is_asked_after_rather_than_repeated() -> None:
    bench = Bench(LedgerWorld())
    await bench.effect(None, adopted=True, verify=VERIFY)
    assert await bench.rest() is Stage.FAILED
    assert bench.world.log == []


@loop
async def test_a_saga_goes_on_after_a_crash() -> None:
    bench = Bench(booked())
    row = await bench.effect(DONE, adopted=True)
    await bench.journal.decide_session(bench.lease, "saga_aborted")
    await bench.journal.move(bench.lease, row.effect_id, Stage.DONE, Stage.COMMITTED)
    await bench.journal.move(bench.lease, row.effect_id, Stage.COMMITTED, Stage.COMPENSATING, comp_key="c1")
    assert await bench.rest() is Stage.COMPENSATED
    assert bench.world.seats == {}


@loop
async def test_recovery_marks_what_was_lost_and_says_so() -> None:
    bench = Bench(LedgerWorld())
    await bench.effect(None, adopted=True, keyed=False)
    report = await recover(bench.journal, bench.parts.settler, owner="next")
    assert (report.recovered, report.stuck) == (1, 1)
    snapshot = await bench.journal.snapshot()
    assert LOST in [event.facts.get("error") for event in snapshot.events] or snapshot.effects[0].error


@loop
async def test_two_that_recover_at_once_do_it_once() -> None:
    bench = Bench(booked())
    await bench.effect(DONE)

    class Overtaken:
        """Between taking the session and using it, somebody else takes it too."""

        taken = False

        def __getattr__(self, name: str) -> Any:
            return getattr(bench.journal, name)

        async def take_session(self, session_id: str, *, owner: str, force: bool = False) -> Lease | None:
            self.taken = True
            return await bench.journal.take_session(session_id, owner=owner, force=force)

        async def open_branches(self, session_id: str) -> tuple[str, ...]:
            if self.taken:
                raise FencedError("a newer fence")
            return await bench.journal.open_branches(session_id)

    report = await recover(Overtaken(), bench.parts.settler, owner="slow")
    assert (report.recovered, report.held) == (0, 1)
    assert bench.world.seats == {"A1": 1}


def test_stored_text_that_is_no_expression_is_said_plainly() -> None:
    with pytest.raises(AuthorError, match="cannot be compiled"):
        compile_stored("args.")
    kept = compile_stored("args.seat")
    assert (kept.source, kept.roots) == ("args.seat", {"args"})


def test_a_large_result_does_not_keep_an_effect_from_being_undone() -> None:
    large = {"booking_id": "k1", "page": "x" * 10_000_000}
    assert compile_stored("result.booking_id").evaluate({"result": large}) == "k1"


@pytest.mark.parametrize(
    ("arrives", "stage"),
    [(UNBOUNDED - 1, Stage.COMPENSATED), (None, Stage.FAILED)],
    ids=["late", "never"],
)
def test_a_no_is_not_believed_while_a_call_without_a_time_out_may_travel(
    arrives: float | None, stage: Stage
) -> None:
    async def body() -> None:
        world = LedgerWorld()
        bench = Bench(world)
        await bench.effect(None, verify=VERIFY, call_deadline=None)
        if arrives is not None:
            asyncio.get_running_loop().call_later(arrives, world.bookings.update, {"k1": "A1"})
        assert await bench.rest() is stage
        assert not any(world.bookings.values())

    run(body(), seed=0)


def test_long_after_the_call_a_no_is_a_no() -> None:
    async def body() -> None:
        bench = Bench(LedgerWorld())
        await bench.effect(None, verify=VERIFY, call_deadline=None)
        await asyncio.sleep(UNBOUNDED + 1)
        before = asyncio.get_running_loop().time()
        assert await bench.rest() is Stage.FAILED
        assert asyncio.get_running_loop().time() - before < 1

    run(body(), seed=0)


def test_what_is_written_back_waits_until_the_call_can_no_longer_arrive() -> None:
    async def body() -> None:
        bench = Bench(booked())
        deadline = LoopClock().wall() + 20
        changes = {"before": {"seat": "Z9"}, "before_known": True, "call_deadline": deadline}
        await bench.effect(None, undo=TOLERANT, **changes)
        assert await bench.rest() is Stage.COMPENSATED
        assert LoopClock().wall() >= deadline

    run(body(), seed=0)


def test_without_the_policy_that_says_what_is_secret_all_of_an_answer_is() -> None:
    async def body() -> None:
        bench = Bench(booked())
        row = await bench.effect(None, adopted=True, verify=VERIFY, redacted=True, args={})
        assert row.redacted
        assert await bench.rest() is Stage.COMMITTED
        settled = await bench.row()
        assert "A1" not in str(settled.result)
        assert not settled.replayable

    run(body(), seed=0)


def test_an_error_of_a_tool_that_was_given_secrets_is_kept_by_its_kind() -> None:
    async def body() -> None:
        world = LedgerWorld()
        world.before["book"] = [OSError("the card 4111 is unknown")]
        bench = Bench(world)
        # Its result is secret, its arguments are not: it can be repeated.
        await bench.effect(None, adopted=True, redacted=True, sealed={"args": Sealed()})
        assert await bench.rest() is Stage.STUCK
        error = (await bench.row()).error
        assert "OSError" in error
        assert "4111" not in error

    run(body(), seed=0)


@loop
async def test_a_repetition_that_the_journal_refuses_is_not_made() -> None:
    bench = Bench(LedgerWorld())
    await bench.effect(None, adopted=True)
    broken: Any = bench.journal

    async def refused(*_args: Any, **_given: Any) -> bool:
        return False

    broken.repeat = refused
    assert await bench.rest() is Stage.STUCK
    assert bench.world.log == []


@loop
async def test_a_repetition_that_comes_too_late_is_not_made() -> None:
    bench = Bench(LedgerWorld())
    await bench.effect(None, adopted=True)
    broken: Any = bench.journal
    repeat = bench.journal.repeat

    async def slow(*args: Any, **given: Any) -> bool:
        written = await repeat(*args, **given)
        await asyncio.sleep(REPEAT_TIMEOUT + 1)
        return written

    broken.repeat = slow
    assert await bench.rest() is Stage.STUCK
    assert bench.world.log == []
    assert "was not called: its 30 s" in (await bench.row()).error


@loop
async def test_whoever_does_not_have_the_session_settles_nothing_of_it() -> None:
    bench = Bench(LedgerWorld())
    await bench.effect(RAISED, adopted=True, verify=VERIFY)
    other = await bench.journal.open_session("s2", thread="t", owner="me")
    stage = await bench.parts.settler.rest(other, await bench.row(), cause="asked")
    assert stage is Stage.UNKNOWN
