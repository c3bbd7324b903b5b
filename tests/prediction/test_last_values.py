"""Guessers without a model: the last value, the likeliest one, a function of the user's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.errors import ConfigurationError
from specflow.prediction.last_values import MOST_CALLS, NEWEST, FunctionGuess, LastValue, MajorityValue
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.prediction.result_guess import GuessesResults, ResultGuess, identical

STATUS = Call(tool="status", args={"order": 7})


def seen(*texts: str, call: Call = STATUS, failed: bool = False) -> list[HistoryItem]:
    return [
        HistoryItem(
            role="tool",
            text=text,
            call=PastCall(tool=call.tool, args=call.plain_args(), result=text, failed=failed),
        )
        for text in texts
    ]


def guess(guesser: GuessesResults, history: Sequence[HistoryItem], call: Call = STATUS) -> list[ResultGuess]:
    context = TurnContext(tools=ToolRegistry(), history=history)
    return list(asyncio.run(guesser.guess(call, context)))


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=12))
def test_confidences_are_what_laplace_says(texts: list[str]) -> None:
    last = guess(LastValue(), seen(*texts))
    if not texts:
        assert last == guess(MajorityValue(), []) == []
        return
    repeats = sum(texts[place] == texts[place + 1] for place in range(len(texts) - 1))
    assert [(one.value, one.text) for one in last] == [(texts[-1], texts[-1])]
    assert last[0].confidence == pytest.approx((repeats + 1) / (len(texts) - 1 + 2))
    likely = guess(MajorityValue(), seen(*texts))
    assert [one.confidence for one in likely] == sorted((one.confidence for one in likely), reverse=True)
    assert {one.value: one.confidence for one in likely} == {
        text: pytest.approx(texts.count(text) / (len(texts) + 1)) for text in set(texts)
    }
    assert sum(one.confidence for one in likely) < 1, "there may always be a new one"


def test_of_equals_the_newest_is_likelier() -> None:
    assert [one.value for one in guess(MajorityValue(breadth=2), seen("a", "b", "c"))] == ["c", "b"]


def test_other_calls_and_failures_say_nothing() -> None:
    other = seen("x", call=Call(tool="status", args={"order": 8})) + seen("x", call=Call(tool="price"))
    assert guess(LastValue(), other + seen("down", failed=True)) == []
    assert guess(LastValue(tools=["price"]), seen("a")) == []


def test_nothing_is_shared_unless_it_is_asked_for() -> None:
    for guesser in (LastValue(), MajorityValue()):
        guesser.learn(STATUS, "somebody else's")
        assert guess(guesser, []) == []
    for guesser in (LastValue(shared=True), MajorityValue(shared=True)):
        guesser.learn(STATUS, "everybody's")
        assert [one.value for one in guess(guesser, [])] == ["everybody's"]


def test_what_is_learned_is_bounded() -> None:
    guesser = LastValue(shared=True, tools=["status"])
    for number in range(MOST_CALLS + 10):
        guesser.learn(Call(tool="status", args={"order": number}), "x")
        guesser.learn(Call(tool="price", args={"order": number}), "x")
    assert guess(guesser, [], Call(tool="status", args={"order": 3})) == []
    for number in range(NEWEST + 10):
        guesser.learn(STATUS, str(number))
    (one,) = guess(guesser, [])
    assert one.confidence == pytest.approx(1 / (NEWEST + 1))
    assert guess(guesser, [], Call(tool="price", args={"order": 900})) == []


def test_a_function_may_say_a_value_several_guesses_or_nothing() -> None:
    plain = FunctionGuess("status", lambda call, context: {"order": call.args["order"]}, confidence=0.7)
    (one,) = guess(plain, [])
    assert (one.value, one.confidence, one.predictor) == ({"order": 7}, 0.7, "function")
    assert guess(plain, [], Call(tool="price")) == []

    async def several(call: Call, context: TurnContext) -> Any:
        await asyncio.sleep(0)
        return [ResultGuess(value=number, confidence=0.1, predictor="mine") for number in range(3)]

    assert [one.value for one in guess(FunctionGuess("status", several), [])] == [0, 1, 2]
    assert guess(FunctionGuess("status", lambda call, context: None), []) == []
    (empty,) = guess(FunctionGuess("status", lambda call, context: []), [])
    assert empty.value == []


def test_settings_that_cannot_work_are_said() -> None:
    with pytest.raises(ConfigurationError):
        MajorityValue(breadth=0)
    with pytest.raises(ConfigurationError):
        FunctionGuess("status", lambda call, context: None, confidence=1.5)


@pytest.mark.parametrize(
    ("guessed", "real", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1.0}, True),
        (1, True, False),
        ("1", 1, False),
        ({1, 2}, {1, 2}, False),
        (float("nan"), float("nan"), False),
    ],
)
def test_identical_is_the_same_json(guessed: Any, real: Any, same: bool) -> None:
    assert identical(guessed, real) is same


def test_a_guess_holds_by_value_by_text_or_by_what_the_user_calls_equal() -> None:
    one = ResultGuess(value={"price": 10.0}, confidence=1.0, predictor="x", text="10 EUR")
    assert one.holds({"price": 10}, None, writes=True)
    assert one.holds(object(), "10 EUR", writes=True)
    assert not one.holds({"price": 11}, None, writes=False)
    near = ResultGuess(
        value=10.0, confidence=1.0, predictor="x", equivalent=lambda guessed, real: abs(guessed - real) < 1
    )
    assert near.holds(10.4, "10.4", writes=False)
    assert not near.holds(10.4, "10.4", writes=True), "never for a write"
    assert not near.holds("ten", "ten", writes=False), "a function that fails knows nothing"
    truthy = ResultGuess(value=1, confidence=1.0, predictor="x", equivalent=lambda *_: "yes")  # type: ignore[arg-type, return-value]
    assert not truthy.holds(2, "2", writes=False), "and neither does one that says something else than yes"
