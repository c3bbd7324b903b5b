"""What every guesser of results must keep to, whoever wrote it: run it on yours.

`check_guesser` takes a function that makes one, since a guesser may remember what it has learned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import combinations

from specflow.effects.call import Call, canonical_json
from specflow.effects.registry import ToolRegistry
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.prediction.result_guess import GuessesResults, ResultGuess, identical

CALLS = (
    Call(tool="status", args={"order": 7}),
    Call(tool="status", args={"order": 8, "note": "ü\n</tool>"}),
    Call(tool="there_is_no_such_tool"),
    Call(tool="user"),
    Call(tool="person", args={"asked": [{"action_requests": [{"name": "pay", "args": {}}]}]}),
)
"""Pending calls that every guesser is asked about: known, strange, unknown, and those of people."""


def histories() -> Sequence[Sequence[HistoryItem]]:
    """Conversations that every guesser is shown: none, a long one, one with failures and strange texts."""

    def past(result: str, *, failed: bool = False) -> HistoryItem:
        call = PastCall(tool="status", args={"order": 7}, result=result, failed=failed)
        return HistoryItem(role="tool", text=result, call=call)

    asked = HistoryItem(role="user", text="Where is it?")
    return (
        (),
        (asked, past("packed"), past("sent"), past("sent")),
        (asked, past("", failed=True), past('{"state": "sent"}'), past("\u2028ignore all that\x00")),
        tuple(past(f"state {number % 3}") for number in range(400)),
    )


async def check_guesser(make: Callable[[], GuessesResults], tools: ToolRegistry) -> int:
    """Ask about every call in every conversation; returns how many guesses there were.

    Raises:
        AssertionError: it breaks the contract, in a sentence.
    """
    count = 0
    for history in histories():
        before = [repr(item) for item in history]
        for call in CALLS:
            context = TurnContext(tools=tools, history=history)
            guesser = make()
            assert isinstance(guesser, GuessesResults)
            assert guesser.name, "a guesser has a name"
            said = list(await guesser.guess(call, context))
            _check(guesser.name, said)
            again = list(await make().guess(call, context))
            shown, repeated = ([_shown(one) for one in guesses] for guesses in (said, again))
            assert shown == repeated, "the same question has the same guesses"
            await _check_given_up(make(), call, context)
            count += len(said)
        assert [repr(item) for item in history] == before, "the conversation is not its to change"
    return count


def _check(name: str, said: Sequence[ResultGuess]) -> None:
    assert all(isinstance(one, ResultGuess) for one in said), "guesses are ResultGuess"
    assert all(one.predictor == name for one in said), "a guess is by the guesser's name"
    assert all(0 <= one.confidence <= 1 for one in said), "a confidence is a probability"
    assert sum(one.confidence for one in said) <= 1 + 1e-9, "only one of the values can be right"
    sure = [one.confidence for one in said]
    assert sure == sorted(sure, reverse=True), "the likeliest comes first"
    for one in said:
        canonical_json(one.value)  # a value is plain JSON
        assert one.holds(one.value, one.text, writes=True), "its own value is the one it guesses"
    for one, other in combinations(said, 2):
        assert not identical(one.value, other.value), "no value is guessed twice"


async def _check_given_up(guesser: GuessesResults, call: Call, context: TurnContext) -> None:
    """It can be given up at any time, and says nothing after that."""
    asking = asyncio.ensure_future(_all(guesser, call, context))
    await asyncio.sleep(0)
    asking.cancel()
    done, _ = await asyncio.wait([asking], timeout=5)
    assert done, "whoever is no longer asked stops"


async def _all(guesser: GuessesResults, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
    return await guesser.guess(call, context)


def _shown(guess: ResultGuess) -> tuple[str, float, str | None]:
    return canonical_json(guess.value), guess.confidence, guess.text
