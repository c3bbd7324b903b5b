"""Tools that are called until they succeed, and then no more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.lesson import train
from specflow.prediction.history.tables import REPLY, Tables
from specflow.prediction.history.worth_a_look import worthy_by
from specflow.prediction.predictor import HistoryItem, PastCall


def after(*results: str) -> Dialogue:
    """A conversation in which `find_user` gave these results."""
    dialogue = Dialogue()
    dialogue.take(HistoryItem(role="user", text="It is Ada Miles"))
    for result in results:
        past = PastCall(tool="find_user", args={"name": "Ada Miles"}, result=result)
        dialogue.take(HistoryItem(role="tool", text=result, call=past))
    return dialogue


def told_of(found: int, again: int, *results: str) -> Tables:
    """Counts of so many messages after a user was found, or what else the results say, and of how many of
    them looked for the user again.
    """
    tables, dialogue = Tables(), after(*results)
    for number in range(found):
        tool, more = ("find_user", []) if number < again else (REPLY, [])
        tables.learn(dialogue, tool, (), ["find_user"], more)
    return tables


def test_a_tool_that_is_called_until_it_succeeds_and_never_again_is_not_looked_at_after_that() -> None:
    tables = told_of(500, 0, "user_1")
    assert tables.over(after("user_1")) == ["find_user"]
    most = worthy_by({"find_user": 9.0}, tables.over(after("user_1")))
    assert most("find_user", 1.0) == 0
    # Before it is called, and while it fails, nothing is over.
    assert tables.over(after()) == []
    assert tables.over(after("Error: no such user")) == []
    assert tables.over(after("user_1", "Error: no such user")) == []
    assert tables.over(after("Error: no such user", "user_1")) == ["find_user"]


@pytest.mark.parametrize(("found", "again"), [(400, 0), (900, 1), (2_000, 5)])
def test_where_it_was_called_again_or_that_is_not_known_yet_it_is_looked_at(found: int, again: int) -> None:
    assert told_of(found, again, "user_1").over(after("user_1")) == []


def test_messages_that_ask_for_it_again_besides_something_else_count_too() -> None:
    tables = told_of(500, 0, "user_1")
    for _ in range(2):
        tables.learn(after("user_1"), "get_status", (), ["find_user", "get_status"], ["find_user"])
    assert tables.over(after("user_1")) == []


def test_what_is_over_is_kept_taken_out_and_forgotten_with_the_rest() -> None:
    tables = told_of(500, 0, "user_1")
    again = Tables.from_json(json.loads(json.dumps(tables.as_json(least=1))))
    assert again.over(after("user_1")) == ["find_user"]
    more = told_of(600, 0, "user_1")
    more.include(tables, -1)
    assert more.over(after("user_1")) == []
    more.include(tables)
    assert more.over(after("user_1")) == ["find_user"]
    more.forget("find_user")
    assert more.over(after("user_1")) == []


def test_a_copied_conversation_goes_on_alone() -> None:
    tables, dialogue = told_of(500, 0, "user_1"), after()
    other = dialogue.copy()
    past = PastCall(tool="find_user", args={"name": "Ada Miles"}, result="user_1")
    other.take(HistoryItem(role="tool", text="user_1", call=past))
    assert (tables.over(dialogue), tables.over(other)) == ([], ["find_user"])


def test_one_that_comes_again_after_all_is_learned_as_the_call_that_it_is(kit: Any) -> None:
    patterns = train(kit.lessons(range(14)), early=kit.early)
    (lesson,) = kit.lessons([70])
    moments = [one for one in lesson.moments if one.first[1] is not None]
    tool, args = moments[0].first
    dialogue = next(iter(lesson.walk(year=None)))[0]
    dialogue.settled.add(tool)
    patterns.tables.settled[tool], patterns.tables.again[tool] = 10_000, 0
    considered = patterns.consider(dialogue, lesson.tools, kit.early)
    assert tool in considered.options.cut
    assert not [
        at for at, name in enumerate(considered.options.names) if name == tool and considered.options.args[at]
    ]
    taught = patterns.count(dialogue, considered, tool, args)
    before = patterns.weights.scores(taught.compiled)[taught.right]
    patterns.weigh(taught)
    assert patterns.weights.scores(taught.compiled)[taught.right] > before
    assert patterns.tables.again[tool] == 1
