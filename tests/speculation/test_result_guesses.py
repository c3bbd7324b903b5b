"""Guesses at what pending calls return: what starts under them, and what comes of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.journal.event import EventKind, Outcomes
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.lifecycle import BranchState
from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.prediction.result_guess import ResultGuess
from specflow.speculation.lookahead import Lookahead
from specflow.speculation.odds import Source
from specflow.speculation.turn import result_item
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


def answer(seat: str) -> dict[str, Any]:
    return {"seat": seat, "bookings": 0}


def core_of(world: LedgerWorld, **options: Any) -> ScriptedCore:
    judge = options.pop("judge", None) or world.judge()
    return ScriptedCore(world.tools(), judge, MemoryJournal(LoopClock()), **options)


async def at_rest(core: ScriptedCore) -> None:
    """What must hold after every run, whatever happened in it."""
    await core.coordinator.aclose()
    assert verify(await core.journal.snapshot()) == ()
    ended_once(core)
    opened = [event.branch_id for event in core.log.of(EventKind.BRANCH_OPENED)]
    decided = [event.branch_id for event in core.log.of(EventKind.BRANCH_DECIDED)]
    assert sorted(decided) == sorted(opened), "every hypothesis is decided exactly once"


def booked_by(world: LedgerWorld, predictor: str) -> StaticJudge:
    """The policy of the world, which names who may book early."""
    judge = world.judge()
    rules = judge._rules
    return StaticJudge({**rules, "book": replace(rules["book"], predictors=frozenset({predictor}))})


async def step(core: ScriptedCore, call: Call, *, thinks: float = 1.0, origin: object = None) -> Any:
    """One turn of the real run, with its call."""
    turn = core.begin()
    await asyncio.sleep(thinks)
    core.end(turn, [call])
    return await core.call(call, origin=origin)


PLAN = [look("A1"), look("B2"), look("C3"), look("D4")]


def following(context: TurnContext) -> Sequence[Call]:
    """Foresees what follows in the plan, but only after a result."""
    return in_order(PLAN)(context) if last_call(context) else ()


@scenario
async def test_a_right_guess_hides_the_next_call_behind_the_pending_one() -> None:
    """T = 3, G = 1. In sequence 2 * (G + T) = 8 s. A right guess saves T - g, here all of T: 5 s."""
    world = LedgerWorld(latency={"look": 3.0})
    guesser = Guessing({"look": [(answer("A1"), 0.9)]})
    core = core_of(
        world,
        predictors=[Foreseeing(following, 1.0)],
        result_guessers=[guesser],
        lookahead=Lookahead(depth=2),
    )
    loop = asyncio.get_running_loop()
    await step(core, PLAN[0])
    assert loop.time() == pytest.approx(4.0)
    await step(core, PLAN[1])
    assert loop.time() == pytest.approx(5.0), "G + T of the first, G of the second"
    assert sorted(entry[1] for entry in world.log[:2]) == ["A1", "B2"]
    (decided,) = core.log.of(EventKind.BRANCH_DECIDED)[:1]
    assert decided.outcome == BranchState.CONFIRMED
    await core.settle()
    assert core.log.outcomes()["hit"] == 1
    await at_rest(core)


@scenario
async def test_a_wrong_guess_costs_one_cancelled_read_and_no_time() -> None:
    world = LedgerWorld(latency={"look": 3.0})
    guesser = Guessing({"look": [(answer("Q7"), 0.9)]})
    core = core_of(world, predictors=[Foreseeing(following, 1.0)], result_guessers=[guesser])
    await step(core, PLAN[0])
    causes = [(event.outcome, event.cause) for event in core.log.of(EventKind.BRANCH_DECIDED)]
    assert set(causes) == {(BranchState.ABORTED, "mismatch")}
    ends = {(event.outcome, event.cause) for event in core.log.of(EventKind.RESOLVED)}
    assert ends == {(Outcomes.CANCELLED, "mismatch")}, "the cause reaches what was started under it"
    assert asyncio.get_running_loop().time() == pytest.approx(4.0)
    assert len(core.session.grove) == 0
    await core.settle()
    await at_rest(core)


@scenario
async def test_guesses_run_several_steps_ahead_before_anything_has_returned() -> None:
    """The bound: the critical path of the run with every guess right. All four reads run side by side."""
    world = LedgerWorld(latency={"look": 10.0})
    guesser = SeatGuesser()
    core = core_of(
        world,
        predictors=[Foreseeing(in_order(PLAN), 1.0)],
        result_guessers=[guesser],
        lookahead=Lookahead(depth=6),
    )
    loop = asyncio.get_running_loop()
    for call in PLAN:
        await step(core, call)
    assert loop.time() == pytest.approx(4 * 1.0 + 9.0), "N * G, and what is left of T after the first G"
    assert len(world.log) == 4
    await core.settle()
    await at_rest(core)


class SeatGuesser:
    """Knows every seat to be free."""

    name = "seats"

    async def guess(self, call: Call, context: TurnContext) -> Sequence[Any]:
        return [ResultGuess(value=answer(call.args["seat"]), confidence=1.0, predictor=self.name)]


def after(context: TurnContext) -> Sequence[Call]:
    """Foresees another call after each result."""
    past = last_call(context)
    return [look(f"after {past.result[10:12]}")] if past else ()


@scenario
async def test_as_many_guesses_as_the_breadth_and_the_right_one_stays() -> None:
    world = LedgerWorld(latency={"look": 3.0})
    values = [(answer(seat), 0.5) for seat in ("Q7", "A1", "Q8", "Q9")]
    core = core_of(
        world,
        predictors=[Foreseeing(after, 1.0)],
        result_guessers=[Guessing({"look": values})],
        lookahead=Lookahead(breadth=3, depth=2),
    )
    turn = core.begin()
    await asyncio.sleep(0.1)
    core.end(turn, [PLAN[0]])
    running = asyncio.get_running_loop().create_task(core.call(PLAN[0]))
    await asyncio.sleep(1.0)
    assert len(core.log.of(EventKind.BRANCH_OPENED)) == 3
    assert len(core.session.pending) == 3
    await running
    assert [item.call.args["seat"] for item in core.session.pending] == ["after A1"]
    await core.settle()
    await at_rest(core)


@scenario
async def test_one_read_hoped_for_by_two_guesses_lives_with_the_right_one() -> None:
    """Two guesses lead to the same next call: it runs once, and the wrong guess does not end it."""
    world = LedgerWorld(latency={"look": 3.0})
    values = [(answer("Q7"), 0.5), (answer("A1"), 0.5)]
    core = core_of(
        world,
        predictors=[Foreseeing(following, 1.0)],
        result_guessers=[Guessing({"look": values})],
        lookahead=Lookahead(depth=2),
    )
    await step(core, PLAN[0])
    (left,) = core.session.pending
    assert left.call == PLAN[1]
    await step(core, PLAN[1])
    assert [entry[1] for entry in world.log].count("B2") == 1
    await core.settle()
    await at_rest(core)


@scenario
async def test_an_error_ends_every_guess() -> None:
    world = LedgerWorld(latency={"look": 3.0}, before={"look": [RuntimeError("down")]})
    guesser = Guessing({"look": [(answer("A1"), 0.9)]})
    core = core_of(
        world,
        predictors=[Foreseeing(lambda context: [Call(tool="find", args={"booking": "x"})], 1.0)],
        result_guessers=[guesser],
    )
    turn = core.begin()
    core.end(turn, [PLAN[0]])
    with pytest.raises(RuntimeError):
        await core.call(PLAN[0])
    assert len(core.session.grove) == 0
    await core.settle()
    await at_rest(core)


@scenario
async def test_equivalence_counts_for_reads_and_never_for_writes() -> None:
    for tool, confirmed in (("look", True), ("book", False)):
        world = LedgerWorld(latency={tool: 1.0})
        value = {"booking_id": "?", "seat": "A1"}
        guesser = Guessing({tool: [(value, 1.0)]}, equivalent=lambda one, other: one["seat"] == other["seat"])
        core = core_of(world, result_guessers=[guesser])
        await step(core, Call(tool=tool, args={"seat": "A1"}))
        (decided,) = core.log.of(EventKind.BRANCH_DECIDED)
        assert (decided.outcome == BranchState.CONFIRMED) is confirmed
        await core.settle()
        await at_rest(core)


@scenario
async def test_a_right_guess_never_commits_a_write() -> None:
    """The fork's booking rests on a right guess; nobody adopts it: it is undone."""
    world = LedgerWorld(latency={"look": 3.0, "book": 0.5})
    booking = Call(tool="book", args={"seat": "B2"})
    core = core_of(
        world,
        judge=booked_by(world, "foreseeing"),
        predictors=[Foreseeing(lambda context: [booking] if last_call(context) else [], 1.0)],
        result_guessers=[Guessing({"look": [(answer("A1"), 1.0)]})],
        lookahead=Lookahead(depth=2),
    )
    await step(core, PLAN[0])
    assert world.seats == {"B2": 1}, "booked on a right guess"
    turn = core.begin()
    core.end(turn, [])
    await core.settle()
    assert world.seats == {}, "and undone, as nobody asked for it"
    assert core.log.outcomes()["compensated"] == 1
    await at_rest(core)


