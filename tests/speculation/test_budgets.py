"""Budgets, waiting for room, preemption, floods: what early work may use up, under many schedules."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.journal.event import CallEvent, EventKind
from specflow.journal.memory import MemoryJournal
from specflow.policy.settings import Budgets, ToolSettings
from specflow.policy.verdict import Speculate
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.speculation.branch import Branch
from specflow.speculation.turn import MOST_SAID, MOST_WAITING, Turn
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import Rule, StaticJudge

EXAMPLES = 2_000 if os.environ.get("SPECFLOW_NIGHTLY") else 100 if os.environ.get("CI") else 30


@dataclass
class Service:
    """Reads that take `seconds`; a stubborn one goes on after it was cancelled. Counts the load."""

    seconds: float = 1.0
    stubborn: frozenset[str] = frozenset()
    results: dict[str, Any] = field(default_factory=dict)
    early: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    ran: list[str] = field(default_factory=list)

    async def read(self, call: Call, context: CallContext) -> Any:
        self.ran.append(f"{call.tool} {call.args['n']}")
        if not context.early:
            await asyncio.sleep(self.seconds)
            return self.results.get(call.tool)
        self.early[call.tool] += 1
        self.most[call.tool] = max(self.most[call.tool], self.early[call.tool])
        self.most["all"] = max(self.most["all"], self.early.total())
        try:
            try:
                await asyncio.sleep(self.seconds)
            except asyncio.CancelledError:
                if call.tool in self.stubborn:
                    await asyncio.sleep(5 * self.seconds)
                raise
        finally:
            self.early[call.tool] -= 1
        return self.results.get(call.tool)

    def tools(self, *names: str) -> list[ToolSpec]:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        return [ToolSpec(name=name, parameters=schema, runner=self.read) for name in names]


def core_of(service: Service, budgets: Budgets | None = None, **limits: ToolSettings) -> ScriptedCore:
    names = limits or {"read": ToolSettings()}
    rules = {
        name: Rule(effect=EffectClass.READ_ONLY, speculate=Speculate.NOW, settings=settings)
        for name, settings in names.items()
    }
    judge = StaticJudge(rules, budgets=budgets)
    return ScriptedCore(service.tools(*names), judge, MemoryJournal(LoopClock()))


def told(core: ScriptedCore, kind: EventKind) -> list[CallEvent]:
    return core.log.of(kind)


def launched(core: ScriptedCore) -> list[int]:
    return [event.call.args["n"] for event in told(core, EventKind.LAUNCHED) if event.call]


def withheld(core: ScriptedCore) -> list[tuple[str, str]]:
    return [(event.cause, str(event.facts.get("budget", ""))) for event in told(core, EventKind.WITHHELD)]


def say(core: ScriptedCore, turn: Turn, *proposals: Proposal) -> None:
    """Several proposals in one step."""
    core._prompter.queue += proposals
    core.coordinator.hear(turn, Chunk(kind=ChunkKind.REASONING, text="."))


def guess(tool: str, number: int, confidence: float = 0.8) -> Candidate:
    return Candidate(call=Call(tool=tool, args={"n": number}), confidence=confidence, predictor="scripted")


# ---------------------------------------------------------------------- never exceeded


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 10_000))
def test_no_schedule_exceeds_a_budget(seed: int) -> None:
    """Guesses, retractions, ends of turns and real calls at random; some reads ignore their cancellation."""

    async def body() -> None:
        draw = random.Random(seed)
        service = Service(stubborn=frozenset({"stubborn"}))
        most = Budgets(
            max_concurrent=draw.choice([1, 2, 5]),
            max_branches=draw.choice([1, 3, 8]),
            max_per_minute=draw.choice([4, 20, 100]),
            max_wasted_usd=draw.choice([0.02, 0.1]),
        )
        dear = ToolSettings(cost_usd=0.01, max_concurrent=draw.choice([None, 1, 2]), max_per_minute=6)
        plain = ToolSettings(max_branches=2)
        core = core_of(service, most, plain=plain, dear=dear, stubborn=ToolSettings(max_concurrent=2))
        for name in ("plain", "dear", "stubborn"):
            for _ in range(3):
                core.parts.durations.saw(name, 5.0)
        watch = Watch(core, most)
        for _ in range(draw.randint(1, 4)):
            turn, calls = core.begin(), []
            for _ in range(draw.randint(0, 25)):
                call = core.propose(
                    turn, draw.choice(["plain", "dear", "stubborn"]), draw.random(), n=draw.randint(0, 9)
                )
                calls.append(call)
                if draw.random() < 0.2:
                    core.retract(turn, draw.choice(calls))
                await asyncio.sleep(draw.choice([0.0, 0.0, 0.1, 1.5]))
            asked = [draw.choice(calls) for _ in range(draw.randint(0, 2)) if calls]
            core.end(turn, asked)
            await asyncio.gather(*(core.call(call) for call in asked))
            watch.check()
        await core.settle()
        watch.check()
        assert service.most["all"] <= most.max_concurrent
        assert service.most["stubborn"] <= 2
        if dear.max_concurrent is not None:
            assert service.most["dear"] <= dear.max_concurrent

    run(body(), seed=seed)


class Watch:
    """Sees every event, and looks at what waits, at what was begun in a minute, and at what was lost."""

    def __init__(self, core: ScriptedCore, most: Budgets) -> None:
        self._core = core
        self._most = most
        core.parts.observers.add(self)
        self._wrong: list[str] = []

    def see(self, event: CallEvent) -> None:
        if event.kind is EventKind.LAUNCHED:
            pending = list(self._core.session.pending)
            if len(pending) > self._most.max_branches:
                self._wrong.append(f"{len(pending)} branches")
            if sum(item.tool.name == "plain" for item in pending) > 2:
                self._wrong.append("branches of one tool")

    def check(self) -> None:
        assert self._wrong == []
        events = told(self._core, EventKind.LAUNCHED)
        for event in events:
            minute = [one for one in events if event.at - 60.0 < one.at <= event.at]
            assert len(minute) <= self._most.max_per_minute
            assert sum(one.call is not None and one.call.tool == "dear" for one in minute) <= 6
        lost = [
            event
            for event in told(self._core, EventKind.RESOLVED)
            if event.call is not None
            and event.call.tool == "dear"
            and event.outcome in {"cancelled", "stale"}
        ]
        assert len(lost) * 0.01 <= self._most.max_wasted_usd + 1e-9


# ---------------------------------------------------------------------- waiting for room


def test_a_guess_that_lacks_only_room_is_started_when_there_is_some() -> None:
    async def body() -> None:
        service = Service()
        core = core_of(service, Budgets(max_concurrent=1))
        turn = core.begin()
        for number in range(3):
            core.propose(turn, "read", n=number)
        assert launched(core) == [0]
        assert withheld(core) == [("budget", "max_concurrent")] * 2
        await asyncio.sleep(2.5)
        assert launched(core) == [0, 1, 2]
        assert len(withheld(core)) == 2, "what waits is told once"
        assert len(told(core, EventKind.PROPOSED)) == 3
        core.end(turn, [Call(tool="read", args={"n": 1})])
        assert await core.call(Call(tool="read", args={"n": 1})) is None
        assert core.log.outcomes()["hit"] == 1
        await core.settle()

    run(body(), seed=0)


def test_the_most_valuable_of_those_that_wait_comes_first() -> None:
    async def body() -> None:
        core = core_of(Service(), Budgets(max_concurrent=1))
        turn = core.begin()
        for number, confidence in enumerate([0.9, 0.3, 0.5, 0.8, 0.6]):
            core.propose(turn, "read", confidence, n=number)
        await asyncio.sleep(4.5)
        assert launched(core) == [0, 3, 4, 2, 1]
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_what_waits_is_dropped_when_it_is_taken_back_or_the_turn_ends() -> None:
    async def body() -> None:
        core = core_of(Service(), Budgets(max_concurrent=1))
        turn = core.begin()
        core.propose(turn, "read", n=0)
        unwanted = core.propose(turn, "read", n=1)
        core.retract(turn, unwanted)
        core.propose(turn, "read", n=2)
        await asyncio.sleep(0.5)
        core.end(turn, [])
        assert not turn.waiting
        await asyncio.sleep(5.0)
        assert launched(core) == [0]
        await core.settle()

    run(body(), seed=0)


def test_a_minute_that_is_over_makes_room() -> None:
    async def body() -> None:
        core = core_of(Service(), Budgets(max_per_minute=2))
        turn = core.begin()
        for number in range(4):
            core.propose(turn, "read", n=number)
            await asyncio.sleep(1.0)
        assert launched(core) == [0, 1]
        await asyncio.sleep(59.0)
        assert launched(core) == [0, 1, 2, 3]
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_only_so_many_wait() -> None:
    async def body() -> None:
        core = core_of(Service(), Budgets(max_concurrent=1))
        turn = core.begin()
        for number in range(200):
            core.propose(turn, "read", number / 200, n=number)
        assert len(turn.waiting) == MOST_WAITING
        assert min(item.value for item in turn.waiting.values()) > 0
        waiting = sorted(item.call.args["n"] for item in turn.waiting.values())
        assert waiting == list(range(200 - MOST_WAITING, 200)), "the least valuable are let go"
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


# ---------------------------------------------------------------------- order


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_within_a_step_the_order_in_which_predictors_speak_does_not_decide(order: tuple[int, ...]) -> None:
    async def body() -> None:
        core = core_of(Service(), Budgets(max_concurrent=2))
        turn = core.begin()
        guesses = [guess("read", number, 0.2 + 0.2 * number) for number in range(4)]
        say(core, turn, *(guesses[index] for index in order))
        assert launched(core) == [3, 2]
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_one_more_guess_is_started_while_it_still_pays() -> None:
    async def body() -> None:
        core = core_of(
            Service(), Budgets(max_wasted_usd=9.0, max_concurrent=9), read=ToolSettings(cost_usd=0.005)
        )
        for _ in range(3):
            core.parts.durations.saw("read", 4.0)
        turn = core.begin()
        for number in range(5):
            core.propose(turn, "read", 0.7, n=number)
        values = [event.facts["value"] for event in told(core, EventKind.LAUNCHED)]
        assert values == sorted(values, reverse=True)
        assert 1 <= len(values) < 5
        assert all(value > 0 for value in values)
        refused = told(core, EventKind.WITHHELD)
        assert {event.cause for event in refused} == {"value"}
        assert all(event.facts["value"] <= 0 for event in refused)
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_calls_that_the_model_is_writing_are_no_alternatives() -> None:
    async def body() -> None:
        core = core_of(
            Service(), Budgets(max_wasted_usd=9.0, max_concurrent=9), read=ToolSettings(cost_usd=0.005)
        )
        for _ in range(3):
            core.parts.durations.saw("read", 4.0)
        turn = core.begin()
        for number in range(5):
            call = Call(tool="read", args={"n": number})
            say(core, turn, Candidate(call=call, confidence=0.95, predictor="partial_call"))
        assert launched(core) == [0, 1, 2, 3, 4]
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


# ---------------------------------------------------------------------- value


def test_a_priced_call_waits_until_it_is_known_how_long_it_takes() -> None:
    async def body() -> None:
        core = core_of(Service(seconds=4.0), read=ToolSettings(cost_usd=0.005))
        turn = core.begin()
        core.propose(turn, "read", n=1)
        assert withheld(core) == [("value", "")]
        assert told(core, EventKind.WITHHELD)[0].facts["value"] == pytest.approx(-0.005)
        core.end(turn, [])
        for number in range(3):
            await core.call(Call(tool="read", args={"n": number}))
        turn = core.begin()
        core.propose(turn, "read", n=1)
        (event,) = told(core, EventKind.LAUNCHED)
        assert event.facts["expected_saved"] == pytest.approx(4.0)
        assert event.facts["value"] == pytest.approx(event.facts["probability"] * 0.04 - 0.005)
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_the_rest_of_the_turn_is_all_that_can_be_saved() -> None:
    async def body() -> None:
        core = core_of(Service(seconds=4.0))
        for _ in range(3):
            core.parts.durations.saw("read", 4.0)
            core.parts.turns.saw("", 10.0)
        turn = core.begin()
        await asyncio.sleep(9.0)
        core.propose(turn, "read", n=1)
        (event,) = told(core, EventKind.LAUNCHED)
        assert event.facts["expected_saved"] == pytest.approx(1.0)
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_a_predictor_that_is_always_wrong_is_believed_less_and_less() -> None:
    async def body() -> None:
        core = core_of(Service(seconds=0.1), Budgets(max_wasted_share=1.0))
        for number in range(25):
            turn = core.begin()
            core.propose(turn, "read", n=number)
            await asyncio.sleep(1.0)
            core.end(turn, [])
        likely = [event.facts["probability"] for event in told(core, EventKind.LAUNCHED)]
        assert len(likely) == 25
        assert likely[3:] == sorted(likely[3:], reverse=True)
        assert likely[-1] < 0.3 < likely[0]
        await core.settle()

    run(body(), seed=0)


def test_confidence_is_still_what_the_policy_says() -> None:
    async def body() -> None:
        rules = {"read": Rule(effect=EffectClass.READ_ONLY, speculate=Speculate.NOW, min_confidence=0.7)}
        core = ScriptedCore(Service().tools("read"), StaticJudge(rules), MemoryJournal(LoopClock()))
        turn = core.begin()
        core.propose(turn, "read", 0.69, n=1)
        core.propose(turn, "read", 0.7, n=2)
        assert launched(core) == [2]
        (event,) = told(core, EventKind.WITHHELD)
        assert (event.cause, event.facts["needed"]) == ("confidence", 0.7)
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


# ---------------------------------------------------------------------- waste, bytes, depth


def test_too_many_wrong_guesses_leave_only_the_surest_until_it_recovers() -> None:
    async def body() -> None:
        core = core_of(Service(seconds=0.1), Budgets(max_wasted_share=0.5))
        for number in range(20):
            turn = core.begin()
            core.propose(turn, "read", n=number)
            await asyncio.sleep(1.0)
            core.end(turn, [])

        def other(number: int, confidence: float) -> Candidate:
            """By one whose guesses have not been wrong."""
            call = Call(tool="read", args={"n": number})
            return Candidate(call=call, confidence=confidence, predictor="other")

        turn = core.begin()
        core.say(turn, other(100, 0.8))
        core.say(turn, other(101, 0.95))
        assert withheld(core)[-1] == ("budget", "max_wasted_share")
        assert launched(core)[-1] == 101
        core.end(turn, [])
        await asyncio.sleep(700.0)
        turn = core.begin()
        core.say(turn, other(102, 0.8))
        assert launched(core)[-1] == 102, "a session that starts nothing would never recover"
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_results_beyond_the_budget_are_let_go_the_least_valuable_first() -> None:
    async def body() -> None:
        service = Service(results={"read": "x" * 1_000})
        core = core_of(service, Budgets(max_result_bytes=2_500))
        turn = core.begin()
        for number, confidence in enumerate([0.9, 0.4, 0.8]):
            core.propose(turn, "read", confidence, n=number)
        await asyncio.sleep(2.0)
        (event,) = told(core, EventKind.RESOLVED)
        assert event.call is not None
        assert (event.call.args["n"], event.cause) == (1, "budget")
        assert sum(item.size for item in core.session.pending) <= 2_500
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_a_guess_deeper_than_allowed_is_withheld_and_the_odds_multiply_along_the_path() -> None:
    async def body() -> None:
        core = core_of(Service(), Budgets(max_depth=2))
        turn = core.begin()
        launcher, branch = core.coordinator._launcher, None
        for number in range(3):
            launcher.consider(
                turn.outlook if branch is None else turn.outlook.under(branch), guess("read", number)
            )
            up = branch
            branch = Branch(
                branch_id=f"b{number}", hypothesis="so", odds=0.5 ** (number + 1), parent=up, depth=number
            )
            core.session.grove.grow(branch, "")
        assert launched(core) == [0, 1]
        assert withheld(core) == [("budget", "max_depth")]
        one, two = (event.facts["probability"] for event in told(core, EventKind.LAUNCHED))
        assert two == pytest.approx(one / 2)
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


# ---------------------------------------------------------------------- real traffic first


def test_a_real_call_preempts_the_least_valuable_early_read_of_its_tool() -> None:
    async def body() -> None:
        core = core_of(Service(), read=ToolSettings(max_concurrent=2), other=ToolSettings())
        turn = core.begin()
        core.propose(turn, "read", 0.9, n=1)
        core.propose(turn, "read", 0.3, n=2)
        core.propose(turn, "other", 0.2, n=3)
        await core.call(Call(tool="read", args={"n": 7}))
        ended = [
            (event.call.args["n"], event.cause) for event in told(core, EventKind.RESOLVED) if event.call
        ]
        assert ended == [(2, "preempted")]
        core.end(turn, [])
        await core.settle()
        hits, lost = core.parts.odds._seen.popitem()[1]
        assert hits + lost <= 2, "preempted ones say nothing about their predictor"

    run(body(), seed=0)


def test_the_place_of_a_preempted_read_is_the_real_call_s() -> None:
    async def body() -> None:
        service = Service()
        core = core_of(service, read=ToolSettings(max_concurrent=1))
        turn = core.begin()
        core.propose(turn, "read", 0.9, n=1)
        core.propose(turn, "read", 0.8, n=2)
        await core.call(Call(tool="read", args={"n": 7}))
        assert service.ran[0] == "read 7" or service.ran[:2] == ["read 1", "read 7"]
        assert launched(core) == [1]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert launched(core) == [1, 2], "what waited comes when the real call is over"
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_the_overall_limit_gives_way_too_but_never_what_the_message_asks_for() -> None:
    async def body() -> None:
        core = core_of(Service(), Budgets(max_concurrent=2), read=ToolSettings(), other=ToolSettings())
        turn = core.begin()
        wanted = [core.propose(turn, "read", 0.9, n=1), core.propose(turn, "read", 0.8, n=2)]
        more = Call(tool="other", args={"n": 3})
        core.end(turn, [*wanted, more])
        await asyncio.gather(core.call(more), *map(core.call, wanted))
        assert core.log.outcomes()["late"] == 2
        turn = core.begin()
        core.propose(turn, "read", 0.9, n=4)
        core.propose(turn, "read", 0.8, n=5)
        await core.call(more)
        causes = [event.cause for event in told(core, EventKind.RESOLVED) if event.outcome == "cancelled"]
        assert causes == ["preempted"]
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_an_early_write_is_never_preempted() -> None:
    async def body() -> None:
        world = LedgerWorld(latency={"book": 3.0, "look": 1.0})
        judge = world.judge()
        judge._budgets = Budgets(max_concurrent=1)
        core = ScriptedCore(world.tools(), judge, MemoryJournal(LoopClock()))
        turn = core.begin()
        call = core.propose(turn, "book", seat="A1")
        await core.call(Call(tool="look", args={"seat": "Z9"}))
        assert told(core, EventKind.RESOLVED) == []
        core.end(turn, [call])
        await core.call(call)
        assert world.seats == {"A1": 1}
        await core.settle()

    run(body(), seed=0)


def test_a_read_that_ignores_its_cancellation_takes_its_place_until_it_has_ended() -> None:
    async def body() -> None:
        service = Service(stubborn=frozenset({"read"}))
        core = core_of(service, Budgets(max_concurrent=1))
        turn = core.begin()
        wrong = core.propose(turn, "read", n=1)
        await asyncio.sleep(0.5)
        core.retract(turn, wrong)
        core.propose(turn, "read", n=2)
        await asyncio.sleep(3.0)
        assert launched(core) == [1], "it is lost, and goes on all the same"
        await asyncio.sleep(3.0)
        assert launched(core) == [1, 2]
        assert service.most["all"] == 1
        core.end(turn, [])
        await core.settle()
        await asyncio.sleep(10.0)

    run(body(), seed=0)


# ---------------------------------------------------------------------- floods


class Flood:
    """A predictor that says something new without end."""

    name = "flood"

    def __init__(self) -> None:
        self.said = 0

    def listen(self, _context: object) -> Flood:
        return self

    def hear(self, _chunk: Chunk) -> Iterable[Proposal]:
        for number in itertools.count(self.said):
            self.said += 1
            yield guess("read", number, 0.5)


def test_a_flood_costs_bounded_work_and_keeps_the_others_going() -> None:
    async def body() -> None:
        core = core_of(Service(), Budgets(max_concurrent=2))
        flood = Flood()
        object.__setattr__(core.parts, "predictors", (flood, *core.parts.predictors))
        turn = core.begin()
        core._prompter.queue.append(guess("read", -1, 0.9))
        for _ in range(3):
            core.coordinator.hear(turn, Chunk(kind=ChunkKind.REASONING, text="."))
        assert flood.said <= MOST_SAID + 1
        assert len(core.log.events) < 3 * MOST_SAID
        assert len(turn.waiting) <= MOST_WAITING
        assert -1 in launched(core)
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_the_same_guess_over_and_over_is_one_call() -> None:
    async def body() -> None:
        core = core_of(Service(), Budgets(max_concurrent=1))
        turn = core.begin()
        core.propose(turn, "read", n=0)
        for _ in range(500):
            core.propose(turn, "read", n=1)
        assert len(turn.waiting) == 1
        await asyncio.sleep(5.0)
        assert launched(core) == [0, 1]
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_what_waits_for_another_turn_of_the_session_is_considered_too() -> None:
    async def body() -> None:
        core = core_of(Service(), Budgets(max_concurrent=1))
        one, two = core.begin(lane="a"), core.begin(lane="b")
        core.propose(one, "read", n=1)
        core.propose(two, "read", n=2)
        await asyncio.sleep(1.5)
        assert launched(core) == [1, 2]
        core.end(one, [])
        core.end(two, [])
        await core.settle()

    run(body(), seed=0)
