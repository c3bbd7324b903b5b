"""Ways in beside the matrix, one by one: batches, options of LangGraph's, decisions of a person, trouble."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from ways_of_running import (
    ABATCH,
    AINVOKE,
    ALL_MODES,
    ASTREAM,
    BATCH,
    INVOKE,
    STREAM,
    STREAM_EVENTS_V3,
    Way,
)
from ways_seen import differences, masked
from ways_story import calling, side_by_side
from ways_trial import FORMS, SHAPES, Seen, Trial, perform

ALL_HITS = {"look": 2, "hold": 1}
ALL_AT_ONCE = ASTREAM.having("astream", stream_mode=ALL_MODES)
VALUES = replace(ASTREAM.having("values", stream_mode="values"), streams=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("further")


async def both(trial: Trial, folder: Path) -> tuple[Seen, Seen]:
    want = await perform(trial.without(), folder)
    got = await perform(trial, folder)
    assert not got.violations
    return want, got


async def same(trial: Trial, folder: Path) -> Seen:
    """Both ways, with nothing different."""
    want, got = await both(trial, folder)
    found = differences(want.told, got.told)
    assert not found, "\n".join(found[:40])
    return got


@pytest.mark.parametrize("way", [BATCH, ABATCH], ids=lambda way: way.name)
@pytest.mark.parametrize("form", FORMS)
async def test_batches(folder: Path, form: str, way: Way) -> None:
    # Side by side, so that nobody can say which of them a handler hears first.
    want, got = await both(Trial(form=form, way=way), folder)
    assert masked(got.told["parts"]) == masked(want.told["parts"])
    assert got.told["usage"] == want.told["usage"]
    assert got.told["done"] == want.told["done"]
    # That a call of one of them is ready is no sign that the like one of another is.
    early = got.outcomes()
    assert early["hit"] + early.get("late", 0) == {"create_agent": 3, "StateGraph": 6, "Workflow": 3}[form]


OPTIONS: dict[str, tuple[Way, dict[str, Any]]] = {
    "all stream modes at once": (ASTREAM.having("", stream_mode=ALL_MODES, subgraphs=True), {}),
    "all stream modes at once, sync": (STREAM.having("", stream_mode=ALL_MODES, subgraphs=True), {}),
    "all stream modes, not those of subgraphs": (ASTREAM.having("", stream_mode=ALL_MODES), {}),
    "typed parts": (ASTREAM.having("", stream_mode=ALL_MODES, subgraphs=True, version="v2"), {}),
    "output_keys": (replace(ASTREAM.having("", stream_mode="values", output_keys="KEY"), streams=False), {}),
    "durability sync": (VALUES.having("", durability="sync"), {}),
    "durability async": (VALUES.having("", durability="async"), {}),
    "durability exit": (VALUES.having("", durability="exit"), {}),
    "durability exit, sync run": (INVOKE.having("", durability="exit"), {}),
    "interrupt_before": (AINVOKE, {"interrupt_before": ["NODE"]}),
    "interrupt_before every node": (AINVOKE.having("", interrupt_before="*"), {}),
    "interrupt_after": (INVOKE.having("", interrupt_after=["NODE"]), {}),
    "stream_events v3": (STREAM_EVENTS_V3, {}),
}
FORM_OF = dict(zip(OPTIONS, (FORMS[number % 3] for number in range(len(OPTIONS))), strict=True))


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize("option", OPTIONS)
async def test_options_of_langgraph(folder: Path, option: str) -> None:
    """Each with one form, in turn."""
    way, compiled = OPTIONS[option]
    form = FORM_OF[option]
    node, key = ("paid", "steps") if form == "Workflow" else ("tools", "messages")
    if option == "output_keys":
        way = replace(ASTREAM.having("", stream_mode="values", output_keys=key), streams=False)
    if option == "interrupt_after":
        way = INVOKE.having("", interrupt_after=[node])
    if compiled:
        compiled = {"interrupt_before": [node]}
    saver = "SQLite" if "durability" in option else "memory"
    question = "find Rome" if form == "StateGraph" else "send Rome"
    trial = Trial(form=form, way=way, saver=saver, asks=True, question=question, compiled=compiled)
    got = await same(trial, folder)
    assert got.hits() == ALL_HITS


DECISIONS: dict[str, dict[str, Any]] = {
    "edit": {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 3.0}}},
    "reject": {"type": "reject", "message": "too dear"},
    "respond": {"type": "respond", "message": "I paid cash"},
}


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("way", [INVOKE, ALL_AT_ONCE], ids=lambda way: way.name)
@pytest.mark.parametrize("form", ["create_agent", "StateGraph"])
async def test_whatever_a_person_decides(folder: Path, form: str, way: Way, decision: str) -> None:
    trial = Trial(
        form=form, way=way, saver="memory", asks=True, question="find Rome", answer=DECISIONS[decision]
    )
    got = await same(trial, folder)
    assert got.hits()["hold"] == 1
    paid = [args for name, args in got.told["done"] if name == "pay"]
    assert paid == ([3.0] if decision == "edit" else [])


@pytest.mark.parametrize("form", FORMS)
async def test_off_is_not_there_at_all(folder: Path, form: str) -> None:
    """Not even does it make the model stream: the messages are equal as they stand."""
    way = replace(AINVOKE, name="as it stands", streams=True)
    got = await same(Trial(form=form, way=way, saver="memory", mode="off"), folder)
    assert not got.log.events


@pytest.mark.parametrize("mode", ["shadow", "canary:0%"])
@pytest.mark.parametrize("form", FORMS)
async def test_watching_changes_nothing(folder: Path, form: str, mode: str) -> None:
    got = await same(Trial(form=form, way=AINVOKE, saver="memory", mode=mode), folder)
    assert not got.hits()
    assert got.log.events


class Streams(BaseCallbackHandler):
    """What makes LangChain stream a model of which the whole answer is asked, as a tracer may."""

    def tap_output_aiter(self, run_id: Any, output: Any) -> Any:
        return output

    def tap_output_iter(self, run_id: Any, output: Any) -> Any:
        return output


@pytest.mark.parametrize("way", [INVOKE, AINVOKE], ids=lambda way: way.name)
@pytest.mark.parametrize("form", FORMS)
async def test_where_models_stream_anyway_messages_are_equal_as_they_stand(
    folder: Path, form: str, way: Way
) -> None:
    """Blocks, their numbers, ids: only that the model streams is specflow's doing."""

    async def run(graph: Any, given: Any, config: Any, options: dict[str, Any]) -> list[Any]:
        streamed = {**config, "callbacks": [*config["callbacks"], Streams()]}
        return await way.run(graph, given, streamed, options)

    question = "find Rome" if form == "StateGraph" else "send Rome"
    streamed = replace(way, run=run, streams=True)
    got = await same(Trial(form=form, way=streamed, saver="memory", question=question), folder)
    assert got.hits() == ALL_HITS


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("form", ["create_agent", "StateGraph"])
async def test_calls_side_by_side(folder: Path, form: str, asynchronous: bool) -> None:
    """Answers come when they are ready, in an order that no two runs share; that of the state is fixed."""
    modes = ["updates", "messages"]
    way = (ASTREAM if asynchronous else STREAM).having("", stream_mode=modes, subgraphs=True)
    trial = Trial(form=form, way=way, saver="memory", script=side_by_side, names=("look",), question="Rome")
    want, got = await both(trial, folder)
    assert sorted(map(masked, got.told["parts"][0])) == sorted(map(masked, want.told["parts"][0]))
    assert masked(got.told["state"]["values"]) == masked(want.told["state"]["values"])
    assert got.told["done"] == want.told["done"]
    assert got.hits() == {"look": 4 if form == "StateGraph" else 3}  # its scout looks, too


