"""LangChain tools as the core sees them, and the ways to run their bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.tools import tool as make_tool
from pydantic import BaseModel

from specflow.effects.annotate import annotation_of
from specflow.effects.call import Call
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import AnnotationError
from specflow.graph.compat import config_parameter, shielded_context
from specflow.graph.intercept import Around, intercepted

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
    key_parameter = annotation.idempotency_key if annotation else ""
    visible = tool.tool_call_schema
    if isinstance(visible, dict):
        parameters = dict(visible)
        hidden: frozenset[str] = frozenset()
    elif issubclass(visible, BaseModel):
        parameters = visible.model_json_schema()
        hidden = frozenset(_fields(tool.get_input_schema())) - frozenset(_fields(visible))
    else:
        raise AnnotationError(f"{tool.name}: arguments of type {visible!r} have no JSON Schema")
    if key_parameter:
        parameters = _without(parameters, key_parameter)
    return ToolSpec(
        name=tool.name,
        description=tool.description or "",
        parameters=parameters,
        annotation=annotation,
        injected=(hidden | _config_parameters(tool)) - {key_parameter},
        hidden=frozenset({key_parameter} - {""}),
        hints=_hints(tool),
        runner=BodyRunner(tool),
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
        caught = _Caught()
        copied = intercepted(self.tool, caught)
        args = call.plain_args()
        if context.key_parameter:
            args[context.key_parameter] = context.idempotency_key
        answer = await copied.ainvoke({"type": "tool_call", "name": call.tool, "args": args, "id": "early"})
        if caught.error is not None:
            raise caught.error
        if not caught.ran:
            # LangChain answered instead of the body: the arguments did not validate.
            raise ValueError(str(getattr(answer, "content", answer)))
        return caught.value


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
        return bodies[0] == bodies[1]
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - fields that cannot be compared: not known to be the same
        return False


class _Caught(Around):
    """Lets the body run and keeps what it returned or raised."""

    def __init__(self) -> None:
        self.ran = False
        self.value: Any = None
        self.error: Exception | None = None

    async def around_async(self, args: dict[str, Any], body: Callable[..., Any]) -> Any:
        try:
            self.value = await body({})
        except Exception as error:
            self.error = error
            raise
        except (SystemExit, KeyboardInterrupt) as error:
            # As itself it would end the event loop, and with it the run that never asked for this call.
            self.error = RuntimeError(f"the tool ended with {error!r}")
            raise self.error from error
        finally:
            self.ran = True
        return self.value

    def around_sync(self, args: dict[str, Any], body: Callable[..., Any]) -> Any:
        raise AssertionError("the early runner is asynchronous")


_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def _hints(tool: BaseTool) -> dict[str, bool]:
    """What an MCP server says of its tool: langchain-mcp-adapters puts the annotations into the metadata.

    Only what is a truth value is kept: a server may send anything, and a hint is no more than a claim.
    """
    told = tool.metadata or {}
    return {name: told[name] for name in _HINTS if isinstance(told.get(name), bool)}


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
