"""Facts about a run of a graph: what is in its config, and what belongs to which run."""

from __future__ import annotations

import contextvars
from typing import Any

from fact import Fact
from langchain_core.runnables.config import ensure_config
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, interrupt
from pydantic import BaseModel, ValidationError

from specflow.graph import compat, place

SAID: contextvars.ContextVar[str] = contextvars.ContextVar("said", default="nothing")


def graph_of(*nodes: Any, **compiled: Any) -> Any:
    builder = StateGraph(MessagesState)
    last = START
    for at, node in enumerate(nodes):
        builder.add_node(f"n{at}", node)
        builder.add_edge(last, f"n{at}")
        last = f"n{at}"
    return builder.compile(**compiled)


def configs_of(*, thread: str | None = None) -> list[dict[str, Any]]:
    """What two nodes and a graph inside the second find in their config."""
    seen: list[dict[str, Any]] = []

    def node(_state: Any) -> dict[str, Any]:
        seen.append(dict(ensure_config()["configurable"]))
        return {}

    graph = graph_of(node, graph_of(node), checkpointer=InMemorySaver() if thread else None)
    graph.invoke(
        {"messages": []},
        {"configurable": {"thread_id": thread, "user": "ada"} if thread else {"user": "ada"}},
    )
    return seen


def one_control_for_each_run() -> bool:
    runs = [configs_of(), configs_of()]
    controls = [[compat.run_control(seen) for seen in run] for run in runs]
    one_each = all(run[0] is not None and all(found is run[0] for found in run) for run in controls)
    return one_each and controls[0][0] is not controls[1][0]


def machinery_has_its_prefix() -> bool:
    known = {"user", "thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map", "run_id"}
    others = {name for seen in configs_of(thread="1") for name in seen} - known
    return bool(others) and all(name.startswith(compat.PREGEL_PREFIX) for name in others)


def namespaces_nest() -> bool:
    outer, inner = (place.place_of({"configurable": seen}) for seen in configs_of(thread="1"))
    return not outer.lane and outer.namespace.startswith("n0:") and inner.lane.startswith("n1:")


def nodes_have_contexts_of_their_own() -> bool:
    heard: list[str] = []

    def says(_state: Any) -> dict[str, Any]:
        SAID.set("something")
        return {}

    def hears(_state: Any) -> dict[str, Any]:
        heard.append(SAID.get())
        return {}

    graph_of(says, hears).invoke({"messages": []})
    return heard == ["nothing"]


def answers_are_held_until_they_stand() -> bool:
    """What `heard_interrupts` reads: the scratchpad, the counter, `__pregel_send`, the id of an interrupt."""
    told: list[Any] = []

    def node(_state: Any) -> dict[str, Any]:
        with compat.heard_interrupts() as heard:
            try:
                said = interrupt("may I?")
            finally:
                told.append(heard.last)
            told.append((said, [kind for kind, _value in heard.held]))
            heard.keep()
        return {}

    graph = graph_of(node, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    paused = graph.invoke({"messages": []}, config)
    graph.invoke(Command(resume="yes"), config)
    (question,) = paused["__interrupt__"]
    return told == [question.id, question.id, ("yes", [compat.RESUME])]


def wrong_answers_are_told() -> bool:
    class Answer(BaseModel):
        yes: bool

    def node(_state: Any) -> dict[str, Any]:
        try:
            Answer.model_validate({"yes": "perhaps"})
        except ValidationError as error:
            another.append(error)
        return {}

    another: list[BaseException] = []
    graph_of(node).invoke({"messages": []})
    return compat.is_wrong_answer(_as_invalid_resume()) and not compat.is_wrong_answer(another[0])


def _as_invalid_resume() -> BaseException:
    """What LangGraph raises where an answer does not fit the schema of the question."""
    raised: list[BaseException] = []

    def asks(_state: Any) -> dict[str, Any]:
        try:
            interrupt("?", response_schema=int)
        except GraphBubbleUp:
            raise
        except Exception as error:
            raised.append(error)
        return {}

    graph = graph_of(asks, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "w"}}
    graph.invoke({"messages": []}, config)
    graph.invoke(Command(resume="no number"), config)
    return raised[0]


