"""Chains: what is foreseen before the model speaks, and after results that it has not seen yet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.speculation.lookahead import Lookahead
from specflow.speculation.parts import Mode
from specflow.speculation.turn import result_item
from specflow.testing.explore import explore
from specflow.testing.foreseeing import Foreseeing, in_order
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.seeded_loop import SeededLoop
from tests.speculation.scenarios import ended_once, scenario

SCHEDULES = 2_000 if "SPECFLOW_NIGHTLY" in os.environ else 40 if "CI" in os.environ else 20


def look(seat: str) -> Call:
    return Call(tool="look", args={"seat": seat})


def core_of(world: LedgerWorld, **options: Any) -> ScriptedCore:
    judge = options.pop("judge", None) or world.judge()
    return ScriptedCore(world.tools(), judge, MemoryJournal(LoopClock()), **options)


async def at_rest(core: ScriptedCore) -> None:
    """What must hold after every run, whatever happened in it."""
    await core.coordinator.aclose()
    assert verify(await core.journal.snapshot()) == ()
    ended_once(core)


async def play(core: ScriptedCore, plan: Sequence[Call], *, thinks: float = 1.0) -> float:
    """A run that thinks `thinks` seconds before each call of the plan. Returns the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    history: list[HistoryItem] = [HistoryItem(role="user", text="go")]
    for call in plan:
        turn = core.begin(history=tuple(history))
        await asyncio.sleep(thinks)
        core.end(turn, [call])
        value = await core.call(call)
        tool = core.parts.registry.require(call.tool)
        history.append(HistoryItem(role="assistant"))
        history.append(past(call, tool.render(value)))
    took = loop.time() - began
    await core.settle()
    return took


def past(call: Call, text: str) -> HistoryItem:
    return result_item(call, text)


PLAN = [look("A1"), look("B2"), look("C3"), look("D4")]


@scenario
async def test_a_foreseen_call_starts_before_the_model_says_a_word() -> None:
    """G = T = 1: without speculation 8 s; with every step foreseen at g = 0 max(G, T) each, 4 s."""
    world = LedgerWorld(latency={"look": 1.0})
    predictor = Foreseeing(in_order(PLAN))
    core = core_of(world, predictors=[predictor], lookahead=Lookahead(depth=0))
    assert await play(core, PLAN) == pytest.approx(4.0)
    assert len(world.log) == 4
    await at_rest(core)


@scenario
async def test_a_chain_reads_ahead_of_the_model() -> None:
    """The whole plan is read in the first 4 s, while the model still thinks about the first steps: slow
    reads are hidden behind the thinking of several turns, which one step ahead cannot do.
    """
    latency = {"look": 3.0}
    seconds = {}
    for depth in (0, 3):
        world = LedgerWorld(latency=latency)
        core = core_of(world, predictors=[Foreseeing(in_order(PLAN), 1.0)], lookahead=Lookahead(depth=depth))
        seconds[depth] = await play(core, PLAN, thinks=2.0)
        assert len(world.log) == 4, "every read was made once"
        await at_rest(core)
    # One step ahead: max(G, T) each. In a chain the reads follow each other without the model in between,
    # which cannot be faster than they are: the critical path of the run with every guess right.
    assert seconds == {0: pytest.approx(12.0), 3: pytest.approx(12.0)}


@scenario
async def test_a_chain_hides_quick_reads_in_the_first_turn() -> None:
    """T = 0.5, G = 2: all reads are there when the model is through with its first thought."""
    world = LedgerWorld(latency={"look": 0.5})
    core = core_of(world, predictors=[Foreseeing(in_order(PLAN), 1.0)])
    turn = core.begin()
    await asyncio.sleep(2.2)
    assert [entry[1] for entry in world.log] == ["A1", "B2", "C3", "D4"]
    core.end(turn, [PLAN[0]])
    await core.call(PLAN[0])
    turn = core.begin()
    core.end(turn, [PLAN[1]])
    before = asyncio.get_running_loop().time()
    await core.call(PLAN[1])
    assert asyncio.get_running_loop().time() == before
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_chain_ends_with_its_first_call() -> None:
    world = LedgerWorld(latency={"look": 0.5})
    core = core_of(world, predictors=[Foreseeing(in_order(PLAN), 1.0)])
    turn = core.begin()
    await asyncio.sleep(2.0)
    core.end(turn, [look("Z9")])
    assert len(core.session.pending) == 0
    assert not core.session.grove.roots()
    causes = [event.cause for event in core.log.of(EventKind.RESOLVED)]
    assert causes == ["mismatch"] * 4, "the cause reaches the whole chain unchanged"
    await core.call(look("Z9"))
    await core.settle()
    await at_rest(core)


