"""Forks in all the places a run can be in: parallel calls, subgraphs, sub-agents, interrupts, errors."""

from __future__ import annotations

import asyncio
import importlib.util
import operator
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, wrap_model_call
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import SystemMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import tools_condition
from langgraph.types import Command, RetryPolicy
from pydantic import BaseModel

import specflow as sf
from specflow.effects.call import Call
from specflow.errors import ConfigurationError
from specflow.graph.fork.current import current_fork
from specflow.graph.fork.run import STEPS
from specflow.prediction.predictor import TurnContext
from specflow.prediction.result_guess import ResultGuess
from specflow.speculation.presume import Presumer
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server import CallPlan, Reply


def _load(name: str) -> Any:
    """A file beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


trial_of = _load("fork_trial")
CONFIG: Any = {"configurable": {"thread_id": "t"}}
QUESTION: Any = {"messages": [("user", "Rome")]}


class Place:
    """Tools that wait and count, a scripted model, a runtime that presumes the weather."""

    def __init__(self, tmp_path: Path, guess: str = "sunny in Rome") -> None:
        self.early: list[str] = []
        self.real: list[str] = []
        self.over: list[str] = []
        self.news_waits = False
        self.until: Any = lambda: True
        self.presume_when: Any = lambda: True
        self.model: Any = None
        path = tmp_path / "policy.yaml"
        path.write_text(trial_of.POLICY)
        self._options = {"journal": f"sqlite:///{tmp_path / 'journal.db'}", "telemetry": False}
        self._policy = path
        self._guess = guess

    name = "place"

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        if call.tool != "weather":
            return []
        while not self.presume_when():
            await asyncio.sleep(0.002)
        return [ResultGuess(value=self._guess, confidence=0.9, predictor=self.name)]

    def policy(self, **entries: str) -> None:
        """Other entries for these tools."""
        lines = [line for line in trial_of.POLICY.splitlines() if line.split(":")[0].strip() not in entries]
        lines += [f"  {name}: {entry}" for name, entry in entries.items()]
        self._policy.write_text("\n".join(lines))

    def note(self, name: str) -> None:
        (self.real if current_fork() is None else self.early).append(name)

    @asynccontextmanager
    async def runtime(self, script: Any) -> AsyncIterator[sf.Runtime]:
        self.model = ScriptedChatModel(script=script)
        rt = sf.Runtime(
            self._policy,
            tools=self.tools,
            predictors=[],
            result_guessers=[self],
            **self._options,  # type: ignore[arg-type]  # by name
        )
        async with rt:
            yield rt
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.wait(left, timeout=5) if left else None
        assert not [task for task in left if not task.done()], "nothing goes on after the end"

    @property
    def tools(self) -> list[Any]:
        @tool
        async def weather(city: str) -> str:
            """The weather of a city."""
            self.note("weather")
            await self.wait()
            return f"sunny in {city}"

        @tool
        async def advice(about: str) -> str:
            """What to wear."""
            self.note("advice")
            return f"a hat, as it is {about}"

        @tool
        async def news(city: str) -> str:
            """What happened in a city."""
            self.note("news")
            if self.news_waits:
                await self.wait()
            self.over.append("news")
            return f"nothing in {city}"

        @tool
        async def pay(amount: int) -> str:
            """Pay an amount."""
            self.note("pay")
            return f"paid {amount}"

        return [weather, advice, news, pay]

    async def wait(self) -> None:
        for _ in range(5_000):
            if current_fork() is not None or self.until():
                return
            await asyncio.sleep(0.002)
        raise AssertionError("the fork did not come that far")

    def asked(self, number: int) -> Any:
        """Whether the model has been called so often, by anybody."""
        return lambda: len(self.model.requests) >= number


def heard(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages if message["role"] == "tool"]


def script_of(*turns: Any) -> Any:
    """The reply by the number of the model's messages so far; a function gets what tools returned."""

    def reply(messages: list[dict[str, Any]]) -> Reply:
        turn = turns[min(sum(m["role"] == "assistant" for m in messages), len(turns) - 1)]
        return turn(heard(messages)) if callable(turn) else turn  # type: ignore[no-any-return]

    return reply


WEATHER = CallPlan("weather", {"city": "Rome"})
ASK = Reply(calls=(WEATHER,))
END_OF_IT = Reply(text="Done.")


