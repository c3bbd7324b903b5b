"""The support agent: tools, a policy, one middleware. What a shop would write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, InjectedToolArg, tool
from langgraph.checkpoint.memory import InMemorySaver

import specflow as sf
from specflow.journal.event import Observer

from .shop import Shop, ShopError

POLICY = Path(__file__).with_name("policy.yaml")
SYSTEM = (
    "You help the customers of a shop. Look the order up, see what is in stock, reserve a replacement of the "
    "same colour, and refund the shipping of 9.90 euros when the customer was sent something broken."
)


def tools_of(shop: Shop) -> tuple[list[BaseTool], list[BaseTool]]:
    """What the agent may call, and what specflow needs to undo it and to find out about it."""

    @sf.read_only
    @tool
    async def find_order(order_id: Annotated[str, "order number, such as 1234"]) -> dict[str, Any]:
        """Find an order by its number."""
        return await shop.order(order_id)

    @sf.read_only
    @tool
    async def check_stock(title: Annotated[str, "what it is, such as Keyboard"]) -> list[dict[str, Any]]:
        """Check the stock for a kind of product: article numbers and colours."""
        return await shop.stock(title)

    @sf.compensatable(
        undo="release_item", idempotency_key="request_id", verify="find_reservation", not_done=(ShopError,)
    )
    @tool
    async def reserve_item(
        order_id: Annotated[str, "order number, such as 1234"],
        sku: Annotated[str, "article number, such as KB101"],
        request_id: Annotated[str, InjectedToolArg] = "",
    ) -> dict[str, Any]:
        """Reserve an article as the replacement for an order."""
        return await shop.reserve(order_id, sku, request_id)

    @sf.confirmation_required(idempotency_key="request_id", not_done=(ShopError,))
    @tool
    async def refund(
        order_id: str, amount: float, request_id: Annotated[str, InjectedToolArg] = ""
    ) -> dict[str, Any]:
        """Pay money back to the customer."""
        return await shop.refund(order_id, amount, request_id)

    @sf.confirmation_required
    @tool
    async def release_item(request_id: str) -> dict[str, Any]:
        """Put a reserved article back."""
        return await shop.release(request_id)

    @sf.read_only
    @tool
    async def find_reservation(request_id: str) -> dict[str, Any] | None:
        """The reservation made under a request id, or null."""
        return await shop.reservation(request_id)

    return [find_order, check_stock, reserve_item, refund], [release_item, find_reservation]


def agent_of(model: BaseChatModel, tools: list[BaseTool], rt: sf.Runtime | None) -> Any:
    """An ordinary agent. With a runtime the policy says what is asked about; else LangChain's middleware."""
    asking: AgentMiddleware[Any, Any, Any] = (
        rt.middleware()
        if rt is not None
        else HumanInTheLoopMiddleware(interrupt_on={"refund": True}, interrupt_mode="per_call")
    )
    return create_agent(model, tools, system_prompt=SYSTEM, middleware=[asking], checkpointer=InMemorySaver())


async def support(
    question: str,
    *,
    model: BaseChatModel,
    shop: Shop,
    journal: str,
    speculative: bool = True,
    ask: Callable[[Any], Any] | None = None,
    observers: Iterable[Observer] = (),
) -> str:
    """Answer one customer. `ask` answers for the person at the terminal; None asks there."""
    tools, behind = tools_of(shop)
    thread: Any = {"configurable": {"thread_id": "support"}}
    async with sf.Runtime(POLICY, tools=[*tools, *behind], journal=journal, observers=observers) as rt:
        agent = agent_of(model, tools, rt if speculative else None)
        result = await agent.ainvoke({"messages": [("user", question)]}, thread)
        result = await sf.aconfirm(agent, result, thread, ask=ask)
    return str(result["messages"][-1].text)
