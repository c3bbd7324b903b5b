"""Planted differences: whatever a careless change of specflow could do to a run, the comparison sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.config import ensure_config, merge_configs, var_child_runnable_config
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from ways_of_running import AINVOKE, ASTREAM, EVENTS_V2, EVENTS_V3, Way
from ways_seen import differences
from ways_story import WaitingModel
from ways_trial import Trial, perform

from specflow.graph.calling import ToolCalls
from specflow.graph.hearing import Hearing
from specflow.graph.middleware import SpecflowMiddleware

MESSAGES = ASTREAM.having("messages", stream_mode=["messages", "custom"])
Plant = Callable[[pytest.MonkeyPatch], None]


def usage_is_dropped(patch: pytest.MonkeyPatch) -> None:
    """The message that goes on into the state has lost its token counts."""
    told = SpecflowMiddleware.awrap_model_call

    async def call(self: Any, request: Any, handler: Any) -> Any:
        response = await told(self, request, handler)
        response.result[0] = response.result[0].model_copy(update={"usage_metadata": None})
        return response

    patch.setattr(SpecflowMiddleware, "awrap_model_call", call)


def usage_of_the_stream_is_dropped(patch: pytest.MonkeyPatch) -> None:
    said = WaitingModel._astream

    async def stream(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async for chunk in said(self, *args, **kwargs):
            chunk.message.usage_metadata = None
            yield chunk

    patch.setattr(WaitingModel, "_astream", stream)


def two_tokens_change_places(patch: pytest.MonkeyPatch) -> None:
    """As something would do it that holds chunks back."""
    consulted = WaitingModel._consult

    def consult(self: Any, messages: Any) -> Any:
        reply, speech, timing = consulted(self, messages)
        one, two, three, *others = speech.pieces
        return reply, replace(speech, pieces=(one, three, two, *others)), timing

    patch.setattr(WaitingModel, "_consult", consult)


def a_write_more(patch: pytest.MonkeyPatch) -> None:
    put = InMemorySaver.put_writes

    def writes(self: Any, config: Any, written: Any, task_id: str, task_path: str = "") -> None:
        put(self, config, [*written, ("specflow", 1)], task_id, task_path)

    patch.setattr(InMemorySaver, "put_writes", writes)


def a_run_more(patch: pytest.MonkeyPatch) -> None:
    """Early work that tracers and event streams can see."""
    wrap = ToolCalls.awrap

    async def wrapped(self: Any, request: Any, handler: Any) -> Any:
        await RunnableLambda(lambda given: given, name="early").ainvoke("")
        return await wrap(self, request, handler)

    patch.setattr(ToolCalls, "awrap", wrapped)


def _around_the_model(**config: Any) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        from specflow.graph import hearing

        ambient = hearing.ambient_callback

        @contextmanager
        def marked(handler: Any) -> Any:
            given: Any = config
            token = var_child_runnable_config.set(merge_configs(ensure_config(), given))
            try:
                with ambient(handler):
                    yield
            finally:
                var_child_runnable_config.reset(token)

        patch.setattr(hearing, "ambient_callback", marked)

    return plant


def a_custom_event_more(patch: pytest.MonkeyPatch) -> None:
    end = Hearing.end

    async def ended(self: Any, cause: str) -> None:
        get_stream_writer()({"specflow": "heard"})
        await end(self, cause)

    patch.setattr(Hearing, "end", ended)


def another_tool_call_id(patch: pytest.MonkeyPatch) -> None:
    """An adopted answer that belongs to no call."""
    wrap = ToolCalls.awrap

    async def wrapped(self: Any, request: Any, handler: Any) -> Any:
        answer = await wrap(self, request, handler)
        assert isinstance(answer, ToolMessage)
        return answer.model_copy(update={"tool_call_id": "early"})

    patch.setattr(ToolCalls, "awrap", wrapped)


def an_early_call_made_again(patch: pytest.MonkeyPatch) -> None:
    """A read that is not adopted: the world sees it twice."""
    from specflow.speculation.adopt import Adopter

    async def find(self: Any, *given: Any) -> None:
        return None

    patch.setattr(Adopter, "find", find)


PLANTED: list[tuple[Plant, Way, str]] = [
    (usage_is_dropped, AINVOKE, "usage_metadata"),
    (usage_of_the_stream_is_dropped, MESSAGES, "usage"),
    (two_tokens_change_places, MESSAGES, "parts[0][1][1]"),
    (two_tokens_change_places, EVENTS_V3, "delta"),
    (a_write_more, AINVOKE, "checkpoints"),
    (a_run_more, EVENTS_V2, "name"),
    (a_run_more, AINVOKE, "heard"),
    (_around_the_model(tags=["early"]), EVENTS_V2, "tags"),
    (_around_the_model(metadata={"early": True}), EVENTS_V2, "metadata.early"),
    (_around_the_model(metadata={"early": True}), MESSAGES, "early"),
    (_around_the_model(run_name="early"), EVENTS_V2, "name"),
    (a_custom_event_more, MESSAGES, "'custom' with"),
    (usage_of_the_stream_is_dropped, EVENTS_V3, "usage"),
    (another_tool_call_id, AINVOKE, "tool_call_id"),
    (an_early_call_made_again, AINVOKE, "done"),
]


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize(
    ("plant", "way", "where"),
    PLANTED,
    ids=[f"{number}-{way.name}-{where}" for number, (_, way, where) in enumerate(PLANTED)],
)
async def test_a_planted_difference_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant, way: Way, where: str
) -> None:
    trial = Trial(form="create_agent", way=way, saver="memory", question="find Rome")
    want = await perform(trial.without(), tmp_path)
    plant(monkeypatch)
    got = await perform(trial, tmp_path)
    found = differences(want.told, got.told)
    assert any(where in line for line in found), found[:20]
