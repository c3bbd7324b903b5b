"""Every kind of tool that users hand to a ToolNode, and the calls that show how each behaves."""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import enum
import threading
import warnings
from typing import Annotated, Any

from langchain_core.callbacks import Callbacks, adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import RemoveMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import (
    BaseTool,
    InjectedToolArg,
    InjectedToolCallId,
    StructuredTool,
    Tool,
    ToolException,
    tool,
)
from langgraph.config import get_config, get_store, get_stream_writer
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.store.base import BaseStore
from langgraph.types import Command, Send
from pydantic import BaseModel, Field

USER = contextvars.ContextVar("user", default="nobody")
Id = Annotated[str, InjectedToolCallId]


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Stay(BaseModel):
    """A stay."""

    city: str
    nights: int = 1


def failing() -> list[Any]:
    """Tools that fail in the ways in which tools fail."""

    @tool
    def value_error(x: int) -> str:
        """Fail with a ValueError."""
        raise ValueError(f"no {x}", 7)

    @tool
    def key_error(x: int) -> str:
        """Fail with a KeyError, caused by another one, with a note."""
        try:
            raise OSError("down")  # noqa: TRY301 - a cause is wanted
        except OSError as error:
            failure = KeyError(x)
            failure.add_note("have you tried another key?")
            raise failure from error

    @tool
    async def async_error(x: int) -> str:
        """Fail in a coroutine."""
        await asyncio.sleep(0)
        raise LookupError(x)

    async_error.func = value_error.func  # type: ignore[attr-defined]  # a StructuredTool

    @tool
    def tool_exception(x: int) -> str:
        """Fail politely; nobody listens."""
        raise ToolException(f"politely {x}")

    def told() -> Any:
        return StructuredTool.from_function(tool_exception.func, description="Fail.", name="x")  # type: ignore[attr-defined]

    handled = []
    for name, how in (("told_true", True), ("told_text", "so what"), ("told_call", lambda e: f"<{e}>")):
        made = told()
        made.name, made.handle_tool_error = name, how
        handled.append(made)
    for name, how in (
        ("valid_true", True),
        ("valid_text", "bad"),
        ("valid_call", lambda e: type(e).__name__),
    ):
        made = told()
        made.name, made.handle_validation_error = name, how
        handled.append(made)
    return [value_error, key_error, async_error, tool_exception, *handled]


def answering() -> list[Any]:
    """Tools by the form of what they return."""

    @tool
    def text(x: int) -> str:
        """Text."""
        return f"text {x}"

    @tool
    def number(x: int) -> float:
        """A number."""
        return x / 3

    @tool
    def nothing(x: int) -> None:
        """Nothing."""

    @tool
    def mapping(x: int) -> dict[str, Any]:
        """A mapping, with umlauts."""
        return {"ä": [x, None, True], "when": {"deep": (1, 2)}}

    @tool
    def strange(x: int) -> Any:
        """What JSON does not know."""
        return {dt.date(2026, 1, x): Size.SMALL}

    @tool
    def model(x: int) -> Stay:
        """A pydantic model."""
        return Stay(city="Rome", nights=x)

    @tool
    def blocks(x: int) -> list[dict[str, Any]]:
        """Content blocks."""
        return [{"type": "text", "text": f"block {x}"}, {"type": "image_url", "image_url": {"url": "data:,"}}]

    @tool
    def messages(x: int, tool_call_id: Id) -> ToolMessage:
        """A message, with all that a message can have."""
        content = [f"line {x}", {"type": "text", "text": "two"}]
        return ToolMessage(
            content, tool_call_id=tool_call_id, name="renamed", status="error", artifact={"raw": {1, 2}}
        )

    @tool
    def odd_message(x: int) -> ToolMessage:
        """A message for another call."""
        return ToolMessage("for somebody else", tool_call_id="another", additional_kwargs={"k": x})

    @tool(response_format="content_and_artifact")
    def pair(x: int) -> tuple[str, Any]:
        """Content and artifact."""
        return f"pair {x}", {"raw": (1, {"y": object})}

    @tool(response_format="content_and_artifact")
    def no_pair(x: int) -> Any:
        """Says that it returns a pair."""
        return f"no pair {x}"

    @tool(return_direct=True)
    def direct(x: int) -> str:
        """The last word."""
        return f"direct {x}"

    return [
        text,
        number,
        nothing,
        mapping,
        strange,
        model,
        blocks,
        messages,
        odd_message,
        pair,
        no_pair,
        direct,
    ]


