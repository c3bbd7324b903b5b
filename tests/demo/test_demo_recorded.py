"""Recorded runs played again: every request as in the record, each result at its turn, or a clear word."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from specflow.demo.database import Database
from specflow.demo.recorded import conversation, play
from specflow.demo.recorded_tools import NotRecordedError, RecordedError, RecordedWorld
from specflow.effects.call import Call
from specflow.errors import ConfigurationError
from specflow.traces.recorded import RecordingError, parse_run

DATA = Path(os.environ.get("SPECFLOW_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def schema(name: str, *params: str) -> dict[str, object]:
    properties = {param: {"type": "string"} for param in params}
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name.replace('_', ' ')}.",
            "parameters": {"type": "object", "properties": properties, "required": list(params)},
        },
    }


def calling(
    name: str, content: str, *, error: bool = False, reasoning: str = "", **args: str
) -> dict[str, object]:
    return {
        "role": "assistant",
        "content": "",
        "reasoning": reasoning,
        "gen_s": 0.4,
        "tool_calls": [{"id": "c0", "name": name, "args": args}],
        "tool_results": [{"id": "c0", "content": content, "error": error}],
    }


def user(text: str) -> dict[str, object]:
    return {"role": "user", "content": text}


def says(text: str) -> dict[str, object]:
    return {"role": "assistant", "content": text, "gen_s": 0.1}


TOOLS = [schema("get_reservation_details", "reservation_id"), schema("cancel_reservation", "reservation_id")]
WHOLE = [
    says("Hello, how can I help?"),
    user("Please cancel my reservation AB12CD."),
    calling(
        "get_reservation_details",
        '{"status": "open"}',
        reasoning="I need to get the reservation details for AB12CD first, to see what can be done about it.",
        reservation_id="AB12CD",
    ),
    calling("cancel_reservation", "Error: not refundable", error=True, reservation_id="AB12CD"),
    calling("cancel_reservation", "cancelled", reservation_id="AB12CD"),
    calling("get_reservation_details", '{"status": "cancelled"}', reservation_id="AB12CD"),
    says("It is cancelled."),
    user("###STOP###"),
]


def record(turns: list[dict[str, object]], **more: object) -> dict[str, object]:
    return {"source": "test", "model": "m", "task_id": "1", "tools": TOOLS, "turns": turns, **more}


def write(path: Path, *runs: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(run) + "\n" for run in runs))
    return path


async def replay(file: Path, *, first: int = 0, count: int = 1, heard: list[str] | None = None):
    return await play(
        file,
        first=first,
        count=count,
        database=Database(path=file.with_name("j.db")),
        speed=5.0,
        tool_latency=0.5,
        tell=(heard if heard is not None else []).append,
    )


async def test_a_run_is_played_as_recorded_both_ways(tmp_path):
    [played] = await replay(write(tmp_path / "r.jsonl", record(WHOLE)))
    assert played.differences == ()
    assert played.same
    assert played.sequential.answer == played.speculative.answer == "It is cancelled."
    assert [call.tool for call in played.speculative.calls] == [
        "get_reservation_details",
        "cancel_reservation",
        "cancel_reservation",
        "get_reservation_details",
    ]
    # Reads may be adopted; the writes never ran early, and each ran once.
    counts = played.watch.outcomes
    assert counts["hit"] + counts["late"] + counts["miss"] + counts["stale"] == 2
    assert counts["hit"] + counts["late"] >= 1
    assert counts["compensated"] == counts["stuck"] == 0
    found = played.as_json()
    assert {"sequential", "speculative", "bound_seconds", "regret_seconds", "journal"} <= set(found)


async def test_a_run_cut_off_after_a_tool_is_brought_to_an_end(tmp_path):
    for end in ([], [user("###TRANSFER###")]):
        [played] = await replay(write(tmp_path / "r.jsonl", record([*WHOLE[:3], *end])))
        assert played.same


async def test_a_difference_from_the_record_is_found(tmp_path):
    twice = calling("get_reservation_details", "one", reservation_id="AB12CD")
    twice["tool_calls"].append(
        {"id": "c1", "name": "get_reservation_details", "args": {"reservation_id": "AB12CD"}}
    )
    twice["tool_results"].append({"id": "c1", "content": "two", "error": False})
    [played] = await replay(write(tmp_path / "r.jsonl", record([user("hi"), twice, says("done")])))
    assert not played.same
    assert "two" in played.differences[0]


async def test_of_several_runs_the_unplayable_one_is_left_out_and_named(tmp_path):
    heard: list[str] = []
    file = write(tmp_path / "r.jsonl", record([user("hi")]), record(WHOLE))
    played = await replay(file, count=5, heard=heard)
    assert [one.run.number for one in played] == [2]
    assert heard[0].startswith("left out: run 1")
    with pytest.raises(RecordingError):
        await replay(file)
    with pytest.raises(ConfigurationError):
        await replay(file, first=2)


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [user("hi")],
        [says("hello")],
        [user("hi"), says("a"), says("b")],
        [user("hi"), calling("get_reservation_details", "x", reservation_id="1"), user("wait"), says("a")],
    ],
)
def test_a_run_that_no_agent_can_have_made_is_refused(turns):
    with pytest.raises(RecordingError):
        conversation(parse_run(json.dumps(record(turns))))


def test_the_other_side_of_a_conversation():
    lead, exchanges = conversation(parse_run(json.dumps(record([*WHOLE, says("Bye.")]))))
    assert lead == 1
    assert [[message.text for message in exchange] for exchange in exchanges] == [
        ["Hello, how can I help?", "Please cancel my reservation AB12CD."],
        ["###STOP###"],
    ]


async def test_a_call_answers_what_it_answered_at_that_point_of_the_run():
    world = RecordedWorld(parse_run(json.dumps(record(WHOLE))), latency=0)
    look = Call(tool="get_reservation_details", args={"reservation_id": "AB12CD"})
    cancel = Call(tool="cancel_reservation", args={"reservation_id": "AB12CD"})
    world.answer = 1
    assert "open" in await world.call(look)
    world.answer = 2
    with pytest.raises(RecordedError, match="not refundable"):
        await world.call(cancel)
    world.answer = 3
    assert await world.call(cancel) == "cancelled"
    assert "cancelled" in await world.call(look)
    world.answer = 6
    assert "cancelled" in await world.call(look)
    with pytest.raises(NotRecordedError):
        await world.call(Call(tool="get_reservation_details", args={"reservation_id": "other"}))


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded runs are not here (SPECFLOW_DATA)")
async def test_runs_of_real_models_are_played_as_recorded(tmp_path):
    file = DATA / "dev_airline_tasks0-9.jsonl.xz"
    played = await play(
        file, first=58, count=4, database=Database(path=tmp_path / "j.db"), speed=100, tool_latency=1
    )
    assert len(played) == 4
    assert [line for one in played for line in one.differences] == []
    assert all(one.same for one in played)
