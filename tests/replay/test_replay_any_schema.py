"""Tools with any parameters that JSON Schema allows are played, scored and learned from."""

from __future__ import annotations

from typing import Any

import jsonschema
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy.load import loads
from specflow.policy.settings import Judge
from specflow.prediction.history.lesson import train
from specflow.prediction.history.predictor import HistoryPredictor
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.replay.ask import score_run
from specflow.replay.latency import latency
from specflow.replay.lessons import lesson_of
from specflow.replay.summary import Summary, replay_run

POLICY = """
version: 1
tools:
  look_up: {effect: read_only, speculate: now, destinations: {host: a.example}}
"""
VALUES = st.sampled_from(["Q-1007", "ada@example.com", 7, 2.5, True, None, ["Q-1007"], {"code": "Q-1007"}])
PLAIN = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": ["string", "null"]},
        {"type": "array"},
        {"type": "object"},
        {"enum": ["Q-1007", 7, None, {"a": 1}]},
        {"const": 7},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": "^Q-"},
        {"examples": ["Q-1007", 5, None]},
        {"description": "for example Q-1007", "title": "Order"},
        {"$ref": "#/$defs/one"},
        {"not": {"type": "string"}},
        {"if": True, "then": False},
    ]
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | PLAIN,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"items": inner, "type": st.just("array")}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from(["code", "a b", ""]), inner)}),
        st.fixed_dictionaries({"additionalProperties": inner, "type": st.just("object")}),
        st.fixed_dictionaries({"prefixItems": st.lists(inner, min_size=1, max_size=2), "items": inner}),
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(["order_id", "email", "date", "query", "from", "", "sort by"])


def turn(args: dict[str, Any]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "reasoning": "I will call look_up with Q-1007. Then I should look up ada@example.com.",
        "gen_s": 1.0,
        "tool_calls": [{"id": "c", "name": "look_up", "args": args}],
        "tool_results": [{"id": "c", "content": '{"order_id": "Q-1007", "date": "2026-11-28"}'}],
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(properties=st.dictionaries(NAMES, st.tuples(SCHEMAS, VALUES), max_size=3), listed=st.booleans())
@example(properties={"order_id": (True, "Q-1007")}, listed=True)
@example(properties={"order_id": (False, "Q-1007")}, listed=True)
def test_any_schema_is_played_scored_and_learned_from(
    kit: Any, properties: dict[str, tuple[Any, Any]], listed: bool
) -> None:
    parameters = {
        "type": "object",
        "$defs": {"one": {"type": "string"}},
        "properties": {name: schema for name, (schema, _) in properties.items()},
        **({"required": sorted(properties)} if listed else {}),
    }
    jsonschema.Draft202012Validator.check_schema(parameters)
    args = {name: value for name, (_, value) in properties.items()}
    tool = {"type": "function", "function": {"name": "look_up", "parameters": parameters}}
    turns = [
        {"role": "user", "content": "Where is Q-1007? I am ada@example.com."},
        turn(args),
        turn({}),
        turn(args),
    ]
    run = kit.run().model_validate(kit.record(*turns, tools=[tool]))
    patterns = train([lesson_of(run, place="run")], early=lambda _: True, epochs=1)

    def judge_for(registry: ToolRegistry) -> Judge:
        return loads(POLICY, tools=registry)

    one = replay_run(
        run,
        Summary(),
        judge_for=judge_for,
        predictors=[ReasoningSniffer(), PartialCallPredictor(), HistoryPredictor(patterns)],
        latency=latency("1s"),
    )
    assert one.steps == 3
    assert one.saved_seconds >= -1e-6
    assert score_run(run, judge_for=judge_for, predictors=[HistoryPredictor()]).steps == 3


def test_what_allows_everything_or_nothing_is_an_object_here() -> None:
    tool = ToolSpec(
        name="look", parameters={"type": "object", "properties": {"a": True, "b": False, "c": {}}}
    )
    assert tool.properties == {"a": {}, "b": {"not": {}}, "c": {}}
    assert not tool.problems({"a": [1], "c": 2})
    assert tool.problems({"b": 1})
