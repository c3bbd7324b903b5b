"""After some calls the model hardly ever goes on reading: then nothing far is looked at."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.tables import REPLY, Tables
from specflow.prediction.history.worth_a_look import FEW, MOST, READS_ON, may_read_on, worthy_by
from specflow.prediction.predictor import HistoryItem, PastCall

TOOLS = ["cancel_order", "get_order", "get_status"]


def early(name: str) -> bool:
    return name.startswith("get_")


def after(*calls: str, result: str = "done", then: str = "") -> Dialogue:
    """A conversation in which the user has spoken, these were called, and the user said one thing more."""
    dialogue = Dialogue()
    dialogue.take(HistoryItem(role="user", text="Please cancel order W1"))
    for tool in calls:
        past = PastCall(tool=tool, args={"order": "W1"}, result=result)
        dialogue.take(HistoryItem(role="tool", text=result, call=past))
    if then:
        dialogue.take(HistoryItem(role="user", text=then))
    return dialogue


def told_of(messages: int, reads: int, *calls: str, result: str = "done") -> Tables:
    """Counts of so many messages after these calls, and of how many of them began with a read."""
    tables, dialogue = Tables(), after(*calls, result=result)
    for number in range(messages):
        tables.learn(dialogue, "get_status" if number < reads else REPLY, (), TOOLS)
    return tables


def test_after_a_call_that_no_read_follows_the_model_does_not_read_on() -> None:
    tables = told_of(40, 0, "cancel_order")
    assert not may_read_on(tables, after("cancel_order"), early)
    # It is the last event that counts; and whoever has been spoken to may do anything.
    assert may_read_on(tables, after("cancel_order", "get_order"), early)
    assert may_read_on(tables, after("cancel_order", then="And the other one?"), early)
    assert may_read_on(tables, after("cancel_order", result="Error: too late"), early)
    assert may_read_on(told_of(40, 0), after(), early)


@pytest.mark.parametrize(("messages", "reads"), [(0, 0), (5, 0), (8, 0), (40, 4), (400, 60)])
def test_where_reads_have_followed_or_that_is_not_known_yet_it_may(messages: int, reads: int) -> None:
    assert may_read_on(told_of(messages, reads, "cancel_order"), after("cancel_order"), early)


def test_only_what_may_be_called_early_counts_as_a_read() -> None:
    tables = told_of(40, 20, "cancel_order")
    assert may_read_on(tables, after("cancel_order"), early)
    assert not may_read_on(tables, after("cancel_order"), lambda _name: False)


@given(messages=st.integers(0, 300), data=st.data())
def test_the_share_is_by_the_rule_of_succession_and_survives_the_file(
    messages: int, data: st.DataObject
) -> None:
    reads = data.draw(st.integers(0, messages))
    tables = told_of(messages, reads, "cancel_order")
    share = tables.share_after("cancel_order", early)
    assert share == pytest.approx((reads + 1) / (messages + 2))
    assert may_read_on(tables, after("cancel_order"), early) == (share >= READS_ON)
    again = Tables.from_json(json.loads(json.dumps(tables.as_json(least=1))))
    assert again.share_after("cancel_order", early) == share
    again.include(tables, -1)
    assert again.share_after("cancel_order", early) == 0.5


@given(
    st.dictionaries(st.sampled_from(["get_a", "get_b", "get_c"]), st.floats(-12, 12), min_size=1),
    st.floats(0, 1),
    st.sampled_from([(), ("get_a",)]),
)
def test_then_what_is_near_is_looked_at_as_ever_and_what_is_far_is_not(
    situation: dict[str, float], chance: float, over: tuple[str, ...]
) -> None:
    as_ever, then = worthy_by(situation, over), worthy_by(situation, over, reads_on=False)
    for name in situation:
        looked_at = as_ever(name, chance)
        assert looked_at in {0, FEW, MOST}
        assert then(name, chance) == (0 if looked_at == FEW else looked_at)
