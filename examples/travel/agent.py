"""The travel agent: an ordinary LangChain agent. What specflow adds to it is one line, the middleware.

rt = specflow.Runtime("policies/travel.yaml", tools=tools.everything, journal="sqlite:///specflow.db")
agent = travel_agent(model, tools.model, middleware=[rt.middleware()])
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, ToolCallRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from .desk import DeskError
from .seeds import SYSTEM


class TellTheModel(AgentMiddleware[Any, Any, Any]):
    """What the desk refuses becomes a message for the model, instead of the end of the run."""

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        try:
            return await handler(request)
        except DeskError as error:
            call = request.tool_call
            return ToolMessage(f"error: {error}", tool_call_id=call["id"], name=call["name"], status="error")


def travel_agent(
    model: BaseChatModel, tools: Sequence[BaseTool], *, middleware: Sequence[AgentMiddleware[Any, Any, Any]]
) -> Any:  # create_agent's own type has four parameters that nobody here has a use for
    """The compiled graph, with a checkpointer in memory: a question to a person needs one."""
    return create_agent(
        model,
        list(tools),
        system_prompt=SYSTEM,
        middleware=[TellTheModel(), *middleware],
        checkpointer=InMemorySaver(),
    )


def ask_before_charging() -> AgentMiddleware[Any, Any, Any]:
    """What the agent uses without specflow: LangChain's own question before the card is charged."""
    return HumanInTheLoopMiddleware(
        interrupt_on={"charge_card": {"allowed_decisions": ["approve", "reject"]}}, interrupt_mode="per_call"
    )
