"""Entry graphs: the user's graph, begun at the node where a call is pending, with the state it has there."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langgraph.channels import BinaryOperatorAggregate, EphemeralValue, LastValue, UntrackedValue
from langgraph.channels.base import BaseChannel
from langgraph.errors import EmptyChannelError
from langgraph.graph import START
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Overwrite

PLAIN: tuple[type[BaseChannel[Any, Any, Any]], ...] = (LastValue, EphemeralValue, UntrackedValue)


def entry_graph(
    graph: CompiledStateGraph[Any, Any, Any, Any], node: str
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The same nodes and edges, begun at `node`, with the whole state as input; at START as the user's.

    It has no checkpointer, store, cache or callbacks of the user, and its failures are
    neither handled by a node of the user nor tried again: they end it.
    """
    builder = copy.copy(graph.builder)
    builder.nodes = {
        name: replace(spec, error_handler_node=None, retry_policy=None)
        for name, spec in builder.nodes.items()
    }
    if node != START:
        builder.edges = {edge for edge in builder.edges if edge[0] != START} | {(START, node)}
        rest = {source: branches for source, branches in builder.branches.items() if source != START}
        builder.branches = defaultdict(dict, rest)
    builder.input_schema = builder.state_schema
    builder._node_defaults = replace(builder._node_defaults, error_handler=None, retry_policy=None)  # noqa: SLF001 - set by no other way
    builder.compiled = False
    made = builder.compile(checkpointer=False, name=graph.name)
    config = {name: value for name, value in (graph.config or {}).items() if name != "callbacks"}
    made.config = config or None  # type: ignore[assignment]  # a RunnableConfig without its callbacks
    return made


def whole_state(
    graph: CompiledStateGraph[Any, Any, Any, Any], channels: Mapping[str, BaseChannel[Any, Any, Any]]
) -> dict[str, Any] | None:
    """What the channels of a run hold now, as input of an entry graph; None where it cannot be put back."""
    values: dict[str, Any] = {}
    for name in graph.builder.channels:
        channel = channels.get(name)
        if channel is None:
            return None
        try:
            values[name] = channel.get()
        except EmptyChannelError:
            continue
    return as_input(graph, values)


def as_input(
    graph: CompiledStateGraph[Any, Any, Any, Any], values: Mapping[str, Any]
) -> dict[str, Any] | None:
    """A state as input of an entry graph: values of reducers are put in place, not added.

    None where a channel holds more than a value: a topic, a barrier, one of the user's own.
    """
    state: dict[str, Any] = {}
    for name, value in values.items():
        channel = graph.builder.channels.get(name)
        if isinstance(channel, PLAIN):
            state[name] = value
        elif isinstance(channel, BinaryOperatorAggregate) or type(channel).__name__ == "DeltaChannel":
            state[name] = Overwrite(value)
        else:
            return None
    return state
