"""Each class of misfire has its scene, played through the real core."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.errors import RefusedError
from specflow.journal.event import CallEvent, EventKind
from specflow.journal.memory import MemoryJournal
from specflow.prediction.predictor import HistoryItem, PastCall
from specflow.speculation.hindsight import Hindsight, Missed
from specflow.speculation.misfire import Misfire, answered_in
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

A, B = Call(tool="look", args={"seat": "A1"}), Call(tool="look", args={"seat": "B2"})
BOOKING = Call(tool="book", args={"seat": "A1"})
Scene = Callable[[ScriptedCore, LedgerWorld], Awaitable[None]]


async def another_tool(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    core.end(turn, [BOOKING])
    await core.call(BOOKING)


async def no_call_at_all(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    core.end(turn, [])


async def another_argument(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    core.end(turn, [B])
    await core.call(B)


async def an_undone_write_with_another_argument(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    core.propose(turn, "book", seat="B2")
    await asyncio.sleep(1.0)
    core.end(turn, [BOOKING])
    await core.call(BOOKING)


async def a_write_that_is_undone_for_longer_than_the_next_turn(
    core: ScriptedCore, world: LedgerWorld
) -> None:
    world.latency["cancel"] = 20.0
    turn = core.begin()
    core.propose(turn, "book", seat="B2")
    await asyncio.sleep(1.0)
    core.end(turn, [BOOKING])
    await core.call(BOOKING)
    core.end(core.begin(), [])


async def a_write_taken_back_and_undone_after_the_message(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    call = core.propose(turn, "book", seat="B2")
    await asyncio.sleep(1.0)
    core.retract(turn, call, "the model changed its mind")
    core.end(turn, [BOOKING])
    await core.call(BOOKING)


async def amended_while_it_spoke(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    call = core.propose(turn, "look", seat="A1")
    core.retract(turn, call, "the model changed its mind")
    core.end(turn, [B])
    await core.call(B)


async def overtaken_by_a_write(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [BOOKING, A])
    await core.call(BOOKING)
    await core.call(A)


async def a_step_too_early(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    core.end(turn, [B])
    await core.call(B)
    turn = core.begin()
    core.end(turn, [A])
    await core.call(A)


async def taken_back_and_called_all_the_same(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    call = core.propose(turn, "look", seat="A1")
    core.retract(turn, call, "the model decided against it")
    core.end(turn, [A])
    await core.call(A)


async def decided_against(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    call = core.propose(turn, "look", seat="A1")
    core.retract(turn, call, "the model decided against it")
    core.end(turn, [BOOKING])
    await core.call(BOOKING)


async def answered_before(core: ScriptedCore, world: LedgerWorld) -> None:
    past = PastCall(tool="look", args={"seat": "A1"}, result="nobody")
    turn = core.begin(history=[HistoryItem(role="tool", text="nobody", call=past)])
    core.propose(turn, "look", seat="A1")
    core.end(turn, [B])
    await core.call(B)


async def a_person_said_no(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    core.end(turn, [A])


async def it_failed(core: ScriptedCore, world: LedgerWorld) -> None:
    world.before["look"] = [OSError("no line")]
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [A])
    await core.call(A)


async def the_model_broke_off(core: ScriptedCore, world: LedgerWorld) -> None:
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    core.end(turn, [], "model_error")


async def it_stopped_in_the_middle(core: ScriptedCore, world: LedgerWorld) -> None:
    core.propose(core.begin(), "look", seat="A1")


SCENES: tuple[tuple[Scene, Misfire], ...] = (
    (another_tool, Misfire.WRONG_TOOL),
    (no_call_at_all, Misfire.WRONG_TOOL),
    (another_argument, Misfire.WRONG_ARGUMENT),
    (an_undone_write_with_another_argument, Misfire.WRONG_ARGUMENT),
    (amended_while_it_spoke, Misfire.WRONG_ARGUMENT),
    (a_write_that_is_undone_for_longer_than_the_next_turn, Misfire.WRONG_ARGUMENT),
    (a_write_taken_back_and_undone_after_the_message, Misfire.WRONG_ARGUMENT),
    (overtaken_by_a_write, Misfire.STALE),
    (a_step_too_early, Misfire.TOO_EARLY),
    (taken_back_and_called_all_the_same, Misfire.TOO_EARLY),
    (decided_against, Misfire.NEGATED),
    (answered_before, Misfire.DUPLICATE),
    (a_person_said_no, Misfire.UNPOLICIED),
    (it_failed, Misfire.FAILED),
    (the_model_broke_off, Misfire.UNDECIDED),
    (it_stopped_in_the_middle, Misfire.UNDECIDED),
)


def played(scene: Scene) -> list[CallEvent]:
    async def whole() -> list[CallEvent]:
        world = LedgerWorld(latency={"look": 0.5, "book": 0.5, "cancel": 0.1})
        core = ScriptedCore(world.tools(), world.judge(), MemoryJournal(LoopClock()))
        await scene(core, world)
        await core.settle()
        return core.log.events

    return run(whole(), seed=0)


def missed(events: list[CallEvent]) -> list[Missed]:
    hindsight = Hindsight()
    found = [one for event in events for one in hindsight.see(event)]
    assert not hindsight.rest(), "a session at rest has nothing left to be known"
    return found


@pytest.mark.parametrize(("scene", "kind"), SCENES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_each_class_has_its_scene(scene: Scene, kind: Misfire) -> None:
    (one,) = missed(played(scene))
    assert (one.kind, one.predictor) == (kind, "scripted")


def test_every_class_is_in_the_table() -> None:
    assert {kind for _, kind in SCENES} == set(Misfire)


def test_a_call_that_is_refused_has_not_come() -> None:
    """The policy wants a person for the real call, and nobody said yes."""

    async def refused(core: ScriptedCore, world: LedgerWorld) -> None:
        turn = core.begin()
        core.propose(turn, "look", seat="A1")
        charge = Call(tool="charge", args={"amount": 5})
        core.end(turn, [A, charge])
        with suppress(RefusedError):
            await core.call(charge)

    (one,) = missed(played(refused))
    assert one.kind is Misfire.UNPOLICIED


def test_an_adopted_call_is_no_misfire() -> None:
    async def adopted(core: ScriptedCore, world: LedgerWorld) -> None:
        turn = core.begin()
        core.propose(turn, "look", seat="A1")
        core.end(turn, [A])
        await core.call(A)

    events = played(adopted)
    assert [event.misfire for event in events if event.kind is EventKind.RESOLVED] == [""]
    assert missed(events) == []


def test_what_is_known_at_the_end_and_what_is_known_later() -> None:
    """The event of the ending says what was known then; hindsight corrects it."""
    (ended,) = [event for event in played(a_step_too_early) if event.misfire]
    assert ended.misfire == "wrong_argument"


def test_more_than_the_limit_is_told_at_once() -> None:
    hindsight = Hindsight(limit=1)
    told = []
    for number in range(3):
        event = CallEvent(
            kind=EventKind.RESOLVED,
            at=0.0,
            session_id="s",
            speculation_id=str(number),
            key=str(number),
            misfire="wrong_tool",
        )
        told += hindsight.see(event)
    assert len(told) == 2
    assert len(hindsight.rest()) == 1
    for index in (hindsight._kept, hindsight._by_place, hindsight._by_session, hindsight._taken_back):
        assert not index, "nothing is left behind"


def test_a_failed_answer_and_one_that_is_no_json_are_no_answers() -> None:
    failed = PastCall(tool="look", args={"seat": "A1"}, result="", failed=True)
    odd = PastCall(tool="look", args={"seat": float("nan")}, result="")
    assert not answered_in(A, [HistoryItem(role="tool", text="", call=past) for past in (failed, odd)])
