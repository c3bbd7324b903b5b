"""Whether what the user named has been found, and what that says of the next call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.history.calls import LATEST, SPEAKS, of_calls
from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.keys import Key
from specflow.prediction.history.lesson import Lesson, Moment, train
from specflow.prediction.history.pool import Pooled
from specflow.prediction.history.seen import Seen
from specflow.prediction.history.sought import FOUND, NOT_FOUND, NOTHING_NAMED, ONE_FOUND, PASSED, Sought
from specflow.prediction.history.traits import of_situation
from specflow.prediction.predictor import HistoryItem, PastCall


def user(text: str) -> HistoryItem:
    return HistoryItem(role="user", text=text)


def called(tool: str, result: Any, **args: Any) -> HistoryItem:
    call = PastCall(tool=tool, args=args, result=json.dumps(result))
    return HistoryItem(role="tool", text=call.result, call=call)


def told(*items: HistoryItem) -> Dialogue:
    dialogue = Dialogue(year=2024)
    for item in items:
        dialogue.take(item)
    return dialogue


def trip(booking: str, origin: str, target: str, day: str = "2024-05-01") -> HistoryItem:
    found = {"booking": booking, "flights": [{"from": origin, "to": target, "date": day}]}
    return called("get_trip", found, booking=booking)


# ------------------------------------------------------------------ what came of it


def test_a_result_that_holds_what_the_user_named_is_told_apart() -> None:
    def its(booking: str, flight: str) -> HistoryItem:
        return called("get_booking", {"booking": booking, "flight": flight}, booking_id=booking)

    dialogue = told(user("HAT045 was late. My booking is Q69X3R or ZFA04Y."), its("Q69X3R", "HAT111"))
    # What a call was given alone is in its result anyway.
    assert (dialogue.sought.last, dialogue.sought.met) == (0, 0)
    other = dialogue.copy()
    dialogue.take(its("ZFA04Y", "HAT045"))
    assert (dialogue.sought.last, dialogue.sought.met) == (1, 1)
    dialogue.take(its("K1NW8N", "HAT112"))
    assert (dialogue.sought.last, dialogue.sought.met) == (0, 1)
    dialogue.take(user("And now?"))
    assert dialogue.sought.met == 0
    assert (other.sought.last, other.sought.met) == (0, 0)


def test_records_are_gone_through_until_one_holds_most_of_it() -> None:
    dialogue = told(user("My trip from ORD to PHL on May 10, please."))
    states = []
    for one in (
        trip("A1", "MSP", "EWR"),
        trip("A2", "DEN", "PHL"),
        trip("A3", "SEA", "BOS"),
        trip("A4", "ORD", "PHL", "2024-05-10"),
        trip("A5", "ORD", "LAX"),
    ):
        dialogue.take(one)
        states.append((dialogue.sought.state, dialogue.sought.lead))
    assert states == [(NOT_FOUND, 0), (ONE_FOUND, 3), (NOT_FOUND, 0), (FOUND, 3), (PASSED, 1)]


def test_who_names_something_new_looks_for_something_else() -> None:
    dialogue = told(user("From ORD to PHL."), trip("A1", "ORD", "PHL"), user("And DEN?"))
    dialogue.take(trip("A2", "DEN", "SEA"))
    assert (dialogue.sought.state, dialogue.sought.lead) == (ONE_FOUND, 3)


def test_nothing_is_looked_for_where_nothing_was_named_or_all_of_it_was_a_key() -> None:
    dialogue = told(user("Where are my things?"), trip("A1", "ORD", "PHL"))
    assert (dialogue.sought.open, dialogue.sought.state) == (False, NOTHING_NAMED)
    dialogue = told(user("It is ZFA04Y."), trip("ZFA04Y", "ORD", "PHL"))
    assert (dialogue.sought.open, dialogue.sought.state) == (False, NOTHING_NAMED)
    # Named again, it is still a key.
    dialogue.take(user("As I said, ZFA04Y."))
    assert dialogue.sought.state == NOTHING_NAMED


def test_what_a_search_was_given_is_still_looked_for() -> None:
    dialogue = told(
        user("The flight from ORD to PHL that I had on May 10."),
        called("search", [{"flight": "HAT1"}], origin="ORD", target="PHL"),
        trip("A1", "ORD", "PHL", "2024-05-10"),
    )
    assert (dialogue.sought.last, dialogue.sought.state) == (3, FOUND)


WORDS = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(st.tuples(st.sampled_from(["names", "given", "result"]), st.sets(WORDS)), max_size=12)


@given(steps=STEPS)
def test_it_is_as_if_everything_were_looked_through_anew(steps: list[tuple[str, set[str]]]) -> None:
    def seen(values: set[str]) -> list[Seen]:
        return [Seen("t:$.x", value) for value in sorted(values)]

    sought = Sought()
    given_alone: set[str] = set()
    named: set[str] = set()
    results: list[set[str]] = []
    for what, values in steps:
        if what == "names":
            if values - named - given_alone:
                results.clear()
            sought.named(seen(values), given_alone.__contains__)
            named |= values - given_alone
        elif what == "given":
            for value in values:
                given_alone.add(value)
                sought.given(value)
            named -= values
        else:
            sought.result(seen(values))
            results.append(named & values)
            best = max((len(one) for one in results[:-1]), default=0)
            assert sought.last == len(results[-1])
            if sought.last:
                assert sought.lead == (1 if sought.last < best else 2 if sought.last == best else 3)
            else:
                assert sought.lead == 0
        assert sought.open == bool(named)


def test_the_situation_says_what_came_of_it_only_after_a_result() -> None:
    dialogue = told(user("From ORD to PHL."), trip("A1", "ORD", "PHL"))
    assert {"lead=3&sought=2", "open=1&lead=3&e1=get_trip"} <= set(of_situation(dialogue))
    dialogue.take(user("Thanks."))
    assert {"lead=-&sought=-", "open=-&lead=-&e1=user"} <= set(of_situation(dialogue))


# ------------------------------------------------------------------ what it says of a call


def keys_of(dialogue: Dialogue, *bookings: str) -> dict[str, dict[str, Key]]:
    """By booking and kind, what speaks for the calls of `get_trip`."""
    path = "get_customer:$.bookings[*]"
    pooled = [Pooled((("booking", booking),), 1.0, (path,)) for booking in bookings]
    fresh = [("get_trip", one.args) not in dialogue.made for one in pooled]
    rows = of_calls(dialogue, "get_trip", pooled, fresh)
    return {one: {key[0]: key for key in keys} for one, keys in zip(bookings, rows, strict=True)}


def test_who_asked_for_what_the_user_named_goes_on_with_what_the_user_named() -> None:
    customer = called("get_customer", {"bookings": ["ZFA04Y", "Q69X3R", "K1NW8N"]}, customer="c")
    dialogue = told(user("Cancel ZFA04Y and Q69X3R."), customer, trip("ZFA04Y", "ORD", "PHL"))
    # The last call was of a value that the user said; of this one, too; one such call is left.
    found = keys_of(dialogue, "ZFA04Y", "Q69X3R", "K1NW8N")
    assert found["Q69X3R"]["changed"][3:] == (2, 2, 1, 0)
    assert found["K1NW8N"]["changed"][3:] == (2, 0, 1, 0)
    assert found["ZFA04Y"]["changed"][3:] == (2, 2, 1, 1)
    dialogue.take(trip("Q69X3R", "SEA", "BOS"))
    assert keys_of(dialogue, "K1NW8N")["K1NW8N"]["changed"][3:] == (2, 0, 0, 0)


def test_calls_know_what_came_of_looking_and_whether_the_latest_is_meant() -> None:
    dialogue = told(user("My last trip, the one to PHL."), trip("A1", "ORD", "PHL"))
    assert keys_of(dialogue, "A2")["A2"]["place"][-2:] == (ONE_FOUND, True)
    dialogue.take(user("Hm."))
    assert keys_of(dialogue, "A2")["A2"]["place"][-2:] == (SPEAKS, True)
    assert keys_of(told(user("My trip to PHL.")), "A2")["A2"]["place"][-2:] == (SPEAKS, False)
    assert all(word == word.lower() for word in LATEST)


# ------------------------------------------------------------------ what is learned of it


def conversation(seed: int) -> Lesson:
    """The customer looks for a trip; the agent goes through the bookings until it has found it."""
    places = [f"{letter}{chr(65 + seed % 26)}X" for letter in "ABCDEFGHIJKLM"]
    bookings = [f"{letter}{100 + seed}" for letter in "KLMNOP"]
    wanted = seed % 5
    history, moments, known = [], [], 0

    def moment(*calls: Call) -> None:
        nonlocal known
        moments.append(Moment(new=tuple(history[known:]), calls=calls))
        known = len(history)

    history.append(
        user(f"I am c{seed}. I mean my trip from {places[2 * wanted]} to {places[2 * wanted + 1]}.")
    )
    moment(Call(tool="get_customer", args={"customer": f"c{seed}"}))
    history.append(called("get_customer", {"bookings": bookings}, customer=f"c{seed}"))
    for at, booking in enumerate(bookings[: wanted + 1]):
        moment(Call(tool="get_trip", args={"booking": booking}))
        history.append(trip(booking, places[2 * at], places[2 * at + 1]))
    moment()
    return Lesson(moments=moments, tools=TOOLS, task=str(seed))


def parameters(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}


TOOLS = ToolRegistry(
    [
        ToolSpec(name="get_customer", parameters=parameters("customer")),
        ToolSpec(name="get_trip", parameters=parameters("booking")),
    ]
)


def test_it_is_learned_that_the_search_ends_with_what_was_found() -> None:
    patterns = train([conversation(seed) for seed in range(40)], early=lambda _name: True)
    unseen = conversation(48)
    dialogue = patterns.dialogue(TOOLS)
    likely = []
    for moment in unseen.moments:
        for item in moment.new:
            dialogue.take(item)
        chances = patterns.consider(dialogue, TOOLS, lambda _name: True).chances()
        likely.append(max((one.probability for one in chances if one.tool == "get_trip"), default=0.0))
    *going, done = likely[1:]
    assert min(going) > 0.6
    assert done == pytest.approx(0.0, abs=0.25)
