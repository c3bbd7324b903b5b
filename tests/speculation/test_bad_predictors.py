"""Predictors that fail, lie and talk nonsense: nothing is started by it, and the model is heard on."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.prediction.candidate import Candidate, Proposal, Retraction
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import TurnContext
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.session import Session
from specflow.speculation.turn import Turn
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

LOOK = Call(tool="look", args={"seat": "A1"})


class Says:
    """A predictor that says what the function makes of each chunk."""

    def __init__(self, say: Callable[[Chunk], Iterable[Any]], name: str = "says") -> None:
        self.say = say
        self.name = name

    def listen(self, context: TurnContext) -> Says:
        return self

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        return self.say(chunk)


class Stage:
    """A world with one coordinator and the predictors of the test."""

    def __init__(self, *predictors: Says) -> None:
        self.world = LedgerWorld()
        self.core = ScriptedCore(self.world.tools(), self.world.judge(), MemoryJournal(LoopClock()))
        self.coordinator = Coordinator(replace(self.core.parts, predictors=predictors))

    @property
    def session(self) -> Session:
        return self.coordinator.session(self.core.key)

    def begin(self) -> Turn:
        context = TurnContext(tools=self.core.parts.registry)
        return self.coordinator.begin_turn(self.session, context, contextvars.copy_context())

    def hear(self, turn: Turn, text: str = ".") -> None:
        self.coordinator.hear(turn, Chunk(kind=ChunkKind.REASONING, text=text))

    def withheld(self) -> list[str]:
        return [event.cause for event in self.core.log.of(EventKind.WITHHELD)]


def guess(call: Call = LOOK, confidence: Any = 0.9) -> Candidate:
    return Candidate(call=call, confidence=confidence, predictor="says")


def look_after(predictor: Says) -> Stage:
    """One turn with that predictor beside a sound one, which is heard at the end."""
    sound = Says(lambda chunk: [guess()] if chunk.text == "now" else [], name="sound")
    stage = Stage(predictor, sound)

    async def story() -> None:
        turn = stage.begin()
        stage.hear(turn)
        stage.hear(turn)
        await asyncio.sleep(1.0)
        assert stage.world.log == [], "nothing was started by nonsense"
        stage.hear(turn, "now")
        await asyncio.sleep(1.0)
        assert stage.world.log == [("read", "A1", "")], "the sound predictor is still heard"
        stage.coordinator.end_turn(turn, [])
        await stage.coordinator.settle(stage.session)

    run(story())
    return stage


@pytest.mark.parametrize(
    "confidence",
    [math.nan, math.inf, -math.inf, 2, -1, 1.0000001, "0.9", None, True, Decimal("NaN"), 1j, [0.9]],
    ids=repr,
)
def test_a_confidence_that_is_no_probability_starts_nothing(confidence: Any) -> None:
    stage = look_after(Says(lambda chunk: [guess(confidence=confidence)] if chunk.text == "." else []))
    assert stage.withheld() == ["invalid", "invalid"]
    heard = [event.candidate for event in stage.core.log.of(EventKind.PROPOSED)]
    assert all(isinstance(one.confidence, float) and 0 <= one.confidence <= 1 for one in heard if one), (
        "no observer has to bear what it was"
    )


@pytest.mark.parametrize(
    "said",
    [None, "look(seat=A1)", 7, LOOK, ("look", {}), guess(call=None), guess(call="look")],  # type: ignore[arg-type]  # that is the point
    ids=repr,
)
def test_what_is_no_proposal_silences_its_predictor_only(said: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        look_after(Says(lambda _chunk: [said]))
    assert [record.getMessage() for record in caplog.records] == [
        "predictor says failed and sits the rest of this turn out"
    ]


def test_a_retraction_of_nonsense_takes_back_nothing() -> None:
    wrong = (
        Retraction(call=Call(tool="nobody", args={}), predictor="says", reason="?"),
        Retraction(call=Call(tool="look", args={"key": 1}), predictor="sound", reason="?"),
        Retraction(call=LOOK, predictor="says", reason="never proposed by it"),
    )
    look_after(Says(lambda _chunk: wrong))


@pytest.mark.parametrize(
    "call",
    [
        Call(tool="no_such_tool", args={"seat": "A1"}),
        Call(tool="l\u043e\u043ek", args={"seat": "A1"}),  # with two Cyrillic letters
        Call(tool="look\u200b", args={"seat": "A1"}),
        Call(tool="LOOK", args={"seat": "A1"}),
        Call(tool="look", args={}),
        Call(tool="look", args={"seat": 1}),
        Call(tool="look", args={"seat": None}),
        Call(tool="look", args={"seat": ["A1"]}),
        Call(tool="", args={}),
        Call(tool="../look", args={"seat": "A1"}),
    ],
    ids=repr,
)
def test_a_call_that_cannot_be_is_withheld(call: Call) -> None:
    stage = look_after(Says(lambda chunk: [guess(call)] if chunk.text == "." else []))
    assert stage.withheld() == ["invalid", "invalid"]


def test_a_key_that_a_predictor_chose_does_not_reach_the_tool() -> None:
    booking = Call(tool="book", args={"seat": "A1", "key": "chosen by somebody"})
    stage = Stage(Says(lambda _chunk: [guess(booking)]))

    async def story() -> None:
        turn = stage.begin()
        stage.hear(turn)
        await asyncio.sleep(1.0)
        assert list(stage.world.bookings.values()) == ["A1"]
        assert "chosen by somebody" not in stage.world.bookings
        stage.coordinator.end_turn(turn, [])
        await stage.coordinator.settle(stage.session)
        assert list(stage.world.bookings.values()) == [""]

    run(story())


def test_what_a_predictor_does_with_its_arguments_afterwards_changes_nothing() -> None:
    args: dict[str, Any] = {"seat": "A1"}
    call = Call(tool="look", args=args)
    candidate = guess(call)

    def say(_chunk: Chunk) -> Iterable[Proposal]:
        yield candidate
        args["seat"] = "Z9"
        object.__setattr__(call, "args", {"seat": "Z9"})
        object.__setattr__(candidate, "call", Call(tool="charge", args={"amount": 1}))

    stage = Stage(Says(say))

    async def story() -> None:
        turn = stage.begin()
        stage.hear(turn)
        await asyncio.sleep(1.0)
        stage.coordinator.end_turn(turn, [])
        await stage.coordinator.settle(stage.session)

    run(story())
    assert stage.world.log == [("read", "A1", "")]


def test_a_tool_that_uses_its_answer_again_does_not_change_an_early_one() -> None:
    stage = Stage(Says(lambda chunk: [guess(Call(tool="look", args={"seat": chunk.text}))]))
    registry = stage.core.parts.registry
    buffer: dict[str, str] = {}

    async def filling(call: Call, context: object) -> Any:
        buffer["seat"] = call.args["seat"]
        return buffer

    registry._tools["look"] = replace(registry.require("look"), runner=filling)

    async def story() -> None:
        turn = stage.begin()
        stage.hear(turn, "A1")
        await asyncio.sleep(1.0)
        stage.hear(turn, "B2")
        await asyncio.sleep(1.0)
        stage.core.end(turn, [LOOK])
        assert await stage.core.call(LOOK) == {"seat": "A1"}
        await stage.core.settle()

    stage.core.coordinator = stage.coordinator
    run(story())
    assert stage.core.log.outcomes()["hit"] == 1