async def test_a_read_that_the_real_run_is_making_is_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    joined = []
    place.news_waits = True
    both = Reply(calls=(WEATHER, CallPlan("news", {"city": "Rome"})))
    async with place.runtime(script_of(both, lambda got: Reply(text=" and ".join(got)))) as rt:
        pending = Presumer.pending_read

        def seen(self: Any, session: Any, key: str) -> Any:
            found = pending(self, session, key)
            joined.append(found)
            return found

        monkeypatch.setattr(Presumer, "pending_read", seen)
        place.until = lambda: any(joined)
        graph = rt.attach(create_agent(place.model, place.tools, middleware=[rt.middleware()]))
        answer = await graph.ainvoke(QUESTION, CONFIG)
    assert answer["messages"][-1].text == "sunny in Rome and nothing in Rome"
    assert place.early == []
    assert sorted(place.real) == ["news", "weather"]
    assert len(place.model.requests) == 2


async def test_what_the_same_message_has_been_answered_already_is_not_asked_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    both = Reply(calls=(WEATHER, CallPlan("news", {"city": "Rome"})))
    place.presume_when = lambda: "news" in place.over
    async with place.runtime(script_of(both, lambda got: Reply(text=" and ".join(got)))) as rt:
        place.until = place.asked(2)
        graph = rt.attach(create_agent(place.model, place.tools, middleware=[rt.middleware()]))
        await graph.ainvoke(QUESTION, CONFIG)
    assert place.early == []
    assert len(place.model.requests) == 2


async def test_a_call_that_must_not_run_early_ends_its_part_of_the_fork_only(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.policy(
        advice="{effect: read_only, destinations: {host: advice.example}, reads: ['weather']}",
        pay="{effect: confirmation_required, confirm: host, writes: ['account']}",
    )
    both = Reply(calls=(CallPlan("pay", {"amount": 7}), CallPlan("advice", {"about": "Rome"})))
    async with place.runtime(script_of(ASK, both, lambda got: Reply(text=" and ".join(got)))) as rt:
        place.until = lambda: "advice" in place.early
        graph = rt.attach(create_agent(place.model, place.tools, middleware=[rt.middleware()]))
        answer = await graph.ainvoke(QUESTION, CONFIG)
    assert answer["messages"][-1].text == "sunny in Rome and paid 7 and a hat, as it is Rome"
    assert place.early == ["advice"]
    assert place.real == ["weather", "pay"]
    assert len(place.model.requests) == 3


@pytest.mark.parametrize("declared", ["no", "by name", "by metadata"])
async def test_a_fork_ends_before_a_node_that_nobody_declared_pure(tmp_path: Path, declared: str) -> None:
    place = Place(tmp_path)
    audited: list[str] = []
    async with place.runtime(script_of(ASK, END_OF_IT)) as rt:

        def audit(state: MessagesState) -> dict[str, Any]:
            audited.append("early" if current_fork() else "real")
            return {}

        place.until = place.asked(2) if declared != "no" else lambda: bool(stopped(rt))
        bound = rt.model(place.model).bind_tools(place.tools)

        async def call(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await bound.ainvoke(state["messages"])]}

        builder = StateGraph(MessagesState)
        builder.add_node("model", rt.model_node(call))
        builder.add_node("tools", rt.tool_node(place.tools))
        metadata = {"specflow": "pure"} if declared == "by metadata" else None
        builder.add_node("audit", audit, metadata=metadata)
        builder.add_edge(START, "model")
        builder.add_conditional_edges("model", tools_condition)
        builder.add_edge("tools", "audit")
        builder.add_edge("audit", "model")
        graph = rt.attach(builder.compile(), pure=["audit"] if declared == "by name" else [])
        await graph.ainvoke(QUESTION, CONFIG)
    assert sorted(audited) == (["real"] if declared == "no" else ["early", "real"])
    assert len(place.model.requests) == 2


def stopped(rt: sf.Runtime) -> bool:
    """Whether a fork has begun and ended."""
    forker: Any = rt.host.parts.forker
    return bool(forker.finished)


@pytest.mark.parametrize("declared", [False, True])
async def test_middleware_that_nobody_declared_is_not_run_in_forks(tmp_path: Path, declared: bool) -> None:
    place = Place(tmp_path)
    wrapped: list[str] = []
    async with place.runtime(script_of(ASK, END_OF_IT)) as rt:

        @wrap_model_call
        async def logging_calls(request: Any, handler: Any) -> Any:
            wrapped.append("early" if current_fork() else "real")
            return await handler(request)

        place.until = place.asked(2) if declared else lambda: bool(stopped(rt))
        agent: Any = create_agent(place.model, place.tools, middleware=[logging_calls, rt.middleware()])
        rt.attach(agent, pure=["logging_calls"] if declared else [])
        await agent.ainvoke(QUESTION, CONFIG)
    assert wrapped.count("real") == 2
    assert wrapped.count("early") == int(declared)


