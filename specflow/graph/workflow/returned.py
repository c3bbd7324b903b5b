"""What functions and tools are known to return: their annotations."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.tools import BaseTool

from specflow.graph.workflow.shape import UNKNOWN, Shape


def result_shape(tool: BaseTool) -> Shape:
    """What a tool is known to return: the return annotation of its function."""
    function = getattr(tool, "coroutine", None) or getattr(tool, "func", None)
    return returns(function) if function is not None else UNKNOWN


def returns(function: Callable[..., Any]) -> Shape:
    """The shape of what a function returns; anything at all where it does not say."""
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):
        return UNKNOWN
    found = hints.get("return", inspect.Parameter.empty)
    if found in (inspect.Parameter.empty, Any, None, type(None)):
        return UNKNOWN
    return Shape.of(found)


def within(shape: Shape) -> Mapping[str, Any]:
    """The schema of a result, to stand within another one; nothing where it refers to its own document."""
    return shape.schema if "$ref" not in repr(shape.schema) else {}
