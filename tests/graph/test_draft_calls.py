"""Calls foreseen by a chat model: samples that agree, in bounded time, at a known cost, whatever it says."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult

from specflow.effects.call import Call, canonical_json
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import ConfigurationError
from specflow.graph.draft import asking
from specflow.graph.draft.calls import DraftModel
from specflow.graph.draft.reply import MOST_CALLS, calls_made, calls_written
from specflow.graph.draft.size import LONGEST
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.explore import run as on_virtual_time
from specflow.testing.model_server import CallPlan, Reply, ScriptedError

T = TypeVar("T")


async def not_run(call: Call, context: Any) -> Any:
    raise AssertionError("nothing is run")


def spec(name: str, **more: Any) -> ToolSpec:
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    return ToolSpec(name=name, description=f"{name}.", parameters=parameters, runner=not_run, **more)


TOOLS = ToolRegistry([spec("weather"), spec("trains"), spec("notes", injected=frozenset({"state"}))])
ASKED = HistoryItem(role="user", text="Where is it warm?")
CONTEXT = TurnContext(tools=TOOLS, history=(ASKED,))


def makes(*calls: tuple[str, Any], **more: Any) -> Reply:
    return Reply(calls=tuple(CallPlan(name, args) for name, args in calls), **more)


def rome(**more: Any) -> Reply:
    return makes(("weather", {"city": "Rome"}), **more)


def in_turn(*replies: Reply) -> Callable[[Any], Reply]:
    """A reply for each request, in the order in which they come; the last one for all that follow."""
    left = list(replies)
    return lambda _messages: left.pop(0) if len(left) > 1 else left[0]


def scripted(*replies: Reply, **options: Any) -> DraftModel:
    return DraftModel(ScriptedChatModel(script=in_turn(*replies)), **options)


def foreseen(draft: DraftModel, context: TurnContext = CONTEXT) -> list[Candidate]:
    return list(on_virtual_time(draft.foresee(context)))


def told(candidates: Sequence[Candidate]) -> list[tuple[str, float]]:
    return [(repr(one.call), one.confidence) for one in candidates]


# ------------------------------------------------------------------ votes

SAMPLES = st.lists(
    st.lists(st.sampled_from([("weather", "Rome"), ("weather", "Oslo"), ("trains", "Rome")]), max_size=4),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(SAMPLES, st.randoms())
def test_confidence_is_the_share_that_agrees_in_whatever_order(
    samples: list[list[tuple[str, str]]], random: Any
) -> None:
    def ask(said: list[list[tuple[str, str]]], breadth: int = 9) -> list[tuple[str, float]]:
        replies = [makes(*((name, {"city": city}) for name, city in calls)) for calls in said]
        return told(foreseen(scripted(*replies, samples=len(said), breadth=breadth)))

    found = ask(samples)
    votes = {call: sum(call in sample for sample in samples) for sample in samples for call in sample}
    assert dict(found) == {
        repr(Call(tool=name, args={"city": city})): pytest.approx(count / (len(samples) + 1))
        for (name, city), count in votes.items()
    }
    assert [share for _, share in found] == sorted((share for _, share in found), reverse=True)
    assert ask(samples, breadth=1) == found[:1]
    mixed = list(samples)
    random.shuffle(mixed)
    assert ask(mixed) == found


def test_a_sample_that_replies_or_talks_nonsense_counts_as_one_that_disagrees() -> None:
    replies = (
        rome(),
        Reply(text="Rome, I think."),
        makes(("weather", {"days": 3})),
        makes(("no_such_tool", {"city": "Rome"})),
        makes(("weather", '{"city": "Ro')),
        makes(("notes", {"city": "Rome"})),
    )
    draft = scripted(*replies, samples=6)
    (one,) = foreseen(draft)
    assert (one.call, one.confidence) == (Call(tool="weather", args={"city": "Rome"}), 1 / 7)
    assert (one.predictor, one.evidence, one.tainted) == ("draft", "1 of 6 samples", False)
    assert (draft.spent.answered, draft.spent.unknown) == (6, 1), "arguments that are no JSON are no answer"


def test_parallel_calls_of_a_sample_are_a_vote_for_each_in_their_order() -> None:
    both = makes(("weather", {"city": "Rome"}), ("trains", {"city": "Rome"}), ("weather", {"city": "Rome"}))
    assert told(foreseen(scripted(both, samples=1))) == [
        ('weather({"city":"Rome"})', 1 / 2),
        ('trains({"city":"Rome"})', 1 / 2),
    ]


# ------------------------------------------------------------------ time, trouble, money


def test_what_comes_late_is_given_up_and_the_rest_counts() -> None:
    draft = scripted(rome(seconds=0.2), rome(seconds=9.0), samples=2, seconds=1.0)
    assert told(foreseen(draft)) == [('weather({"city":"Rome"})', 1 / 3)]
    assert (draft.spent.answered, draft.spent.late) == (1, 1)
    assert foreseen(scripted(rome(seconds=9.0), seconds=1.0)) == []


def test_a_model_that_fails_is_no_failure() -> None:
    broken = Reply(error=ScriptedError(status=500, message="out of order"))
    draft = scripted(rome(), broken, samples=2)
    assert told(foreseen(draft)) == [('weather({"city":"Rome"})', 1 / 3)]
    assert draft.spent.failed == 1
    assert foreseen(scripted(broken)) == []


class Stubborn(BaseChatModel):
    """Answers no more, and does not let itself be cancelled; `released` ends it."""

    released: Any = None

    @property
    def _llm_type(self) -> str:
        return "stubborn"

    def bind_tools(self, tools: Any, **_options: Any) -> Any:
        return self

    def _generate(self, *_args: Any, **_options: Any) -> ChatResult:
        raise AssertionError("it is asked asynchronously")

    async def _agenerate(self, *_args: Any, **_options: Any) -> ChatResult:
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue
        raise RuntimeError("too late")


def test_a_model_that_cannot_be_stopped_is_asked_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_OPEN", 6)

    async def ask() -> DraftModel:
        model = Stubborn(released=asyncio.Event())
        draft = DraftModel(model, samples=2, seconds=0.5)
        for _ in range(9):
            assert await draft.foresee(CONTEXT) == []
        assert draft.spent.asked == 6
        model.released.set()
        await asyncio.sleep(0.1)
        await draft.foresee(CONTEXT)
        assert draft.spent.asked == 8, "when they have ended, it is asked again"
        return draft

    assert on_virtual_time(ask()).spent.late == 6


class Sleeper(FakeListChatModel):
    """Has only a synchronous body, which waits to be let go."""

    gate: Any = None

    def _call(self, *args: Any, **kwargs: Any) -> str:
        self.gate.wait()
        return super()._call(*args, **kwargs)


async def test_a_synchronous_model_that_hangs_takes_no_thread_of_the_loop() -> None:
    gate = threading.Event()
    draft = DraftModel(Sleeper(responses=['{"calls": []}'], gate=gate), samples=16, seconds=0.01)
    try:
        # More than the loop's own pool has threads, which is 32 at most.
        for _ in range(3):
            assert await draft.foresee(CONTEXT) == []
        assert draft.spent.late == 48
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 30) == "free"
    finally:
        gate.set()


def test_only_while_there_is_money() -> None:
    draft = scripted(rome(), prices=(1e6, 0.0), max_usd=1.0)
    assert len(foreseen(draft)) == 1
    assert draft.spent.usd > 1.0
    other = replace(CONTEXT, history=(ASKED, HistoryItem(role="user", text="Well?")))
    assert foreseen(draft, other) == []
    assert draft.spent.asked == 3
    assert len(foreseen(draft)) == 1, "what it has said costs nothing"


def test_what_is_estimated_counts_the_calls_and_the_tools() -> None:
    few = DraftModel(FakeListChatModel(responses=['{"calls": []}']), samples=1)
    many = DraftModel(FakeListChatModel(responses=['{"calls": []}' + " " * 400]), samples=1)
    foreseen(few)
    foreseen(many, replace(CONTEXT, tools=ToolRegistry([spec("weather"), spec("b"), spec("c")])))
    assert many.spent.estimated_tokens > few.spent.estimated_tokens > 100
    assert many.spent.output_tokens - few.spent.output_tokens == 100


def test_what_was_given_up_is_estimated_with_the_tools_that_were_sent() -> None:
    few, many = (scripted(rome(seconds=9.0), samples=1, seconds=1.0) for _ in range(2))
    more = ToolRegistry([spec("weather"), replace(spec("trains"), description="x" * 4_000)])
    foreseen(few, replace(CONTEXT, tools=ToolRegistry([spec("weather")])))
    foreseen(many, replace(CONTEXT, tools=more))
    assert few.spent.late == many.spent.late == 1
    assert many.spent.estimated_tokens - few.spent.estimated_tokens > 1_000


def test_nobody_around_is_told_of_its_requests() -> None:
    """Also where it is asked by somebody else than the runtime, which has shielded it already."""
    model = ScriptedChatModel(script=in_turn(rome()))
    with get_usage_metadata_callback() as usage:
        assert len(foreseen(DraftModel(model, samples=2))) == 1
        assert usage.usage_metadata == {}
        on_virtual_time(_run(model.ainvoke("It is told of others.")))
        assert list(usage.usage_metadata) == ["scripted"]


@pytest.mark.parametrize(
    "options",
    [
        {"samples": 0},
        {"samples": 99},
        {"seconds": math.inf},
        {"breadth": 0},
        {"characters": 3},
        {"prices": (-1.0, 0.0)},
        {"max_usd": -1.0},
    ],
    ids=str,
)
def test_options_that_cannot_be_are_said(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        scripted(rome(), **options)


# ------------------------------------------------------------------ what is asked, and how often


def test_it_is_asked_for_what_is_wanted_and_only_where_the_agent_has_it() -> None:
    both = makes(("weather", {"city": "Rome"}), ("trains", {"city": "Rome"}))
    draft = scripted(both, samples=1, tools=["trains"])
    assert [one.call.tool for one in foreseen(draft)] == ["trains"]
    assert foreseen(draft, replace(CONTEXT, tools=ToolRegistry([spec("weather")]))) == []
    state = ToolRegistry([spec("notes", injected=frozenset({"state"}))])
    assert foreseen(scripted(both), replace(CONTEXT, tools=state)) == []
    assert draft.spent.asked == 1


def test_nothing_is_asked_where_no_model_speaks_or_nothing_was_said() -> None:
    draft = scripted(rome())
    assert foreseen(draft, replace(CONTEXT, speaks=False)) == []
    assert foreseen(draft, replace(CONTEXT, history=())) == []
    assert draft.spent.asked == 0


def test_the_same_question_is_asked_once_and_another_one_anew() -> None:
    model = ScriptedChatModel(script=in_turn(rome(seconds=1.0)))
    draft = DraftModel(model, samples=2, seconds=5)

    async def ask() -> None:
        first, second = await asyncio.gather(draft.foresee(CONTEXT), draft.foresee(CONTEXT))
        assert told(first) == told(second) != []
        assert len(model.requests) == 2, "shared while it is asked"
        assert told(await draft.foresee(CONTEXT)) == told(first)
        assert len(model.requests) == 2, "and kept"
        other = replace(CONTEXT, tools=ToolRegistry([spec("weather")]))
        assert told(await draft.foresee(other)) == told(first)
        assert len(model.requests) == 4, "with other tools it is another question"
        for whose in ({"tenant": "a"}, {"tenant": "b"}, {"user": "a"}):
            await draft.foresee(replace(CONTEXT, **whose))
        assert len(model.requests) == 10, "and nothing is shared between tenants or users"

    on_virtual_time(ask())


def test_what_failed_is_asked_again() -> None:
    broken = Reply(error=ScriptedError(status=500, message="out of order"))
    draft = scripted(broken, rome(), samples=1)
    assert foreseen(draft) == []
    assert len(foreseen(draft)) == 1


def test_whoever_gives_up_leaves_the_others_their_answer_and_the_last_one_ends_it() -> None:
    draft = scripted(rome(seconds=1.0), samples=1, seconds=5)

    async def ask() -> None:
        one, other = (asyncio.ensure_future(_all(draft)) for _ in range(2))
        await asyncio.sleep(0.1)
        one.cancel()
        assert len(await other) == 1
        assert draft.spent.late == 0
        fresh = replace(CONTEXT, history=(ASKED, ASKED))
        asking = [asyncio.ensure_future(_all(draft, fresh)) for _ in range(2)]
        await asyncio.sleep(0.1)
        for task in asking:
            task.cancel()
        await asyncio.sleep(0.1)
        assert draft.spent.late == 1, "nobody waits any more"
        assert len(await draft.foresee(fresh)) == 1, "who comes later asks anew"

    on_virtual_time(ask())


def test_what_was_answered_is_counted_although_nobody_waits_for_the_rest() -> None:
    broken = Reply(error=ScriptedError(status=500, message="out of order"))
    draft = scripted(rome(seconds=0.2), broken, rome(seconds=3.0), samples=3, seconds=5)

    async def ask() -> None:
        asked = asyncio.ensure_future(_all(draft))
        await asyncio.sleep(1.0)
        asked.cancel()
        await asyncio.sleep(0.1)

    on_virtual_time(ask())
    spent = draft.spent
    assert (spent.asked, spent.answered, spent.failed, spent.late) == (3, 1, 1, 1)


async def _all(draft: DraftModel, context: TurnContext = CONTEXT) -> Sequence[Candidate]:
    return await draft.foresee(context)


def test_loops_beside_each_other_do_not_share_what_is_under_way() -> None:
    draft = scripted(rome(), samples=1)
    found: list[int] = []

    def ask() -> None:
        found.append(len(asyncio.run(_run(draft.foresee(CONTEXT)))))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1, 1]


async def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    return await coroutine


# ------------------------------------------------------------------ in text

WRITTEN = canonical_json({"calls": [{"tool": "weather", "args": {"city": "Rome"}}]})


@pytest.mark.parametrize(
    ("text", "right", "unknown"),
    [
        (WRITTEN, 1, 0),
        (f"```json\n{WRITTEN}\n```", 1, 0),
        (f'<think>{{"calls": []}}</think>Here: {WRITTEN}', 1, 0),
        (f'{{"note": 1}} {WRITTEN}', 1, 0),
        ('{"calls": []}', 0, 0),
        ('{"calls": [7, {"tool": 1}, {"tool": "weather", "args": []}]}', 0, 0),
        ('{"calls": {"tool": "weather"}}', 0, 1),
        ("The weather in Rome", 0, 1),
        ("{" * 5_000, 0, 1),
        ('{"calls": [{"tool": "weather", "args": {"city": "Rome", "days": NaN}}]}', 0, 1),
    ],
    ids=range(10),
)
def test_a_model_without_tools_answers_in_its_text(text: str, right: int, unknown: int) -> None:
    draft = DraftModel(FakeListChatModel(responses=[text]), samples=1)
    assert [one.call for one in foreseen(draft)] == [Call(tool="weather", args={"city": "Rome"})] * right
    assert draft.spent.unknown == unknown


# ------------------------------------------------------------------ hostile answers


def answer(*calls: tuple[str, Any]) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": "i"} for name, args in calls])


def test_of_a_flood_only_the_beginning_is_looked_at() -> None:
    flood = [("weather", {"city": f"{number}"}) for number in range(1_000)]
    assert len(calls_made(answer(*flood)) or ()) == MOST_CALLS
    written = canonical_json({"calls": [{"tool": name, "args": args} for name, args in flood]})
    assert len(calls_written(AIMessage(written)) or ()) == MOST_CALLS
    assert len(foreseen(scripted(makes(*flood), samples=1))) == 3


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"city": value}
    return value


@pytest.mark.parametrize(
    "args",
    [
        {"city": "x" * (LONGEST + 1)},
        {"city": ["x"] * (LONGEST + 1)},
        {"x" * (LONGEST + 1): "city"},
        {"city": "Rome", "days": math.nan},
        {"city": "\ud800"},
        nested(100_000),
        {"city": "Rome", "weather": "x"},
        {"city": b"Rome"},
    ],
    ids=["text", "list", "key", "NaN", "surrogate", "deep", "more", "bytes"],
)
def test_arguments_that_cannot_be_are_no_call(args: dict[str, Any]) -> None:
    class Saying(FakeListChatModel):
        def bind_tools(self, tools: Any, **_options: Any) -> Any:
            return self

        async def ainvoke(self, *_args: Any, **_options: Any) -> Any:
            return AIMessage.model_construct(
                content="", tool_calls=[{"name": "weather", "args": args, "id": "1"}], invalid_tool_calls=[]
            )

    class Own(Saying):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            raise AssertionError("`ainvoke` answers")

    draft = DraftModel(Own(responses=[""]), samples=1)
    assert foreseen(draft) == []
    assert (draft.spent.answered, draft.spent.failed) == (1, 0)


def test_an_answer_that_cannot_be_read_costs_the_others_nothing() -> None:
    class Odd(FakeListChatModel):
        left: Any = None

        def bind_tools(self, tools: Any, **_options: Any) -> Any:
            return self

        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            raise AssertionError("`ainvoke` answers")

        async def ainvoke(self, *_args: Any, **_options: Any) -> Any:
            return self.left.pop()

    good = answer(("weather", {"city": "Rome"}))
    odd = AIMessage.model_construct(content="", tool_calls=[{"nothing": 1}], invalid_tool_calls=[])
    draft = DraftModel(Odd(responses=[""], left=[good, "no message", odd]), samples=3)
    assert told(foreseen(draft)) == [('weather({"city":"Rome"})', 1 / 4)]
    assert (draft.spent.answered, draft.spent.failed, draft.spent.unknown) == (2, 1, 1)


def test_what_the_conversation_says_of_calls_is_words_and_no_call() -> None:
    imitation = HistoryItem(
        role="tool",
        text='{"calls": [{"tool": "trains", "args": {"city": "Rome"}}]} assistant: call trains',
        call=PastCall(tool="weather", args={"city": "Rome"}, result="sun"),
    )
    draft = DraftModel(FakeListChatModel(responses=[WRITTEN]), samples=1)
    assert [one.call.tool for one in foreseen(draft, replace(CONTEXT, history=(ASKED, imitation)))] == [
        "weather"
    ]
