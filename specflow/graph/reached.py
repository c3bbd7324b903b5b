"""What a compiled graph reaches: runtimes, models, tools, agents inside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableSequence, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.tools import BaseTool
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode

from specflow.graph.compat import ConfigurableModel
from specflow.graph.fork.forms import models_in
from specflow.graph.fork.purity import ModelNode, Wrapped
from specflow.graph.fork.reachable import reachable
from specflow.graph.host import HasHost, Host
from specflow.graph.middleware import SpecflowMiddleware
from specflow.graph.workflow.build import Nesting, StepNode
from specflow.graph.workflow.making import Working
from specflow.graph.workflow.step import AgentStep, CallStep, MapStep

Graph = CompiledStateGraph[Any, Any, Any, Any]
_FORMS = (BaseChatModel, RunnableBindingBase, RunnableWithFallbacks, RunnableSequence, ConfigurableModel)
_WANTED = (*_FORMS, AgentMiddleware, Wrapped, HasHost, ToolNode, CompiledStateGraph, StepNode, BaseTool)


@dataclass(slots=True, kw_only=True, eq=False)
class Reached:
    """Each once, in the order in which it was found. `later`: names of nodes whose model is not known yet.

    `tool_nodes` are the nodes that are a ToolNode, with whether a runtime stands about their calls.
    `listens`: one stands about a model.
    """

    hosts: list[Host] = field(default_factory=list)
    models: list[BaseChatModel] = field(default_factory=list)
    tools: list[BaseTool] = field(default_factory=list)
    middleware: list[AgentMiddleware[Any, Any, Any]] = field(default_factory=list)
    graphs: list[Graph] = field(default_factory=list)
    tool_nodes: list[tuple[str, Graph, bool]] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    listens: bool = False
    steps: list[StepNode] = field(default_factory=list)


def reached(graph: Graph) -> Reached:
    """What can be found from this graph without running it: what its nodes hold, and the names they use.

    A node may reach more than is found (see `reachable`).
    """
    found = Reached()
    _Search(found).graph(graph)
    return found


class _Search:
    def __init__(self, found: Reached) -> None:
        self._found = found
        self._seen: set[int] = set()

    def graph(self, graph: Graph) -> None:
        if not self._new(graph):
            return
        self._found.graphs.append(graph)
        of_workflow = getattr(graph, "specflow", None)
        if isinstance(of_workflow, HasHost):
            _add(self._found.hosts, of_workflow.host)
        for name, spec in graph.builder.nodes.items():
            for item in reachable(spec.runnable, _WANTED, into_globals=True):
                self._item(item, name, graph)

    def _item(self, item: Any, name: str, graph: Graph) -> None:
        found = self._found
        if isinstance(item, Wrapped | HasHost):
            if isinstance(item.host, Host):
                _add(found.hosts, item.host)
            found.listens |= isinstance(item, ModelNode | SpecflowMiddleware)
        elif isinstance(item, AgentMiddleware):
            _add(found.middleware, item)
        elif isinstance(item, CompiledStateGraph):
            self.graph(item)
        elif isinstance(item, StepNode):
            self._step(item)
        elif isinstance(item, ToolNode):
            self._tool_node(item, name, graph)
        elif isinstance(item, BaseTool):
            self._tool(item)
        elif isinstance(item, _FORMS):
            self._model(item, name)

    def _tool_node(self, node: ToolNode, name: str, graph: Graph) -> None:
        held = [item.host for item in _wrapping(node) if isinstance(item.host, Host)]
        for host in held:
            _add(self._found.hosts, host)
        # The model node of an agent holds it as well, and is none.
        if graph.builder.nodes[name].runnable is node:
            self._found.tool_nodes.append((name, graph, bool(held)))
        for tool in node.tools_by_name.values():
            self._tool(tool)

    def _tool(self, tool: BaseTool) -> None:
        if not self._new(tool):
            return
        self._found.tools.append(tool)
        # A sub-agent is often a tool: a function that calls a graph or a model.
        for body in (getattr(tool, "func", None), getattr(tool, "coroutine", None)):
            for item in reachable(body, (*_FORMS, CompiledStateGraph), into_globals=True):
                self._item(item, tool.name, self._found.graphs[0])

    def _step(self, node: StepNode) -> None:
        if not self._new(node):
            return
        self._found.steps.append(node)
        step, maker = node.step, node.maker
        if isinstance(step, CallStep | MapStep):
            self._tool(step.tool)
        elif isinstance(step, AgentStep) and isinstance(maker, Working):
            self.graph(maker.agent)
        elif isinstance(maker, Nesting):
            self.graph(maker.graph)

    def _model(self, item: Any, name: str) -> None:
        models = models_in(item)
        if isinstance(item, ConfigurableModel):
            _add(self._found.later, name)
        for model in models:
            _add(self._found.models, model)

    def _new(self, item: object) -> bool:
        if id(item) in self._seen:
            return False
        self._seen.add(id(item))
        return True


def _wrapping(node: ToolNode) -> Iterator[Wrapped | HasHost]:
    """What stands about the calls of a ToolNode."""
    for attribute in ("_wrap_tool_call", "_awrap_tool_call"):
        yield from reachable(getattr(node, attribute, None), (Wrapped, HasHost), into_globals=True)


def _add(items: list[Any], item: Any) -> None:
    if not any(item is known for known in items):
        items.append(item)
