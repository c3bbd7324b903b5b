"""Which calls are candidates, and how sure what was learned may be."""

from __future__ import annotations

import math
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from specflow.prediction.history import pool as pools
from specflow.prediction.history import worth_a_look
from specflow.prediction.history.apart import sharpness_of
from specflow.prediction.history.calls import of_calls
from specflow.prediction.history.choices import Choice, values
from specflow.prediction.history.chooser import Options, softmax
from specflow.prediction.history.dialogue import Args, Dialogue, args_of
from specflow.prediction.history.lesson import train
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.history.pool import MOST, pool
from specflow.prediction.history.tables import REPLY, Tables
from specflow.prediction.history.worth_a_look import worthy_by
from specflow.prediction.predictor import HistoryItem, PastCall

FLIGHTS = '{"flights": [%s]}'


def flight(number: int) -> str:
    return f'{{"number": "HAT{100 + number}", "date": "2024-05-{10 + number}", "seats": {number}}}'


def told(flights: int, *calls: PastCall) -> Dialogue:
    dialogue = Dialogue(year=2024)
    text = FLIGHTS % ", ".join(flight(number) for number in range(flights))
    dialogue.take(HistoryItem(role="user", text="Are my flights on time?"))
    reading = PastCall(tool="get_trip", args={"trip": "T1"}, result=text)
    for call in (reading, *calls):
        dialogue.take(HistoryItem(role="tool", text=call.result, call=call))
    return dialogue


def status(number: int, result: str = "on time") -> PastCall:
    args = {"number": f"HAT{100 + number}", "date": f"2024-05-{10 + number}"}
    return PastCall(tool="get_status", args=args, result=result)


@pytest.fixture(scope="module")
def tables() -> Tables:
    found = Tables()
    for number in (0, 1, 2, 0, 1):
        args = tuple(sorted(status(number).args.items()))
        found.learn(told(3), "get_status", args)
    return found


def test_arguments_that_stood_together_are_joined_and_no_others_before_them(tables: Tables) -> None:
    found = pool(tables, told(6), "get_status")
    joined = [dict(one.args) for one in found if one.joined == 2]
    assert joined == [status(number).args for number in range(6)]
    assert found[0].joined == 2


