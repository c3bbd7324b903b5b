"""What an early read may be: never what the session's own effects have made untrue.

The property first: whatever was guessed and however the schedule went, an answer is what its resource held
at some moment between the real run's question and its answer. Then the cases, one by one.
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import replace
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import ToolTimeoutError
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.policy.settings import ToolSettings
from specflow.policy.verdict import Speculate
from specflow.speculation.freshness import WriteLog
from specflow.testing.explore import explore
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.seeded_loop import SeededLoop
from specflow.testing.static_judge import Rule, StaticJudge
from tests.speculation.scenarios import scenario

SCHEDULES = 20_000 if os.environ.get("SPECFLOW_NIGHTLY") else 300 if os.environ.get("CI") else 100
SEATS = ("A1", "B2")


def now() -> float:
    return asyncio.get_running_loop().time()


class Watched(LedgerWorld):
    """A world that remembers what every seat showed, and when. A look happens somewhere in its call.

    `refresh` is called a read, and changes what a look shows.
    """

    def __init__(self, random: random.Random) -> None:
        super().__init__()
        self.random = random
        self.bias = dict.fromkeys(SEATS, 0)
        self.history: dict[str, list[tuple[float, int]]] = {seat: [(0.0, 0)] for seat in SEATS}

    def shown(self, seat: str) -> int:
        return self.seats.get(seat, 0) + self.bias[seat]

    def note(self) -> None:
        for seat in SEATS:
            if self.history[seat][-1][1] != self.shown(seat):
                self.history[seat].append((now(), self.shown(seat)))

    def held(self, seat: str, since: float) -> set[int]:
        """What the seat showed at any moment from `since` on."""
        entries = self.history[seat]
        before = [value for at, value in entries if at < since][-1:]
        return {*before, *(value for at, value in entries if at >= since)}

    async def pause(self) -> None:
        await asyncio.sleep(self.random.choice((0.0, 0.5, 1.0, 2.0)))

    async def look(self, call: Call, context: CallContext) -> Any:
        await self.pause()
        found = {"seat": call.args["seat"], "bookings": self.shown(call.args["seat"])}
        await self.pause()
        return found

    async def refresh(self, call: Call, context: CallContext) -> Any:
        await self.pause()
        self.bias[call.args["seat"]] += 100
        self.note()
        await self.pause()
        return "done"

    async def book(self, call: Call, context: CallContext) -> Any:
        await self.pause()
        done = await super().book(call, context)
        self.note()
        await self.pause()
        return done

    async def cancel(self, call: Call, context: CallContext) -> Any:
        await self.pause()
        done = await super().cancel(call, context)
        self.note()
        await self.pause()
        return done

    def tools(self) -> list[ToolSpec]:
        text = {"type": "object", "properties": {"seat": {"type": "string"}}, "required": ["seat"]}
        refresh = ToolSpec(
            name="refresh",
            parameters=text,
            annotation=Annotation(effect=EffectClass.READ_ONLY),
            runner=self.refresh,
        )
        return [*super().tools(), refresh]

    def judge(self, **options: Any) -> StaticJudge:
        judge = super().judge(**options)
        settings = ToolSettings(reads=(), writes=("seat:{args.seat}",))
        judge._rules["refresh"] = Rule(
            effect=EffectClass.READ_ONLY, speculate=Speculate.NOW, settings=settings
        )
        return judge


@pytest.mark.parametrize("footprints", [True, False])
def test_an_answer_is_what_the_resource_held_between_question_and_answer(footprints: bool) -> None:
    adopted: list[str] = []

    async def body() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        drawn = random.Random(loop.seed)
        world = Watched(drawn)
        core = ScriptedCore(world.tools(), world.judge(footprints=footprints), MemoryJournal(LoopClock()))

        async def real(call: Call) -> None:
            asked = now()
            answer = await core.call(call)
            if call.tool == "look":
                seat, bookings = call.args["seat"], answer["bookings"]
                assert bookings in world.held(seat, asked), (seat, bookings, asked, world.history)

        for _ in range(3):
            turn = core.begin()
            for _ in range(drawn.randint(0, 4)):
                tool = drawn.choice(("look", "look", "look", "book", "refresh"))
                core.propose(turn, tool, seat=drawn.choice(SEATS))
                await asyncio.sleep(drawn.choice((0.0, 0.5, 1.5)))
            calls = [
                Call(tool=drawn.choice(("look", "look", "book")), args={"seat": drawn.choice(SEATS)})
                for _ in range(drawn.randint(1, 3))
            ]
            core.end(turn, calls)
            if drawn.random() < 0.5:
                await asyncio.gather(*map(real, calls))
            else:
                for call in calls:
                    await real(call)
        await core.settle()
        assert verify(await core.journal.snapshot()) == ()
        adopted.extend(event.outcome for event in core.log.of(EventKind.CALL_ENDED))

    explore(body, schedules=SCHEDULES)
    assert {"hit", "late", "stale", "miss"} <= set(adopted), "the schedules reach what they are about"


# ---------------------------------------------------------------------- one by one


def with_settings(judge: StaticJudge, tool: str, **settings: Any) -> StaticJudge:
    rule = judge._rules[tool]
    judge._rules[tool] = replace(rule, settings=replace(rule.settings, **settings))
    return judge


def core_of(world: LedgerWorld, judge: StaticJudge | None = None) -> ScriptedCore:
    return ScriptedCore(world.tools(), judge or world.judge(), MemoryJournal(LoopClock()))


class FixedDice(random.Random):
    """No pauses at all."""

    def choice(self, seq: Any) -> Any:
        return 0.0


@scenario
async def test_a_read_that_declares_writes_makes_reads_of_them_stale_though_nobody_asked_for_it() -> None:
    world = Watched(FixedDice())
    core = core_of(world)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    core.propose(turn, "refresh", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [look])
    assert (await core.call(look))["bookings"] == 100
    assert core.log.outcomes()["stale"] == 1
    await core.settle()


@scenario
async def test_a_read_that_declares_writes_is_not_stale_for_itself_nor_for_reads_of_other_things() -> None:
    world = Watched(FixedDice())
    core = core_of(world, with_settings(world.judge(), "refresh", reads=("seat:{args.seat}",)))
    turn = core.begin()
    look = core.propose(turn, "look", seat="B2")
    refresh = core.propose(turn, "refresh", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [look, refresh])
    await core.call(refresh)
    await core.call(look)
    await core.settle()
    assert core.log.outcomes()["hit"] == 2
    assert world.bias["A1"] == 100


@scenario
async def test_a_real_read_that_declares_writes_makes_early_reads_stale() -> None:
    world = Watched(FixedDice())
    core = core_of(world)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    refresh = Call(tool="refresh", args={"seat": "A1"})
    core.end(turn, [refresh, look])
    await core.call(refresh)
    assert (await core.call(look))["bookings"] == 100
    await core.settle()


@scenario
async def test_what_a_lost_read_writes_is_not_cut_short_but_ends_with_the_session() -> None:
    world = LedgerWorld()
    ended: list[str] = []

    async def refresh(call: Call, context: CallContext) -> Any:
        try:
            await asyncio.sleep(5.0)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        ended.append("done")

    judge = with_settings(world.judge(), "find", writes=("seat:A1",), reads=())
    judge._rules["find"] = replace(judge._rules["find"], speculate=Speculate.NOW)
    core = core_of(world, judge)
    spec = core.parts.registry.require("find")
    core.parts.registry._tools["find"] = replace(spec, runner=refresh)
    for patience in (6.0, 1.0):
        turn = core.begin()
        core.propose(turn, "find", booking="x")
        await asyncio.sleep(1.0)
        core.end(turn, [])
        await asyncio.sleep(patience)
    await core.settle()
    await core.coordinator.aclose()
    assert ended == ["done", "cancelled"]


@scenario
async def test_keys_built_from_the_result_are_narrowed_when_it_is_there() -> None:
    world = LedgerWorld()
    core = core_of(world, with_settings(world.judge(), "look", reads=("seat:{result.seat}",)))
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    book = Call(tool="book", args={"seat": "B2"})
    core.end(turn, [book, look])
    await core.call(book)
    await core.call(look)
    await core.settle()
    assert core.log.outcomes()["hit"] == 1, "another seat was booked"


@scenario
async def test_keys_built_from_the_result_mean_all_of_the_kind_until_it_is_there() -> None:
    world = LedgerWorld(latency={"book": 3.0})
    judge = with_settings(world.judge(), "book", writes=("seat:{result.seat}",))
    core = core_of(world, with_settings(judge, "look", reads=("seat:{args.seat}",)))
    book, looks = Call(tool="book", args={"seat": "B2"}), ("A1", "B2")
    turn = core.begin()
    writing = asyncio.create_task(core.call(book))
    await asyncio.sleep(1.0)
    calls = [core.propose(turn, "look", seat=seat) for seat in looks]
    await asyncio.sleep(1.0)
    core.end(turn, calls)
    await core.call(calls[0])
    assert core.log.outcomes()["stale"] == 1, "while the booking is under way it may be of any seat"
    await writing
    await core.settle()


@scenario
async def test_keys_of_a_write_are_narrowed_when_it_has_returned() -> None:
    world = LedgerWorld()
    core = core_of(world, with_settings(world.judge(), "book", writes=("seat:{result.seat}",)))
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    book = Call(tool="book", args={"seat": "B2"})
    core.end(turn, [book, look])
    await core.call(book)
    await core.call(look)
    assert core.log.outcomes()["hit"] == 1
    await core.settle()


@scenario
async def test_a_write_that_was_given_up_may_still_be_going_on() -> None:
    world = LedgerWorld()
    core = core_of(world, with_settings(world.judge(), "book", timeout=1.0))

    async def stubborn(call: Call, context: CallContext) -> Any:
        try:
            await asyncio.sleep(10.0)
        except asyncio.CancelledError:
            await asyncio.sleep(5.0)  # longer than anybody waits for it
        return await world.book(call, context)

    book = Call(tool="book", args={"seat": "A1"})
    with pytest.raises(ToolTimeoutError):
        await core.call(book, runner=stubborn)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(10.0)
    core.end(turn, [look])
    assert (await core.call(look))["bookings"] == 1
    assert core.log.outcomes()["stale"] == 1
    await core.settle()


@scenario
async def test_a_write_that_failed_is_over() -> None:
    world = LedgerWorld(failing={"book": [ValueError("no")]})
    core = core_of(world)
    with pytest.raises(ValueError, match="no"):
        await core.call(Call(tool="book", args={"seat": "A1"}))
    await asyncio.sleep(1.0)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [look])
    assert (await core.call(look))["bookings"] == 1
    assert core.log.outcomes()["hit"] == 1
    await core.settle()


@scenario
async def test_a_tool_that_changes_what_it_returned_changes_nothing_for_who_adopts_it() -> None:
    world = LedgerWorld()
    core = core_of(world)
    buffer: dict[str, Any] = {"rows": []}

    async def reuse(call: Call, context: CallContext) -> Any:
        asyncio.get_running_loop().call_later(1.0, buffer["rows"].append, "later")
        return buffer

    spec = core.parts.registry.require("look")
    core.parts.registry._tools["look"] = replace(spec, runner=reuse)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(2.0)
    core.end(turn, [look])
    assert await core.call(look) == {"rows": []}
    assert core.log.outcomes()["hit"] == 1
    await core.settle()


def test_a_span_does_not_meet_its_own_read() -> None:
    log = WriteLog()
    span = log.begin(None, 1.0)
    assert log.met(None, 0.0)
    assert not log.met(None, 0.0, own=span)
