"""What belongs to one request of the user, and what does not: told by what the loaded checkpoints know.

A crash that loses checkpoints is played by putting a saver back to an earlier state: the run before it has
come to its end, and all it did is on record.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, RemoveMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

import specflow as sf
from specflow.journal.event import EventKind
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  book:
    effect: compensatable
    speculate: hold
    compensate: {tool: cancel, with: {seat: args.seat}}
  cancel: {effect: confirmation_required, confirm: host, compensator_for: [book]}
  send: {effect: confirmation_required, confirm: host}
  pay: {effect: confirmation_required, confirm: ask}
  delegate: {effect: confirmation_required, confirm: host}
  look: {effect: read_only, speculate: hold}
"""
Plan = Sequence[Sequence[tuple[str, dict[str, Any]]]]


def book(seat: str) -> tuple[str, dict[str, Any]]:
    return ("book", {"seat": seat})


def config_of(thread: str | None = "t", **configurable: Any) -> Any:
    named = {} if thread is None else {"thread_id": thread}
    return {"configurable": {**named, **configurable}}


class Lives:
    """One world, one journal, one saver; each life is a runtime of its own, as that of another process."""

    def __init__(self, tmp_path: Path) -> None:
        self.made: list[str] = []
        self.standing: list[str] = []
        self.saver: Any = InMemorySaver()
        self.log = EventLog()
        self.rows: Any = None
        self.at: dict[str, Callable[[], object]] = {}
        """What happens when a model is asked: by its name, and how often it has spoken since the user did."""
        self._folder = tmp_path
        self._kept: Any = None

    def tools(self) -> list[Any]:
        @tool
        def book(seat: str) -> str:
            """Book a seat."""
            self.made.append(seat)
            self.standing.append(seat)
            return f"booked {seat}"

        @tool
        def cancel(seat: str) -> str:
            """Cancel a booking."""
            self.standing.remove(seat)
            return f"cancelled {seat}"

        @tool
        def send(text: str) -> str:
            """Send a letter."""
            self.made.append(text)
            return f"sent {text}"

        @tool
        def pay(amount: int) -> str:
            """Pay."""
            self.made.append(f"paid {amount}")
            return f"paid {amount}"

        return [book, cancel, send, pay]

    def model(self, plan: Plan, name: str = "model") -> ScriptedChatModel:
        def script(messages: list[dict[str, Any]]) -> Reply:
            spoken = max((at for at, item in enumerate(messages) if item["role"] == "user"), default=0)
            turn = sum(item["role"] == "assistant" for item in messages[spoken:])
            self.at.get(f"{name}.{turn}", lambda: None)()
            calls = plan[turn] if turn < len(plan) else ()
            return Reply(text="" if calls else "done", calls=tuple(CallPlan(*call) for call in calls))

        return ScriptedChatModel(script=script)

    def keep(self) -> None:
        """What is saved by now is all that the next life will find."""
        self._kept = copy.deepcopy(
            (dict(self.saver.storage), dict(self.saver.writes), dict(self.saver.blobs))
        )
        self.at.clear()

    def lose(self) -> None:
        """The checkpoints that were made since are lost."""
        assert self._kept is not None, "it never came there"
        storage, writes, blobs = self._kept
        self.saver = InMemorySaver()
        for thread, spaces in storage.items():
            for namespace, saved in spaces.items():
                self.saver.storage[thread][namespace].update(saved)
        self.saver.writes.update(writes)
        self.saver.blobs.update(blobs)

    async def live(
        self, said: Any, plan: Plan, config: Any = None, *, build: Callable[..., Any] | None = None
    ) -> Any:
        """One process; returns what the graph does."""
        policy = self._folder / "policy.yaml"
        policy.write_text(POLICY, encoding="utf-8")
        tools, options = self.tools(), {"durability": "process", "observers": [self.log]}
        journal = f"sqlite:///{self._folder / 'journal.db'}"
        async with sf.Runtime(policy, tools=tools, journal=journal, **options) as rt:
            make = build or self.agent
            graph = make(rt, self.model(plan), tools)
            durability: Any = {"durability": "sync"} if self.saver is not None else {}
            done = await graph.ainvoke(said, config or config_of(), **durability)
        async with sf.Runtime(policy, tools=tools, journal=journal, **options) as rt:
            self.rows = await rt.journal.snapshot()
            assert verify(self.rows) == ()
        return done

    async def live_sync(self, said: Any, plan: Plan, *, build: Callable[..., Any]) -> Any:
        """The same with `invoke`, on a thread."""

        def whole() -> Any:
            tools, options = self.tools(), {"durability": "process", "observers": [self.log]}
            policy = self._folder / "policy.yaml"
            policy.write_text(POLICY, encoding="utf-8")
            journal = f"sqlite:///{self._folder / 'journal.db'}"
            with sf.Runtime(policy, tools=tools, journal=journal, **options) as rt:
                graph = build(rt, self.model(plan), tools)
                return graph.invoke(said, config_of(), durability="sync")

        return await asyncio.to_thread(whole)

    def agent(self, rt: sf.Runtime, model: Any, tools: list[Any]) -> Any:
        return create_agent(model, tools, middleware=[rt.middleware()], checkpointer=self.saver)

    def stages(self) -> list[Stage]:
        return [row.stage for row in sorted(self.rows.effects, key=lambda row: row.created_at)]


