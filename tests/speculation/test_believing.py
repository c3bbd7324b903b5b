"""What the core takes guesses to be worth: by how those like them ended, started or not."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import ConfigurationError
from specflow.graph.workflow.ahead import FlowContext
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.policy.settings import Budgets, Match, ToolSettings
from specflow.policy.verdict import Speculate
from specflow.prediction.calibration.ensemble import Ensemble
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import TurnContext
from specflow.speculation.turn import Turn
from specflow.testing.explore import run
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import Rule, StaticJudge


async def answer(call: Call, context: CallContext) -> Any:
    return call.args


def core_of(
    least: float = 0.0, *, match: Match | None = None, precision: float | None = None
) -> ScriptedCore:
    schema = {"type": "object", "properties": {"n": {"type": "string"}}, "required": ["n"]}
    settings = ToolSettings(match=match or Match())
    reading = Rule(
        effect=EffectClass.READ_ONLY, speculate=Speculate.NOW, min_confidence=least, settings=settings
    )
    writing = Rule(effect=EffectClass.COMPENSATABLE, speculate=Speculate.HOLD)
    tools = [ToolSpec(name=name, parameters=schema, runner=answer) for name in ("read", "write")]
    # What is right is not adopted here, and waits.
    budgets = Budgets(max_concurrent=1_000, max_branches=1_000, max_per_minute=10_000, max_wasted_share=1.0)
    judge = StaticJudge({"read": reading, "write": writing}, budgets=budgets)
    ensemble = Ensemble(precision=precision)
    return ScriptedCore(tools, judge, MemoryJournal(LoopClock()), ensemble=ensemble)


def guess(n: int | str, confidence: float, predictor: str = "one", tool: str = "read") -> Candidate:
    return Candidate(call=Call(tool=tool, args={"n": str(n)}), confidence=confidence, predictor=predictor)


def taught(
    core: ScriptedCore,
    turns: int,
    confidence: float,
    *,
    right: bool,
    predictor: str = "one",
    tool: str = "read",
) -> None:
    for number in range(turns):
        turn = core.begin()
        core.say(turn, guess(number, confidence, predictor, tool))
        core.end(turn, [Call(tool=tool, args={"n": str(number)})] if right else [])


def last(core: ScriptedCore, turn: Turn, *said: Candidate) -> tuple[str, str, float]:
    """What became of the last of these: `launched` or `withheld`, why, and how likely it was taken to be."""
    for one in said:
        core.say(turn, one)
    ended = [event for event in core.log.events if event.kind in {EventKind.LAUNCHED, EventKind.WITHHELD}][-1]
    assert ended.candidate is not None
    return str(ended.kind), ended.cause, ended.candidate.confidence


def test_a_predictor_that_is_right_less_often_than_it_says_no_longer_passes_the_floor() -> None:
    async def body() -> None:
        core = core_of(least=0.6)
        for number in range(60):
            turn = core.begin()
            core.say(turn, guess(number, 0.8))
            core.end(turn, [Call(tool="read", args={"n": str(number)})] if number % 3 == 0 else [])
        turn = core.begin()
        _, cause, believed = last(core, turn, guess("x", 0.8))
        assert cause == "confidence"
        assert 0.2 < believed < 0.6
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_what_is_never_started_is_learned_from_all_the_same() -> None:
    async def body() -> None:
        core = core_of(least=0.6)
        taught(core, 60, 0.4, right=True)
        assert core.log.of(EventKind.LAUNCHED) != core.log.of(EventKind.PROPOSED)
        turn = core.begin()
        kind, _, believed = last(core, turn, guess("x", 0.4))
        assert (kind, believed > 0.6) == ("launched", True)
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_a_message_that_failed_teaches_nothing() -> None:
    async def body() -> None:
        core = core_of()
        for number in range(40):
            turn = core.begin()
            core.say(turn, guess(number, 0.5))
            core.coordinator.end_turn(turn, [], "failed")
        turn = core.begin()
        assert last(core, turn, guess("x", 0.5))[2] == 0.5
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_calls_that_count_as_the_same_are_the_same_guess() -> None:
    async def body() -> None:
        core = core_of(match=Match(mode="normalised", fields={"n": "upper"}))
        for number in range(40):
            turn = core.begin()
            core.say(turn, guess(f"a{number}", 0.5))
            core.end(turn, [Call(tool="read", args={"n": f"A{number}"})])
        turn = core.begin()
        assert last(core, turn, guess("x", 0.5))[2] > 0.6
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_a_second_predictor_lifts_a_guess_that_alone_was_not_sure_enough() -> None:
    async def body() -> None:
        core = core_of(least=0.6)
        for number in range(60):
            turn = core.begin()
            core.say(turn, guess(number, 0.5, "one"), guess(number, 0.5, "two"))
            core.end(turn, [Call(tool="read", args={"n": str(number)})])
            turn = core.begin()
            core.say(turn, guess(number, 0.5, "one"))
            core.end(turn, [])
            turn = core.begin()
            core.say(turn, guess(number, 0.5, "two"))
            core.end(turn, [])
        turn = core.begin()
        assert last(core, turn, guess("x", 0.5, "one"))[:2] == ("withheld", "confidence")
        assert last(core, turn, guess("x", 0.5, "two"))[0] == "launched"
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_a_predictor_is_switched_off_alone() -> None:
    async def body() -> None:
        core = core_of()
        core.parts.ensemble.switch("one", on=False)
        turn = core.begin()
        assert last(core, turn, guess("x", 0.9, "one"))[:2] == ("withheld", "switched_off")
        assert last(core, turn, guess("y", 0.9, "two"))[0] == "launched"
        assert last(core, turn, guess("x", 0.9, "two"))[0] == "launched"
        core.parts.ensemble.switch("one", on=True)
        assert last(core, turn, guess("z", 0.9, "one"))[0] == "launched"
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_a_predictor_that_drifts_is_off_and_comes_back_by_what_it_says_in_the_shadow() -> None:
    async def body() -> None:
        core = core_of()
        taught(core, 100, 0.9, right=True)
        taught(core, 25, 0.9, right=False)
        turn = core.begin()
        assert last(core, turn, guess("x", 0.9))[:2] == ("withheld", "drifted")
        core.end(turn, [])
        before = len(core.log.of(EventKind.LAUNCHED))
        taught(core, 30, 0.9, right=True)
        assert len(core.log.of(EventKind.LAUNCHED)) == before, "it is only listened to"
        taught(core, 30, 0.9, right=True)
        turn = core.begin()
        assert last(core, turn, guess("x", 0.9))[:2] == ("launched", "")
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_arguments_that_are_never_right_are_not_tried_again() -> None:
    async def body() -> None:
        core = core_of()
        for number in range(20):
            turn = core.begin()
            core.say(turn, guess(number, 0.3))
            core.end(turn, [Call(tool="read", args={"n": f"another {number}"})])
        turn = core.begin()
        assert last(core, turn, guess("x", 0.3))[:2] == ("withheld", "free_form")
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_a_precision_is_kept_tool_by_tool() -> None:
    async def body() -> None:
        core = core_of(precision=0.8)
        turn = core.begin()
        assert last(core, turn, guess("x", 0.7))[:2] == ("withheld", "precision")
        assert last(core, turn, guess("y", 0.85))[0] == "launched"
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)
    with pytest.raises(ConfigurationError, match="no share"):
        core_of(precision=80)


def test_of_a_write_nobody_believes_more_than_its_predictor_says() -> None:
    async def body() -> None:
        core = core_of()
        taught(core, 60, 0.5, right=True, tool="write")
        turn = core.begin()
        assert last(core, turn, guess("x", 0.5, tool="write")) == ("withheld", "policy", 0.5)
        core.end(turn, [])
        taught(core, 200, 0.5, right=False, tool="write")
        turn = core.begin()
        assert last(core, turn, guess("x", 0.5, tool="write"))[2] < 0.5
        core.end(turn, [])
        await core.settle()

    run(body(), seed=0)


def test_what_a_declaration_makes_certain_is_no_guess() -> None:
    async def body() -> None:
        core = core_of(least=0.6)
        context = TurnContext(tools=core.parts.registry, speaks=False)
        for number in range(60):
            turn = core.coordinator.begin_turn(core.session, context, contextvars.copy_context())
            assert last(core, turn, guess(number, 0.9)) == ("launched", "", 0.9)
            core.coordinator.end_turn(turn, ())  # no message asks for it: its step will
        await core.settle()

    run(body(), seed=0)
    assert not FlowContext.__dataclass_fields__["speaks"].default


async def test_the_core_goes_on_where_nothing_is_known() -> None:
    core = core_of()
    turn = core.begin()
    assert last(core, turn, guess("x", 0.0))[2] == 0.0
    core.end(turn, [Call(tool="nobody", args={})])
    await asyncio.sleep(0)
    await core.settle()
