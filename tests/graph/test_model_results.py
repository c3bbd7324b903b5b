"""Results guessed by a chat model: over HTTP, scripted, late, broken, and in an agent that runs ahead."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

import specflow as sf
from specflow.effects.call import Call, canonical_json
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import ConfigurationError
from specflow.graph.draft.model_results import ModelResults, same_json
from specflow.graph.draft.reply import answer_in
from specflow.graph.reasoning import ReasoningChatOpenAI
from specflow.prediction.last_values import FunctionGuess, LastValue, MajorityValue
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.prediction.result_guess import GuessesResults, ResultGuess
from specflow.prediction.result_prompt import GUESS, result_prompt
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.explore import run as on_virtual_time
from specflow.testing.guesser_contract import check_guesser
from specflow.testing.model_server import CallPlan, ModelServer, Reply, ScriptedError

STATUS = Call(tool="status", args={"order": 7})


async def not_run(call: Call, context: Any) -> Any:
    raise AssertionError("nothing is run")


TOOLS = ToolRegistry(
    [
        ToolSpec(
            name="status",
            description="The state of an order.",
            parameters={"type": "object", "properties": {"order": {"type": "integer"}}},
            runner=not_run,
        )
    ]
)


def says(result: Any, *, known: bool = True, **more: Any) -> Reply:
    return Reply(calls=(CallPlan(GUESS, {"known": known, "result": result}),), **more)


def in_turn(*replies: Reply) -> Callable[[Any], Reply]:
    """A reply for each request, in the order in which they come; the last one for all that follow."""
    left = list(replies)
    return lambda _messages: left.pop(0) if len(left) > 1 else left[0]


def guesses(
    guesser: GuessesResults, call: Call = STATUS, history: Sequence[HistoryItem] = ()
) -> list[ResultGuess]:
    context = TurnContext(tools=TOOLS, history=history)

    async def ask() -> Sequence[ResultGuess]:
        return await guesser.guess(call, context)

    return list(on_virtual_time(ask()))


def scripted(*replies: Reply, **options: Any) -> ModelResults:
    return ModelResults(ScriptedChatModel(script=in_turn(*replies)), **options)


# ------------------------------------------------------------------ over HTTP


def test_over_http_samples_that_agree_are_the_likeliest_guess() -> None:
    with ModelServer(in_turn(says("sent"), says("packed"), says("sent"))) as server:
        model = ReasoningChatOpenAI(base_url=server.url, api_key="none", model="any", max_retries=0)
        guesser = ModelResults(model, samples=3, seconds=20, prices=(1.0, 10.0))
        asked = HistoryItem(role="user", text="Where is order 7?")
        context = TurnContext(tools=TOOLS, history=[asked])
        found = list(asyncio.run(guesser.guess(STATUS, context)))
        bodies = [request.body for request in server.requests]
    assert [(one.value, one.text, one.confidence) for one in found] == [
        ("sent", "sent", 2 / 4),
        ("packed", "packed", 1 / 4),
    ]
    assert len(bodies) == 3
    assert bodies[0]["messages"] == bodies[1]["messages"] == bodies[2]["messages"]
    assert [offered["function"]["name"] for offered in bodies[0]["tools"]] == [GUESS]
    question = bodies[0]["messages"][-1]["content"]
    assert "Where is order 7?" in question
    assert "The state of an order." in question
    spent = guesser.spent
    assert (spent.asked, spent.answered, spent.late, spent.failed, spent.estimated_tokens) == (3, 3, 0, 0, 0)
    assert spent.input_tokens > 3 * 50 < spent.input_tokens + spent.output_tokens
    assert spent.usd == pytest.approx((spent.input_tokens + 10 * spent.output_tokens) / 1e6)
    assert spent.as_json()["usd"] == round(spent.usd, 6)


def test_over_http_a_request_that_hangs_or_fails_takes_no_more_time_than_there_is() -> None:
    broken = Reply(error=ScriptedError(status=500, message="out of order"))
    with ModelServer(in_turn(says("sent"), broken, Reply(hang_after=0))) as server:
        model = ReasoningChatOpenAI(base_url=server.url, api_key="none", model="any", max_retries=0)
        guesser = ModelResults(model, samples=3, seconds=2.0)
        (found,) = asyncio.run(guesser.guess(STATUS, TurnContext(tools=TOOLS)))
    assert (found.value, found.confidence) == ("sent", 1 / 4), "what did not come counts against it"
    spent = guesser.spent
    assert (spent.asked, spent.answered, spent.failed, spent.late) == (3, 1, 1, 1)
    assert spent.estimated_tokens > 0, "what was given up is paid for as well"


# ------------------------------------------------------------------ scripted


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=8))
def test_confidence_is_the_share_that_agrees(said: list[str | None]) -> None:
    replies = [says(value, known=value is not None) for value in said]
    guesser = scripted(*replies, samples=len(said), breadth=5)
    found = {one.value: one.confidence for one in guesses(guesser)}
    assert found == {
        value: pytest.approx(said.count(value) / (len(said) + 1)) for value in said if value is not None
    }
    assert guesser.spent.unknown == 0, "it did answer"


def test_what_comes_late_is_given_up_and_the_rest_counts() -> None:
    guesser = scripted(says("sent", seconds=0.2), says("sent", seconds=9.0), samples=2, seconds=1.0)
    (found,) = guesses(guesser)
    assert (found.value, found.confidence) == ("sent", 1 / 3)
    assert (guesser.spent.answered, guesser.spent.late) == (1, 1)
    assert guesses(scripted(says("sent", seconds=9.0), seconds=1.0)) == []


def test_data_is_data_and_text_is_text() -> None:
    (found,) = guesses(scripted(says({"state": "sent", "days": 1.0}), samples=1))
    assert found.value == {"state": "sent", "days": 1.0}
    assert found.text is None, "how the tool writes it, the tool knows"
    assert found.holds({"days": 1, "state": "sent"}, None, writes=True)
    written = '{"state": "sent",  "days": 1}'
    assert found.holds(written, written, writes=False), "the same JSON, written by the tool"
    assert not found.holds(written, written, writes=True), "of a write only the identical result"
    (both,) = guesses(scripted(says(written), says({"days": 1, "state": "sent"}), samples=2))
    assert both.confidence == 2 / 3, "they agree"
    assert both.text in {None, written}
    assert same_json("[1]", [1.0])
    assert not same_json("1", 1)


WRITTEN = canonical_json({"known": True, "result": "sent"})


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (WRITTEN, {"known": True, "result": "sent"}),
        (f"```json\n{WRITTEN}\n```", {"known": True, "result": "sent"}),
        (
            f'<think>{{"known": true, "result": "lost"}}</think>So: {WRITTEN}',
            {"known": True, "result": "sent"},
        ),
        ("{not json} {", None),
        ("sent", None),
        ("{" * 5_000, None),
        ('{"known": true, "result": NaN}', None),
    ],
    ids=range(7),
)
def test_a_model_without_tools_answers_in_its_text(text: str, answer: Any) -> None:
    assert answer_in(AIMessage(text), GUESS) == answer
    guesser = ModelResults(FakeListChatModel(responses=[text]), samples=1)
    assert [one.value for one in guesses(guesser)] == ([] if answer is None else ["sent"])
    assert guesser.spent.unknown == (answer is None)
    assert guesser.spent.estimated_tokens > 0, "that model counts no tokens"


@pytest.mark.parametrize(
    "args", [{}, {"known": True}, {"result": "x", "known": "yes"}, {"known": False, "result": 1}]
)
def test_an_answer_that_does_not_know_is_no_guess(args: dict[str, Any]) -> None:
    assert guesses(scripted(Reply(calls=(CallPlan(GUESS, args),)))) == []


def test_only_what_is_wanted_is_asked_and_only_while_there_is_money() -> None:
    free = scripted(says("x"), tools=["user"])
    assert guesses(free) == []
    assert [one.value for one in guesses(free, Call(tool="user"))] == ["x"]
    every = scripted(says("x"))
    assert guesses(every, Call(tool="nobody")) == []
    approve = {"decisions": [{"type": "approve"}]}
    person = Call(tool="person", args={"asked": [{"action_requests": [{"name": "pay"}]}]})
    assert [one.value for one in guesses(scripted(says(approve)), person)] == [approve]
    dear = scripted(says("x"), prices=(1e6, 0.0), max_usd=1.0)
    assert len(guesses(dear)) == 1
    assert dear.spent.usd > 1.0
    assert guesses(dear) == []
    assert dear.spent.asked == 3


@pytest.mark.parametrize(
    "options",
    [
        {"samples": 0},
        {"samples": 99},
        {"seconds": 0.0},
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
        scripted(says("x"), **options)


MAKERS: dict[str, Callable[[], GuessesResults]] = {
    "last": LastValue,
    "majority": MajorityValue,
    "function": lambda: FunctionGuess("status", lambda call, context: "sent"),
    "model": lambda: scripted(says("sent"), says({"state": "sent"}), says("sent")),
    "model that is broken": lambda: scripted(Reply(error=ScriptedError(status=500, message="no"))),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_guesser_keeps_to_the_contract(kind: str) -> None:
    count = on_virtual_time(check_guesser(MAKERS[kind], TOOLS))
    assert (count > 0) == (kind != "model that is broken")


class Twice:
    """Guesses the same value twice."""

    name = "twice"

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        return [ResultGuess(value=1.0, confidence=0.4, predictor=self.name) for _ in range(2)]


def test_the_contract_finds_what_is_wrong() -> None:
    with pytest.raises(AssertionError, match="no value is guessed twice"):
        on_virtual_time(check_guesser(Twice, TOOLS))


# ------------------------------------------------------------------ the prompt

TEXTS = st.text(max_size=30)
ITEMS = st.lists(
    st.one_of(
        st.builds(HistoryItem, role=st.sampled_from(["user", "assistant"]), text=TEXTS),
        st.builds(
            lambda args, text, failed: HistoryItem(
                role="tool", text=text, call=PastCall(tool="status", args=args, result=text, failed=failed)
            ),
            st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
            TEXTS,
            st.booleans(),
        ),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=40)
@given(ITEMS, ITEMS, st.permutations(["a", "b", "c"]))
def test_the_same_question_has_the_same_words_and_more_talk_only_adds_to_them(
    items: list[HistoryItem], more: list[HistoryItem], order: list[str]
) -> None:
    def prompt(history: Sequence[HistoryItem], names: Sequence[str]) -> str:
        call = Call(tool="status", args=dict.fromkeys(names, 1))
        return result_prompt(call, TurnContext(tools=TOOLS, history=history), most=1_000_000)

    assert prompt(items, order) == prompt(items, "abc")
    conversation = prompt(items, "abc").rpartition("The pending call:")[0]
    assert prompt([*items, *more], "abc").startswith(conversation)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 400), max_size=60), st.integers(1_000, 3_000))
def test_of_a_long_conversation_the_end_is_shown(sizes: list[int], most: int) -> None:
    history = [HistoryItem(role="user", text=f"{number} " + "x" * size) for number, size in enumerate(sizes)]
    shown = result_prompt(STATUS, TurnContext(tools=TOOLS, history=history), most=most).split("\n")[1:-2]
    assert sum(map(len, shown)) <= most
    whole = result_prompt(STATUS, TurnContext(tools=TOOLS, history=history), most=10**9).split("\n")[1:-2]
    assert whole[len(whole) - len(shown) :] == shown
    left_out = whole[: len(whole) - len(shown)]
    assert sum(map(len, whole)) > most or not left_out
    # Never more than what is too much and one step: a half, and the line that it ends in.
    assert sum(map(len, left_out)) <= max(0, sum(map(len, whole)) - most) + most // 2 + 500


# ------------------------------------------------------------------ in an agent

POLICY = """
version: 1
tools:
  weather: {effect: read_only, destinations: {host: weather.example}}
  advice: {effect: read_only, destinations: {host: advice.example}}
