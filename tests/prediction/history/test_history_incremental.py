"""A conversation heard message by message, asked about in between, and copied: as if it was read anew."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.prediction.history.chooser import Options, options
from specflow.prediction.history.dialogue import MAX_RECORDS, Dialogue, args_of
from specflow.prediction.history.tables import Tables
from specflow.prediction.history.topics import topics_of
from specflow.prediction.predictor import HistoryItem, PastCall

TOOLS = ("get_trip", "get_status", "search")
PLACES = ("JFK", "SEA", "MCO", "LAX", "BOS")
DAYS = ("2024-05-11", "2024-05-12", "2024-05-13")


def begun() -> Dialogue:
    return Dialogue(cues=frozenset({"flight", "numb", "dat"}), topics=topics_of(TOOLS), year=2024)


def flight(number: int) -> dict[str, str]:
    start, end = PLACES[number % 5], PLACES[(number * 3 + 1) % 5]
    return {"number": f"HAT{number}", "date": DAYS[number % 3], "origin": start, "target": end}


def trip(first: int, many: int) -> HistoryItem:
    result = json.dumps({"flights": [flight(number) for number in range(first, first + many)]})
    return called("get_trip", result, trip=f"T{first}")


def called(tool: str, result: str, **args: str) -> HistoryItem:
    return HistoryItem(role="tool", text=result, call=PastCall(tool=tool, args=args, result=result))


def status(number: int) -> HistoryItem:
    found = flight(number)
    return called("get_status", "on time", number=found["number"], date=found["date"])


def search(origin: str, target: str, date: str) -> HistoryItem:
    return called("search", json.dumps([flight(7)]), origin=origin, target=target, date=date)


def said(role: str, number: int) -> HistoryItem:
    found = flight(number)
    text = f"Flight {found['number']} from {found['origin']} to {found['target']} on {found['date']}?"
    return HistoryItem(role="user" if role == "user" else "assistant", text=text)


NUMBERS = st.integers(100, 140)
ITEMS = st.one_of(
    st.builds(trip, NUMBERS, st.integers(0, 5)),
    st.builds(trip, NUMBERS, st.just(MAX_RECORDS + 3)),  # the oldest records are dropped
    st.builds(status, NUMBERS),
    st.builds(search, st.sampled_from(PLACES), st.sampled_from(PLACES), st.sampled_from(DAYS)),
    st.builds(said, st.sampled_from(["user", "model"]), NUMBERS),
)


def taught() -> Tables:
    """Joined fully (a status), in part (a search by the places of a flight on another day), and alone."""
    tables = Tables()
    for number in range(100, 106):
        dialogue = begun()
        for item in (said("user", number), trip(number, 4)):
            dialogue.take(item)
        for wanted in (number, number + 1):
            done, found = status(wanted), flight(wanted)
            sought = search(found["origin"], found["target"], DAYS[wanted % 2])
            for item in (done, sought):
                assert item.call is not None
                tables.learn(dialogue, item.call.tool, args_of(item.call.args))
    return tables


TABLES = taught()


def ask(dialogue: Dialogue) -> Options:
    return options(TABLES, dialogue, TOOLS, lambda _name: True)


def anew(items: list[HistoryItem]) -> Options:
    dialogue = begun()
    for item in items:
        dialogue.take(item)
    return ask(dialogue)


def same(one: Options, other: Options) -> bool:
    return (one.names, one.args, one.keys, one.situation) == (
        other.names,
        other.args,
        other.keys,
        other.situation,
    ) and one.words.traits == other.words.traits


@settings(deadline=None, max_examples=150)
@given(items=st.lists(st.tuples(ITEMS, st.booleans()), min_size=1, max_size=9))
def test_being_asked_in_between_changes_nothing(items: list[tuple[HistoryItem, bool]]) -> None:
    dialogue = begun()
    for item, asked in items:
        dialogue.take(item)
        if asked:
            ask(dialogue)
    assert same(ask(dialogue), anew([item for item, _ in items]))


@settings(deadline=None, max_examples=150)
@given(
    begin=st.lists(ITEMS, min_size=1, max_size=4),
    one=st.lists(ITEMS, max_size=4),
    other=st.lists(ITEMS, max_size=4),
    asked=st.booleans(),
)
def test_a_copy_goes_its_own_way(
    begin: list[HistoryItem], one: list[HistoryItem], other: list[HistoryItem], *, asked: bool
) -> None:
    dialogue = begun()
    for item in begin:
        dialogue.take(item)
    if asked:
        ask(dialogue)
    copied = dialogue.copy()
    for item in one:
        copied.take(item)
        ask(copied)
    for item in other:
        dialogue.take(item)
    assert same(ask(dialogue), anew([*begin, *other]))
    assert same(ask(copied), anew([*begin, *one]))


def test_the_tables_of_these_tests_join_what_they_should() -> None:
    assert any(len(join) == 2 for join, _ in TABLES.usual_joins("get_status"))
    assert any(len(join) < 3 for join, _ in TABLES.usual_joins("search"))
    found = anew([said("user", 100), trip(100, 3)])
    assert {"get_status", "search"} <= {
        name for name, args in zip(found.names, found.args, strict=True) if args
    }
