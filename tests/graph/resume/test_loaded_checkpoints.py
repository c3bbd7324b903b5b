"""Canaries: what is read of LangGraph's loop is there, and says what it is taken for."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config
from langgraph.graph import START, MessagesState, StateGraph

from specflow.graph.compat import running_loop_of
from specflow.graph.logical_run import LoadedRun
from specflow.graph.loop import LOOP_NAMES, Loaded, checkpoints_above, loaded_from


class Seen:
    """A graph of two steps, the second of them in a graph inside it; what each of them sees."""

    def __init__(self, saver: Any) -> None:
        self.loaded: list[Loaded | None] = []
        self.above: list[list[tuple[str, str]]] = []
        self.missing: set[str] = set()
        self.fail = False
        inner = StateGraph(MessagesState)
        inner.add_node("second", self._second)
        inner.add_edge(START, "second")
        outer = StateGraph(MessagesState)
        outer.add_node("first", self._look)
        outer.add_node("inner", inner.compile())
        outer.add_edge(START, "first")
        outer.add_edge("first", "inner")
        self.graph = outer.compile(checkpointer=saver)

    def _look(self, _state: MessagesState) -> dict[str, Any]:
        config = get_config()
        loop = running_loop_of(config)
        self.missing |= {name for name in LOOP_NAMES if not hasattr(loop, name)}
        self.loaded.append(loaded_from(config))
        self.above.append(checkpoints_above(config))
        return {}

    def _second(self, state: MessagesState) -> dict[str, Any]:
        self._look(state)
        if self.fail:
            raise RuntimeError("not now")
        return {}

    def go(self, said: Any, config: Any) -> None:
        self.loaded.clear()
        self.above.clear()
        try:
            self.graph.invoke(said, config, durability="sync" if self.graph.checkpointer else None)
        except RuntimeError:
            assert self.fail


ASK: Any = {"messages": [("user", "hello")]}
CONFIG: Any = {"configurable": {"thread_id": "t"}}


def test_an_invocation_says_what_it_was_loaded_from() -> None:
    seen = Seen(InMemorySaver())
    seen.fail = True
    seen.go(ASK, CONFIG)
    assert not seen.missing
    nothing = Loaded(checkpoint="", again=False)
    assert seen.loaded == [nothing, nothing]
    head = seen.graph.get_state(CONFIG).config["configurable"]["checkpoint_id"]
    assert seen.above[1][0] == ("", head), "the step that failed began from the newest checkpoint"
    assert len(seen.above[1]) == 2
    assert seen.above[0][0][1] < head, "ids are in the order of their making"

    seen.go(None, CONFIG)
    assert len(seen.loaded) == 1, "only the inner graph goes on"
    assert seen.loaded[0] is not None
    assert seen.loaded[0].again

    seen.fail = False
    seen.go(None, CONFIG)
    head = seen.graph.get_state(CONFIG).config["configurable"]["checkpoint_id"]
    seen.go(ASK, CONFIG)
    assert seen.loaded[0] == Loaded(checkpoint=head, again=False), "a new input"

    older = [state for state in seen.graph.get_state_history(CONFIG) if state.next == ("first",)][-1]
    seen.go(None, older.config)
    assert seen.loaded[0] == Loaded(
        checkpoint=older.config["configurable"]["checkpoint_id"], again=True, superseded=True
    )


def test_without_a_checkpointer_nothing_was_loaded() -> None:
    seen = Seen(None)
    seen.go(ASK, CONFIG)
    assert seen.loaded[0] == Loaded(checkpoint="", again=False)


def test_what_cannot_be_read_is_known() -> None:
    loaded = LoadedRun()
    for moment in ("", "[]", "no json", '{"a": 1}', '["task", 3]', '["task", ["", "c"]]'):
        assert loaded.holds("call", moment)
        loaded.give(moment)
