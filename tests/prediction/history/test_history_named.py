"""What values are called, which tools are named, and in which order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from specflow.prediction.history.called import called_as, called_in
from specflow.prediction.history.calls import of_calls
from specflow.prediction.history.dialogue import Args, Dialogue
from specflow.prediction.history.pool import Pooled, pool
from specflow.prediction.history.tables import Tables
from specflow.prediction.history.topics import HeardTopics, topics_of
from specflow.prediction.history.traits import of_situation
from specflow.prediction.predictor import HistoryItem, PastCall

CUES = frozenset({"flight", "numb", "book", "id"})
TOOLS = ("find_booking", "get_booking", "cancel_booking", "get_flight")


def told(*items: HistoryItem) -> Dialogue:
    dialogue = Dialogue(cues=CUES, topics=topics_of(TOOLS), year=2024)
    for item in items:
        dialogue.take(item)
    return dialogue


def user(text: str) -> HistoryItem:
    return HistoryItem(role="user", text=text)


def called(tool: str, result: Any, **args: Any) -> HistoryItem:
    call = PastCall(tool=tool, args=args, result=json.dumps(result))
    return HistoryItem(role="tool", text=call.result, call=call)


# ------------------------------------------------------------------ called


@pytest.mark.parametrize(
    ("stems", "parameter", "found"),
    [
        ({"book", "id"}, "booking_id", (True, False)),
        ({"flight", "numb"}, "booking_id", (False, True)),
        ({"flight", "book"}, "booking_id", (True, False)),
        ({"id"}, "booking_id", (False, False)),  # everything is called so
        (set(), "booking_id", (False, False)),
        ({"id"}, "id", (True, False)),  # a parameter without any other word
    ],
)
def test_a_value_is_called_as_the_parameter_is_or_only_otherwise(
    stems: set[str], parameter: str, found: tuple[bool, bool]
) -> None:
    assert called_as(frozenset(stems), parameter) == found


def test_the_field_at_the_end_of_a_path_says_what_a_value_is() -> None:
    assert called_in("get_trip:$.flights[*].flight_number") == ("flight", "numb")
    assert called_in("get_trip:$.bookings[*]") == ("book",)
    assert called_in("user~X6@flight") == ()


def test_fields_and_the_words_before_a_value_are_remembered_where_parameters_are_called_so() -> None:
    dialogue = told(
        user("My flight HAT045 was late."),
        called("get_customer", {"bookings": ["K1NW8N"], "colour": "HAT999"}, name="a"),
    )
    assert dialogue.known["HAT045"].called == {"flight"}
    assert dialogue.known["K1NW8N"].called == {"book"}
    assert dialogue.known["HAT999"].called == set()


def taught(*times: tuple[str, int]) -> Tables:
    """A booking was looked up so often that was called by that word."""
    tables = Tables()
    for word, count in times:
        for _ in range(count):
            dialogue = told(user(f"It is {word} B7KQ22, I think."))
            tables.learn(dialogue, "get_booking", (("booking_id", "B7KQ22"),))
    return tables


def values_of(tables: Tables, dialogue: Dialogue) -> set[str]:
    return {one.args[0][1] for one in pool(tables, dialogue, "get_booking")}


def test_what_was_never_called_otherwise_is_not_filled_with_what_is_called_otherwise() -> None:
    dialogue = told(user("My flight HAT045 was late, my booking Q69X3R is lost, and so is ZFA04Y."))
    assert values_of(taught(("booking", 40)), dialogue) == {"Q69X3R", "ZFA04Y"}


@pytest.mark.parametrize(
    "times",
    [(("booking", 5),), (("booking", 40), ("flight", 5))],
    ids=["too little is known", "it has been right"],
)
def test_else_what_is_called_otherwise_is_a_candidate(times: tuple[tuple[str, int], ...]) -> None:
    dialogue = told(user("My flight HAT045 was late, my booking Q69X3R is lost."))
    assert values_of(taught(*times), dialogue) == {"HAT045", "Q69X3R"}


def test_how_values_were_called_is_written_and_forgotten() -> None:
    tables = taught(("booking", 10), ("flight", 2))
    share = tables.miscalled("get_booking", "booking_id")
    assert share == pytest.approx(3 / 14)
    read = Tables.from_json(json.loads(json.dumps(tables.as_json(least=1))))
    assert read.miscalled("get_booking", "booking_id") == share
    tables.include(read, -1)
    assert tables.miscalled("get_booking", "booking_id") == 0.5
    read.forget("get_booking")
    assert read.miscalled("get_booking", "booking_id") == 0.5


# ------------------------------------------------------------------ topics


def test_words_of_fewer_tools_count_more() -> None:
    topics = topics_of(TOOLS)
    assert topics["flight"] == {"get_flight": 1.0}
    assert topics["get"] == {"get_booking": 0.5, "get_flight": 0.5}
    assert topics["cancel"] == {"cancel_booking": 1.0}
    assert topics["book"]["cancel_booking"] == pytest.approx(1 / 3)


def test_the_tool_whose_words_were_said_most_is_named() -> None:
    heard = HeardTopics(topics_of(TOOLS))
    assert {tool: heard.named(tool) for tool in TOOLS} == dict.fromkeys(TOOLS, (0, 0))
    heard.user(["please", "cancel", "my", "booking"])
    heard.model(["which", "flight"])
    assert {tool: heard.named(tool) for tool in TOOLS} == {
        "find_booking": (1, 0),
        "get_booking": (1, 0),
        "cancel_booking": (2, 0),
        "get_flight": (0, 2),
    }
    assert heard.named("unheard_of") == (0, 0)


def test_what_was_said_once_stays_a_topic_and_nothing_else_does() -> None:
    dialogue = told(user("I am cancelling my booking."), user("My name is Ada Quist."))
    traits = of_situation(dialogue)
    assert {trait for trait in traits if trait.startswith("topic=")} == {
        "topic=book",
        "topic=book&e1=user",
        "topic=cancel",
        "topic=cancel&e1=user",
    }


# ------------------------------------------------------------------ in their order


def test_values_count_in_the_order_in_which_the_user_said_them() -> None:
    dialogue = told(user("Cancel IFOYY7 and NQNU5R, and change M20IZO."))
    said = ("NQNU5R", "M20IZO", "IFOYY7", "A1B2C3")
    pooled = [Pooled((("booking_id", value),), 1.0, ("user~X6",)) for value in said]
    keys = of_calls(dialogue, "get_booking", pooled, [True] * len(pooled))
    places = [next((key[1:3] for key in its if key[0] == "nth"), None) for its in keys]
    assert places == [(1, 3), (2, 3), (0, 3), None]


def test_a_join_that_fills_more_arguments_comes_before_more_frequent_ones() -> None:
    tables = Tables()
    whole = (("a", "t:$.a"), ("b", "t:$.b"), ("c", "t:$.c"))
    tables.forms["search"]["a", "b", "c"] = 20
    tables.joins["search"].update({whole: 6, whole[:2]: 11, whole[1:]: 12, (whole[0], whole[2]): 13})
    assert [len(join) for join, _ in tables.usual_joins("search")] == [2, 3, 2, 2]
    tables.joins["search"].update({(("a", f"t:$.a{more}"), ("b", "t:$.b")): 11 for more in range(9)})
    tables._changed("search")
    assert whole in dict(tables.usual_joins("search"))


def rows(many: int, dialogue: Dialogue) -> None:
    for number in range(many):
        dialogue.take(called("t", [{name: f"{name}{number}" for name in "abc"}], q=number))


def test_records_behind_the_last_one_are_candidates_however_many_come_before() -> None:
    tables = Tables()
    paths = {name: f"t:$[*].{name}" for name in "abc"}
    for number in range(9):
        dialogue = told()
        rows(9, dialogue)
        args: Args = tuple((name, f"{name}{number}") for name in "abc")
        tables.learn(dialogue, "search", args)
    dialogue = told()
    rows(30, dialogue)
    last = PastCall(tool="search", args={name: f"{name}20" for name in "abc"}, result="[]")
    dialogue.take(HistoryItem(role="tool", text="[]", call=last))
    found = {one.args: one for one in pool(tables, dialogue, "search")}
    next_one = found[tuple((name, f"{name}21") for name in "abc")]
    assert (next_one.ahead, next_one.joined, next_one.paths) == (1, 3, tuple(paths.values()))
