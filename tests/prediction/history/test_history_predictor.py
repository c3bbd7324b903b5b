"""The predictor that remembers: what it proposes, what it learns from, and what it must never do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate
from specflow.prediction.history.lesson import Lesson, count, train
from specflow.prediction.history.patterns import Patterns, PatternsError
from specflow.prediction.history.predictor import HistoryPredictor, reading
from specflow.prediction.history.tables import Tables
from specflow.prediction.predictor import Foresees, HistoryItem, PastCall, Predictor, TurnContext


@pytest.fixture(scope="module")
def learned(kit: Any) -> dict[str, Any]:
    """Patterns of 14 conversations, as JSON: each test makes its own of it."""
    return train(kit.lessons(range(14)), early=kit.early).as_json()


def foresee(predictor: HistoryPredictor, tools: ToolRegistry, history: Any) -> list[Candidate]:
    context = TurnContext(tools=tools, history=tuple(history))
    predictor.listen(context)
    return list(asyncio.run(predictor.foresee(context)))


def test_it_knows_the_calls_of_a_conversation_whose_values_it_has_never_seen(
    kit: Any, learned: dict[str, Any]
) -> None:
    tools, talk = kit.shop(), kit.conversation(99)
    predictor = HistoryPredictor(Patterns.from_json(learned), online=False)
    history: list[HistoryItem] = []
    wrong = []
    for moment in talk.moments:
        history.extend(moment.new)
        said = foresee(predictor, tools, history)
        sure = [one.call for one in said if one.confidence > 0.5]
        wanted = [call for call in moment.calls if call.tool in kit.reads]
        if sure != wanted:
            wrong.append((moment.calls, said))
    assert not wrong
    assert {one.tool for moment in talk.moments for one in moment.calls} > kit.reads  # a write was among them


def test_probabilities_of_a_moment_are_a_distribution(kit: Any, learned: dict[str, Any]) -> None:
    patterns, tools = Patterns.from_json(learned), kit.shop()
    for dialogue, _ in kit.lessons([77])[0].walk(year=None):
        found = patterns.consider(dialogue, tools, kit.early)
        assert sum(found.probabilities) == pytest.approx(1.0)
        assert all(
            args is None
            for name, args in zip(found.options.names, found.options.args, strict=True)
            if name not in kit.reads
        )


def test_arguments_get_the_types_that_the_schema_asks_for(kit: Any, learned: dict[str, Any]) -> None:
    talk = kit.conversation(99)
    history = [item for moment in talk.moments[:5] for item in moment.new]
    best = foresee(HistoryPredictor(Patterns.from_json(learned)), kit.shop(), history)[0]
    assert best.call == talk.moments[4].calls[0]
    assert isinstance(best.call.args["item_id"], int)


def test_the_file_holds_no_value_of_the_conversations(kit: Any, learned: dict[str, Any]) -> None:
    text = json.dumps(learned)
    values: set[str] = set()
    for one in kit.lessons(range(14)):
        for moment in one.moments:
            for call in moment.calls:
                values |= {str(value) for value in call.args.values()}
            for item in moment.new:
                values |= {word.strip(".,?") for word in item.text.split() if item.role == "user"}
    named = {word for spec in kit.shop() for word in (spec.name, *spec.properties)}
    # Words of the tools themselves, of English, and of the file's own format are no values.
    values = {value for value in values if len(value) > 4} - named - {"email", "order", "please"}
    assert len(values) > 60
    assert [value for value in sorted(values) if value in text] == []


def test_a_path_of_few_conversations_is_not_written(kit: Any) -> None:
    lessons = kit.lessons(range(4))
    odd = kit.conversation(50)
    odd.call("get_order", "none", order_id="#W1")
    odd.history[-1] = HistoryItem(
        role="tool",
        text="{}",
        call=PastCall(tool="get_order", args={"order_id": "#W1"}, result='{"grandmother": "A-77-B"}'),
    )
    odd.call("get_order", "none", order_id="A-77-B")
    told = type(lessons[0])(moments=odd.moments, tools=kit.shop(), task="odd")
    tables = count([*lessons, told])
    assert "get_order:$.grandmother" in tables.hits["get_order", "order_id"]
    assert "grandmother" not in json.dumps(tables.as_json(least=3))


def test_what_is_written_and_read_again_predicts_the_same(
    kit: Any, learned: dict[str, Any], tmp_path: Path
) -> None:
    patterns = Patterns.from_json(learned)
    patterns.save(tmp_path / "patterns.json")
    again = Patterns.load(tmp_path / "patterns.json")
    assert again.as_json() == patterns.as_json()
    assert [file.name for file in tmp_path.iterdir()] == ["patterns.json"]
    history = [item for moment in kit.conversation(99).moments[:3] for item in moment.new]
    one, other = (foresee(HistoryPredictor(known), kit.shop(), history) for known in (patterns, again))
    assert one == other
    assert one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "no patterns"),
        ('{"kind": "specflow-patterns", "version": 9}', "patterns of version 9"),
        ('{"kind": "specflow-patterns", "version": 1, "tables": {}}', "broken: KeyError"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "patterns.json"
    file.write_text(text)
    with pytest.raises(PatternsError, match=said) as caught:
        Patterns.load(file)
    assert str(file) in str(caught.value)
    with pytest.raises(PatternsError, match="cannot be opened"):
        Patterns.load(tmp_path / "none.json")


def test_a_tool_with_another_schema_is_learned_anew(kit: Any, learned: dict[str, Any]) -> None:
    tools = ToolRegistry(
        ToolSpec(name=spec.name, parameters={**spec.parameters, "description": "changed"})
        if spec.name == "get_order"
        else spec
        for spec in kit.shop()
    )
    talk = kit.conversation(99)
    history = [item for moment in talk.moments[:3] for item in moment.new]
    predictor = HistoryPredictor(Patterns.from_json(learned), cold=False)
    assert all(one.call.tool != "get_order" for one in foresee(predictor, tools, history))
    before = [item for moment in talk.moments[:2] for item in moment.new]
    assert foresee(predictor, tools, before)[0].call == talk.moments[1].calls[0]


def test_a_tool_that_was_learned_with_two_schemas_is_known_with_both(kit: Any) -> None:
    tools = kit.shop()
    other = ToolRegistry(
        ToolSpec(name=spec.name, parameters={**spec.parameters, "description": "of another suite"})
        for spec in tools
    )
    lessons = [
        Lesson(moments=one.moments, tools=other if number % 2 else tools, task=one.task)
        for number, one in enumerate(kit.lessons(range(14)))
    ]
    patterns = train(lessons, early=kit.early)
    history = list(kit.conversation(99).moments[0].new)
    for known in (tools, other, tools):
        said = foresee(HistoryPredictor(patterns, online=False), known, history)
        assert said[0].call == kit.conversation(99).moments[0].calls[0]


def test_it_learns_online_from_nothing(kit: Any) -> None:
    tools, predictor = kit.shop(), HistoryPredictor()
    assert foresee(predictor, tools, [HistoryItem(role="user", text="hello")]) == []
    right = []
    for seed in range(24):
        history: list[HistoryItem] = []
        hits = 0
        for moment in kit.conversation(seed).moments:
            history.extend(moment.new)
            said = foresee(predictor, tools, history)
            hits += bool(said and moment.calls and said[0].call == moment.calls[0])
        right.append(hits)
    assert right[0] == 0
    assert min(right[-4:]) >= 4  # of the four reads of a conversation


def test_nothing_is_learned_from_what_is_only_presumed(kit: Any, learned: dict[str, Any]) -> None:
    tools, talk = kit.shop(), kit.conversation(99)
    predictor = HistoryPredictor(Patterns.from_json(learned))
    history = [item for moment in talk.moments[:3] for item in moment.new]
    foresee(predictor, tools, history)
    before = predictor.patterns.as_json()
    presumed = PastCall(tool="cancel_order", args={"order_id": "#W1"}, result="{}")
    for _ in range(3):
        context = TurnContext(
            tools=tools, history=(*history, HistoryItem(role="tool", text="{}", call=presumed))
        )
        asyncio.run(predictor.foresee(context))
    assert predictor.patterns.as_json() == before
    foresee(predictor, tools, [*history, *talk.moments[3].new])
    assert predictor.patterns.as_json() != before


def test_a_conversation_taken_in_piece_by_piece_is_the_one_read_at_once(
    kit: Any, learned: dict[str, Any]
) -> None:
    tools, talk = kit.shop(), kit.conversation(98)
    growing = HistoryPredictor(Patterns.from_json(learned), online=False)
    history: list[HistoryItem] = []
    for moment in talk.moments:
        history.extend(moment.new)
        fresh = HistoryPredictor(Patterns.from_json(learned), online=False)
        context = TurnContext(tools=tools, history=tuple(history))
        unheard = asyncio.run(fresh.foresee(context))  # nobody listened: it is read from the start
        assert foresee(growing, tools, history) == unheard


def test_two_conversations_at_once_keep_their_values_apart(kit: Any, learned: dict[str, Any]) -> None:
    tools, predictor = kit.shop(), HistoryPredictor(Patterns.from_json(learned))
    talks = [kit.conversation(seed) for seed in (201, 202)]
    said: list[list[HistoryItem]] = [[], []]
    for moments in zip(*(talk.moments for talk in talks), strict=True):
        for mine, moment in zip(said, moments, strict=True):
            mine.extend(moment.new)
        for mine in said:
            theirs = {
                str(v)
                for other in said
                if other is not mine
                for i in other
                if i.call
                for v in i.call.args.values()
            }
            for candidate in foresee(predictor, tools, mine):
                assert not {str(value) for value in candidate.call.args.values()} & theirs


def test_counts_of_a_part_can_be_taken_out_again(kit: Any) -> None:
    one, other = count(kit.lessons(range(3))), count(kit.lessons(range(3, 5)))
    both = Tables()
    both.include(one)
    both.include(other)
    both.include(other, -1)
    assert both.as_json(least=1) == one.as_json(least=1)


def test_it_is_both_a_listener_and_one_that_foresees() -> None:
    predictor = HistoryPredictor()
    assert isinstance(predictor, Predictor)
    assert isinstance(predictor, Foresees)


def test_without_a_word_on_effects_names_say_which_tools_read(kit: Any) -> None:
    assert {name for name, reads in reading(kit.shop()).items() if reads} == kit.reads
