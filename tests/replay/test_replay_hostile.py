"""Files that no recorder should write: one clear line with the place, never anything else."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specflow.errors import ConfigurationError, SpecflowError
from specflow.policy.load import loads
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.replay.latency import latency
from specflow.replay.summary import Summary, replay_run
from specflow.traces.recorded import RecordingError, parse_run


def replay(kit: Any, line: str) -> Summary:
    run = parse_run(line, number=3, place="runs.jsonl:3")
    return replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads("version: 1\ntools: {}\n", tools=registry),
        predictors=[ReasoningSniffer(), PartialCallPredictor()],
        latency=latency("2s"),
        place="runs.jsonl:3",
    )


def nested(depth: int, innermost: str = "1") -> str:
    return '{"a":' * depth + innermost + "}" * depth


BROKEN = {
    "a tool that is no object": ({"tools": [[]]}, "tools.0"),
    "a tool without a name": ({"tools": [{"type": "function", "function": {"description": "x"}}]}, "no name"),
    "a name that is no text": ({"tools": [{"name": 7}]}, "tools.0: the tool has no name"),
    "a function that is no object": ({"tools": [{"function": "search"}]}, "'function' is no object"),
    "parameters that are no schema": ({"tools": [{"name": "t", "parameters": [1]}]}, "no JSON Schema"),
    "a schema that is none": (
        {"tools": [{"name": "t", "parameters": {"type": "object", "required": 1}}]},
        "parameters.required",
    ),
    "a schema that refers elsewhere": (
        {"tools": [{"name": "t", "parameters": {"properties": {"x": {"$ref": "http://127.0.0.1:9/x"}}}}]},
        "leads out of the schema",
    ),
    "two tools of one name": (
        {"tools": [{"name": "t"}, {"name": "t", "parameters": {"type": "object", "required": ["x"]}}]},
        "tools.1: another tool of this run is called 't' too",
    ),
    "a month of thinking": ({"turns": [{"role": "assistant", "gen_s": 1e9}]}, "turns.0"),
    "more tokens than numbers can hold": (
        {"turns": [{"role": "assistant", "completion_tokens": 10**400}]},
        "runs.jsonl:3",
    ),
    "a lone surrogate in an argument": (
        {
            "turns": [
                {"role": "user"},
                {"role": "assistant", "tool_calls": [{"name": "t", "args": {"x": "\ud800"}}]},
            ]
        },
        "turns.1",
    ),
    "a role that nobody has": ({"turns": [{"role": "nobody"}]}, "turns.0.role"),
    "a time before time": ({"turns": [{"role": "assistant", "gen_s": -1}]}, "gen_s"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_said_with_its_place(kit: Any, what: str) -> None:
    keys, message = BROKEN[what]
    line = json.dumps({"turns": [], **keys})
    with pytest.raises(RecordingError) as raised:
        replay(kit, line)
    assert str(raised.value).startswith("runs.jsonl:3: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("depth", [300, 3000])
def test_nesting_is_played_or_refused(kit: Any, depth: int) -> None:
    call = '{"name":"t","args":' + nested(depth) + "}"
    line = '{"tools":[{"name":"t"}],"turns":[{"role":"assistant","tool_calls":[' + call + "]}]}"
    try:
        assert replay(kit, line).steps == 1
    except RecordingError as error:
        assert str(error).startswith("runs.jsonl:3: ")  # noqa: PT017 - either ending is fine


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"properties": {"x": {"$dynamicRef": "#/$defs/nowhere"}}},
        {"$ref": "#/$defs/nowhere"},
        {"properties": {"x": {"pattern": "("}}},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_followed_is_a_broken_record(kit: Any, schema: dict[str, Any]) -> None:
    call = {"name": "t", "args": {"x": "1"}}
    line = {
        "tools": [{"name": "t", "parameters": schema}],
        "turns": [{"role": "assistant", "tool_calls": [call]}],
    }
    with pytest.raises(RecordingError, match=r"runs\.jsonl:3"):
        replay(kit, json.dumps(line))


def test_a_tool_listed_twice_in_the_same_words_counts_once(kit: Any) -> None:
    line = {"tools": [{"name": "t"}, {"function": {"name": "t"}}], "turns": []}
    assert replay(kit, json.dumps(line)).runs == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e300, 1e300) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
WORDS = st.sampled_from(
    ["I will call read with id 1.", "<think>", "\ud800", "no", '{"id":', "I'll read 2 now."]
)
RESULT = st.fixed_dictionaries(
    {}, optional={"id": st.sampled_from(["a", ""]) | JSON, "content": WORDS | JSON}
)
CALL = st.fixed_dictionaries({"name": st.sampled_from(["read", "x"])}, optional={"id": JSON, "args": JSON})
TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(["assistant", "assistant", "user"])},
    optional={
        "content": WORDS | JSON,
        "reasoning": WORDS,
        "tool_calls": st.lists(CALL, max_size=3) | JSON,
        "tool_results": st.lists(RESULT, max_size=3) | JSON,
        "gen_s": st.floats(0, 1e4) | JSON,
        "completion_tokens": st.integers(0, 100) | JSON,
    },
)
SCHEMAS = st.sampled_from([None, {}, {"type": "object", "properties": {"id": {"type": "integer"}}}]) | JSON
TOOL = st.fixed_dictionaries({"name": st.sampled_from(["read", "x"])}, optional={"parameters": SCHEMAS})
RUN = st.fixed_dictionaries(
    {"turns": st.lists(TURN, max_size=4)},
    optional={"tools": st.lists(TOOL | JSON, max_size=2), "model": JSON},
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(run=RUN)
def test_any_line_is_played_or_refused(kit: Any, run: dict[str, Any]) -> None:
    # What a predictor may not survive is logged with its traceback: then it is a bug of ours.
    logger, seen = logging.getLogger("specflow"), []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]  # the shortest handler there is
    logger.addHandler(handler)
    try:
        found = replay(kit, json.dumps(run))
        json.dumps(found.as_json(), allow_nan=False)
    except RecordingError as error:
        assert str(error).startswith("runs.jsonl:3: ")  # noqa: PT017 - either ending is fine
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in seen] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fast",
        "-1",
        "nan",
        "inf",
        "1e9",
        "2ss",
        "lognormal:",
        "lognormal:2",
        "lognormal:1,99",
        "normal:1,1",
    ],
)
def test_a_latency_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no latency"):
        latency(text)


def test_a_broken_policy_stays_a_policy_error(kit: Any) -> None:
    with pytest.raises(SpecflowError, match="toolz"):
        loads("version: 1\ntoolz: {}\n")
