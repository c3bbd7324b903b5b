"""What a fork's tool calls become: answered by the guess, joined, started early, or the end of the fork."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext, Runner
from specflow.errors import NotEarlyError
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.prediction.result_guess import ResultGuess
from specflow.speculation.branch import Branch
from specflow.speculation.lookahead import Lookahead
from specflow.testing.explore import explore, run
from specflow.testing.foreseeing import Guessing
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.seeded_loop import SeededLoop
from specflow.testing.static_judge import StaticJudge
from tests.speculation.scenarios import ended_once, scenario

Body = Callable[["Fork"], Awaitable[None]]


@dataclass(slots=True)
class Fork:
    """What one run of the forker sees."""

    core: ScriptedCore
    branch: Branch
    call: Call
    guess: ResultGuess
    origin: object

    async def make(
        self, call: Call, step: int = 1, origin: object = None, runner: Runner | None = None
    ) -> Any:
        """A call of the fork."""
        tool = self.core.parts.registry.require(call.tool)
        runner = runner or tool.runner
        assert runner is not None
        return await self.core.coordinator.shadow_call(
            self.core.session, self.branch, call, tool, runner, step=step, origin=origin
        )


@dataclass(slots=True)
class Scripted:
    """Runs `body` as the fork. `ends` says how each one ended."""

    body: Body
    core: ScriptedCore | None = None
    ends: list[str] = field(default_factory=list)

    async def run(self, branch: Branch, call: Call, guess: ResultGuess, origin: object) -> None:
        assert self.core is not None
        try:
            await self.body(Fork(self.core, branch, call, guess, origin))
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise
        self.ends.append("done")


SCHEDULES = 2_000 if "SPECFLOW_NIGHTLY" in os.environ else 80 if "CI" in os.environ else 40


def look(seat: str) -> Call:
    return Call(tool="look", args={"seat": seat})


def answer(seat: str) -> dict[str, Any]:
    return {"seat": seat, "bookings": 0}


def core_of(world: LedgerWorld, body: Body, guesses: Any = None, **options: Any) -> ScriptedCore:
    forker = Scripted(body)
    only = look("A1") if guesses is None else None
    guesser = Guessing(guesses or {"look": [(answer("A1"), 0.9)]}, only=options.pop("only", only))
    core = ScriptedCore(
        world.tools(),
        options.pop("judge", None) or world.judge(),
        MemoryJournal(LoopClock()),
        forker=forker,
        result_guessers=[guesser],
        lookahead=options.pop("lookahead", None) or Lookahead(depth=3),
        **options,
    )
    forker.core = core
    return core


def ends(core: ScriptedCore) -> list[str]:
    forker = core.parts.forker
    assert isinstance(forker, Scripted)
    return forker.ends


async def at_rest(core: ScriptedCore) -> None:
    await core.coordinator.aclose()
    assert verify(await core.journal.snapshot()) == ()
    ended_once(core)


async def step(core: ScriptedCore, call: Call, *, thinks: float = 1.0) -> Any:
    """One turn of the real run, with its call."""
    turn = core.begin()
    await asyncio.sleep(thinks)
    core.end(turn, [call])
    return await core.call(call, origin="here")


async def ahead(fork: Fork) -> None:
    """The graph as it would go on: the guessed call again, then two more steps of a second each."""
    assert await fork.make(fork.call) == fork.guess.value
    assert fork.origin == "here"
    for number, seat in enumerate(("B2", "C3"), start=1):
        await asyncio.sleep(1.0)
        assert (await fork.make(look(seat), number))["seat"] == seat


@scenario
async def test_what_a_fork_reads_is_there_when_the_real_run_arrives() -> None:
    world = LedgerWorld(latency={"look": 4.0})
    core = core_of(world, ahead)
    loop = asyncio.get_running_loop()
    await step(core, look("A1"))  # 0..5; the fork thinks 1..2 and reads B2 2..6
    assert loop.time() == pytest.approx(5.0)
    await step(core, look("B2"))
    assert loop.time() == pytest.approx(6.0), "thought until 6, and it has just come"
    await step(core, look("C3"))  # the fork has thought 6..7, and reads 7..11
    assert loop.time() == pytest.approx(11.0)
    assert len(world.log) == 3
    await asyncio.sleep(0.1)
    assert ends(core) == ["done"]
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_wrong_guess_ends_the_fork_and_what_it_reads() -> None:
    world = LedgerWorld(latency={"look": 2.5})
    core = core_of(world, ahead, {"look": [(answer("Q7"), 0.9)]})
    await step(core, look("A1"))
    await asyncio.sleep(0.1)
    assert ends(core) == ["CancelledError"]
    assert len(core.session.pending) == 0
    assert [event.cause for event in core.log.of(EventKind.RESOLVED)] == ["mismatch"]
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_read_that_was_promoted_outlives_its_fork() -> None:
    """The real run takes over the fork's read; then the fork's guess turns out wrong: the read goes on."""
    world = LedgerWorld(latency={"look": 4.0})

    async def body(fork: Fork) -> None:
        await fork.make(look("B2"))

    core = core_of(world, body, {"find": [("x", 0.9)]})
    ask = Call(tool="find", args={"booking": "b"})
    world.latency["find"] = 2.0
    turn = core.begin()
    core.end(turn, [ask, look("B2")])
    first = asyncio.get_running_loop().create_task(core.call(ask, origin="here"))
    await asyncio.sleep(1.0)
    assert (await core.call(look("B2"), origin="here"))["seat"] == "B2"
    assert await first is None
    assert world.log == [("read", "B2", "")], "once"
    assert core.log.outcomes()["late"] == 1
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_read_that_the_real_run_is_making_is_joined() -> None:
    world = LedgerWorld(latency={"look": 3.0, "find": 4.0})
    seen: list[Any] = []

    async def body(fork: Fork) -> None:
        seen.append(await fork.make(look("B2")))
        seen[0]["seat"] = "spoilt"

    core = core_of(world, body, {"find": [("x", 0.9)]})
    ask = Call(tool="find", args={"booking": "b"})
    turn = core.begin()
    core.end(turn, [ask, look("B2")])
    second = asyncio.get_running_loop().create_task(core.call(look("B2")))
    await asyncio.sleep(0.5)
    await core.call(ask, origin="here")
    assert await second == answer("B2"), "what the fork does to its copy is its own affair"
    assert seen == [{"seat": "spoilt", "bookings": 0}]
    assert world.log == [("read", "B2", "")]
    await core.settle()
    await at_rest(core)


@scenario
async def test_joining_a_read_that_fails_shows_the_fork_the_same_failure() -> None:
    world = LedgerWorld(latency={"look": 3.0, "find": 4.0}, before={"look": [RuntimeError("down")]})

    async def body(fork: Fork) -> None:
        with pytest.raises(RuntimeError, match="down"):
            await fork.make(look("B2"))

    core = core_of(world, body, {"find": [("x", 0.9)]})
    ask = Call(tool="find", args={"booking": "b"})
    turn = core.begin()
    core.end(turn, [ask, look("B2")])
    second = asyncio.get_running_loop().create_task(core.call(look("B2")))
    await asyncio.sleep(0.5)
    await core.call(ask, origin="here")
    with pytest.raises(RuntimeError):
        await second
    assert ends(core) == ["done"]
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_fork_ends_at_what_must_not_run_early() -> None:
    for call in (
        Call(tool="charge", args={"amount": 1}),
        Call(tool="book", args={"seat": "B2"}),
        Call(tool="find", args={"booking": "b"}),
        Call(tool="look", args={}),
    ):
        world = LedgerWorld(latency={"look": 3.0})

        async def body(fork: Fork, call: Call = call) -> None:
            await fork.make(call)

        core = core_of(world, body)
        await step(core, look("A1"))
        assert ends(core) == ["NotEarlyError"]
        assert world.charges == []
        assert world.bookings == {}
        await core.settle()
        await at_rest(core)


def forks_may_book(world: LedgerWorld) -> StaticJudge:
    """The policy of the world, which lets forks book."""
    judge = world.judge()
    rules = judge._rules
    return StaticJudge({**rules, "book": replace(rules["book"], predictors=frozenset({"fork"}))})


@pytest.mark.parametrize("steps", [(1, 2, 3), (1, 1, 1), (1, 1, 2)])
def test_what_a_fork_has_written_is_undone_in_reverse_order(steps: tuple[int, ...]) -> None:
    """Children first, then what the branch owns itself, the newest first; also where nothing is shared."""

    async def story() -> None:
        world = LedgerWorld(latency={"look": 5.0, "cancel": 0.5})

        async def body(fork: Fork) -> None:
            for number, seat in zip(steps, ("A1", "B2", "C3"), strict=True):
                await fork.make(Call(tool="book", args={"seat": seat}), number)

        wrong = {"look": [(answer("Q7"), 0.9)]}
        core = core_of(world, body, wrong, judge=forks_may_book(world), lookahead=Lookahead(depth=6))
        turn = core.begin()
        core.end(turn, [look("Z9")])
        running = asyncio.get_running_loop().create_task(core.call(look("Z9"), origin="here"))
        await asyncio.sleep(4.0)
        assert world.seats == {"A1": 1, "B2": 1, "C3": 1}
        assert ends(core) == ["done"]
        await running
        await core.settle()
        assert world.seats == {}
        assert [entry[1] for entry in world.log if entry[0] == "cancel"] == ["C3", "B2", "A1"]
        snapshot = await core.journal.snapshot()
        rows = {row.branch_id: row for row in snapshot.branches}
        above = {str(effect.args["seat"]): rows[effect.branch_id].parent_id for effect in snapshot.effects}
        first = next(effect.branch_id for effect in snapshot.effects if effect.args["seat"] == "A1")
        assert above["A1"] is None
        assert above["B2"] == (first if steps[1] == 2 else None)
        assert {row.cause for row in rows.values()} == {"mismatch"}
        await at_rest(core)

    run(story(), leaks="error")


@scenario
async def test_a_write_of_a_right_fork_that_nobody_asks_for_is_undone() -> None:
    world = LedgerWorld(latency={"look": 2.0})

    async def body(fork: Fork) -> None:
        await fork.make(Call(tool="book", args={"seat": "B2"}))

    core = core_of(world, body, judge=forks_may_book(world))
    await step(core, look("A1"))
    assert world.seats == {"B2": 1}
    await step(core, look("C3"))
    assert world.seats == {}
    await core.settle()
    await at_rest(core)


@pytest.mark.parametrize("slow", [True, False])
def test_what_a_fork_has_written_does_not_outlive_a_run_that_stops(slow: bool) -> None:
    """Also where it stops after a tool, and its next turn never begins: nobody may tell us."""

    async def story() -> None:
        world = LedgerWorld(latency={"look": 200.0 if slow else 2.0})

        async def body(fork: Fork) -> None:
            await fork.make(Call(tool="book", args={"seat": "B2"}))

        core = core_of(world, body, judge=forks_may_book(world))
        turn = core.begin()
        core.end(turn, [look("A1")])
        del turn
        running = asyncio.get_running_loop().create_task(core.call(look("A1"), origin="here"))
        await asyncio.sleep(190.0 if slow else 1.0)
        assert world.seats == {"B2": 1}, "while the run goes on it waits for its turn"
        await running
        await asyncio.sleep(130.0)
        assert world.seats == {}
        await core.settle()
        await at_rest(core)

    run(story(), leaks="error")


@scenario
async def test_an_early_failure_ends_the_fork_and_the_real_run_finds_out_for_itself() -> None:
    world = LedgerWorld(latency={"look": 2.0})

    async def down(call: Call, context: CallContext) -> Any:
        raise RuntimeError("down")

    async def body(fork: Fork) -> None:
        await fork.make(look("B2"), runner=down)

    core = core_of(world, body)
    await step(core, look("A1"))
    assert ends(core) == ["NotEarlyError"]
    assert await step(core, look("B2")) == answer("B2")
    await core.settle()
    await at_rest(core)


@scenario
async def test_forks_of_forks() -> None:
    """What a fork reads is guessed in turn, and forked from there."""
    world = LedgerWorld(latency={"look": 5.0})
    deep: list[int] = []

    async def body(fork: Fork) -> None:
        deep.append(fork.branch.depth)
        await fork.make(fork.call)
        await fork.make(look(fork.call.args["seat"] + "x"), origin="here")

    free = {"look": [(answer("A1"), 0.9)]}
    core = core_of(world, body, free, lookahead=Lookahead(depth=5, min_odds=0.0))
    turn = core.begin()
    core.end(turn, [look("A1")])
    running = asyncio.get_running_loop().create_task(core.call(look("A1"), origin="here"))
    await asyncio.sleep(1.0)
    assert deep == [0, 2, 4], "a guess and a call deeper each time, and no further than allowed"
    await running
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_fork_whose_first_step_was_not_taken_goes_no_further() -> None:
    world = LedgerWorld(latency={"look": 1.0})

    async def body(fork: Fork) -> None:
        await fork.make(look("B2"), 1)
        await asyncio.sleep(5.0)
        await fork.make(look("C3"), 2)

    core = core_of(world, body)
    await step(core, look("A1"))
    await step(core, look("Z9"))
    await asyncio.sleep(6.0)
    assert ends(core) == ["NotEarlyError"]
    await core.settle()
    await at_rest(core)


@scenario
async def test_few_forks_begin_in_one_turn_of_the_loop() -> None:
    world = LedgerWorld(latency={"look": 1.0})
    begun: list[int] = []
    turns = 0

    async def body(fork: Fork) -> None:
        begun.append(turns)

    limit = Lookahead(breadth=16, proposals=16, starts=4, min_odds=0.0)
    core = core_of(world, body, {"look": [(number, 0.9) for number in range(16)]}, lookahead=limit)
    turn = core.begin()
    core.end(turn, [look("A1")])

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    loop = asyncio.get_running_loop()
    running, counting = loop.create_task(core.call(look("A1"), origin="here")), loop.create_task(count())
    while len(begun) < 16:
        await asyncio.sleep(0)
    counting.cancel()
    assert max(begun.count(number) for number in set(begun)) <= 2 * limit.starts
    await running
    await core.settle()
    await asyncio.wait({counting})


@scenario
async def test_a_fork_cannot_be_called_from_after_its_end() -> None:
    world = LedgerWorld(latency={"look": 1.0})
    kept: list[Fork] = []

    async def body(fork: Fork) -> None:
        kept.append(fork)

    core = core_of(world, body)
    await step(core, look("A1"))
    with pytest.raises(NotEarlyError):
        await kept[0].make(look("B2"))
    await core.settle()


def test_at_any_moment_nothing_of_a_fork_is_left() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        draw = loop.random
        world = LedgerWorld(latency={"look": draw.choice([0.0, 0.5, 2.0])})

        async def body(fork: Fork) -> None:
            for number in range(1, 4):
                await asyncio.sleep(draw.choice([0.0, 0.5]))
                calls = [look(draw.choice(["A1", "B2", "C3"])) for _ in range(draw.randrange(1, 3))]
                await asyncio.gather(*(fork.make(call, number, "here") for call in calls))

        seats = ["A1", "B2", "C3"]
        guesses = {"look": [(answer(seat), 1.0) for seat in seats]}
        core = core_of(world, body, guesses, lookahead=Lookahead(depth=4, min_odds=0.0))
        session = core.session

        async def real() -> None:
            for _ in range(3):
                call = look(draw.choice(seats))
                assert await step(core, call, thinks=draw.choice([0.0, 0.7])) == answer(call.args["seat"])

        running = loop.create_task(real())
        if draw.random() < 0.5:
            await asyncio.sleep(draw.uniform(0.0, 4.0))
            running.cancel()
        await asyncio.wait({running})
        assert running.cancelled() or running.exception() is None
        await core.coordinator.aclose()
        await asyncio.sleep(5.0)
        assert len(session.grove) == 0
        assert len(session.pending) == 0
        await at_rest(core)

    explore(story, schedules=SCHEDULES, leaks="error")
