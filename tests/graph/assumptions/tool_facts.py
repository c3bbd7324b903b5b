"""Facts about tools and the node that runs them."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any

from fact import Fact
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tool_node
from langgraph.types import Command, Send, interrupt

from specflow.graph import compat, nodes
from specflow.graph.tool_errors import handled_as_without_wrapper
from specflow.graph.tools import spec_of


@tool
def look(x: str) -> str:
    """Look."""
    return f"saw {x}"


@tool
def stumble(x: str) -> str:
    """Fail."""
    raise KeyError(x)


def asked(*names: str) -> AIMessage:
    calls = [
        {"type": "tool_call", "name": name, "args": {"x": "a"}, "id": f"c{at}"}
        for at, name in enumerate(names)
    ]
    return AIMessage("", tool_calls=calls, id="m")


def graph_of(node: Any, **compiled: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("tools", node)
    builder.add_edge(START, "tools")
    return builder.compile(**compiled)


def run(node: Any, *names: str) -> list[Any]:
    return list(graph_of(node).invoke({"messages": [asked(*names)]})["messages"])


def requests_have_what_is_read() -> bool:
    seen: list[Any] = []

    def wrap(request: Any, handler: Any) -> Any:
        seen.append(request)
        other = request.override(tool=look, tool_call={**request.tool_call, "args": {"x": "b"}})
        return handler(other)

    last = run(ToolNode([look], wrap_tool_call=wrap), "look")[-1]
    (request,) = seen
    fields = request.tool is look and request.tool_call["id"] == "c0" and "messages" in request.state
    return bool(fields and request.runtime.config["metadata"] and last.content == "saw b")


def unregistered_tools_are_none() -> bool:
    seen: list[Any] = []

    def wrap(request: Any, handler: Any) -> Any:
        seen.append(request.tool)
        return handler(request)

    last = run(ToolNode([look], wrap_tool_call=wrap), "teleport")[-1]
    return seen == [None] and last.status == "error"


def interrupts_pass_wrappers() -> bool:
    def wrap(request: Any, handler: Any) -> Any:
        interrupt("may I?")
        return handler(request)

    graph = graph_of(
        ToolNode([look], wrap_tool_call=wrap, handle_tool_errors=True), checkpointer=InMemorySaver()
    )
    done = graph.invoke({"messages": [asked("look")]}, {"configurable": {"thread_id": "1"}})
    return bool(done.get("__interrupt__"))


def errors_are_asked_about_twice() -> bool:
    """Without our handler an error that is not to be handled becomes a message; with it, it is raised."""

    def wrap(request: Any, handler: Any) -> Any:
        return handler(request)

    def ends(given: Any) -> Any:
        try:
            return run(ToolNode([stumble], wrap_tool_call=wrap, handle_tool_errors=given), "stumble")[
                -1
            ].status
        except KeyError:
            return "raised"

    return (
        ends(handled_as_without_wrapper((ValueError,))) == "raised"
        and ends(handled_as_without_wrapper((KeyError,))) == "error"
    )


def hidden_arguments_are_told_by_the_schemas() -> bool:
    @tool
    def hidden(x: str, secret: Annotated[str, InjectedToolArg], config: RunnableConfig) -> str:
        """Hide."""
        return x

    spec = spec_of(hidden)
    return spec.injected == {"secret", "config"} and set(spec.parameters["properties"]) == {"x"}


def synchronous_tools_go_to_a_thread() -> bool:
    """`StructuredTool.ainvoke` without a coroutine calls `invoke` on a thread, past `_arun`."""
    threads: list[int] = []
    here = StructuredTool.from_function(
        lambda x: threads.append(threading.get_ident()) or x, name="here", description="Where."
    )
    arun: list[bool] = []

    class Seen(StructuredTool):
        async def _arun(self, *args: Any, **given: Any) -> Any:
            arun.append(True)
            return await super()._arun(*args, **given)

    seen = Seen(name="seen", description="Where.", func=here.func, args_schema=here.args_schema)
    asyncio.run(seen.ainvoke({"x": 1}))
    return threads != [threading.get_ident()] and not arun


def stock_bodies_are_known() -> bool:
    stock = compat.STOCK_AINVOKE, compat.STOCK_INVOKE, compat.STOCK_ARUN, compat.STOCK_RUN
    found = StructuredTool.ainvoke, StructuredTool.invoke, StructuredTool._arun, StructuredTool._run
    return all(one in known for one, known in zip(found, stock, strict=True)) and BaseTool._arun in stock[2]


def results_are_formatted_so() -> bool:
    made = compat.formatted({"a": 1})
    return isinstance(made, ToolMessage) and made.content == '{"a": 1}'


def config_parameters_are_found() -> bool:
    def takes(x: str, settings: RunnableConfig) -> str:
        return x

    return compat.config_parameter(takes) == "settings" and compat.config_parameter(look.func) is None  # type: ignore[attr-defined]


def each_send_is_a_task_of_its_own() -> bool:
    """One task with all calls repeats the finished ones on every resume; a task for each does not."""
    ran: list[str] = []

    @tool
    def pay(x: str) -> str:
        """Pay."""
        ran.append("pay")
        return x

    @tool
    def ask(x: str) -> str:
        """Ask."""
        return str(interrupt("?"))

    def resumed(fan_out: bool) -> int:
        ran.clear()
        builder = StateGraph(MessagesState)
        builder.add_node("model", lambda _state: {"messages": [asked("pay", "ask")]})
        builder.add_node("tools", ToolNode([pay, ask]))
        builder.add_edge(START, "model")
        if fan_out:
            builder.add_conditional_edges("model", nodes.fan_out, ["tools", "__end__"])
        else:
            builder.add_edge("model", "tools")
        graph: Any = builder.compile(checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "1"}}
        graph.invoke({"messages": []}, config)
        graph.invoke(Command(resume="yes"), config)
        return len(ran)

    return resumed(fan_out=True) == 1 and resumed(fan_out=False) == 2


def people_are_asked_call_by_call() -> bool:
    asking = HumanInTheLoopMiddleware(interrupt_on={"look": True}, interrupt_mode="per_call")
    node = ToolNode([look], wrap_tool_call=asking.wrap_tool_call)
    graph = graph_of(node, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    paused = graph.invoke({"messages": [asked("look")]}, config)
    (question,) = paused["__interrupt__"]
    done = graph.invoke(Command(resume={question.id: {"type": "approve"}}), config)
    return bool(done["messages"][-1].content == "saw a")


FACTS = [
    Fact(
        name="what a request has",
        says="ToolCallRequest has tool_call, tool, state, runtime.config and override()",
        used="specflow/graph/calling.py",
        mend="read these from where they are now",
        holds=requests_have_what_is_read,
        breaks=lambda m: m.setattr(tool_node.ToolCallRequest, "override", lambda self, **_given: self),
    ),
    Fact(
        name="unregistered tools are None",
        says="ToolCallRequest.tool is None for a tool that nobody registered",
        used="specflow/graph/calling.py (it is not run without a person)",
        mend="tell by tools_by_name",
        holds=unregistered_tools_are_none,
        breaks=lambda m: m.setattr(ToolNode, "tools_by_name", {"teleport": look, "look": look}),
    ),
    Fact(
        name="interrupts pass wrappers",
        says="interrupt() in a wrapper pauses the run, also with handle_tool_errors",
        used="specflow/graph/confirm.py",
        mend="an approval would become a message to the model: ask outside ToolNode",
        holds=interrupts_pass_wrappers,
        breaks=lambda m: m.setattr(tool_node, "GraphBubbleUp", type("Nobody", (BaseException,), {})),
    ),
    Fact(
        name="how errors are handled",
        says="ToolNode asks handle_tool_errors where the tool ran and again about its wrapper, "
        "with _infer_handled_types and _handle_tool_error",
        used="specflow/graph/tool_errors.py",
        mend="see what ToolNode._run_one does with an error of its wrapper",
        holds=errors_are_asked_about_twice,
        breaks=lambda m: m.setattr(tool_node, "_handle_tool_error", lambda _error, flag: "handled"),
    ),
    Fact(
        name="hidden arguments",
        says="injected arguments are in get_input_schema() and not in tool_call_schema",
        used="specflow/graph/tools.py (spec_of)",
        mend="find out which arguments a model is not shown: they must not be in fingerprints",
        holds=hidden_arguments_are_told_by_the_schemas,
        breaks=lambda m: m.setattr(
            BaseTool, "tool_call_schema", property(lambda self: self.get_input_schema())
        ),
    ),
    Fact(
        name="synchronous tools in asynchronous runs",
        says="StructuredTool.ainvoke sends a tool without coroutine to a thread, past _arun",
        used="specflow/graph/intercept.py (it goes by BaseTool.ainvoke instead)",
        mend="nothing is lost: intercept.py may then call the tool's own ainvoke",
        holds=synchronous_tools_go_to_a_thread,
        breaks=lambda m: m.setattr(StructuredTool, "ainvoke", BaseTool.ainvoke),
    ),
    Fact(
        name="stock bodies",
        says="invoke, ainvoke, _run and _arun of StructuredTool are those that compat lists",
        used="specflow/graph/intercept.py and tools.py",
        mend="list the classes that LangChain's tools are made of now",
        holds=stock_bodies_are_known,
        breaks=lambda m: m.setattr(StructuredTool, "ainvoke", lambda self: None),
    ),
    Fact(
        name="results are formatted so",
        says="_format_output makes a ToolMessage, with JSON, of a tool's result",
        used="specflow/graph/render.py",
        mend="find what LangChain makes of a result before a model sees it",
        holds=results_are_formatted_so,
        breaks=lambda m: m.setattr(compat, "_format_output", lambda *given: given[0]),
    ),
    Fact(
        name="config parameters",
        says="_get_runnable_config_param names the parameter that is annotated RunnableConfig",
        used="specflow/graph/intercept.py and tools.py (such a tool does not run early by itself)",
        mend="a tool that sees the user's config must not be shared: find its parameter another way",
        holds=config_parameters_are_found,
        breaks=lambda m: m.setattr(compat, "_get_runnable_config_param", lambda _function: None),
    ),
    Fact(
        name="a task for each Send",
        says="a ToolNode task with several calls makes all of them again on resume, a Send each does not",
        used="specflow/graph/nodes.py (fan_out) and examine.py",
        mend="if ToolNode repeats none of them now, fan_out is not needed",
        holds=each_send_is_a_task_of_its_own,
        breaks=lambda m: m.setattr(
            nodes, "fan_out", lambda _state: [Send("tools", {"messages": [asked("pay", "ask")]})]
        ),
    ),
    Fact(
        name="people are asked call by call",
        says='HumanInTheLoopMiddleware(interrupt_mode="per_call") asks in wrap_tool_call, and takes '
        '{"type": "approve"}',
        used="specflow/graph/confirm.py",
        mend="ask with interrupt() in the format that LangChain's middleware has now",
        holds=people_are_asked_call_by_call,
        breaks=lambda m: m.setattr(
            HumanInTheLoopMiddleware, "wrap_tool_call", lambda _self, request, handler: handler(request)
        ),
    ),
]


def _all_in_one(_state: Any) -> list[Send]:
    return [Send("tools", {"messages": [asked("pay", "ask")]})]