def steering() -> list[Any]:
    """Tools that return Commands."""

    def said(tool_call_id: str, text: str = "said") -> ToolMessage:
        return ToolMessage(text, tool_call_id=tool_call_id)

    @tool
    def update(x: int, tool_call_id: Id) -> Command[Any]:
        """Change the state."""
        return Command(update={"mood": f"good {x}", "messages": [said(tool_call_id)]})

    @tool
    def goto(x: int, tool_call_id: Id) -> Command[Any]:
        """Go elsewhere."""
        return Command(update={"messages": [said(tool_call_id)]}, goto="elsewhere")

    @tool
    def goto_many(x: int, tool_call_id: Id) -> Command[Any]:
        """Go elsewhere, twice."""
        sends = [Send("elsewhere", {"visited": [], "messages": []}), Send("elsewhere", {"messages": []})]
        return Command(update={"messages": [said(tool_call_id)]}, goto=sends)

    @tool
    def parent(x: int, tool_call_id: Id) -> Command[Any]:
        """Leave this graph."""
        return Command(
            graph=Command.PARENT, goto="outside", update={"mood": "left", "messages": [said(tool_call_id)]}
        )

    @tool
    def parent_send(x: int) -> Command[Any]:
        """Leave this graph by Send."""
        return Command(graph=Command.PARENT, goto=[Send("outside", {"visited": [], "messages": []})])

    @tool
    def silent(x: int) -> Command[Any]:
        """Forget the message that every call must be answered with."""
        return Command(update={"mood": "silent"})

    @tool
    def listed(x: int, tool_call_id: Id) -> Command[Any]:
        """An update that is a list."""
        return Command(update=[said(tool_call_id)])

    @tool
    def pairs(x: int, tool_call_id: Id) -> Command[Any]:
        """A message given as a dictionary."""
        message = {"type": "tool", "content": "as a dict", "tool_call_id": tool_call_id}
        return Command(update={"messages": [message]})

    @tool
    def several(x: int, tool_call_id: Id) -> list[Any]:
        """Commands and a message."""
        return [Command(update={"mood": "first"}), said(tool_call_id), Command(goto="elsewhere")]

    @tool
    def twice(x: int, tool_call_id: Id) -> list[Any]:
        """Two answers to one call."""
        return [said(tool_call_id), Command(update={"messages": [said(tool_call_id)]})]

    @tool
    def mixed(x: int, tool_call_id: Id) -> list[Any]:
        """A list of which half is no message."""
        return [said(tool_call_id), "and text"]

    @tool
    def forget(x: int) -> Command[Any]:
        """Remove all messages."""
        return Command(update={"messages": [RemoveMessage(id="__remove_all__")]})

    @tool
    def resume(x: int, tool_call_id: Id) -> Command[Any]:
        """No update at all."""
        return Command(goto="elsewhere")

    return [
        update, goto, goto_many, parent, parent_send, silent, listed, pairs, several, twice, mixed, forget,
        resume,
    ]  # fmt: skip


def injected() -> list[Any]:
    """Tools that are given more than the model says."""

    @tool
    def whole(x: int, state: Annotated[Any, InjectedState]) -> str:
        """The whole state."""
        known = state if isinstance(state, dict) else vars(state)
        return f"{x} {type(state).__name__} {len(known['messages'])} {known.get('mood')}"

    @tool
    def part(x: int, mood: Annotated[str, InjectedState("mood")]) -> str:
        """A field of the state that is not always there."""
        return f"{x} {mood}"

    @tool
    def optional(x: int, mood: Annotated[str, InjectedState("mood")] = "unknown") -> str:
        """A field of the state, with a default."""
        return f"{x} {mood}"

    @tool
    def stored(x: int, store: Annotated[BaseStore, InjectedStore()]) -> str:
        """The store."""
        found = store.get(("things",), "one")
        store.put(("things",), "two", {"x": x})
        return (
            f"{x} {found.value if found else None} {sorted(item.key for item in store.search(('things',)))}"
        )

    @tool
    def surrounded(x: int, runtime: ToolRuntime) -> dict[str, Any]:
        """The runtime."""
        runtime.stream_writer({"progress": x})
        return {
            "x": x,
            "id": runtime.tool_call_id,
            "context": runtime.context,
            "mood": runtime.state.get("mood") if isinstance(runtime.state, dict) else "?",
            "tools": sorted(item.name for item in getattr(runtime, "tools", None) or []),
            "tags": runtime.config.get("tags"),
            "who": (runtime.config.get("metadata") or {}).get("who"),
            "user": runtime.config["configurable"].get("user"),
            "store": runtime.store is not None,
        }

    @tool
    async def asurrounded(x: int, runtime: ToolRuntime, config: RunnableConfig) -> dict[str, Any]:
        """The runtime, asynchronously."""
        await adispatch_custom_event("here", {"x": x}, config=config)
        found = await runtime.store.aget(("things",), "one") if runtime.store else None
        return {"id": runtime.tool_call_id, "found": found.value if found else None}

    asurrounded.func = surrounded.func  # type: ignore[attr-defined]  # a StructuredTool

    @tool
    def identified(x: int, tool_call_id: Id) -> str:
        """The id of the call."""
        return f"{x} {tool_call_id}"

    @tool
    def configured(x: int, config: RunnableConfig) -> dict[str, Any]:
        """The config."""
        dispatch_custom_event("there", {"x": x}, config=config)
        return {
            "tags": config.get("tags"),
            "who": (config.get("metadata") or {}).get("who"),
            "user": config["configurable"].get("user"),
            "node": (config.get("metadata") or {}).get("langgraph_node"),
            "callbacks": type(config.get("callbacks")).__name__,
            "recursion": config.get("recursion_limit"),
        }

    @tool
    def called_back(x: int, callbacks: Callbacks = None) -> str:
        """The run's callbacks."""
        return f"{x} {type(callbacks).__name__}"

    @tool
    def ambient(x: int) -> dict[str, Any]:
        """What is asked of the surroundings."""
        get_stream_writer()({"ambient": x})
        found = get_store().get(("things",), "one")
        return {
            "user": get_config()["configurable"].get("user"),
            "who": get_config()["metadata"].get("who"),
            "found": found.value if found else None,
            "variable": USER.get(),
        }

    @tool
    def hidden(x: int, secret: Annotated[str, InjectedToolArg] = "none given") -> str:
        """An argument that the model is not shown."""
        return f"{x} {secret}"

    @tool
    def everything(  # noqa: PLR0917 - all that there is to inject
        x: int,
        state: Annotated[dict[str, Any], InjectedState],
        store: Annotated[BaseStore, InjectedStore()],
        tool_call_id: Id,
        runtime: ToolRuntime,
        config: RunnableConfig,
    ) -> str:
        """All at once."""
        return f"{x} {len(state['messages'])} {tool_call_id} {runtime.tool_call_id} {config['tags']}"

    return [
        whole, part, optional, stored, surrounded, asurrounded, identified, configured, called_back, ambient,
        hidden, everything,
    ]  # fmt: skip


