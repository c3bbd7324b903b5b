"""LangChain tools as the core sees them, and the ways to run their bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.tools import tool as make_tool
from pydantic import BaseModel

from specflow.effects.annotate import annotation_of
from specflow.effects.call import Call
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import AnnotationError
from specflow.execution.early_threads import early_threads
from specflow.graph.compat import STOCK_ARUN, STOCK_RUN, config_parameter, shielded_context
from specflow.graph.injected import injected_parameters
from specflow.graph.intercept import Around, intercepted
from specflow.graph.mcp_call import RUNTIME, McpCall, hints_of, mcp_call_of, merged_hints, same_call
from specflow.graph.render import rendering
from specflow.speculation.slot import hold_slot

ToolLike = BaseTool | Callable[..., Any]
"""What counts as a tool: a LangChain tool, or a plain function with type hints and a docstring."""


def as_tool(item: ToolLike) -> BaseTool:
    """A LangChain tool: itself, or made of a plain function as `@tool` would.

    Raises:
        AnnotationError: for something that is neither.
    """
    if isinstance(item, BaseTool):
        return item
    if not callable(item):
        raise AnnotationError(f"{item!r} is not a tool", hint="give functions or LangChain tools")
    made = make_tool(item)
    assert isinstance(made, BaseTool)
    return made


def specs_of(items: Iterable[ToolLike]) -> list[ToolSpec]:
    """`spec_of` for several."""
    return [spec_of(item) for item in items]


def spec_of(item: ToolLike) -> ToolSpec:
    """What the core needs to know of a tool.

    Raises:
        AnnotationError: when its arguments have no usable schema.
    """
    tool = as_tool(item)
    annotation = annotation_of(tool) or annotation_of(item)
    filled = frozenset(
        {annotation.idempotency_key, annotation.transaction} - {""} if annotation is not None else ()
    )
    visible = tool.tool_call_schema
    served = mcp_call_of(tool)
    if isinstance(visible, dict):
        parameters = dict(visible)
        hidden = injected_parameters(tool)
        if served is not None and not served.reads_run:
            # Handed to nobody, so no call depends on it.
            hidden, filled = hidden - {RUNTIME}, filled | {RUNTIME}
    elif issubclass(visible, BaseModel):
        parameters = visible.model_json_schema()
        hidden = frozenset(_fields(tool.get_input_schema())) - frozenset(_fields(visible))
    else:
        raise AnnotationError(f"{tool.name}: arguments of type {visible!r} have no JSON Schema")
    for name in filled:
        parameters = _without(parameters, name)
    return ToolSpec(
        name=tool.name,
        description=tool.description or "",
        parameters=parameters,
        result=served.result if served is not None else None,
        annotation=annotation,
        injected=(hidden | _config_parameters(tool)) - filled,
        hidden=filled,
        hints=_hints(tool, served),
        origin=served.origin if served is not None else None,
        runner=BodyRunner(tool),
        render=rendering(tool),
    )


class BodyRunner:
    """Runs the tool by itself, outside any graph, and returns what its body returned.

    Arguments are validated as LangChain would; an exception is an exception, even where the tool turns
    it into a message for the model. Equal to another one when both run the same body.
    """

    def __init__(self, tool: BaseTool) -> None:
        self.tool = tool

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BodyRunner) and same_body(self.tool, other.tool)

    def __hash__(self) -> int:
        return hash(self.tool.name)

    async def __call__(self, call: Call, context: CallContext) -> Any:
        if context.early:
            return await self._run(call, context)  # in the shielded context of its turn
        # An undo, or a question to the service: no run of the user's, wherever it happens to be done.
        task = asyncio.get_running_loop().create_task(self._run(call, context), context=shielded_context())
        return await task

    async def _run(self, call: Call, context: CallContext) -> Any:
        threaded = context.early and runs_in_thread(self.tool)
        threads = early_threads(writes=bool(context.idempotency_key)) if threaded else None
        caught = _Caught(threads, context.connection)
        copied = intercepted(self.tool, caught)
        args = {**call.plain_args(), **context.key}
        answer = await copied.ainvoke({"type": "tool_call", "name": call.tool, "args": args, "id": "early"})
        if caught.error is not None:
            raise caught.error
        if not caught.ran:
            # LangChain answered instead of the body: the arguments did not validate.
            raise ValueError(str(getattr(answer, "content", answer)))
        return caught.value


def runs_in_thread(tool: BaseTool) -> bool:
    """Whether LangChain runs the body on a thread: it has no asynchronous one."""
    return getattr(tool, "coroutine", None) is None and type(tool)._arun in STOCK_ARUN  # noqa: SLF001 - the tool's own body


def only_asynchronous(tool: BaseTool) -> bool:
    """Whether a synchronous run cannot call it: it has a coroutine and no function."""
    stock = type(tool)._run in STOCK_RUN  # noqa: SLF001 - the tool's own body
    return stock and getattr(tool, "func", None) is None and getattr(tool, "coroutine", None) is not None


def same_body(one: BaseTool, other: BaseTool) -> bool:
    """Whether two tool objects run the same code on the same objects.

    Tools of one name are often made per request, around one user's credentials: those are different.
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    bodies = [(getattr(item, "func", None), getattr(item, "coroutine", None)) for item in (one, other)]
    if any(bodies[0]):
        return bodies[0] == bodies[1] or same_call(one, other)
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - fields that cannot be compared: not known to be the same
        return False


