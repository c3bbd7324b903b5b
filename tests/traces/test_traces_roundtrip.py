"""A run written in each format and read again: the same calls, results, texts and times."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specflow.traces.recorded import RecordedRun

FORMATS = ("openai", "log", "langsmith", "otel", "otel-events")
TIMED = {"log", "langsmith", "otel", "otel-events"}
TRACED = {"langsmith", "otel", "otel-events"}

# Also what imitates a call, another format or the end of a line.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        '{"tool_calls": [{"name": "pay", "arguments": {}}]}',
        '<tool_call>{"name": "pay"}</tool_call>',
        '[{"type": "tool_use", "name": "pay", "input": {}}]',
        "預約 航班 ✈ naïve",
        "a\nb\r\nc\u2028d",
        '{"turns": []}',
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["look", "book_flight", "予約", "suche_größe"])
SECONDS = st.integers(0, 60_000_000).map(lambda micro: micro / 10**6)


@st.composite
def runs(draw: Any) -> dict[str, Any]:
    turns: list[dict[str, Any]] = []
    if draw(st.booleans()):
        turns.append({"role": "system", "content": draw(TEXT)})
    turns.append({"role": "user", "content": draw(TEXT)})
    for number in range(draw(st.integers(1, 4))):
        # At least something is said: an answer of nothing is none.
        turn = {
            "role": "assistant",
            "content": draw(TEXT),
            "reasoning": draw(TEXT),
            "gen_s": draw(SECONDS),
        }
        count = draw(st.integers(0, 3))
        # Eleven arguments are as good as one.
        size = draw(st.sampled_from([0, 1, 2, 11]))
        turn["tool_calls"] = [
            {
                "id": f"c{number}-{place}",
                "name": draw(NAMES),
                "args": {f"ключ{key}": draw(JSON) for key in range(size)},
            }
            for place in range(count)
        ]
        turn["tool_results"] = [
            {"id": call["id"], "content": draw(TEXT), "error": False, "seconds": draw(SECONDS)}
            for call in turn["tool_calls"]
        ]
        turns.append(turn)
        if not count:
            turns.append({"role": "user", "content": draw(TEXT)})
    tools = [
        {"name": name, "description": name, "parameters": {"type": "object", "properties": {}}}
        for name in ("look", "予約")
    ]
    return {"model": draw(st.sampled_from(["m", "モデル"])), "task_id": "7", "tools": tools, "turns": turns}


def told(run: RecordedRun) -> list[Any]:
    """The run without what a format does not carry. A last message of the user had no answer."""
    turns = [
        (
            turn.role,
            turn.content,
            turn.reasoning,
            [(call.id, call.name, call.args) for call in turn.calls],
            [(result.id, result.content, result.error) for result in turn.results],
            turn.given,
        )
        for turn in run.turns
    ]
    return turns[:-1] if turns[-1][0] == "user" else turns


def times(run: RecordedRun, *, tools: bool) -> list[Any]:
    return [
        (turn.gen_s, [result.seconds for result in turn.results] if tools else [])
        for turn in run.turns
        if turn.role == "assistant"
    ]


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs(), seed=st.integers(0, 99))
def test_what_goes_out_comes_back(
    kit: Any, tmp_path: Path, name: str, run: dict[str, Any], seed: int
) -> None:
    lines = kit.formats[name](run)
    # Children before their parents, the end before the beginning.
    random.Random(seed).shuffle(lines)
    (back,), reading = kit.read(kit.write(tmp_path / "traces.jsonl", lines))
    want = RecordedRun.model_validate(run)
    if name == "log":
        # What the tools of the last answer said stands in a request that was never made.
        answered = told(want)
        last = answered[-1]
        assert told(back) == [*answered[:-1], (*last[:4], [], last[5])]
    else:
        assert told(back) == told(want)
    assert back.model == want.model
    assert [dict(tool) for tool in back.tools] == list(want.tools)
    assert reading.notes.left_out == 0
    if name in TIMED:
        assert times(back, tools=name in TRACED) == times(want, tools=name in TRACED)
    else:
        assert {turn.gen_s for turn in back.turns} == {None}
        assert {turn.t for turn in back.turns} == {None}


@pytest.mark.parametrize("name", FORMATS)
def test_traces_that_are_mixed_come_apart(kit: Any, tmp_path: Path, name: str) -> None:
    made = [kit.run(order=f"A-{number}") for number in range(12)]
    lines = [
        line
        for number, run in enumerate(made)
        for line in kit.formats[name](run, f"t{number}")
    ]  # fmt: skip
    random.Random(3).shuffle(lines)
    half = len(lines) // 2
    files = [
        kit.write(tmp_path / "a.jsonl", lines[:half]),
        kit.write(tmp_path / "b.jsonl.xz", lines[half:], pack=True),
    ]
    back, reading = kit.read(*files)
    want = [told(RecordedRun.model_validate(run)) for run in made]
    assert sorted(map(told, back), key=str) == sorted(want, key=str)
    assert reading.notes.left_out == 0


def test_the_examples_hold_the_same_conversations(kit: Any) -> None:
    folder = Path(__file__).resolve().parents[2] / "examples" / "traces"
    found = []
    for name in ("langsmith", "otel", "openai"):
        runs, reading = kit.read(folder / f"support.{name}.jsonl")
        assert (len(runs), reading.notes.left_out) == (3, 0)
        found.append(sorted(map(told, runs), key=str))
    assert found[0] == found[1] == found[2]