class Counting(AgentMiddleware[Any, Any, Any]):
    """State of its own, through a reducer, and a hook that the model depends on."""

    class State(MessagesState):
        turns: Annotated[int, operator.add]

    state_schema = State  # type: ignore[assignment]  # a TypedDict

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any]:
        return {"turns": 1, "messages": [SystemMessage(f"turn {state.get('turns', 0)}")]}


async def test_reducers_are_given_their_value_and_not_added_to(tmp_path: Path) -> None:
    place = Place(tmp_path)
    async with place.runtime(script_of(ASK, END_OF_IT)) as rt:
        place.until = place.asked(2)
        agent: Any = create_agent(place.model, place.tools, middleware=[Counting(), rt.middleware()])
        rt.attach(agent, pure=["Counting.before_model"])
        answer = await agent.ainvoke(QUESTION, CONFIG)
    assert answer["turns"] == 2
    assert len(place.model.requests) == 2, "the fork saw the very state, or it would not have been adopted"


async def test_a_fork_inside_a_subgraph(tmp_path: Path) -> None:
    place = Place(tmp_path)
    async with place.runtime(script_of(ASK, END_OF_IT)) as rt:
        place.until = place.asked(2)
        inner: Any = create_agent(place.model, place.tools, middleware=[rt.middleware()])
        builder = StateGraph(MessagesState)
        builder.add_node("agent", inner)
        builder.add_edge(START, "agent")
        outer = rt.attach(builder.compile(checkpointer=InMemorySaver()))
        answer = await outer.ainvoke(QUESTION, CONFIG)
    assert answer["messages"][-1].text == "Done."
    assert len(place.model.requests) == 2


async def test_an_agent_called_as_a_tool_is_run_through_and_its_calls_are_adopted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    # What an expert reads belongs to none of our turns: it is kept for as long as it may be.
    place.policy(
        expert="{effect: read_only, destinations: {host: advice.example}}",
        advice="{effect: read_only, destinations: {host: advice.example}, cache: {ttl: 60s, scope: session}}",
    )
    bodies: list[str] = []
    inside = script_of(Reply(calls=(CallPlan("advice", {"about": "Rome"}),)), Reply(text="Take a hat."))
    outside = script_of(ASK, Reply(calls=(CallPlan("expert", {"question": "what to wear"}),)), END_OF_IT)

    def script(messages: list[dict[str, Any]]) -> Reply:
        return inside(messages) if messages[0]["content"] == "what to wear" else outside(messages)

    async with place.runtime(script) as rt:
        inner: Any = create_agent(place.model, place.tools, middleware=[rt.middleware()])

        @tool
        async def expert(question: str) -> str:
            """Ask an expert."""
            bodies.append("early" if current_fork() else "real")
            answer = await inner.ainvoke({"messages": [("user", question)]})
            return str(answer["messages"][-1].text)

        place.until = place.asked(5)
        agent: Any = create_agent(place.model, [*place.tools, expert], middleware=[rt.middleware()])
        rt.attach(agent)
        tokens = [
            (bool(namespace), chunk.text)
            async for namespace, (chunk, _about) in agent.astream(
                QUESTION, CONFIG, stream_mode="messages", subgraphs=True
            )
            if chunk.type == "AIMessageChunk"
        ]
    assert sorted(bodies) == ["early", "real"]
    assert place.early == ["advice"]
    assert place.real == ["weather"]
    assert "".join(text for inner_one, text in tokens if inner_one) == "Take a hat."
    assert len(place.model.requests) == 5, "five calls of the model, two of them of the expert's; none twice"