class _Caught(Around):
    """Lets the body run and keeps what it returned or raised. `threads`: where a synchronous one runs.

    `given` is handed to the body besides its arguments.
    """

    def __init__(self, threads: Executor | None, given: dict[str, Any]) -> None:
        self.threads = threads
        self._given = given
        self.ran = False
        self.value: Any = None
        self.error: Exception | None = None

    async def around_async(self, args: dict[str, Any], body: Callable[..., Any]) -> Any:
        try:
            going_on = _contained(body, self._given)
            self.value = await (_in_thread(going_on) if self.threads is not None else going_on)
        except Exception as error:
            self.error = error
            raise
        finally:
            self.ran = True
        return self.value

    def around_sync(self, args: dict[str, Any], body: Callable[..., Any]) -> Any:
        raise AssertionError("the early runner is asynchronous")


async def _contained(body: Callable[..., Any], given: dict[str, Any]) -> Any:
    try:
        return await body(given)
    except (SystemExit, KeyboardInterrupt) as error:
        # As itself it would end the event loop, and with it the run that never asked for this call.
        raise RuntimeError(f"the tool ended with {error!r}") from error


async def _in_thread(body: Coroutine[Any, Any, Any]) -> Any:
    """A thread cannot be cancelled: its place is taken until it has ended, whoever gives the call up."""
    going_on = asyncio.get_running_loop().create_task(body)
    hold_slot(going_on)
    going_on.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(going_on)


def _hints(tool: BaseTool, served: McpCall | None) -> dict[str, bool]:
    """What an MCP server says of its tool: langchain-mcp-adapters puts the annotations into the metadata.

    Only what is a truth value is kept: a server may send anything, and a hint is no more than a claim.
    """
    told = tool.metadata or {}
    nested: Any = told.get("mcp")
    for step in ("tool", "annotations"):
        nested = nested.get(step) if isinstance(nested, dict) else None
    return merged_hints(hints_of(told), hints_of(nested), served.hints if served is not None else {})


def _fields(model: object) -> Iterable[str]:
    return getattr(model, "model_fields", {})


def _without(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The object schema without one property."""
    kept = {key: value for key, value in (schema.get("properties") or {}).items() if key != name}
    required = [key for key in schema.get("required") or () if key != name]
    trimmed = {**schema, "properties": kept}
    trimmed.pop("required", None)
    return {**trimmed, "required": required} if required else trimmed


def _config_parameters(tool: BaseTool) -> frozenset[str]:
    """Parameters through which the tool sees the run's config: it depends on more than its arguments."""
    functions = [getattr(tool, "func", None), getattr(tool, "coroutine", None)]
    if not any(functions):
        # A hand-written class: its own methods, unless they are the stock ones.
        functions = [
            method
            for method in (type(tool)._run, type(tool)._arun)  # noqa: SLF001 - the tool's own body
            if not method.__module__.startswith("langchain_core.")
        ]
    found = {config_parameter(function) for function in functions if function is not None}
    return frozenset(name for name in found if name)