@scenario
async def test_the_second_read_of_a_chain_lives_until_its_own_turn_has_ended() -> None:
    world = LedgerWorld(latency={"look": 0.5})
    core = core_of(world, predictors=[Foreseeing(in_order(PLAN[:2]), 1.0)])
    turn = core.begin()
    await asyncio.sleep(2.0)
    core.end(turn, [PLAN[0]])
    assert len(core.session.pending) == 2
    await core.call(PLAN[0])
    turn = core.begin()
    assert len(core.session.pending) == 1, "its turn has just begun"
    core.end(turn, [look("Z9")])
    assert len(core.session.pending) == 0, "its turn has ended without it"
    await core.call(look("Z9"))
    await core.settle()
    await at_rest(core)


@scenario
async def test_what_is_foreseen_sees_the_result_as_the_model_will() -> None:
    world = LedgerWorld(latency={"look": 0.5})
    predictor = Foreseeing(in_order(PLAN), 1.0)
    core = core_of(world, predictors=[predictor])
    turn = core.begin(history=[HistoryItem(role="user", text="go")])
    await asyncio.sleep(1.2)
    shown = predictor.asked[1].history
    assert [item.role for item in shown] == ["user", "assistant", "tool"]
    assert shown[-1].text == '{"seat": "A1", "bookings": 0}'
    core.end(turn, [])
    await core.settle()
    await at_rest(core)


@scenario
async def test_odds_multiply_and_stop_the_chain() -> None:
    world = LedgerWorld(latency={"look": 0.1})
    core = core_of(world, predictors=[Foreseeing(in_order(PLAN), 0.5)], lookahead=Lookahead(min_odds=0.3))
    turn = core.begin()
    await asyncio.sleep(2.0)
    launched = core.log.of(EventKind.LAUNCHED)
    assert [(event.facts["odds"], event.facts["depth"]) for event in launched] == [(0.5, 0), (0.25, 1)]
    assert [event.cause for event in core.log.of(EventKind.WITHHELD)] == ["odds"]
    assert launched[1].parent_id == launched[0].branch_id
    core.end(turn, [])
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_foresight_that_comes_too_late_starts_nothing() -> None:
    world = LedgerWorld()
    core = core_of(world, predictors=[Foreseeing(in_order(PLAN), 1.0, seconds=1.5)])
    turn = core.begin()
    await asyncio.sleep(1.0)
    core.end(turn, [PLAN[0]])
    await core.call(PLAN[0])
    await asyncio.sleep(1.0)
    assert core.log.of(EventKind.LAUNCHED) == []
    await core.settle()
    await at_rest(core)


class Raising:
    name = "raising"

    async def foresee(self, context: TurnContext) -> Sequence[Any]:
        raise RuntimeError("no")


class Hanging:
    name = "hanging"

    async def foresee(self, context: TurnContext) -> Sequence[Any]:
        await asyncio.sleep(10_000)
        return ()


class Flooding:
    name = "flooding"

    async def foresee(self, context: TurnContext) -> Any:
        def flood() -> Any:
            number = 0
            while True:
                number += 1
                yield candidate(look(f"S{number}"))

        return flood()


class Babbling:
    name = "babbling"

    def __init__(self, said: Any) -> None:
        self.said = said

    async def foresee(self, context: TurnContext) -> Any:
        return self.said


def candidate(call: Call, confidence: Any = 0.9) -> Any:
    return Candidate(call=call, confidence=confidence, predictor="bad")


@scenario
async def test_bad_foreseers_hurt_nobody() -> None:
    world = LedgerWorld(latency={"look": 0.5})
    garbage: list[Any] = [None, 7, "look", [object()], [candidate("look")]]  # type: ignore[arg-type]
    bad = [Raising(), Hanging(), *(Babbling(said) for said in garbage)]
    good = Foreseeing(in_order(PLAN), 1.0)
    core = core_of(world, predictors=[*bad, good], lookahead=Lookahead(depth=0))
    turn = core.begin()
    await asyncio.sleep(3.0)
    assert [event.call for event in core.log.of(EventKind.LAUNCHED)] == [PLAN[0]]
    assert {"raising", "hanging", "babbling"} <= turn.silenced
    core.end(turn, [PLAN[0]])
    await core.call(PLAN[0])
    await core.settle()
    await at_rest(core)


@scenario
async def test_nonsense_that_is_foreseen_starts_nothing() -> None:
    world = LedgerWorld()
    wrong = [
        candidate(Call(tool="nothing", args={})),
        candidate(Call(tool="look", args={"seat": 7})),
        candidate(look("A1"), float("nan")),
        candidate(Call(tool="charge", args={"amount": 1})),
    ]
    core = core_of(world, predictors=[Babbling(wrong)])
    turn = core.begin()
    await asyncio.sleep(1.0)
    assert core.log.of(EventKind.LAUNCHED) == []
    assert len(core.log.of(EventKind.WITHHELD)) == 4
    core.end(turn, [])
    await core.settle()


@scenario
async def test_a_flood_is_bounded() -> None:
    world = LedgerWorld(latency={"look": 0.5})
    limit = Lookahead(branches=20, proposals=16)
    core = core_of(world, predictors=[Flooding()], lookahead=limit)
    turn = core.begin()
    await asyncio.sleep(5.0)
    assert len(core.session.grove) <= limit.branches
    assert len(core.log.of(EventKind.PROPOSED)) <= limit.proposals * (1 + limit.branches)
    core.end(turn, [])
    await core.settle()
    assert len(core.session.grove) == 0
    await at_rest(core)


