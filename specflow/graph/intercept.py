"""Standing where a tool's body would run: a copy of the tool whose class puts `Around` about the body.

Callbacks, validation, formatting and error handling above the body stay LangChain's own, so what
tracers, streams and error handlers see is what they would see without specflow.
"""

from __future__ import annotations

import contextvars
import copy
import inspect
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from functools import lru_cache, partial
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool

from specflow.graph.compat import STOCK_AINVOKE, STOCK_INVOKE, config_parameter
from specflow.graph.pairing import paired, unpaired

AsyncBody = Callable[[dict[str, Any]], Awaitable[Any]]
SyncBody = Callable[[dict[str, Any]], Any]


class Around(Protocol):
    """What is put about a body. `args` are the arguments that really arrived, before validation;
    `body(extra)` runs the tool's own body with `extra` keyword arguments on top. Content and artifact are one
    value here, as `specflow.effects.result.pair` makes it; so is what is returned. If it has `threads` (an
    executor), the body is synchronous, and runs there where asynchronous code asks for it.
    """

    async def around_async(self, args: dict[str, Any], body: AsyncBody) -> Any: ...

    def around_sync(self, args: dict[str, Any], body: SyncBody) -> Any: ...


def intercepted(tool: BaseTool, around: Around) -> BaseTool:
    """A copy of `tool`, of the same type to everybody who asks, with `around` about its body.

    Of one that is such a copy already: the new one stands about the one that is there.
    """
    if isinstance(tool, _Intercepting):
        around = _Both(around, tool.__dict__["_sf_around"])
        tool = tool.__dict__["_sf_like"]
    copied = copy.copy(tool)
    object.__setattr__(copied, "__class__", _class_for(type(tool)))
    object.__setattr__(copied, "__dict__", {**tool.__dict__, "_sf_like": tool, "_sf_around": around})
    return copied


def standing_about(tool: BaseTool) -> Iterator[Around]:
    """What stands about its body, the outermost first."""
    waiting = [tool.__dict__["_sf_around"]] if isinstance(tool, _Intercepting) else []
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, _Both):
            waiting[:0] = [one.outer, one.inner]
        else:
            yield one


class _Both:
    """One about the other."""

    def __init__(self, outer: Around, inner: Around) -> None:
        self.outer = outer
        self.inner = inner

    async def around_async(self, args: dict[str, Any], body: AsyncBody) -> Any:
        async def within(extra: dict[str, Any]) -> Any:
            return await self.inner.around_async(args, lambda more: body({**extra, **more}))

        return await self.outer.around_async(args, within)

    def around_sync(self, args: dict[str, Any], body: SyncBody) -> Any:
        def within(extra: dict[str, Any]) -> Any:
            return self.inner.around_sync(args, lambda more: body({**extra, **more}))

        return self.outer.around_sync(args, within)


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

        around: Around = self.__dict__["_sf_around"]
        threads: Executor | None = getattr(around, "threads", None)

        returned: list[Any] = []

        async def body(extra: dict[str, Any]) -> Any:
            if threads is not None:
                manager = run_manager.get_sync() if run_manager is not None else None
                given = {**kwargs, **extra, **_machinery(like._run, sf_config, manager)}  # noqa: SLF001 - the body alone: `run` would call back again
                within = contextvars.copy_context().run
                ran = await run_in_executor(threads, within, partial(like._run, *args, **given))  # noqa: SLF001 - the body alone: `run` would call back again
                returned.append(ran)
                return paired(like, ran)
            # Without an asynchronous body of its own, LangChain's stock one hands all on to `_run`.
            stock = type(like)._arun is BaseTool._arun  # noqa: SLF001 - the body alone: `run` would call back again
            signature = like._run if stock else like._arun  # noqa: SLF001 - the body alone: `run` would call back again
            given = {**kwargs, **extra, **_machinery(signature, sf_config, run_manager)}
            ran = await like._arun(*args, **given)  # noqa: SLF001 - the body alone: `run` would call back again
            returned.append(ran)
            return paired(like, ran)

        return unpaired(
            like, await around.around_async(self.__dict__.get("_sf_args", kwargs), body), returned
        )

    def _run(self, *args: Any, sf_config: RunnableConfig, run_manager: Any = None, **kwargs: Any) -> Any:
        like: Any = self.__dict__["_sf_like"]

        returned: list[Any] = []

        def body(extra: dict[str, Any]) -> Any:
            given = {**kwargs, **extra, **_machinery(like._run, sf_config, run_manager)}  # noqa: SLF001 - the body alone: `run` would call back again
            ran = like._run(*args, **given)  # noqa: SLF001 - the body alone: `run` would call back again
            returned.append(ran)
            return paired(like, ran)

        around: Around = self.__dict__["_sf_around"]
        return unpaired(like, around.around_sync(self.__dict__.get("_sf_args", kwargs), body), returned)


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
