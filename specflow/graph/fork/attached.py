"""The graphs that a runtime may run ahead, and the nodes before which a fork of them ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph.graph.state import CompiledStateGraph

from specflow.errors import ConfigurationError
from specflow.graph.fork.entry import entry_graph
from specflow.graph.fork.purity import may_run, middleware_of

Graph = CompiledStateGraph[Any, Any, Any, Any]


@dataclass(slots=True, kw_only=True, eq=False)
class Attached:
    """One graph. `stops` are the nodes before which a fork of it ends."""

    graph: Graph
    stops: tuple[str, ...]
    _entries: dict[str, Graph] = field(default_factory=dict)

    def runs(self, name: str, node: object) -> bool:
        """Whether this very node is of this graph, or of one made from it."""
        return any(graph.nodes.get(name) is node for graph in (self.graph, *self._entries.values()))

    def entry(self, node: str) -> Graph:
        """The graph that begins at `node`; made once."""
        made = self._entries.get(node)
        if made is None:
            made = self._entries[node] = entry_graph(self.graph, node)
        return made


class Attachments:
    """The attached graphs of one runtime, which is the one behind `host`."""

    def __init__(self, host: object) -> None:
        self._host = host
        self._graphs: list[Attached] = []

    def __bool__(self) -> bool:
        return bool(self._graphs)

    def attach(self, graph: object, pure: Iterable[str] = ()) -> Attached:
        """Let forks run this graph, and the graphs that are nodes of it.

        Raises:
            ConfigurationError: it is no compiled graph, or a name in `pure` is none of its nodes or
                middleware.
        """
        if not isinstance(graph, CompiledStateGraph):
            raise ConfigurationError(
                f"attach: {type(graph).__name__} is no compiled graph",
                hint="give what compile() or create_agent returned",
            )
        declared = frozenset(pure)
        known = set(graph.builder.nodes).union(*map(middleware_of, graph.builder.nodes.values()))
        unknown = sorted(declared - known)
        if unknown:
            raise ConfigurationError(
                f"attach: the graph has no node or middleware named {', '.join(unknown)}",
                hint=f"it has {', '.join(sorted(known))}",
            )
        for _name, inner in graph.get_subgraphs(recurse=True):
            if isinstance(inner, CompiledStateGraph) and not self._has(inner):
                self._keep(inner, frozenset())
        return self._keep(graph, declared)

    def find(self, nodes: Mapping[str, Any], node: str) -> Attached | None:
        """The attached graph whose very node this is; copies of a graph (`with_config`) share theirs."""
        running = nodes.get(node)
        if running is None:
            return None
        return next((one for one in self._graphs if one.runs(node, running)), None)

    def of(self, graph: object) -> Attached | None:
        """What was attached as this graph, or as one that shares its nodes."""
        nodes = getattr(graph, "nodes", None) or {}
        return next((found for name in nodes if (found := self.find(nodes, name)) is not None), None)

    def _has(self, graph: Graph) -> bool:
        return any(one.graph is graph for one in self._graphs)

    def _keep(self, graph: Graph, declared: frozenset[str]) -> Attached:
        stops = tuple(
            name
            for name, spec in graph.builder.nodes.items()
            if not may_run(spec, name, declared=declared, host=self._host)
        )
        kept = Attached(graph=graph, stops=stops)
        # What is attached again is declared anew.
        self._graphs = [*(one for one in self._graphs if one.graph is not graph), kept]
        return kept
