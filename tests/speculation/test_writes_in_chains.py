"""Early writes that rest on hypotheses: their branches in the journal, their undo, their adoption."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import BranchRow
from specflow.journal.verify import verify
from specflow.lifecycle import BranchState
from specflow.prediction.predictor import TurnContext
from specflow.prediction.result_guess import ResultGuess
from specflow.speculation.lookahead import Lookahead
from specflow.testing.explore import explore
from specflow.testing.foreseeing import Foreseeing, Guessing, in_order, last_call
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.seeded_loop import SeededLoop
from specflow.testing.static_judge import StaticJudge
from tests.speculation.scenarios import ended_once, scenario

SCHEDULES = 2_000 if "SPECFLOW_NIGHTLY" in os.environ else 120 if "CI" in os.environ else 60


def look(seat: str) -> Call:
    return Call(tool="look", args={"seat": seat})


def book(seat: str) -> Call:
    return Call(tool="book", args={"seat": seat})


def booked_by(world: LedgerWorld, *predictors: str) -> StaticJudge:
    """The policy of the world, which names who may book early."""
    judge = world.judge()
    rules = judge._rules
    return StaticJudge({**rules, "book": replace(rules["book"], predictors=frozenset(predictors))})


def core_of(world: LedgerWorld, **options: Any) -> ScriptedCore:
    judge = booked_by(world, "foreseeing", "scripted")
    return ScriptedCore(world.tools(), judge, MemoryJournal(LoopClock()), **options)


async def at_rest(core: ScriptedCore) -> None:
    await core.coordinator.aclose()
    assert verify(await core.journal.snapshot()) == ()
    ended_once(core)


async def branches(core: ScriptedCore) -> dict[str, BranchRow]:
    """The branches on record by the seat that is booked under them."""
    snapshot = await core.journal.snapshot()
    rows = {row.branch_id: row for row in snapshot.branches}
    return {str(effect.args["seat"]): rows[effect.branch_id] for effect in snapshot.effects}


@scenario
async def test_a_booking_at_the_end_of_a_chain_is_adopted_in_its_turn() -> None:
    world = LedgerWorld(latency={"look": 0.5, "book": 0.5})
    core = core_of(world, predictors=[Foreseeing(in_order([look("A1"), book("B2")]), 1.0)])
    turn = core.begin()
    await asyncio.sleep(2.0)
    assert world.seats == {"B2": 1}
    core.end(turn, [look("A1")])
    assert (await core.call(look("A1")))["bookings"] == 0
    turn = core.begin()
    core.end(turn, [book("B2")])
    await core.call(book("B2"))
    await core.settle()
    assert world.seats == {"B2": 1}
    assert core.log.outcomes()["hit"] == 2
    (row,) = (await branches(core)).values()
    assert row.state is BranchState.CONFIRMED
    assert row.parent_id is None, "reads are not journaled"
    assert row.hypothesis == "next call, by foreseeing > next call, by foreseeing"
    await at_rest(core)


@scenario
async def test_a_booking_does_not_outlive_the_turn_it_was_meant_for() -> None:
    world = LedgerWorld(latency={"look": 0.5, "book": 0.5})
    core = core_of(world, predictors=[Foreseeing(in_order([look("A1"), book("B2")]), 1.0)])
    turn = core.begin()
    await asyncio.sleep(2.0)
    core.end(turn, [look("A1")])
    await core.call(look("A1"))
    turn = core.begin()
    assert world.seats == {"B2": 1}, "its turn has just begun"
    core.end(turn, [look("C3")])
    await core.call(look("C3"))
    assert world.seats == {}
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_booking_is_not_adopted_while_what_it_rests_on_is_open() -> None:
    """The model books at once, without the read before it: the early booking is undone, and made again."""
    world = LedgerWorld(latency={"look": 0.5, "book": 0.5})
    core = core_of(world, predictors=[Foreseeing(in_order([look("A1"), book("B2")]), 1.0)])
    turn = core.begin()
    await asyncio.sleep(2.0)
    core.end(turn, [look("A1"), book("B2")])
    booked = await core.call(book("B2"))
    assert world.seats == {"B2": 1}
    assert world.bookings[booked["booking_id"]] == "B2"
    assert [entry[0] for entry in world.log if entry[0] != "read"] == ["book", "cancel", "book"]
    await core.call(look("A1"))
    await core.settle()
    await at_rest(core)


@scenario
async def test_the_journal_knows_which_booking_rests_on_which() -> None:
    """The second is made when the first has returned, as the guess of its result was right."""
    calls = [book("A1"), book("B2")]

    def step(context: TurnContext) -> Sequence[Call]:
        return calls[1:] if last_call(context) else ()

    class Right:
        """A test can know what nobody else can: the key of the booking."""

        name = "right"

        async def guess(self, call: Call, context: TurnContext) -> Sequence[Any]:
            while not world.bookings:
                await asyncio.sleep(0.1)
            key = next(iter(world.bookings))
            value = {"booking_id": key, "seat": call.args["seat"]}
            return [ResultGuess(value=value, confidence=1.0, predictor=self.name)]

    class Slow(LedgerWorld):
        async def book(self, call: Call, context: Any) -> Any:
            booked = await LedgerWorld.book(self, call, context)
            await asyncio.sleep(1.0)
            return booked

    world = Slow(latency={"book": 1.0})
    core = core_of(
        world, predictors=[Foreseeing(step, 1.0)], result_guessers=[Right()], lookahead=Lookahead(depth=2)
    )
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1.5)
    assert len(core.session.pending) == 2
    await asyncio.sleep(4.0)
    core.end(turn, [calls[0]])
    await core.call(calls[0])
    turn = core.begin()
    core.end(turn, [calls[1]])
    await core.call(calls[1])
    await core.settle()
    assert world.seats == {"A1": 1, "B2": 1}
    assert core.log.outcomes()["hit"] == 2
    rows = await branches(core)
    assert rows["B2"].parent_id == rows["A1"].branch_id
    await at_rest(core)


def test_whatever_happens_the_world_is_what_was_asked_for() -> None:
    """Chains and guesses that book, a real run that goes its own way, cut short at any time."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        draw = loop.random
        seats = ["A1", "B2", "C3"]
        plan = [draw.choice([look, book])(draw.choice(seats)) for _ in range(4)]
        world = LedgerWorld(latency={"look": draw.choice([0.0, 0.4]), "book": draw.choice([0.0, 0.7])})
        free = [({"seat": seat, "bookings": 0}, 1.0) for seat in seats]
        core = core_of(
            world,
            predictors=[Foreseeing(in_order(plan), 1.0, seconds=draw.choice([0.0, 0.1]))],
            result_guessers=[Guessing({"look": free, "book": [({"seat": "?"}, 1.0)]})],
            lookahead=Lookahead(depth=6, breadth=3, min_odds=0.0),
        )
        wanted: list[str] = []
        cut = draw.random() < 0.5

        async def real() -> None:
            for call in plan:
                made = call if draw.random() < 0.7 else draw.choice([look, book])(draw.choice(seats))
                turn = core.begin()
                await asyncio.sleep(draw.choice([0.0, 0.5]))
                core.end(turn, [made])
                value = await core.call(made)
                if made.tool == "book":
                    wanted.append(made.args["seat"])
                else:
                    assert value == {"seat": made.args["seat"], "bookings": wanted.count(made.args["seat"])}

        running = loop.create_task(real())
        if cut:
            await asyncio.sleep(draw.uniform(0.0, 2.0))
            running.cancel()
        await asyncio.wait({running})
        assert running.cancelled() or running.exception() is None, running.exception()
        session = core.session
        await core.coordinator.aclose()
        await asyncio.sleep(2.0)
        booked = sorted(seat for seat in world.bookings.values() if seat)
        if not running.cancelled():
            assert booked == sorted(wanted)
        assert len(session.grove) == 0
        assert len(session.pending) == 0
        await at_rest(core)

    explore(story, schedules=SCHEDULES, leaks="error")