@scenario
async def test_a_write_under_a_guess_is_adopted_when_it_was_right_and_the_model_asks() -> None:
    world = LedgerWorld(latency={"look": 3.0, "book": 0.5})
    booking = Call(tool="book", args={"seat": "B2"})
    core = core_of(
        world,
        judge=booked_by(world, "foreseeing"),
        predictors=[Foreseeing(lambda context: [booking] if last_call(context) else [], 1.0)],
        result_guessers=[Guessing({"look": [(answer("A1"), 1.0)]})],
        lookahead=Lookahead(depth=2),
    )
    await step(core, PLAN[0])
    await step(core, booking)
    await core.settle()
    assert world.seats == {"B2": 1}
    assert core.log.outcomes()["hit"] == 1
    await at_rest(core)


@scenario
async def test_a_write_in_a_chain_needs_a_policy_that_names_the_predictor() -> None:
    world = LedgerWorld(latency={"look": 1.0})
    booking = Call(tool="book", args={"seat": "B2"})
    core = core_of(world, predictors=[Foreseeing(in_order([PLAN[0], booking]), 1.0)])
    turn = core.begin()
    await asyncio.sleep(3.0)
    assert world.seats == {}
    assert core.log.of(EventKind.WITHHELD)[-1].cause == "predictor"
    core.end(turn, [])
    await core.settle()
    await at_rest(core)


