"""The fragile imports of LangChain and LangGraph, in one place; a canary test watches each of them."""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NoReturn, Protocol, cast

from langchain.chat_models.base import _ConfigurableModel  # no public name
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, SimpleChatModel
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs, var_child_runnable_config
from langchain_core.tools import BaseTool, StructuredTool, Tool
from langchain_core.tools.base import (
    _format_output,  # what becomes of a tool's result before a model sees it
    _get_runnable_config_param,  # no public way to ask for this
)
from langchain_core.tracers.context import _configure_hooks  # usage callbacks register themselves here
from langchain_openai import AzureChatOpenAI, ChatOpenAI
from langgraph.errors import GraphBubbleUp, GraphInterrupt, is_invalid_resume
from langgraph.prebuilt.tool_node import _handle_tool_error, _infer_handled_types  # as ToolNode does it
from langgraph.store.base import BaseStore
from langgraph.types import Interrupt, _interrupt_id  # what an answer was to has no public name
from langsmith.run_helpers import tracing_context

ConfigurableModel = _ConfigurableModel
"""What `init_chat_model` gives when the model is chosen by the config."""

PREGEL_PREFIX = "__pregel_"
CONFIG_KEY_RUNTIME = "__pregel_runtime"
CONFIG_KEY_CALL = "__pregel_call"
CONFIG_KEY_SCRATCHPAD = "__pregel_scratchpad"
CONFIG_KEY_SEND = "__pregel_send"
CONFIG_KEY_RESUME_MAP = "__pregel_resume_map"
RESUME = "__resume__"
STOCK_AINVOKE = frozenset({BaseTool.ainvoke, StructuredTool.ainvoke, Tool.ainvoke})
STOCK_ARUN = frozenset({BaseTool._arun, StructuredTool._arun, Tool._arun})  # noqa: SLF001 - the stock bodies
STOCK_RUN = frozenset({StructuredTool._run, Tool._run})  # noqa: SLF001 - the stock bodies
STOCK_INVOKE = frozenset({BaseTool.invoke, StructuredTool.invoke, Tool.invoke})

STOCK_AGENERATE = frozenset({BaseChatModel._agenerate, SimpleChatModel._agenerate})  # noqa: SLF001 - the stock bodies


def is_control_flow(error: BaseException) -> bool:
    """Whether an exception is LangGraph steering (interrupt, parent command), not a failure."""
    return isinstance(error, GraphBubbleUp)


def end_quietly() -> NoReturn:
    """Inside a node: end it and all that would follow it, ask nobody, and let its siblings finish."""
    raise GraphInterrupt(())


def forgets_reasoning(model: BaseChatModel, arguments: Mapping[str, Any]) -> bool:
    """Whether the provider is not sent the reasoning of earlier messages, as OpenAI's chat completions."""
    if not isinstance(model, ChatOpenAI | AzureChatOpenAI) or getattr(model, "return_reasoning", False):
        return False
    if not type(model).__module__.startswith(("langchain_openai.", "specflow.")):
        return False  # a subclass for another provider may well send it
    return not model._use_responses_api(dict(arguments))  # noqa: SLF001 - no public way to ask for this


def only_synchronous(model: BaseChatModel) -> bool:
    """Whether `ainvoke` does nothing but run the synchronous body in a thread of the loop's own pool."""
    return type(model)._agenerate in STOCK_AGENERATE  # noqa: SLF001 - which body a model has shows only there


def is_wrong_answer(error: BaseException) -> bool:
    """Whether a run was resumed with a value that does not fit the question: it may be answered again."""
    return is_invalid_resume(error)


@dataclasses.dataclass(slots=True)
class Heard:
    """What `interrupt()` was called for. An answer is saved when it is said to be kept."""

    namespace: str = ""
    numbers: list[int] = dataclasses.field(default_factory=list)
    held: list[tuple[str, Any]] = dataclasses.field(default_factory=list)
    send: Callable[[list[tuple[str, Any]]], None] = lambda _writes: None

    @property
    def last(self) -> str:
        """The id of the interrupt it was called for last; of one that was answered nothing else tells it."""
        return _interrupt_id(self.namespace, self.numbers[-1]) if self.numbers else ""

    def keep(self) -> None:
        """The answer stands: LangGraph takes no other one for this interrupt."""
        held, self.held = self.held, []
        if held:
            self.send(held)


@contextmanager
def heard_interrupts() -> Iterator[Heard]:
    """Inside, `interrupt()` works as ever, but for when its answer is saved; what is yielded listens."""
    config = ensure_config()
    configurable = config.get("configurable") or {}
    scratchpad = configurable.get(CONFIG_KEY_SCRATCHPAD)
    if scratchpad is None:
        yield Heard()  # outside a graph nobody can be asked
        return
    heard = Heard(namespace=str(configurable.get("checkpoint_ns") or ""), send=configurable[CONFIG_KEY_SEND])

    def count() -> int:
        heard.numbers.append(scratchpad.interrupt_counter())
        return heard.numbers[-1]

    def send(writes: list[tuple[str, Any]]) -> None:
        heard.held += [write for write in writes if write[0] == RESUME]
        others = [write for write in writes if write[0] != RESUME]
        if others:
            heard.send(others)

    answers = _own_answers(scratchpad.resume, heard.namespace, configurable.get(CONFIG_KEY_RESUME_MAP))
    changed = {
        **configurable,
        CONFIG_KEY_SCRATCHPAD: dataclasses.replace(scratchpad, interrupt_counter=count, resume=answers),
        CONFIG_KEY_SEND: send,
    }
    token = var_child_runnable_config.set({**config, "configurable": changed})
    try:
        yield heard
    finally:
        var_child_runnable_config.reset(token)