@pytest.fixture
def lives(tmp_path: Path) -> Lives:
    return Lives(tmp_path)


ASK = {"messages": [("user", "please")]}
A1, B2 = [[book("A1")]], [[book("B2")]]


async def test_what_was_lost_is_given_again_once(lives: Lives) -> None:
    lives.at["model.0"] = lives.keep
    await lives.live(ASK, [[book("A1"), book("A1")]])
    lives.lose()
    done = await lives.live(None, [[book("A1"), book("A1")], [book("A1")]])
    assert lives.made == ["A1", "A1", "A1"], "two were on record, the third is a wish of its own"
    assert [item.text for item in done["messages"] if item.type == "tool"] == ["booked A1"] * 3


async def test_what_is_not_asked_for_again_is_taken_back_at_the_end(lives: Lives) -> None:
    lives.at["model.0"] = lives.keep
    await lives.live(ASK, A1)
    lives.lose()
    await lives.live(None, B2)
    assert lives.standing == ["B2"]
    assert lives.stages() == [Stage.COMPENSATED, Stage.COMMITTED]


async def test_what_cannot_be_taken_back_is_stuck(lives: Lives) -> None:
    lives.at["model.0"] = lives.keep
    await lives.live(ASK, [[("send", {"text": "hello"})]])
    lives.lose()
    await lives.live(None, B2)
    assert lives.stages() == [Stage.STUCK, Stage.COMMITTED]


async def test_what_the_checkpoint_knows_stands(lives: Lives) -> None:
    lives.at["model.1"] = lives.keep
    await lives.live(ASK, [[book("A1")], [book("B2")]])
    lives.lose()
    await lives.live(None, [[book("A1")], [book("A1")]])
    assert lives.standing == ["A1", "A1"], "the first is known; B2 is taken back; the second is a new wish"


async def test_a_new_request_is_a_new_run(lives: Lives) -> None:
    for _ in range(2):
        await lives.live(ASK, A1)
    assert lives.made == ["A1", "A1"]


async def test_a_message_that_is_sent_twice_is_a_new_run_unless_the_user_says_otherwise(lives: Lives) -> None:
    """Objects are used again, and ids with them: by another saver, nobody knows why."""
    question = {"messages": [HumanMessage("please", id="m1")]}
    for key, made in (("", 1), ("", 2), ("r", 3), ("r", 3), ("q", 4)):
        lives.saver = InMemorySaver()
        await lives.live(question, A1, config_of(specflow_run_key=key))
        assert lives.made == ["A1"] * made


@pytest.mark.parametrize(("thread", "made"), [("t", 1), (None, 2)])
async def test_without_a_checkpointer_the_users_name_for_the_run_counts(
    lives: Lives, thread: str | None, made: int
) -> None:
    lives.saver = None
    for _ in range(2):
        await lives.live(ASK, A1, config_of(thread, specflow_run_key="r"))
    assert lives.made == ["A1"] * made
    assert lives.standing == ["A1"] * made


async def test_what_a_person_has_edited_is_known(lives: Lives) -> None:
    paused = await lives.live(ASK, [[("pay", {"amount": 5})]])
    edited = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 3}}}
    lives.at["model.1"] = lives.keep
    plan = [[("pay", {"amount": 5})]]
    await lives.live(Command(resume={paused["__interrupt__"][0].id: edited}), plan)
    lives.lose()
    await lives.live(None, plan)
    assert lives.made == ["paid 3"]
    assert lives.stages() == [Stage.COMMITTED], "the message asks for 5, and it is known all the same"


async def test_what_was_removed_from_the_conversation_is_known(lives: Lives) -> None:
    """Long conversations are cut short: what a run has done is not told by the messages that are left."""

    def build(rt: sf.Runtime, model: Any, tools: list[Any]) -> Any:
        async def node(state: MessagesState) -> Any:
            return {"messages": [await model.ainvoke(state["messages"])]}

        def shorten(state: MessagesState) -> Any:
            return {"messages": [RemoveMessage(str(item.id)) for item in state["messages"][1:]]}

        def after(state: MessagesState) -> Any:
            return END if lives.made[1:] else rt.fan_out(state)

        graph = StateGraph(MessagesState)
        graph.add_node("model", rt.model_node(node))
        graph.add_node("tools", rt.tool_node(tools))
        graph.add_node("shorten", shorten)
        graph.add_edge(START, "model")
        graph.add_conditional_edges("model", after, ["tools", END])
        graph.add_edge("tools", "shorten")
        graph.add_edge("shorten", END)
        return graph.compile(checkpointer=lives.saver, interrupt_before=["shorten"])

    await lives.live(ASK, A1, build=build)
    await lives.live(None, A1, build=build)
    lives.log.events.clear()
    await lives.live(Command(goto="model"), A1, build=build)
    assert lives.standing == ["A1", "A1"]