@scenario
async def test_bad_guessers_hurt_nobody() -> None:
    world = LedgerWorld(latency={"look": 3.0})

    class Odd:
        def __init__(self, name: str, said: Any) -> None:
            self.name, self.said = name, said

        async def guess(self, call: Call, context: TurnContext) -> Any:
            if isinstance(self.said, BaseException):
                raise self.said
            if self.said == "hang":
                await asyncio.sleep(10_000)
            return self.said

    def guess(value: Any, confidence: Any = 1.0, **more: Any) -> ResultGuess:
        return ResultGuess(value=value, confidence=confidence, predictor="odd", **more)

    def fails(one: Any, other: Any) -> bool:
        raise RuntimeError("no")

    class Unshowable:
        def __str__(self) -> str:
            raise RuntimeError("no")

    guessers = [
        Odd("raises", RuntimeError("no")),
        Odd("hangs", "hang"),
        Odd("says nothing", None),
        Odd("no guess", ["value"]),
        Odd("no number", [guess(answer("A1"), "sure"), guess(answer("A1"), float("nan"))]),
        Odd("unhashable", [guess({"a": {1, 2}}), guess(Unshowable())]),
        Odd("huge", [guess("x" * 2_000_000), guess(1, text="x" * 2_000_000)]),
        Odd("no text", [guess(2, text=7)]),
        Odd("cannot compare", [guess(answer("B2"), equivalent=fails)]),
        Odd("right", [guess(answer("A1"))]),
    ]
    core = core_of(world, result_guessers=guessers, lookahead=Lookahead(breadth=9))
    turn = core.begin()
    core.end(turn, [PLAN[0]])
    assert await core.call(PLAN[0]) == answer("A1")
    decided = {event.outcome for event in core.log.of(EventKind.BRANCH_DECIDED)}
    assert decided == {BranchState.ABORTED, BranchState.CONFIRMED}
    assert len(core.log.of(EventKind.BRANCH_OPENED)) == 2
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_person_who_is_asked_is_a_pending_call() -> None:
    world = LedgerWorld(latency={"look": 1.0})
    ask = Call(tool="ask_user", args={"question": "window?"})
    core = core_of(
        world,
        predictors=[Foreseeing(lambda context: [look(context.history[-1].text)], 1.0)],
        result_guessers=[Guessing({"ask_user": [("A1", 0.6), ("B2", 0.4)]})],
        lookahead=Lookahead(depth=1),
    )
    asked = core.coordinator.awaiting(core.session, ask, TurnContext(tools=core.parts.registry))
    await asyncio.sleep(30.0)
    assert sorted(entry[1] for entry in world.log) == ["A1", "B2"]
    await core.coordinator.pause(core.session)
    assert not core.session.closing, "what waits for the answer is kept"
    asked.answered("B2")
    asked.gave_up()
    turn = core.begin(history=[HistoryItem(role="user", text="B2")])
    core.end(turn, [look("B2")])
    before = asyncio.get_running_loop().time()
    await core.call(look("B2"))
    assert asyncio.get_running_loop().time() == before
    await core.settle()
    await at_rest(core)