async def test_an_agent_with_a_memory_of_its_own_is_left_alone(tmp_path: Path) -> None:
    place = Place(tmp_path)
    # What an expert reads belongs to none of our turns: it is kept for as long as it may be.
    place.policy(
        expert="{effect: read_only, destinations: {host: advice.example}}",
        advice="{effect: read_only, destinations: {host: advice.example}, cache: {ttl: 60s, scope: session}}",
    )
    own = InMemorySaver()
    script = script_of(ASK, Reply(calls=(CallPlan("expert", {"question": "hm"}),)), END_OF_IT)
    async with place.runtime(script) as rt:
        inner: Any = create_agent(ScriptedChatModel(script=[Reply(text="A hat.")]), [], checkpointer=own)

        @tool
        async def expert(question: str) -> str:
            """Ask an expert."""
            place.note("expert")
            answer = await inner.ainvoke(
                {"messages": [("user", question)]}, {"configurable": {"thread_id": "own"}}
            )
            return str(answer["messages"][-1].text)

        place.until = lambda: stopped(rt)
        agent: Any = create_agent(place.model, [*place.tools, expert], middleware=[rt.middleware()])
        await rt.attach(agent).ainvoke(QUESTION, CONFIG)
    assert place.early == []
    assert place.real == ["weather", "expert"]
    assert len(inner.get_state({"configurable": {"thread_id": "own"}}).values["messages"]) == 2


@pytest.mark.parametrize("asks", ["policy", "middleware"])
async def test_a_fork_asks_nobody(tmp_path: Path, asks: str) -> None:
    place = Place(tmp_path)
    if asks == "policy":
        place.policy(pay="{effect: confirmation_required, confirm: ask}")
    script = script_of(ASK, Reply(calls=(CallPlan("pay", {"amount": 7}),)), lambda got: Reply(text=got[-1]))
    others = (
        [HumanInTheLoopMiddleware(interrupt_on={"pay": True}, interrupt_mode="per_call")]
        if asks == "middleware"
        else []
    )
    async with place.runtime(script) as rt:
        place.until = lambda: stopped(rt)
        agent: Any = create_agent(
            place.model, place.tools, middleware=[*others, rt.middleware()], checkpointer=InMemorySaver()
        )
        rt.attach(agent)
        asked = await agent.ainvoke(QUESTION, CONFIG)
        (question,) = asked["__interrupt__"]
        assert place.real == ["weather"]
        answer = await agent.ainvoke(
            Command(resume={question.id: {"decisions": [{"type": "approve"}]}})
            if "action_requests" in question.value
            else Command(resume={"type": "approve"}),
            CONFIG,
        )
    assert answer["messages"][-1].text == "paid 7"
    assert (place.early, place.real) == ([], ["weather", "pay"])
    assert len(place.model.requests) == 3


async def test_a_fork_whose_tool_fails_hurts_nobody(tmp_path: Path) -> None:
    place = Place(tmp_path)
    script = script_of(
        ASK, Reply(calls=(CallPlan("flaky", {"x": 1}),)), lambda got: Reply(text=" and ".join(got))
    )
    place.policy(flaky="{effect: read_only}")
    async with place.runtime(script) as rt:

        @tool
        async def flaky(x: int) -> str:
            """Fails early, works for real."""
            place.note("flaky")
            if current_fork() is not None:
                raise RuntimeError("too early")
            return "works"

        place.until = lambda: stopped(rt)
        agent: Any = create_agent(place.model, [*place.tools, flaky], middleware=[rt.middleware()])
        answer = await rt.attach(agent).ainvoke(QUESTION, CONFIG)
    assert answer["messages"][-1].text == "sunny in Rome and works"
    assert place.early == ["flaky"]
    assert place.real == ["weather", "flaky"]


async def test_a_fork_goes_only_so_far(tmp_path: Path) -> None:
    place = Place(tmp_path, guess="rain")

    def script(messages: list[dict[str, Any]]) -> Reply:
        got = heard(messages)
        if not got:
            return ASK
        if got[0] != "rain":
            return END_OF_IT
        return Reply(calls=(CallPlan("advice", {"about": f"rain {len(got)}"}),))

    async with place.runtime(script) as rt:
        place.until = lambda: stopped(rt)
        answer = await rt.attach(
            create_agent(place.model, place.tools, middleware=[rt.middleware()])
        ).ainvoke(QUESTION, CONFIG)
    assert answer["messages"][-1].text == "Done."
    assert len(place.model.requests) <= STEPS + 2


