"""Tools with a log and a world, called as LangChain and as specflow call them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import BaseTool

from specflow.clock import LoopClock
from specflow.effects.annotate import annotation_of
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import ConfigurationError
from specflow.testing.recording_tools import Fault, RecordingTools


def by_name(recording: RecordingTools) -> dict[str, BaseTool]:
    return {tool.name: tool for tool in recording.standard()}


async def call(tool: BaseTool, asynchronous: bool, **args: Any) -> Any:
    return await tool.ainvoke(args) if asynchronous else await asyncio.to_thread(tool.invoke, args)


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_every_run_is_logged_in_order(asynchronous: bool) -> None:
    recording = RecordingTools({"a": "1"})
    tools = by_name(recording)
    await call(tools["put"], asynchronous, key="a", value="2")
    assert (await call(tools["look_up"], asynchronous, key="a"))["value"] == "2"
    await call(tools["send"], asynchronous, to="me", text="hi")
    assert [(run.number, run.tool, run.outcome) for run in recording.runs] == [
        (1, "put", "returned"),
        (2, "look_up", "returned"),
        (3, "send", "returned"),
    ]
    assert recording.runs[0].args == {"key": "a", "value": "2", "request_id": ""}
    assert recording.runs[1].result == {"key": "a", "found": True, "value": "2"}
    assert all(run.end is not None and run.end >= run.start for run in recording.runs)
    assert recording.world == {"a": "2", "sent": [{"to": "me", "text": "hi"}]}
    assert recording.runs[0].early is None


def test_the_standard_tools_say_what_they_may_do() -> None:
    effects = {name: annotation_of(tool) for name, tool in by_name(RecordingTools()).items()}
    assert {name: mark.effect for name, mark in effects.items() if mark} == {
        "look_up": EffectClass.READ_ONLY,
        "find_put": EffectClass.READ_ONLY,
        "put": EffectClass.COMPENSATABLE,
        "take_back": EffectClass.CONFIRMATION_REQUIRED,
        "send": EffectClass.CONFIRMATION_REQUIRED,
    }
    put = effects["put"]
    assert put is not None
    assert (put.undo, put.verify, put.idempotency_key) == ("take_back", "find_put", "request_id")


@given(
    st.dictionaries(st.sampled_from("abc"), st.text(max_size=3)),
    st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=3)), max_size=8),
)
def test_undoing_in_reverse_order_restores_the_world(world: dict[str, str], writes: list[Any]) -> None:
    recording = RecordingTools(dict(world))
    tools = by_name(recording)
    made = [tools["put"].invoke({"key": key, "value": value})["put_id"] for key, value in writes]
    for identity in reversed(made):
        assert tools["take_back"].invoke({"put_id": identity}) == {"status": "undone"}
    assert recording.snapshot() == world


def test_a_key_makes_a_put_happen_once_and_an_undo_too() -> None:
    recording = RecordingTools()
    tools = by_name(recording)
    keyed = {"key": "a", "value": "1", "request_id": "k"}
    assert tools["put"].invoke(keyed) == tools["put"].invoke(keyed | {"value": "other"})
    assert recording.world == {"a": "1"}
    assert tools["find_put"].invoke({"put_id": "k"}) == {"found": True}
    recording.world["b"] = "2"
    for _ in range(2):
        assert tools["take_back"].invoke({"put_id": "k"}) == {"status": "undone"}
    assert tools["find_put"].invoke({"put_id": "k"}) == {"found": False}
    assert tools["take_back"].invoke({"put_id": "never"}) == {"status": "unknown"}
    assert recording.world == {"b": "2"}


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("after", [True, False])
async def test_faults_come_before_or_after_the_effect(asynchronous: bool, after: bool) -> None:
    fault = Fault(error=OSError("lost"), after_effect=after)
    recording = RecordingTools(faults={"put": [None, fault]})
    put = by_name(recording)["put"]
    await call(put, asynchronous, key="a", value="1")
    with pytest.raises(OSError, match="lost"):
        await call(put, asynchronous, key="b", value="2")
    await call(put, asynchronous, key="c", value="3")
    assert set(recording.world) == ({"a", "b", "c"} if after else {"a", "c"})
    assert [run.outcome for run in recording.runs] == ["returned", "raised", "returned"]
    assert recording.runs[1].error == "OSError: lost"


@pytest.mark.parametrize("after", [True, False])
async def test_a_hanging_tool_is_logged_as_running_then_cancelled(after: bool) -> None:
    recording = RecordingTools(faults={"put": [Fault(hang=True, after_effect=after)]})
    task = asyncio.create_task(by_name(recording)["put"].ainvoke({"key": "a", "value": "1"}))
    while not recording.runs:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert recording.runs[0].outcome == "running"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recording.runs[0].outcome == "cancelled"
    assert recording.world == ({"a": "1"} if after else {})


def test_a_synchronous_hang_ends_when_the_tools_are_released() -> None:
    recording = RecordingTools(faults={"look_up": [Fault(hang=True)]})
    thread = threading.Thread(target=by_name(recording)["look_up"].invoke, args=({"key": "a"},))
    thread.start()
    while not recording.runs:
        thread.join(0.001)
    assert recording.runs[0].outcome == "running"
    recording.release()
    thread.join()
    assert recording.runs[0].outcome == "returned"


async def test_latency_by_name_and_by_call() -> None:
    recording = RecordingTools(
        latency={"look_up": 0.05}, faults={"look_up": [None, Fault(latency=0.0)]}, clock=LoopClock()
    )
    look_up = by_name(recording)["look_up"]
    await look_up.ainvoke({"key": "a"})
    await look_up.ainvoke({"key": "a"})
    first, second = recording.runs
    assert first.end is not None
    assert second.end is not None
    # The loop may call a little early: by its clock's resolution.
    assert first.end - first.start >= 0.045
    assert recording.named("put") == []


async def test_tools_of_ones_own_share_the_log_and_the_world() -> None:
    recording = RecordingTools({"seats": 2})

    def reserve(count: int, name: str = "nobody") -> int:
        """Reserve seats."""
        recording.world["seats"] -= count
        return int(recording.world["seats"])

    tool = recording.make(reserve)
    assert (tool.name, tool.description) == ("reserve", "Reserve seats.")
    assert tool.tool_call_schema.model_json_schema()["required"] == ["count"]
    assert await tool.ainvoke({"count": 1}) == 1
    await asyncio.gather(*(tool.ainvoke({"count": 1}) for _ in range(5)))
    assert recording.world == {"seats": -4}
    assert len(recording.named("reserve")) == 6


async def test_a_watched_spec_lets_the_log_see_what_ran_early() -> None:
    recording = RecordingTools({"a": "1"})
    look_up = by_name(recording)["look_up"]

    async def run(made: Call, context: CallContext) -> Any:
        return await look_up.ainvoke(made.plain_args())

    spec = recording.watch(ToolSpec(name="look_up", runner=run))
    assert spec.runner is not None
    await spec.runner(Call(tool="look_up", args={"key": "a"}), CallContext(early=True))
    await spec.runner(Call(tool="look_up", args={"key": "b"}), CallContext(idempotency_key="k"))
    await look_up.ainvoke({"key": "c"})
    assert [run.early for run in recording.runs] == [True, False, None]
    assert recording.runs[1].context == CallContext(idempotency_key="k")
    with pytest.raises(ConfigurationError, match="no runner"):
        recording.watch(ToolSpec(name="look_up"))


def test_the_log_keeps_what_was_not_what_became_of_it() -> None:
    recording = RecordingTools({"a": ["1"]})
    answer = by_name(recording)["look_up"].invoke({"key": "a"})
    answer["value"].append("2")
    assert recording.world == {"a": ["1"]}
    assert recording.runs[0].result["value"] == ["1"]


@pytest.mark.parametrize(
    "options",
    [
        {"latency": -1},
        {"latency": {"put": float("nan")}},
        {"faults": {"put": [None, Fault(latency=-1)]}},
    ],
)
def test_a_negative_latency_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="0 or more"):
        RecordingTools(**options)