def test_where_few_are_looked_at_and_records_are_enough_nothing_else_is_put_together(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noted(tables: Tables, dialogue: Dialogue, tool: str, parameter: str, most: int) -> list[Choice]:
        asked.append(parameter)
        return values(tables, dialogue, tool, parameter, most)

    monkeypatch.setattr(pools, "values", noted)
    few = pool(tables, told(6), "get_status", most=5)
    assert [one.joined for one in few] == [2] * 5
    assert not asked
    # There are not enough of them.
    assert {one.joined for one in pool(tables, told(2), "get_status", most=5)} == {0, 2}
    assert set(asked) == {"date", "number"}
    asked.clear()
    assert {one.joined for one in pool(tables, told(6), "get_status")} == {0, 2}
    assert set(asked) == {"date", "number"}


def test_what_was_called_already_comes_later(tables: Tables) -> None:
    found = pool(tables, told(4, status(0), status(1)), "get_status")
    assert [dict(one.args) for one in found[:2]] == [status(2).args, status(3).args]


def test_records_are_gone_through_in_their_order(tables: Tables) -> None:
    """Each candidate knows how far it is behind the record of the last call."""
    found = {one.args: one.ahead for one in pool(tables, told(5, status(1), status(2)), "get_status")}
    ahead = {number: found[args_of(status(number).args)] for number in range(5)}
    assert ahead == {0: -2, 1: -1, 2: 0, 3: 1, 4: 2}
    assert {one.ahead for one in pool(tables, told(5), "get_status")} == {0}


@pytest.mark.parametrize(("result", "empty"), [("[]", True), ('[{"number": "HAT100"}]', False)])
def test_what_another_tool_was_just_asked_is_told_apart(result: str, empty: bool) -> None:
    tables = Tables()
    for number in (0, 1, 2):
        tables.learn(told(3), "get_status", args_of(status(number).args))
    search = PastCall(tool="search", args=status(1).args, result=result)
    dialogue = told(3, search)
    pooled = pool(tables, dialogue, "get_status")
    fresh = [True] * len(pooled)
    found = of_calls(dialogue, "get_status", pooled, fresh)
    traits = dict(zip([one.args for one in pooled], found, strict=True))
    alike = {args for args, keys in traits.items() if ("alike", True, empty, False) in keys}
    assert alike == {args_of(status(1).args)}
    assert all(("alike", False, empty, False) in keys for args, keys in traits.items() if args not in alike)


@given(st.lists(st.sampled_from(["get_trip", "get_status", ""]), max_size=12))
def test_a_run_is_as_long_as_the_last_calls_of_one_tool(names: list[str]) -> None:
    dialogue = Dialogue()
    for name in names:
        call = PastCall(tool=name, args={}, result="x")
        dialogue.take(
            HistoryItem(role="tool", text="x", call=call) if name else HistoryItem(role="user", text="Go on")
        )
    wanted = len(list(takewhile(lambda name: name == names[-1], reversed(names)))) if names else 0
    if names and names[-1]:
        assert dialogue.run == wanted


def test_no_call_takes_the_same_value_twice(tables: Tables) -> None:
    for one in pool(tables, told(5), "get_status"):
        values = [value for _, value in one.args]
        assert len(set(values)) == len(values)


def test_the_days_around_a_date_that_was_asked_for_are_candidates(tables: Tables) -> None:
    found = {one.args for one in pool(tables, told(2, status(0)), "get_status")}
    for day in ("2024-05-09", "2024-05-11"):
        assert (("date", day), ("number", "HAT100")) in found


@given(st.integers(1, 40), st.integers(0, 45), st.integers(1, 14))
@example(flights=20, said=0, most=2)  # an old one, which only what the user said brings among the best
def test_the_best_values_are_the_best_of_all(flights: int, said: int, most: int) -> None:
    """What cannot be among them is left out before it is looked up in the texts: that changes nothing."""
    tables = Tables()
    for number in (0, 1, 2):
        tables.learn(told(3), "get_status", args_of(status(number).args))
    dialogue = told(0)
    for number in range(flights):
        text = FLIGHTS % flight(number)
        trip = PastCall(tool="get_trip", args={"trip": f"T{number}"}, result=text)
        dialogue.take(HistoryItem(role="tool", text=text, call=trip))
    dialogue.take(HistoryItem(role="user", text=f"What about flight HAT{100 + said}?"))
    every = values(tables, dialogue, "get_status", "number", 1_000)
    assert values(tables, dialogue, "get_status", "number", most) == every[:most]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=1, max_size=40), st.integers(1, 14)
)
def test_a_path_that_cannot_have_any_of_the_best_values_is_left_out(
    came: list[tuple[int, int]], most: int
) -> None:
    """Some paths are right more often than others; values come up on one of them, or on several."""
    tables = Tables()
    for number in range(12):
        dialogue = Dialogue(year=2024)
        for source in range(3):
            if number % (2 * source + 1) == 0:
                listed(dialogue, source, number)
            listed(dialogue, source, 30 + number)
        tables.learn(dialogue, "get_status", (("number", f"HAT{100 + number}"),))
    assert len(tables.paths("get_status", "number")) == 3
    dialogue = Dialogue(year=2024)
    for source, number in came:
        listed(dialogue, source, number)
    every = values(tables, dialogue, "get_status", "number", 1_000)
    assert values(tables, dialogue, "get_status", "number", most) == every[:most]


def listed(dialogue: Dialogue, source: int, number: int) -> None:
    text = FLIGHTS % flight(number)
    call = PastCall(tool=f"list_{source}", args={"day": "1"}, result=text)
    dialogue.take(HistoryItem(role="tool", text=text, call=call))


@given(st.integers(1, MOST), st.integers(1, 20))
def test_the_first_of_few_calls_is_the_first_of_the_whole_pool(most: int, flights: int) -> None:
    tables = Tables()
    for number in (0, 1, 2, 0, 1):
        tables.learn(told(3), "get_status", args_of(status(number).args))
    dialogue = told(flights, status(0))
    few = pool(tables, dialogue, "get_status", most=most)
    assert len(few) <= most
    assert few[0].args == pool(tables, dialogue, "get_status")[0].args