async def test_a_cancelled_run_takes_its_forks_with_it(tmp_path: Path) -> None:
    place = Place(tmp_path)
    slow = script_of(ASK, Reply(text="a very long answer " * 50, seconds=30))
    async with place.runtime(slow) as rt:
        place.until = lambda: False
        agent: Any = rt.attach(create_agent(place.model, place.tools, middleware=[rt.middleware()]))
        running = asyncio.create_task(agent.ainvoke(QUESTION, CONFIG))
        while not place.asked(2)():
            await asyncio.sleep(0.002)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_what_cannot_be_attached_says_so(tmp_path: Path) -> None:
    place = Place(tmp_path)
    async with place.runtime(script_of(END_OF_IT)) as rt:
        agent: Any = create_agent(place.model, place.tools, middleware=[rt.middleware()])
        with pytest.raises(ConfigurationError, match="no compiled graph"):
            rt.attach(StateGraph(MessagesState))
        with pytest.raises(ConfigurationError, match="no node or middleware named modle"):
            rt.attach(agent, pure=["modle"])
        assert rt.attach(agent) is agent
        assert await agent.ainvoke(QUESTION, CONFIG), "an attached graph works as before"


async def test_what_an_agent_called_as_a_tool_will_say_can_be_guessed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.policy(weather="{effect: read_only, destinations: {host: weather.example}}")
    own = InMemorySaver()
    inner: Any = create_agent(ScriptedChatModel(script=[Reply(text="sunny in Rome")]), [], checkpointer=own)

    @tool
    async def weather(city: str) -> str:
        """Ask an agent about the weather."""
        place.note("weather")
        await place.wait()
        answer = await inner.ainvoke({"messages": [("user", city)]}, {"configurable": {"thread_id": "own"}})
        return str(answer["messages"][-1].text)

    async with place.runtime(script_of(ASK, END_OF_IT)) as rt:
        place.until = place.asked(2)
        tools = [weather, *place.tools[1:]]
        agent: Any = create_agent(place.model, tools, middleware=[rt.middleware()])
        await rt.attach(agent).ainvoke(QUESTION, CONFIG)
    assert (place.early, place.real) == ([], ["weather"])
    assert len(place.model.requests) == 2


class Advice(BaseModel):
    """What to wear."""

    wear: str


async def test_a_structured_answer_is_adopted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    script = script_of(ASK, Reply(calls=(CallPlan("Advice", {"wear": "a hat"}),)))
    async with place.runtime(script) as rt:
        place.until = place.asked(2)
        agent: Any = create_agent(
            place.model, place.tools, middleware=[rt.middleware()], response_format=ToolStrategy(Advice)
        )
        answer = await rt.attach(agent).ainvoke(QUESTION, CONFIG)
    assert answer["structured_response"] == Advice(wear="a hat")
    assert len(place.model.requests) == 2


async def test_what_fails_in_a_fork_is_not_tried_again_there(tmp_path: Path) -> None:
    place = Place(tmp_path)
    tried: list[bool] = []
    async with place.runtime(script_of(ASK, END_OF_IT)) as rt:

        def shaky(state: MessagesState) -> dict[str, Any]:
            tried.append(current_fork() is not None)
            if current_fork() is not None:
                raise ConnectionError("too early")
            return {}

        place.until = lambda: stopped(rt)
        bound = rt.model(place.model).bind_tools(place.tools)

        async def call(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await bound.ainvoke(state["messages"])]}

        builder = StateGraph(MessagesState)
        builder.add_node("model", rt.model_node(call))
        builder.add_node("tools", rt.tool_node(place.tools))
        policy = RetryPolicy(initial_interval=0.01, max_attempts=3)
        builder.add_node("shaky", shaky, metadata={"specflow": "pure"}, retry_policy=policy)
        builder.add_edge(START, "model")
        builder.add_conditional_edges("model", tools_condition)
        builder.add_edge("tools", "shaky")
        builder.add_edge("shaky", "model")
        await rt.attach(builder.compile()).ainvoke(QUESTION, CONFIG)
    assert tried == [True, False]


@pytest.mark.parametrize("bounded", [True, False])
async def test_what_a_tool_said_is_not_sent_elsewhere_early(tmp_path: Path, bounded: bool) -> None:
    """A result can be written by anybody; the model may repeat it in a call, and the real run decides."""
    place = Place(tmp_path, guess="sunny-in-Rome")
    host = ", destinations: {host: advice.example}" if bounded else ""
    place.policy(advice=f"{{effect: read_only, speculate: now{host}}}")
    script = script_of(ASK, lambda got: Reply(calls=(CallPlan("advice", {"about": got[0]}),)), END_OF_IT)
    async with place.runtime(script) as rt:
        place.until = lambda: "advice" in place.early if bounded else stopped(rt)
        agent: Any = create_agent(place.model, place.tools, middleware=[rt.middleware()])
        await rt.attach(agent).ainvoke(QUESTION, CONFIG)
    assert place.early == (["advice"] if bounded else [])
    assert place.real == ["weather", "advice"]