@pytest.mark.parametrize("way", [ASTREAM, STREAM], ids=lambda way: way.name)
@pytest.mark.parametrize("form", ["create_agent", "StateGraph"])
async def test_what_a_read_says_to_the_user_is_said_once(folder: Path, form: str, way: Way) -> None:
    """Nobody hears it early: whoever speaks to the user is called when it is its turn."""
    said = way.having("", stream_mode=["custom", "messages"])
    trial = Trial(
        form=form, way=said, saver="memory", script=calling("loud"), names=("look", "loud"), question="Rome"
    )
    want, got = await both(trial, folder)
    for seen in (want, got):
        # One wrong guess of the other read, more or less, is not what this is about.
        seen.told["done"] = [call for call in seen.told["done"] if call[0] == "loud"]
    assert want.told["done"] == [["loud", "Rome"]]
    assert differences(want.told, got.told) == []


@pytest.mark.parametrize(
    ("form", "reasoning"),
    [(form, shape) for form in FORMS for shape in SHAPES.values() if shape != SHAPES[form]],
)
async def test_whatever_form_reasoning_has(folder: Path, form: str, reasoning: str) -> None:
    """The matrix has one shape for each form; here are the others."""
    way = ASTREAM.having("", stream_mode="messages", subgraphs=True)
    question = "find Rome" if form == "StateGraph" else "send Rome"
    got = await same(Trial(form=form, way=way, reasoning=reasoning, question=question), folder)
    assert got.hits() == ALL_HITS


@pytest.mark.parametrize("way", [AINVOKE, INVOKE], ids=lambda way: way.name)
@pytest.mark.parametrize("form", ["create_agent", "StateGraph"])
async def test_a_read_that_fails_fails_as_ever(folder: Path, form: str, way: Way) -> None:
    trial = Trial(
        form=form,
        way=way,
        saver="memory",
        script=calling("break"),
        names=("look", "break"),
        question="Rome",
        raises=OSError,
    )
    got = await same(trial, folder)
    assert got.told["parts"][0]["said"] == "no line to Rome"