@scenario
async def test_nothing_is_written_while_a_person_has_to_answer() -> None:
    world = LedgerWorld()
    booking = Call(tool="book", args={"seat": "B2"})
    core = core_of(
        world,
        judge=booked_by(world, "foreseeing"),
        predictors=[Foreseeing(lambda context: [booking], 1.0)],
        result_guessers=[Guessing({"ask_user": [("yes", 1.0)]})],
    )
    ask = Call(tool="ask_user")
    asked = core.coordinator.awaiting(core.session, ask, TurnContext(tools=core.parts.registry))
    await asyncio.sleep(1.0)
    assert core.log.of(EventKind.WITHHELD)[-1].cause == "patient"
    asked.gave_up()
    assert len(core.session.grove) == 0
    await core.settle()
    assert world.seats == {}


def test_at_any_moment_and_in_any_order_nothing_is_left() -> None:
    """Right, wrong and failing guesses, nested; the session closes, is cancelled or goes on at any time."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        draw = loop.random
        world = LedgerWorld(latency={"look": draw.choice([0.0, 0.3, 1.0])})
        if draw.random() < 0.3:
            world.before["look"] = [RuntimeError("down")]
        values = [(answer(draw.choice(["A1", "B2", "Q7"])), draw.random()) for _ in range(4)]
        core = core_of(
            world,
            predictors=[Foreseeing(in_order(PLAN), draw.random(), seconds=draw.choice([0.0, 0.2]))],
            result_guessers=[Guessing({"look": values}, seconds=draw.choice([0.0, 0.2])), SeatGuesser()],
            lookahead=Lookahead(depth=draw.randrange(5), min_odds=0.0, branches=draw.choice([3, 64])),
        )

        async def real() -> None:
            for call in PLAN:
                turn = core.begin()
                await asyncio.sleep(draw.choice([0.0, 0.5]))
                wanted = call if draw.random() < 0.7 else look("Z9")
                core.end(turn, [wanted])
                with suppress(RuntimeError):
                    assert await core.call(wanted) == answer(wanted.args["seat"])

        session = core.session
        running = loop.create_task(real())
        if draw.random() < 0.5:
            await asyncio.sleep(draw.uniform(0.0, 3.0))
            running.cancel()
        await asyncio.wait({running})
        assert running.cancelled() or running.exception() is None
        await core.coordinator.aclose()
        await asyncio.sleep(5.0)
        assert len(session.grove) == 0
        assert len(session.pending) == 0
        assert not session.claimed
        await at_rest(core)

    explore(story, schedules=SCHEDULES, leaks="error")


@scenario
async def test_what_was_read_on_a_guess_of_the_users_reply_is_there_when_it_comes() -> None:
    """The run is over and its session closed; the reply belongs to the next one of the conversation."""
    world = LedgerWorld(latency={"look": 1.0})
    core = core_of(
        world,
        predictors=[Foreseeing(lambda context: [look("B2")] if context.history else [], 1.0)],
        result_guessers=[Guessing({"reply": [("B2 please", 1.0)]})],
        lookahead=Lookahead(depth=1),
    )
    turn = core.begin()
    core.end(turn, [])
    ended = core.session
    await core.coordinator.finish(ended, "", "run_ended")
    assert core.session is not ended
    context = TurnContext(tools=core.parts.registry)
    asked = core.coordinator.awaiting(core.session, Call(tool="reply"), context)
    await asyncio.sleep(10.0)
    asked.answered("B2 please")
    turn = core.begin(history=[HistoryItem(role="user", text="B2 please")])
    core.end(turn, [look("B2")])
    before = asyncio.get_running_loop().time()
    await core.call(look("B2"))
    assert asyncio.get_running_loop().time() == before
    assert world.log == [("read", "B2", "")]
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_question_that_nobody_answers_does_not_keep_a_run_open() -> None:
    world = LedgerWorld()
    core = core_of(world, result_guessers=[Guessing({"ask_user": [("yes", 1.0)]})])
    session = core.session
    turn = core.begin()
    context = TurnContext(tools=core.parts.registry)
    core.coordinator.awaiting(session, Call(tool="ask_user"), context)
    await asyncio.sleep(0.1)
    core.end(turn, [])
    await core.coordinator.finish(session, "", "run_ended")
    assert session.closing
    assert len(session.grove) == 0
    await at_rest(core)


class Grudging(dict[str, Any]):
    """A result that does not let itself be looked at."""

    def items(self) -> Any:
        raise RuntimeError("no")

    def __deepcopy__(self, memo: object) -> Any:
        raise RuntimeError("no")


@scenario
async def test_a_result_that_cannot_be_looked_at_is_the_real_runs_all_the_same() -> None:
    world = LedgerWorld(latency={"look": 1.0})
    guesser = Guessing({"look": [(answer("A1"), 1.0)]}, equivalent=lambda one, other: one == other.items())
    core = core_of(world, predictors=[Foreseeing(following, 1.0)], result_guessers=[guesser])
    grudging = Grudging(seat="A1")

    async def runner(call: Call, context: CallContext) -> Any:
        await asyncio.sleep(1.0)
        return grudging

    turn = core.begin()
    core.end(turn, [PLAN[0]])
    assert await core.call(PLAN[0], runner=runner) is grudging
    assert {event.outcome for event in core.log.of(EventKind.BRANCH_DECIDED)} == {BranchState.ABORTED}
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_call_lost_with_its_hypothesis_does_not_count_against_its_predictor() -> None:
    """The odds of the path have it in them that the hypothesis may be wrong: it is not counted twice."""
    world = LedgerWorld(latency={"look": 2.0})
    core = core_of(
        world,
        predictors=[Foreseeing(in_order([look("A1"), look("B2")]), 1.0)],
        result_guessers=[Guessing({"look": [("wrong", 0.9)]})],
        lookahead=Lookahead(depth=2),
    )
    source = Source(tool="look", predictor="foreseeing")
    turn = core.begin()
    core.end(turn, [look("A1")])
    await core.call(look("A1"))
    (lost,) = core.log.of(EventKind.RESOLVED)
    assert (lost.call, lost.outcome) == (look("B2"), Outcomes.CANCELLED)
    assert core.parts.odds.posterior(source, 0.5) == (4.0, 4.0), "nothing was seen of it"
    turn = core.begin(history=(past_look(),))
    await asyncio.sleep(0.5)
    core.end(turn, [look("C3")])
    assert core.parts.odds.posterior(source, 0.5) == (4.0, 5.0), "this one was wrong by itself"
    await core.call(look("C3"))
    await core.settle()
    await at_rest(core)


def past_look() -> HistoryItem:
    return result_item(look("A1"), "free")