def _own_answers(answers: list[Any], namespace: str, by_id: Mapping[str, Any] | None) -> list[Any]:
    """The answers of a task without one that was sent to its first interrupt, and is not that one's.

    LangGraph takes an answer to the first for one to whichever is open: sent twice, a yes to one question
    would be a yes to the next, which nobody has seen.
    """
    newest = len(answers) - 1
    if newest < 1 or not by_id:
        return answers
    own = _interrupt_id(namespace, newest) in by_id
    return answers[:-1] if not own and _interrupt_id(namespace, 0) in by_id else answers


def raised(error: BaseException) -> tuple[Interrupt[Any], ...]:
    """The interrupts that an exception carries."""
    return tuple(error.args[0]) if isinstance(error, GraphInterrupt) and error.args else ()


def interrupted_by(interrupts: tuple[Interrupt[Any], ...]) -> GraphInterrupt:
    """The exception that pauses the run with these."""
    return GraphInterrupt(interrupts)


def error_message(error: Exception, wanted: Any) -> str | None:
    """What a model is told of a tool's error; None where `wanted`, no bool or text, is not for its kind."""
    one = (wanted,) if isinstance(wanted, type) else wanted
    kinds = one if isinstance(one, tuple) else _infer_handled_types(one)
    return _handle_tool_error(error, flag=wanted) if isinstance(error, kinds) else None


def run_control(configurable: Mapping[str, Any]) -> object | None:
    """What LangGraph makes one of for each run, nested graphs included; None where it does not."""
    return getattr(configurable.get(CONFIG_KEY_RUNTIME), "control", None)


def config_parameter(function: Any) -> str | None:
    """The name of the parameter annotated RunnableConfig, or None."""
    return _get_runnable_config_param(function)


def formatted(content: Any) -> Any:
    """What LangChain makes of a tool's result: usually a ToolMessage."""
    return _format_output(content, None, "id", "tool", "success")


@contextmanager
def ambient_callback(handler: BaseCallbackHandler) -> Iterator[None]:
    """Every model called inside gets `handler` too, however it is wrapped, bound or configured."""
    merged = merge_configs(ensure_config(), {"callbacks": [handler]})
    token = var_child_runnable_config.set(merged)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


@contextmanager
def ambient_writer(write: Callable[[Any], None]) -> Iterator[None]:
    """`get_stream_writer()` inside gives `write`; nothing happens outside a graph."""
    config = ensure_config()
    configurable = config.get("configurable") or {}
    runtime = configurable.get(CONFIG_KEY_RUNTIME)
    if runtime is None:
        yield
        return
    changed = {**configurable, CONFIG_KEY_RUNTIME: runtime.override(stream_writer=write)}
    token = var_child_runnable_config.set({**config, "configurable": changed})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def store_and_writer() -> tuple[BaseStore | None, Callable[[Any], None]]:
    """Those of the node that is running; outside a graph no store, and a writer that writes nowhere."""
    runtime = (ensure_config().get("configurable") or {}).get(CONFIG_KEY_RUNTIME)
    if runtime is None:
        return None, lambda _event: None
    return runtime.store, runtime.stream_writer


class RunningLoop(Protocol):
    """What is read of the loop behind a run: its nodes, the state of its channels, its store."""

    nodes: Mapping[str, Any]
    channels: Mapping[str, Any]
    store: BaseStore | None


def running_loop_of(config: Mapping[str, Any]) -> RunningLoop | None:
    """The loop of the innermost graph that is running; None outside one, or where it cannot be found."""
    call = (config.get("configurable") or {}).get(CONFIG_KEY_CALL)
    schedule = getattr(call, "keywords", {}).get("schedule_task")
    found = getattr(schedule, "__self__", None)
    whole = all(hasattr(found, name) for name in ("nodes", "channels", "store"))
    return cast("RunningLoop", found) if whole else None


def run_context(config: Mapping[str, Any]) -> Any:
    """What the user gave as `context=`."""
    return getattr((config.get("configurable") or {}).get(CONFIG_KEY_RUNTIME), "context", None)


def untraced() -> AbstractContextManager[None]:
    """No tracing that is switched on by the environment."""
    return tracing_context(enabled=False)


def shielded_context(around: contextvars.Context | None = None) -> contextvars.Context:
    """A copy of a context (the current one) for early work: the user's values, none of the run's machinery.

    Callbacks, tracers and the graph's own keys are taken out (an early `interrupt()` must not swallow
    the user's resume value; tracers must not show phantom runs); `configurable` stays, so that the
    tenant and the user are who they were.
    """
    context = contextvars.copy_context() if around is None else around.copy()

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
