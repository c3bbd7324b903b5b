"""Standing where a tool's body would run: a copy of the tool whose class puts `Around` about the body.

Callbacks, validation, formatting and error handling above the body stay LangChain's own, so what
tracers, streams and error handlers see is what they would see without specflow.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from specflow.graph.compat import STOCK_AINVOKE, STOCK_INVOKE, config_parameter

AsyncBody = Callable[[dict[str, Any]], Awaitable[Any]]
SyncBody = Callable[[dict[str, Any]], Any]


class Around(Protocol):
    """What is put about a body. `args` are the arguments that really arrived, before validation;
    `body(extra)` runs the tool's own body with `extra` keyword arguments on top.
    """

    async def around_async(self, args: dict[str, Any], body: AsyncBody) -> Any: ...

    def around_sync(self, args: dict[str, Any], body: SyncBody) -> Any: ...


def intercepted(tool: BaseTool, around: Around) -> BaseTool:
    """A copy of `tool`, of the same type to everybody who asks, with `around` about its body."""
    copied = copy.copy(tool)
    object.__setattr__(copied, "__class__", _class_for(type(tool)))
    object.__setattr__(copied, "__dict__", {**tool.__dict__, "_sf_like": tool, "_sf_around": around})
    return copied


class _Intercepting:
    """Mixed in before the tool's own class."""

    __dict__: dict[str, Any]

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002 - LangChain's name
        like: Any = self.__dict__["_sf_like"]
        # StructuredTool.ainvoke sends a tool without coroutine to `invoke` on a thread: past us.
        ainvoke = type(like).ainvoke
        chosen: Any = BaseTool.ainvoke if ainvoke in STOCK_AINVOKE else ainvoke
        return await chosen(_given(self, input), input, config, **kwargs)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002 - LangChain's name
        like: Any = self.__dict__["_sf_like"]
        invoke = type(like).invoke
        chosen: Any = BaseTool.invoke if invoke in STOCK_INVOKE else invoke
        return chosen(_given(self, input), input, config, **kwargs)

    async def _arun(
        self, *args: Any, sf_config: RunnableConfig, run_manager: Any = None, **kwargs: Any
    ) -> Any:
        like: Any = self.__dict__["_sf_like"]

        async def body(extra: dict[str, Any]) -> Any:
            # Without an asynchronous body of its own, LangChain's stock one hands all on to `_run`.
            stock = type(like)._arun is BaseTool._arun  # noqa: SLF001 - the body itself
            signature = like._run if stock else like._arun  # noqa: SLF001 - the body itself
            given = {**kwargs, **extra, **_machinery(signature, sf_config, run_manager)}
            return await like._arun(*args, **given)  # noqa: SLF001 - the body itself

        around: Around = self.__dict__["_sf_around"]
        return await around.around_async(self.__dict__.get("_sf_args", kwargs), body)

    def _run(self, *args: Any, sf_config: RunnableConfig, run_manager: Any = None, **kwargs: Any) -> Any:
        like: Any = self.__dict__["_sf_like"]

        def body(extra: dict[str, Any]) -> Any:
            given = {**kwargs, **extra, **_machinery(like._run, sf_config, run_manager)}  # noqa: SLF001 - the body itself
            return like._run(*args, **given)  # noqa: SLF001 - the body itself

        around: Around = self.__dict__["_sf_around"]
        return around.around_sync(self.__dict__.get("_sf_args", kwargs), body)


@lru_cache(maxsize=1024)
def _class_for(kind: type[BaseTool]) -> type[BaseTool]:
    made: type[BaseTool] = type(
        kind.__name__, (_Intercepting, kind), {"__module__": kind.__module__, "__annotations__": {}}
    )
    return made


def _machinery(body: Any, config: RunnableConfig, run_manager: Any) -> dict[str, Any]:
    """What the body's own signature asks of LangChain: its config, its run manager."""
    given: dict[str, Any] = {}
    wanted = config_parameter(body)
    if wanted:
        given[wanted] = config
    if _takes_run_manager(getattr(body, "__func__", body)):
        given["run_manager"] = run_manager
    return given


@lru_cache(maxsize=1024)
def _takes_run_manager(function: Any) -> bool:
    return "run_manager" in inspect.signature(function).parameters


def _given(tool: Any, given: Any) -> Any:
    """A copy for this one invocation, with its arguments: the tool may be invoked several times at once."""
    copied = copy.copy(tool)
    object.__setattr__(copied, "__dict__", {**tool.__dict__, "_sf_args": _arguments(given)})
    return copied


def _arguments(given: Any) -> dict[str, Any]:
    if isinstance(given, dict):
        inner = given.get("args") if given.get("type") == "tool_call" else given
        if isinstance(inner, dict):
            return dict(inner)
    return {"input": given}