def made() -> list[Any]:
    """Tools by how they are made."""

    async def coroutine_only(x: int) -> str:
        """Only a coroutine."""
        await asyncio.sleep(0)
        return f"coroutine {x} {threading.current_thread() is threading.main_thread()}"

    def function_only(x: int) -> str:
        """Only a function."""
        return f"function {x} {USER.get()}"

    def both(x: int) -> str:
        return f"both {x}"

    async def aboth(x: int) -> str:
        return f"both {x}"

    class Written(BaseTool):
        """A class."""

        name: str = "written"
        description: str = "A class."
        greeting: str = "hello"

        def _run(self, x: int, run_manager: Any = None) -> str:
            return f"{self.greeting} {x} {type(run_manager).__name__}"

    class WrittenTwice(Written):
        name: str = "written_twice"

        async def _arun(self, x: int, config: RunnableConfig, run_manager: Any = None) -> str:
            return f"a{self.greeting} {x} {config.get('tags')} {type(run_manager).__name__}"

    class Entered(Written):
        """With an entrance of its own."""

        name: str = "entered"

        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - LangChain's
            answer = super().invoke(input, config, **kwargs)
            answer.content = f"[{answer.content}]"
            return answer

        async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - same
            answer = await super().ainvoke(input, config, **kwargs)
            answer.content = f"[a {answer.content}]"
            return answer

    class Grown(StructuredTool):
        """A subclass of the stock class."""

        def _run(self, *args: Any, config: RunnableConfig, run_manager: Any = None, **kwargs: Any) -> Any:
            return f"grown {super()._run(*args, config=config, run_manager=run_manager, **kwargs)}"

    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}

    def loose(**given: Any) -> str:
        return f"loose {given}"

    class Rich(BaseModel):
        """Arguments that are coerced and filled in."""

        x: int = Field(ge=0)
        size: Size = Size.LARGE
        when: dt.date | None = None
        stays: list[Stay] = Field(default_factory=lambda: [Stay(city="Oslo")])

    def rich(**given: Any) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in sorted(given.items()))

    @tool
    def greedy(x: int, many: list[int]) -> str:
        """Change its own arguments."""
        many.append(x)
        return f"greedy {many}"

    @tool
    def variadic(x: int, *rest: int, **more: int) -> str:
        """Stars."""
        return f"{x} {rest} {more}"

    chain = RunnableLambda(lambda given: f"chain {given['x']}").with_types(input_type=dict[str, int])
    single = Tool(name="single", description="One text.", func=lambda text: f"single {text}")
    tagged = StructuredTool.from_function(
        function_only, name="tagged", description="With tags.", tags=["t"], metadata={"m": 1}
    )
    quiet = StructuredTool.from_function(
        lambda x: f"quiet {x}", name="quiet", description="By schema.", args_schema=schema
    )

    def just_a_function(x: int) -> str:
        """No tool yet."""
        return f"plain {x}"

    return [
        StructuredTool.from_function(coroutine=coroutine_only, name="coroutine_only"),
        StructuredTool.from_function(function_only, name="function_only"),
        StructuredTool.from_function(both, aboth, name="both", description="Both."),
        Written(), WrittenTwice(), Entered(), just_a_function,
        Grown.from_function(function_only, name="grown", description="Grown."),
        StructuredTool(name="loose", description="By schema.", args_schema=schema, func=loose),
        StructuredTool.from_function(rich, name="rich", description="Rich.", args_schema=Rich),
        greedy, variadic, single, tagged, quiet,
        _quietly(lambda: chain.as_tool(name="chain", description="A chain.", arg_types={"x": int})),
    ]  # fmt: skip


def _quietly(make: Any) -> Any:
    """It warns that it is in beta; users have it all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()
