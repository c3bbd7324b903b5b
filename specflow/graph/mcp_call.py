"""What langchain-mcp-adapters keeps in a tool that it made: the server, the tool, and who stands in between.

The adapter has no public way to ask for it, so it is read out of the function that makes the call. Where
that is not possible, a tool comes from nobody: never early, its hints not believed. A test watches this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from langchain_core.tools import BaseTool

from specflow.effects.tool import ToolOrigin
from specflow.graph.mcp_server import HttpServer, StdioServer

HINTS = {
    "readOnlyHint": "read_only_hint",
    "destructiveHint": "destructive_hint",
    "idempotentHint": "idempotent_hint",
    "openWorldHint": "open_world_hint",
}
"""MCP's hints, and how they are also written."""

RUNTIME = "runtime"
"""The parameter through which the adapter hands the state of the real run to its interceptors."""

_MAKER = "langchain_mcp_adapters.tools"
_INDEPENDENT = "__specflow_independent__"

F = TypeVar("F", bound=Callable[..., Any])


def independent(interceptor: F) -> F:
    """Say that a tool-call interceptor does the same whether a call belongs to a run or not.

    The adapter gives interceptors the state and the context of the run (`request.runtime`), and an early call
    belongs to no run yet: there it is None. So a tool with interceptors never runs early unless each of them
    is marked like this.
    """
    setattr(interceptor, _INDEPENDENT, True)
    return interceptor


@dataclass(frozen=True, slots=True, kw_only=True)
class McpCall:
    """How a tool reaches its server. `name` and `output` are the server's; `server` is "" if nobody named it.

    `session` None: every call opens one of its own, over `connection`.
    """

    server: str
    name: str
    output: Mapping[str, Any] | None
    hints: Mapping[str, bool]
    connection: Mapping[str, Any] | None
    session: object | None
    interceptors: tuple[Callable[..., Any], ...]

    @property
    def origin(self) -> ToolOrigin | None:
        """Where it comes from, when its server has a name."""
        if not self.server:
            return None
        return ToolOrigin(server=self.server, at=_address(self.connection or {}), tool=self.name)

    @property
    def reads_run(self) -> bool:
        """Whether something on its way may depend on the run that a call belongs to."""
        return not all(getattr(one, _INDEPENDENT, False) is True for one in self.interceptors)

    @property
    def wraps_result(self) -> bool:
        """Whether the server puts what is no object into one, under `result`: its only property then."""
        return _wraps(self.output)

    @property
    def result(self) -> Mapping[str, Any] | None:
        """The JSON Schema of the data it answers, where it declares one."""
        return result_schema(self.output)


def mcp_call_of(tool: BaseTool) -> McpCall | None:
    """How the tool calls its server; None for a tool that langchain-mcp-adapters did not make."""
    body = getattr(tool, "coroutine", None)
    if getattr(body, "__module__", "") != _MAKER:
        return None
    kept = _kept(body)
    told = kept.get("tool")
    name = getattr(told, "name", None)
    if not isinstance(name, str) or "session" not in kept or "connection" not in kept:
        return None
    output = getattr(told, "outputSchema", None)
    server, connection = kept.get("server_name"), kept["connection"]
    return McpCall(
        server=server if isinstance(server, str) else "",
        name=name,
        output=output if isinstance(output, dict) else None,
        hints=hints_of(getattr(told, "annotations", None)),
        connection=connection if isinstance(connection, Mapping) else None,
        session=kept["session"],
        interceptors=tuple(kept.get("tool_interceptors") or ()),
    )


def same_call(one: BaseTool, other: BaseTool) -> bool:
    """Whether both ask the same server for the same tool, over one session or with the same credentials."""
    first, second = mcp_call_of(one), mcp_call_of(other)
    if first is None or second is None or first.session is not second.session:
        return False
    try:
        return bool(first == second) and one.args_schema == other.args_schema
    except Exception:  # noqa: BLE001 - what a connection holds may not compare: not known to be the same
        return False


def result_schema(output: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What the data of an answer looks like, without the object that a server wraps about it."""
    if output is None or not _wraps(output):
        return output
    inner = output["properties"]["result"]
    if not isinstance(inner, dict):
        return None
    return {**inner, "$defs": output["$defs"]} if isinstance(output.get("$defs"), dict) else inner


def hints_of(told: object) -> dict[str, bool]:
    """The hints in a mapping or an object, in either spelling; only truth values are any."""
    found: dict[str, bool] = {}
    for name, other in HINTS.items():
        for spelled in (name, other):
            value = told.get(spelled) if isinstance(told, Mapping) else getattr(told, spelled, None)
            if isinstance(value, bool):
                found[name] = value
    return found


def merged_hints(*several: Mapping[str, bool]) -> dict[str, bool]:
    """Of hints that contradict each other the pessimistic one."""
    pessimistic = {
        "readOnlyHint": False,
        "destructiveHint": True,
        "idempotentHint": False,
        "openWorldHint": True,
    }
    found: dict[str, bool] = {}
    for hints in several:
        for name, value in hints.items():
            found[name] = pessimistic[name] if found.get(name, value) != value else value
    return found


def _wraps(output: Mapping[str, Any] | None) -> bool:
    properties = output.get("properties") if output is not None else None
    return isinstance(properties, dict) and properties.keys() == {"result"}


def _kept(body: Any) -> dict[str, Any]:
    names = getattr(getattr(body, "__code__", None), "co_freevars", ())
    found: dict[str, Any] = {}
    for name, cell in zip(names, getattr(body, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue  # nothing is in it yet
    return found


def _address(connection: Mapping[str, Any]) -> str:
    """The command or the URL, without secrets; "" when there is none."""
    command, url = connection.get("command"), connection.get("url")
    if isinstance(command, str) and command:
        return str(StdioServer(command=(command, *map(str, connection.get("args") or ()))))
    return str(HttpServer(url=url)) if isinstance(url, str) and url else ""