def delegating(lives: Lives, name: str, inner: Plan) -> Callable[..., Any]:
    """An agent that has another one for a tool of that name; neither shows the other its messages."""

    def build(rt: sf.Runtime, model: Any, tools: list[Any]) -> Any:
        agent = create_agent(lives.model(inner, "inner"), tools, middleware=[rt.middleware()])

        @tool(name)
        async def delegate(task: str) -> str:
            """Let somebody else do it."""
            await agent.ainvoke({"messages": [("user", task)]})
            return "it is done"

        return create_agent(model, [delegate], middleware=[rt.middleware()], checkpointer=lives.saver)

    return build


@pytest.mark.parametrize("point", ["model.0", "inner.0", "inner.1", "model.1"])
@pytest.mark.parametrize("name", ["delegate", "look"])
async def test_an_agent_inside_another_one(lives: Lives, name: str, point: str) -> None:
    """Wherever it is lost: what it booked is there once, and nobody takes back what is known."""
    build, plan = delegating(lives, name, A1), [[(name, {"task": "book"})]]
    lives.at[point] = lives.keep
    await lives.live(ASK, plan, build=build)
    lives.lose()
    await lives.live(None, plan, build=build)
    assert lives.made == lives.standing == ["A1"]


@pytest.mark.parametrize(
    ("name", "point", "standing"),
    [
        ("look", "model.0", ["B2"]),
        ("look", "inner.0", ["B2"]),
        ("look", "model.1", ["A1"]),
        # The call itself is on record: it is given again, and with it what was done inside it.
        ("delegate", "model.0", ["A1"]),
        ("delegate", "inner.0", ["A1"]),
    ],
)
async def test_what_an_agent_inside_another_one_does_not_ask_for_again(
    lives: Lives, name: str, point: str, standing: list[str]
) -> None:
    plan = [[(name, {"task": "book"})]]
    lives.at[point] = lives.keep
    await lives.live(ASK, plan, build=delegating(lives, name, A1))
    lives.lose()
    await lives.live(None, plan, build=delegating(lives, name, B2))
    assert lives.standing == standing


@pytest.mark.parametrize(("plan", "standing"), [(A1, ["A1"]), (B2, ["A1", "B2"])])
async def test_a_branch_from_an_older_checkpoint(lives: Lives, plan: Plan, standing: list[str]) -> None:
    """The other branch stands: what it did is given again, or left alone."""
    lives.at["model.0"] = lives.keep
    await lives.live(ASK, A1)
    graph = create_agent(lives.model(A1), lives.tools(), checkpointer=lives.saver)
    before = [state async for state in graph.aget_state_history(config_of()) if state.next == ("model",)]
    done = await lives.live(None, plan, before[-1].config)
    assert done["messages"][-1].text == "done"
    assert lives.standing == standing
    assert lives.log.of(EventKind.CONVERSATION_BRANCHED), "and it is said"


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_graph_that_goes_on_after_an_answer_has_not_ended(lives: Lives, asynchronous: bool) -> None:
    """One model plans, the other one books: the plan is no end at which the booking would be taken back."""

    def build(rt: sf.Runtime, model: Any, tools: list[Any]) -> Any:
        planner = lives.model([], "planner")

        def plan(state: MessagesState) -> Any:
            return {"messages": [planner.invoke(state["messages"][:1])]}

        def act(state: MessagesState) -> Any:
            return {"messages": [model.invoke([state["messages"][0], *state["messages"][2:]])]}

        graph = StateGraph(MessagesState)
        graph.add_node("plan", rt.model_node(plan))
        graph.add_node("act", rt.model_node(act))
        graph.add_node("tools", rt.tool_node(tools))
        graph.add_edge(START, "plan")
        graph.add_edge("plan", "act")
        graph.add_conditional_edges("act", rt.fan_out, ["tools", END])
        graph.add_edge("tools", "act")
        return graph.compile(checkpointer=lives.saver)

    live = lives.live if asynchronous else lives.live_sync
    lives.at["planner.0"] = lives.keep
    await live(ASK, [[book("A1"), book("B2")]], build=build)
    lives.lose()
    await live(None, A1, build=build)
    assert sorted(lives.made) == ["A1", "B2"]
    assert lives.standing == ["A1"], "what was never asked for again is taken back when the graph ends"