def test_the_pool_is_bounded_however_long_the_list(tables: Tables) -> None:
    assert len(pool(tables, told(60), "get_status")) == MOST
    assert pool(tables, told(3), "unheard_of") == []


def test_the_temperature_is_that_at_which_scores_surprise_the_least() -> None:
    # Scores that say 0.98 where two in three are right: too sure.
    sure = [([4.0, 0.0], 0)] * 2 + [([4.0, 0.0], 1)]
    assert sharpness_of(sure) == 2.5
    meant = [([math.log(2), 0.0], 0)] * 2 + [([math.log(2), 0.0], 1)]
    assert sharpness_of(meant) == 1.0
    assert softmax([math.log(2), 0.0]) == pytest.approx([2 / 3, 1 / 3])


def test_tools_that_are_out_of_question_are_not_looked_at_and_are_learned_all_the_same(kit: Any) -> None:
    patterns = train(kit.lessons(range(14)), early=kit.early)
    tools = kit.shop()
    (lesson,) = kit.lessons([70])
    dialogue, _ = next(iter(lesson.walk(year=None)))
    considered = patterns.consider(dialogue, tools, kit.early)
    assert sum(considered.probabilities) == pytest.approx(1.0)
    left_out = {spec.name for spec in tools} - set(considered.options.names)
    before = patterns.tables.steps
    for name in sorted(left_out) or ["cancel_order"]:
        patterns.weigh(patterns.count(dialogue, considered, name, (("order_id", "#W1"),)))
    assert patterns.tables.steps > before


def test_a_call_that_was_not_looked_at_is_learned_as_the_call_that_it_is(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    patterns = train(kit.lessons(range(14)), early=kit.early)
    (lesson,) = kit.lessons([70])
    for limit, value in {"NEAR": -99.0, "FAR": 99.0, "FEW": 1, "READS_ON": 0.0}.items():
        monkeypatch.setattr(worth_a_look, limit, value)
    learned = 0
    for dialogue, _ in lesson.walk(year=None):
        considered = patterns.consider(dialogue, lesson.tools, kit.early)
        for tool in sorted(considered.options.cut):
            whole = pool(patterns.tables, dialogue, tool)
            offers = [args for name, args in offered(considered.options) if name == tool]
            assert len(offers) == min(1, len(whole))
            for args in {one.args for one in whole} - set(offers):
                taught = patterns.count(dialogue, considered, tool, args)
                assert taught.begins < 0 or considered.options.args[taught.begins] is None
                assert taught.compiled is not considered.compiled
                before = softmax(patterns.weights.scores(taught.compiled))[taught.right]
                patterns.weigh(taught)
                assert softmax(patterns.weights.scores(taught.compiled))[taught.right] > before
                learned += 1
    assert learned


def offered(found: Options) -> list[tuple[str, Args]]:
    pairs = zip(found.names, found.args, strict=True)
    return [(name, args) for name, args in pairs if args is not None]


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(-12, 12), min_size=1), st.floats(0, 1))
def test_the_further_a_tool_is_behind_the_fewer_of_its_calls_are_looked_at(
    situation: dict[str, float], chance: float
) -> None:
    most = worthy_by(situation)
    ordered = sorted(situation, key=lambda name: -situation[name])
    looked_at = [most(name, chance) for name in ordered]
    assert looked_at == sorted(looked_at, reverse=True)
    assert set(looked_at) <= {0, worth_a_look.FEW, MOST}
    assert most(ordered[0], 1.0) == MOST
    assert most(ordered[0], 0.0) >= most("never heard of", 0.0) or situation[ordered[0]] < 0


def test_without_anything_learned_there_is_nothing_but_the_reply_and_the_tools(kit: Any) -> None:
    dialogue = Dialogue()
    dialogue.take(HistoryItem(role="user", text="Hello"))
    considered = Patterns().consider(dialogue, kit.shop(), kit.early)
    assert considered.chances() == []
    assert considered.options.names[0] == REPLY
