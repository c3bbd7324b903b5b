"""What an adversary found between the parts of the core: each is right by itself, and they meet."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from dataclasses import replace
from typing import Any

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.policy.settings import Budgets, Version
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import TurnContext
from specflow.prediction.result_guess import ResultGuess
from specflow.settlement.stored import compile_stored
from specflow.speculation.branch import Branch
from specflow.speculation.lookahead import Lookahead
from specflow.speculation.shelf import MOST_BYTES, Shelf
from specflow.testing.foreseeing import Guessing
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import StaticJudge
from tests.speculation.scenarios import ended_once, scenario

USER: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="")


def look(seat: str) -> Call:
    return Call(tool="look", args={"seat": seat})


def book(seat: str) -> Call:
    return Call(tool="book", args={"seat": seat})


async def at_rest(core: ScriptedCore) -> None:
    await core.coordinator.aclose()
    assert verify(await core.journal.snapshot()) == ()
    ended_once(core)


class SlowJournal(MemoryJournal):
    """Takes a second to say which sessions are active, which is asked before anything else."""

    async def active_sessions(self, thread: str) -> Any:
        await asyncio.sleep(1.0)
        return await super().active_sessions(thread)


@scenario
async def test_a_write_that_is_lost_before_its_call_is_not_made() -> None:
    world = LedgerWorld()
    core = ScriptedCore(world.tools(), world.judge(), SlowJournal(LoopClock()))
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(0.5)
    core.end(turn, [])
    await core.settle()
    assert world.log == []
    await at_rest(core)


@scenario
async def test_an_abandoned_turn_is_let_go_though_its_guesses_wait_for_room() -> None:
    world = LedgerWorld(latency={"look": 1.0})
    judge = StaticJudge(world.judge()._rules, budgets=Budgets(max_branches=1))
    core = ScriptedCore(world.tools(), judge, MemoryJournal(LoopClock()))
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    core.propose(turn, "look", seat="B2")
    assert turn.waiting
    await asyncio.sleep(2.0)
    gone = weakref.ref(turn)
    del turn
    gc.collect()
    assert gone() is None
    assert not core.session.busy


def sharing(world: LedgerWorld, **options: Any) -> tuple[ScriptedCore, ScriptedCore]:
    """Two conversations of one process, whose looks may be shared by everybody."""
    judge = world.judge()
    rule = judge._rules["look"]
    settings = replace(rule.settings, **{"ttl": 5.0, "scope": "public", **options})
    judge._rules["look"] = replace(rule, settings=settings)
    shelf, tools = Shelf(), world.tools()
    one, other = (
        ScriptedCore(
            tools, judge, MemoryJournal(LoopClock()), thread=name, shelf=shelf, owner=name, seed=ord(name)
        )
        for name in "ab"
    )
    return one, other


@scenario
async def test_writes_are_remembered_while_somebody_waits_for_a_shared_read() -> None:
    """Also when its `ttl` has taken it off the shelf meanwhile."""
    world = LedgerWorld(latency={"book": 1.0})
    one, other = sharing(world)

    async def early(call: Call, context: CallContext) -> Any:
        seen = world.seats.get("A1", 0)
        await asyncio.sleep(10.0)
        return {"seat": "A1", "bookings": seen}

    for core in (one, other):
        registry = core.parts.registry
        registry._tools["look"] = replace(registry.require("look"), runner=early)
    turn = one.begin()
    one.propose(turn, "look", seat="A1")
    await asyncio.sleep(3.0)
    waiting = asyncio.create_task(other.call(look("A1")))
    own = asyncio.create_task(one.call(look("A1")))
    await asyncio.sleep(1.0)
    await other.call(book("A1"))  # until 5
    await asyncio.sleep(1.0)
    await other.call(look("Z9"), runner=world.look)
    await asyncio.sleep(1.0)
    await one.call(book("Z9"))
    assert (await waiting)["bookings"] == 1
    assert (await own)["bookings"] == 1
    for core in (one, other):
        await core.settle()


@scenario
async def test_a_write_of_another_session_is_remembered_until_the_read_is_adopted() -> None:
    """What it has made stale is taken off the shelf; who began it must still hear of that."""
    world = LedgerWorld()
    one, other = sharing(world)
    turn = one.begin()
    one.propose(turn, "look", seat="A1")
    for call in (book("A1"), look("Z9"), book("Z9")):
        await asyncio.sleep(1.0)
        await other.call(call)
    await asyncio.sleep(1.0)
    one.end(turn, [look("A1")])
    assert (await one.call(look("A1")))["bookings"] == 1
    assert one.log.outcomes()["stale"] == 1
    for core in (one, other):
        await core.settle()


@scenario
async def test_a_shared_read_that_fails_while_another_one_is_waited_for_is_not_handed_out() -> None:
    world = LedgerWorld()
    one, other = sharing(world)

    async def fails_early(call: Call, context: CallContext) -> Any:
        if not context.early:
            return await world.look(call, context)
        await asyncio.sleep(3.0 if USER.get() == "one" else 1.0)
        raise OSError("away")

    for core in (one, other):
        registry = core.parts.registry
        registry._tools["look"] = replace(registry.require("look"), runner=fails_early)
    for core, user in ((one, "one"), (other, "other")):
        USER.set(user)  # each is begun where the other one cannot be seen
        core.propose(core.begin(), "look", seat="A1")
        await asyncio.sleep(0.1)
    promoting = asyncio.create_task(other.call(look("A1")))
    await asyncio.sleep(0.1)
    USER.set("one")
    assert (await other.call(look("A1")))["bookings"] == 0
    assert (await promoting)["bookings"] == 0
    for core in (one, other):
        await core.settle()


@scenario
async def test_a_write_during_the_question_for_the_version_makes_what_is_shared_stale() -> None:
    world = LedgerWorld(latency={"find": 1.0})
    one, other = sharing(
        world, version=Version(tool="find", arguments={"booking": compile_stored("args.seat")})
    )

    async def version(call: Call, context: CallContext) -> Any:
        said = world.seats.get("A1", 0) + 1
        await asyncio.sleep(1.0)
        return said

    for core in (one, other):
        registry = core.parts.registry
        registry._tools["find"] = replace(registry.require("find"), runner=version)
    turn = one.begin()
    one.propose(turn, "look", seat="A1")
    await asyncio.sleep(2.0)
    waiting = asyncio.create_task(other.call(look("A1")))
    await asyncio.sleep(0.5)
    await other.call(book("A1"))
    assert (await waiting)["bookings"] == 1
    for core in (one, other):
        await core.settle()


class Joining:
    """A fork that reads what another agent reads, and then books."""

    core: ScriptedCore

    async def run(self, branch: Branch, call: Call, guess: ResultGuess, origin: object) -> None:
        for number, made in enumerate((look("A1"), book("B2")), start=1):
            tool = self.core.parts.registry.require(made.tool)
            assert tool.runner is not None
            await self.core.coordinator.shadow_call(
                self.core.session, branch, made, tool, tool.runner, step=number
            )


@scenario
async def test_what_a_fork_joins_does_not_move_it_to_another_hypothesis() -> None:
    """INVARIANT: no effect waits in the world for a person to answer."""
    world = LedgerWorld(latency={"look": 3.0})
    judge = world.judge()
    rules = judge._rules
    judge = StaticJudge({**rules, "book": replace(rules["book"], predictors=frozenset({"fork"}))})
    forker = Joining()
    core = ScriptedCore(
        world.tools(),
        judge,
        MemoryJournal(LoopClock()),
        forker=forker,
        result_guessers=[Guessing({"ask": [("yes", 0.9)]})],
        lookahead=Lookahead(depth=4),
    )
    forker.core = core
    other = core.begin(lane="another agent")
    core.propose(other, "look", seat="A1")
    context = TurnContext(tools=core.parts.registry)
    asked = core.coordinator.awaiting(core.session, Call(tool="ask"), context, origin="here")
    await asyncio.sleep(5.0)
    assert world.seats == {}
    asked.gave_up()
    core.end(other, [])
    await core.settle()
    await at_rest(core)


@scenario
async def test_guesses_that_cannot_be_put_in_order_do_not_reach_the_model() -> None:
    world = LedgerWorld()

    class Failing(StaticJudge):
        broken = True

        def judge(self, *given: Any, **named: Any) -> Any:
            if self.broken:
                raise RuntimeError("the judge fails")
            return super().judge(*given, **named)

    judge = Failing(world.judge()._rules)
    core = ScriptedCore(world.tools(), judge, MemoryJournal(LoopClock()))
    turn = core.begin()
    core.say(
        turn,
        *(Candidate(call=look(seat), confidence=0.9, predictor="scripted") for seat in ("A1", "B2")),
    )
    await asyncio.sleep(1.0)
    assert world.log == []
    judge.broken = False
    core.end(turn, [look("A1")])
    assert (await core.call(look("A1")))["seat"] == "A1"
    await core.settle()
    await at_rest(core)


@scenario
async def test_what_is_shared_is_held_within_a_budget_of_bytes() -> None:
    world = LedgerWorld()
    one, other = sharing(world, ttl=3600.0)
    shelf = one.parts.shelf

    async def long(call: Call, context: CallContext) -> Any:
        return "x" * (MOST_BYTES // 4)

    for core in (one, other):
        registry = core.parts.registry
        registry._tools["look"] = replace(registry.require("look"), runner=long)
    for number in range(12):
        turn = one.begin()
        call = one.propose(turn, "look", seat=f"S{number}")
        await asyncio.sleep(1.0)
        one.end(turn, [call])
        await one.call(call)
    held = [item.call.args["seat"] for item in shelf._offers]
    assert sum(item.size for item in shelf._offers) <= MOST_BYTES + MOST_BYTES // 4 + 1_000
    assert held[-1] == "S11", "the oldest goes first"
    await other.call(look("S11"))
    assert other.log.outcomes()["hit"] == 1
    for core in (one, other):
        await core.settle()