@scenario
async def test_in_shadow_mode_it_is_only_said_what_would_start() -> None:
    world = LedgerWorld()
    core = core_of(world, predictors=[Foreseeing(in_order(PLAN), 1.0)], mode=Mode.SHADOW)
    turn = core.begin()
    await asyncio.sleep(1.0)
    assert [event.cause for event in core.log.of(EventKind.WITHHELD)] == ["mode"]
    core.end(turn, [])
    await core.settle()
    assert world.log == []


@scenario
async def test_what_comes_out_of_a_result_is_tainted_whoever_forgets_to_say_so() -> None:
    world = LedgerWorld()
    predictor = Babbling([candidate(look("secret-seat"))])
    core = core_of(world, predictors=[predictor], lookahead=Lookahead(depth=0))
    call = Call(tool="look", args={"seat": "A1"})
    turn = core.begin(history=[HistoryItem(role="user", text="go"), past(call, "see secret-seat")])
    await asyncio.sleep(0.1)
    assert core.log.of(EventKind.PROPOSED)[0].candidate.tainted
    core.end(turn, [])
    turn = core.begin(history=[HistoryItem(role="user", text="secret-seat"), past(call, "see secret-seat")])
    await asyncio.sleep(0.1)
    assert not core.log.of(EventKind.PROPOSED)[-1].candidate.tainted, "the user said it as well"
    core.end(turn, [])
    await core.settle()


def test_a_session_that_closes_in_the_middle_ends_every_chain() -> None:
    async def story() -> None:
        world = LedgerWorld(latency={"look": 0.4})
        core = core_of(world, predictors=[Foreseeing(in_order(PLAN), 1.0, seconds=0.1)])
        turn = core.begin()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        await asyncio.sleep(loop.random.uniform(0.0, 2.5))
        session = core.session
        await core.coordinator.aclose()
        assert len(session.grove) == 0
        assert len(session.pending) == 0
        core.end(turn, [PLAN[0]])
        await asyncio.sleep(5.0)
        assert len(session.grove) == 0
        await at_rest(core)

    explore(story, schedules=SCHEDULES, leaks="error")


@scenario
async def test_a_read_of_a_chain_that_is_also_announced_survives_the_end_of_the_chain() -> None:
    """Two hypotheses hope for the same read: the chain is lost, and the model asks for it all the same."""
    world = LedgerWorld(latency={"look": 0.5})
    core = core_of(world, predictors=[Foreseeing(in_order(PLAN[:2]), 1.0)])
    turn = core.begin()
    await asyncio.sleep(2.0)
    core.propose(turn, "look", seat="B2")
    (read,) = [item for item in core.session.pending if item.call == PLAN[1]]
    assert len(read.homes) == 2
    core.end(turn, [PLAN[1]])
    assert [item.call for item in core.session.pending] == [PLAN[1]]
    before = asyncio.get_running_loop().time()
    await core.call(PLAN[1])
    assert asyncio.get_running_loop().time() == before
    assert world.log == [("read", "A1", ""), ("read", "B2", "")]
    await core.settle()
    await at_rest(core)


@scenario
async def test_what_the_model_takes_back_a_chain_may_still_hope_for() -> None:
    world = LedgerWorld(latency={"look": 0.5})
    core = core_of(world, predictors=[Foreseeing(in_order(PLAN[:2]), 1.0)])
    turn = core.begin()
    await asyncio.sleep(2.0)
    announced = core.propose(turn, "look", seat="B2")
    core.retract(turn, announced)
    assert PLAN[1] in [item.call for item in core.session.pending]
    core.end(turn, [PLAN[0]])
    await core.call(PLAN[0])
    turn = core.begin()
    core.end(turn, [PLAN[1]])
    await core.call(PLAN[1])
    assert core.log.outcomes()["hit"] == 2
    await core.settle()
    await at_rest(core)


@scenario
async def test_a_read_adopted_from_a_chain_is_not_read_again_by_the_chain_of_its_turn() -> None:
    """Long runs: what was right and is over is let go of, so that the session's branches do not add up."""
    world = LedgerWorld(latency={"look": 0.1})
    plan = [look(f"S{number}") for number in range(60)]
    core = core_of(world, predictors=[Foreseeing(in_order(plan), 1.0)], lookahead=Lookahead(branches=12))
    most = 0
    history: list[HistoryItem] = []
    for call in plan:
        turn = core.begin(history=tuple(history))
        await asyncio.sleep(1.0)
        most = max(most, len(core.session.grove))
        core.end(turn, [call])
        history.append(past(call, core.parts.registry.require("look").render(await core.call(call))))
    assert len(world.log) == 60
    assert core.log.outcomes()["hit"] == 60
    assert most <= 12
    await core.settle()
    assert len(core.session.grove) == 0
    await at_rest(core)
