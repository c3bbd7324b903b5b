"""The fragile imports of LangChain and LangGraph, in one place; a canary test watches each of them."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs, var_child_runnable_config
from langchain_core.tools import BaseTool, StructuredTool, Tool
from langchain_core.tools.base import _get_runnable_config_param  # no public way to ask for this
from langchain_core.tracers.context import _configure_hooks  # usage callbacks register themselves here
from langgraph.errors import GraphBubbleUp

PREGEL_PREFIX = "__pregel_"
CONFIG_KEY_RUNTIME = "__pregel_runtime"
STOCK_AINVOKE = frozenset({BaseTool.ainvoke, StructuredTool.ainvoke, Tool.ainvoke})
STOCK_INVOKE = frozenset({BaseTool.invoke, StructuredTool.invoke, Tool.invoke})


def is_control_flow(error: BaseException) -> bool:
    """Whether an exception is LangGraph steering (interrupt, parent command), not a failure."""
    return isinstance(error, GraphBubbleUp)


def run_control(configurable: Mapping[str, Any]) -> object | None:
    """What LangGraph makes one of for each run, nested graphs included; None where it does not."""
    return getattr(configurable.get(CONFIG_KEY_RUNTIME), "control", None)


def config_parameter(function: Any) -> str | None:
    """The name of the parameter annotated RunnableConfig, or None."""
    return _get_runnable_config_param(function)


@contextmanager
def ambient_callback(handler: BaseCallbackHandler) -> Iterator[None]:
    """Every model called inside gets `handler` too, however it is wrapped, bound or configured."""
    merged = merge_configs(ensure_config(), {"callbacks": [handler]})
    token = var_child_runnable_config.set(merged)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def shielded_context() -> contextvars.Context:
    """A copy of the current context for early work: the user's values, none of the run's machinery.

    Callbacks, tracers and the graph's own keys are taken out (an early `interrupt()` must not swallow
    the user's resume value; tracers must not show phantom runs); `configurable` stays, so that the
    tenant and the user are who they were.
    """
    context = contextvars.copy_context()

    def clean() -> None:
        inherited: RunnableConfig = ensure_config()
        configurable = {
            name: value
            for name, value in (inherited.get("configurable") or {}).items()
            if not name.startswith(PREGEL_PREFIX)
        }
        var_child_runnable_config.set({"configurable": configurable, "callbacks": []})
        for variable, *_rest in _configure_hooks:
            variable.set(None)

    context.run(clean)
    return context
