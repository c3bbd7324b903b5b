"""What the scripted model thinks and says: a function of the conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from specflow.testing.model_server import CallPlan, Reply

QUESTION = "The headphones of my order 1042 arrived broken. I would like new ones, and my shipping back."


def script(messages: Sequence[Mapping[str, Any]]) -> Reply:
    """The reply to a conversation."""
    told = [json.loads(message["content"]) for message in messages if _is_data(message)]
    turn = sum(message.get("role") == "assistant" for message in messages)
    if turn == 0:
        return Reply(
            reasoning=(
                "I'll find order 1042. Also I'll check the stock for Headphones, as there may be some left. "
                "The customer is right to be annoyed, and the answer should be short and kind. Nothing else "
                "is to be known before that; the address is the one of the order."
            ),
            calls=(
                CallPlan("find_order", {"order_id": "1042"}),
                CallPlan("check_stock", {"title": "Headphones"}),
            ),
            seconds=2.2,
        )
    if turn == 1:
        order, stock = told
        same = next(item["sku"] for item in stock if item["sku"] == order["sku"])
        other = next(item["sku"] for item in stock if item["sku"] != order["sku"])
        return Reply(
            reasoning=(
                f"I'll reserve item {other} for order 1042. It stands at the top of the list, it is the same "
                "model, and the warehouse has plenty of them, so it could leave today, which counts most "
                "for somebody who has waited; the colour might be taken for a detail, and often is one. "
                f"Wait, no, the customer had a black one, and {other} is white. "
                f"I'll reserve item {same} for order 1042 instead. That is the colour of the order, it is "
                "there as well, and nobody has to be asked, nor to send anything back a second time. "
                "The rest is only money, and comes after that."
            ),
            calls=(CallPlan("reserve_item", {"order_id": "1042", "sku": same}),),
            seconds=3.6,
        )
    if turn == 2:
        return Reply(
            reasoning="The shipping is to be paid back now.",
            calls=(CallPlan("refund", {"order_id": "1042", "amount": 9.9}),),
            seconds=0.5,
        )
    paid = any(isinstance(item, dict) and item.get("status") == "refunded" for item in told)
    money = "9.90 EUR are on their way back to you" if paid else "the shipping could not be paid back"
    sent = next(item["sku"] for item in told if isinstance(item, dict) and item.get("status") == "reserved")
    answer = f"I am sorry about that. New headphones ({sent}) are reserved for you, and {money}."
    return Reply(text=answer, seconds=0.4)


def _is_data(message: Mapping[str, Any]) -> bool:
    return message.get("role") == "tool" and str(message["content"])[:1] in {"{", "["}
