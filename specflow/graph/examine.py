"""What stands in the way of speculation in a compiled graph, as far as can be told without a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.tools import BaseTool
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import tools_condition

from specflow.effects.tool import ToolSpec
from specflow.graph.examine_models import of_model
from specflow.graph.fork.forking import forking
from specflow.graph.host import Host
from specflow.graph.reached import Graph, Reached
from specflow.graph.remark import Level, Remark
from specflow.graph.tools import spec_of
from specflow.graph.workflow.build import Builder
from specflow.graph.workflow.declared import Declared
from specflow.graph.workflow.step import HumanStep

AREA = "graph"
Asks = Callable[[ToolSpec], bool]
"""Whether a call of the tool interrupts the run to ask a person."""


def compiled(target: object) -> TypeGuard[Graph]:
    """Whether it is a compiled graph."""
    return isinstance(target, CompiledStateGraph)


def declared(flow: Declared, host: Host) -> Graph:
    """The graph of a workflow, only to be looked at: nobody has asked whether it is sound."""
    return Builder(flow, host).graph().compile(name=flow.name)


def of_graph(graph: Graph, found: Reached, asks: Asks, *, can_ask: bool = False) -> Iterator[Remark]:
    """Everything about the graph but its tools, one by one. `can_ask`: it will get a checkpointer yet."""
    yield from _runtimes(found)
    for model in found.models:
        yield from of_model(model)
    for name in found.later:
        yield Remark(area="model", subject=name, found="is chosen by the config of each run: not looked at")
    if not found.models and not found.later:
        yield Remark(
            area="model",
            subject="none",
            found="none was found in the graph's nodes, so whether it streams is not known",
        )
    yield from _tool_nodes(found)
    if not can_ask:
        yield from _checkpointer(graph, found, asks)
    for host in found.hosts:
        yield _attached(graph, host)


def specs(found: Reached) -> Iterator[tuple[ToolSpec, Remark | None]]:
    """Each tool of the graph, with what its registration says of it."""
    for tool in found.tools:
        spec, remark = spec_of(tool), None
        for host in found.hosts:
            known = host.parts.registry.get(tool.name)
            if known is None:
                remark = _unregistered(tool)
            elif not host.knows(tool):
                remark = Remark(
                    area="tool",
                    subject=tool.name,
                    level=Level.WARNING,
                    found="the runtime knows another tool of this name: the graph's own never runs early",
                    mend="give Runtime(tools=...) the very tool that the graph uses, or rename one",
                )
            else:
                spec = known
        yield spec, remark


def _unregistered(tool: BaseTool) -> Remark:
    return Remark(
        area="tool",
        subject=tool.name,
        level=Level.WARNING,
        found="the runtime does not know it before its first real call: not early until then",
        mend="add it to Runtime(tools=[...])",
    )


def _runtimes(found: Reached) -> Iterator[Remark]:
    if not found.hosts:
        yield Remark(
            area=AREA,
            subject="runtime",
            level=Level.PROBLEM,
            found="no runtime of specflow was found in the graph: nothing runs early",
            mend="create_agent(..., middleware=[rt.middleware()]), or rt.model_node and rt.tool_node",
        )
        return
    if len(found.hosts) > 1:
        yield Remark(
            area=AREA,
            subject="runtime",
            level=Level.WARNING,
            found=f"{len(found.hosts)} runtimes: what one starts early, the others do not adopt",
            mend="use one runtime for the whole graph",
        )
    if not found.listens and not found.steps:
        yield Remark(
            area=AREA,
            subject="model node",
            level=Level.PROBLEM,
            found="no runtime listens to the model: no call is guessed",
            mend='graph.add_node("model", rt.model_node(call_model)), or rt.middleware()',
        )


def _tool_nodes(found: Reached) -> Iterator[Remark]:
    for name, graph, wrapped in found.tool_nodes:
        if found.hosts and not wrapped:
            yield Remark(
                area=AREA,
                subject=name,
                level=Level.PROBLEM,
                found="its tools run past the runtime: nothing is adopted, and the policy does not count",
                mend=f'graph.add_node("{name}", rt.tool_node(tools)), or ToolNode(..., '
                "wrap_tool_call=rt.wrap_tool_call, awrap_tool_call=rt.awrap_tool_call)",
            )
        if _one_task(graph, name):
            yield Remark(
                area=AREA,
                subject=name,
                level=Level.WARNING,
                found="all calls of an answer run in one task: after an interrupt or a crash, a resumed run "
                "makes them all again",
                mend=f'add_conditional_edges("model", rt.fan_out, ["{name}", END])',
            )


def _one_task(graph: Graph, name: str) -> bool:
    """Whether it can be told that the node is entered once for all calls."""
    if any(end == name for _start, end in graph.builder.edges):
        return True
    for branches in graph.builder.branches.values():
        for branch in branches.values():
            path: Any = branch.path
            if tools_condition in (getattr(path, "func", None), getattr(path, "afunc", None)):
                return branch.ends is None or name in branch.ends.values()
    return False


def _checkpointer(graph: Graph, found: Reached, asks: Asks) -> Iterator[Remark]:
    who = [spec.name for spec, _remark in specs(found) if found.hosts and asks(spec)]
    who += [f"step {node.step.name}" for node in found.steps if isinstance(node.step, HumanStep)]
    if any(isinstance(item, HumanInTheLoopMiddleware) for item in found.middleware):
        who.append("HumanInTheLoopMiddleware")
    if not who:
        return
    shown = ", ".join(dict.fromkeys(who))
    if graph.checkpointer in (None, False):
        yield Remark(
            area=AREA,
            subject="checkpointer",
            level=Level.PROBLEM,
            found=f"there is none, and a person is asked by: {shown}",
            mend="compile(checkpointer=...), unless the server that runs it adds one; or `confirm: host`",
        )
    else:
        yield Remark(area=AREA, subject="checkpointer", found=f"is there; a person is asked by: {shown}")


def _attached(graph: Graph, host: Host) -> Remark:
    kept = forking(host).attachments.of(graph)
    if kept is not None:
        ends = f"; a fork ends before: {', '.join(kept.stops)}" if kept.stops else ""
        return Remark(area=AREA, subject="forks", found=f"the graph is attached{ends}")
    if host.parts.result_guessers:
        return Remark(
            area=AREA,
            subject="forks",
            level=Level.WARNING,
            found="results are guessed, but the graph is not attached: nothing that follows starts early",
            mend="rt.attach(graph)",
        )
    return Remark(area=AREA, subject="forks", found="not attached: no graph is run ahead on guessed results")