"""


def test_an_agent_runs_ahead_on_what_a_small_model_guesses(tmp_path: Path) -> None:
    """And nothing of the small model is seen in the agent's own stream."""

    def script(messages: Any) -> Reply:
        heard = [message["content"] for message in messages if message["role"] == "tool"]
        if not heard:
            return Reply(calls=(CallPlan("weather", {"city": "Rome"}),))
        if len(heard) == 1:
            return Reply(calls=(CallPlan("advice", {"about": heard[0]}),))
        return Reply(text=f"It is {heard[0]}: take {heard[1]}.")

    model = ScriptedChatModel(script=script)
    small = ScriptedChatModel(script=in_turn(says("sunny")))
    guesser = ModelResults(small, tools=["weather"], samples=2, seconds=20)

    @tool
    async def weather(city: str) -> str:
        """The weather in a city."""
        while len(model.requests) < 3:  # so slow that two more calls of the model are over
            await asyncio.sleep(0.01)
        return "sunny"

    @tool
    async def advice(about: str) -> str:
        """What to take along."""
        return "a hat"

    (tmp_path / "policy.yaml").write_text(POLICY)
    tools = [weather, advice]
    rt = sf.Runtime(
        tmp_path / "policy.yaml",
        tools=tools,
        journal=f"sqlite:///{tmp_path / 'journal.db'}",
        predictors=[],
        result_guessers=[guesser],
    )

    async def ask() -> tuple[str, list[str]]:
        agent = rt.attach(create_agent(model, tools, middleware=[rt.middleware()]))
        streamed, last = [], ""
        async with asyncio.timeout(60):
            async for kind, piece in agent.astream(
                {"messages": [("user", "What do I need in Rome?")]}, stream_mode=["messages", "values"]
            ):
                if kind == "messages":
                    streamed.append(repr(piece[0]))
                else:
                    last = piece["messages"][-1].text
        await rt.aclose()
        return last, streamed

    answer, streamed = asyncio.run(ask())
    assert answer == "It is sunny: take a hat."
    assert len(model.requests) == 3, "what was said ahead was adopted"
    assert guesser.spent.asked == guesser.spent.answered == 2
    assert streamed
    assert not [piece for piece in streamed if GUESS in piece]