def interrupts_carry_what_they_ask() -> bool:
    carried: list[Any] = []

    def node(_state: Any) -> dict[str, Any]:
        try:
            interrupt("may I?")
        except GraphInterrupt as error:
            carried.extend(compat.raised(error))
            raise
        return {}

    paused = graph_of(node, checkpointer=InMemorySaver()).invoke(
        {"messages": []}, {"configurable": {"thread_id": "1"}}
    )
    return carried == list(paused["__interrupt__"]) and issubclass(GraphInterrupt, GraphBubbleUp)


FACTS = [
    Fact(
        name="one control for each run",
        says="__pregel_runtime.control is one object for a run and the graphs in it, another for the next",
        used="specflow/graph/place.py and run_names.py (which run a call without a thread belongs to)",
        mend="without it each such node is alone, and nothing of it is adopted: find what tells runs apart",
        holds=one_control_for_each_run,
        breaks=lambda m: m.setattr(compat, "CONFIG_KEY_RUNTIME", "__pregel_elsewhere"),
    ),
    Fact(
        name="the machinery has its prefix",
        says="what LangGraph puts into `configurable` begins with __pregel_, but for the checkpoint's keys",
        used="specflow/graph/compat.py (shielded_context: an early interrupt() would take a resume value)",
        mend="take the new keys out, too",
        holds=machinery_has_its_prefix,
        breaks=lambda m: m.setattr(compat, "PREGEL_PREFIX", "__other_"),
    ),
    Fact(
        name="namespaces nest",
        says="checkpoint_ns is node:task, joined by | for graphs inside",
        used="specflow/graph/place.py (lanes of sub-agents)",
        mend="tell sub-agents apart another way, or one takes what another found",
        holds=namespaces_nest,
        breaks=lambda m: m.setattr(place, "Place", _Flat),
    ),
    Fact(
        name="nodes have contexts of their own",
        says="a context variable that is set in a node does not reach the next node",
        used="specflow/graph/fork/watch.py and place.py (nothing is handed on by context)",
        mend="nothing breaks at once, but marks must then be reset",
        holds=nodes_have_contexts_of_their_own,
        breaks=lambda m: m.setattr(Pregel, "invoke", _in_one_context),
    ),
    Fact(
        name="answers are held until they stand",
        says="interrupt() counts in the scratchpad, takes answers from it and saves them by __pregel_send",
        used="specflow/graph/compat.py (heard_interrupts), which binds an approval to what was shown",
        mend="find where interrupt() takes its answers from now",
        holds=answers_are_held_until_they_stand,
        breaks=lambda m: m.setattr(compat, "_interrupt_id", lambda namespace, number: "another"),
    ),
    Fact(
        name="wrong answers are told",
        says="is_invalid_resume tells an answer that does not fit its question from any other error",
        used="specflow/graph/compat.py (is_wrong_answer)",
        mend="let such an error end the run, so that the question can be answered again",
        holds=wrong_answers_are_told,
        breaks=lambda m: m.setattr(compat, "is_invalid_resume", lambda _error: False),
    ),
    Fact(
        name="interrupts carry what they ask",
        says="GraphInterrupt carries the interrupts in its first argument, and is a GraphBubbleUp",
        used="specflow/graph/compat.py (raised, interrupted_by, end_quietly)",
        mend="read them from where they are now",
        holds=interrupts_carry_what_they_ask,
        breaks=lambda m: m.setattr(compat, "raised", lambda error: tuple(error.args)),
    ),
]


class _Flat:
    def __init__(self, *, namespace: str, **_given: Any) -> None:
        self.namespace, self.lane = namespace.replace("n", "m"), ""


def _in_one_context(self: Any, *_given: Any, **_more: Any) -> None:
    # One that is theirs, and not that of whoever asks: no later fact may find what is left there.
    here = contextvars.copy_context()
    for node in self.nodes.values():
        if node.bound.func is not None:
            here.run(node.bound.func, {})
