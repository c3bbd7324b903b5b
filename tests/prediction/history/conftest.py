"""A small shop with customers that no two conversations share, and an agent that always does the same."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.history.lesson import Lesson, Moment
from specflow.prediction.predictor import HistoryItem, PastCall

FIRST = "Ada Bo Cleo Dora Egon Fritz Gerd Hanna Ida Jonas Kaja Liv Mona Nils Ola Pia".split()  # noqa: SIM905 - reads better
LAST = "Quist Roth Stein Thorn Ulm Voss Wolff Xaver Yilmaz Zorn Albers Brandt Conrad Decker".split()  # noqa: SIM905 - reads better
THINGS = "kettle, lamp, bicycle, violin, tent, mirror, carpet, drill, camera, anvil, sofa, globe".split(", ")  # noqa: SIM905 - reads better


def schema(**properties: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
    }


def shop() -> ToolRegistry:
    return ToolRegistry(
        [
            ToolSpec(name="find_customer", parameters=schema(email="string")),
            ToolSpec(name="get_customer", parameters=schema(customer_id="string")),
            ToolSpec(name="get_order", parameters=schema(order_id="string")),
            ToolSpec(name="check_stock", parameters=schema(item_id="integer", shop="string")),
            ToolSpec(name="cancel_order", parameters=schema(order_id="string")),
        ]
    )


READS = frozenset({"find_customer", "get_customer", "get_order", "check_stock"})


@dataclass
class Talk:
    """A conversation while it is being made: what was said, and the moments of it."""

    history: list[HistoryItem]
    moments: list[Moment]
    known: int = 0

    def user(self, text: str) -> None:
        self.history.append(HistoryItem(role="user", text=text))

    def reply(self, text: str) -> None:
        self._moment()
        self.history.append(HistoryItem(role="assistant", text=text))

    def call(self, tool: str, result: Any, **args: Any) -> None:
        text = result if isinstance(result, str) else json.dumps(result)
        self._moment(Call(tool=tool, args=args))
        past = PastCall(tool=tool, args=args, result=text)
        self.history.append(HistoryItem(role="tool", text=text, call=past))

    def _moment(self, *calls: Call) -> None:
        self.moments.append(Moment(new=tuple(self.history[self.known :]), calls=calls))
        self.known = len(self.history)


def conversation(seed: int) -> Talk:
    chance = random.Random(seed)
    first, last = chance.choice(FIRST), chance.choice(LAST)
    email = f"{first}.{last}{chance.randrange(100, 999)}@post.example".lower()
    customer = f"{first}_{last}_{chance.randrange(1000, 9999)}".lower()
    orders = [f"#W{chance.randrange(10**6, 10**7)}" for _ in range(3)]
    things = chance.sample(THINGS, 3)
    items = [chance.randrange(10**9, 10**10) for _ in range(3)]
    place = f"S{chance.randrange(100, 999)}"
    talk = Talk([], [])
    talk.user(f"Hello, my order with the {things[0]} has not come. My email is {email}.")
    talk.call("find_customer", customer, email=email)
    talk.call(
        "get_customer", {"customer_id": customer, "orders": orders, "home_shop": place}, customer_id=customer
    )
    talk.call("get_order", _order(orders[0], items[0], things[0]), order_id=orders[0])
    talk.reply(f"I see the {things[0]} in it. Shall I look whether it is in stock?")
    talk.user("Yes, please do.")
    talk.call("check_stock", {"free": chance.randrange(9)}, item_id=items[0], shop=place)
    talk.reply("It is. Anything else?")
    talk.user("Cancel it, please, I do not want it any more.")
    talk.call("cancel_order", {"status": "cancelled"}, order_id=orders[0])
    talk.reply("Done.")
    return talk


def _order(order: str, item: int, thing: str) -> dict[str, Any]:
    return {"order_id": order, "status": "pending", "items": [{"item_id": item, "name": thing.title()}]}


def lesson(seed: int, task: str = "") -> Lesson:
    return Lesson(moments=conversation(seed).moments, tools=shop(), task=task or str(seed))


@dataclass(frozen=True)
class Kit:
    """What the tests of this folder share."""

    reads: frozenset[str] = READS

    def shop(self) -> ToolRegistry:
        return shop()

    def early(self, name: str) -> bool:
        return name in READS

    def conversation(self, seed: int) -> Talk:
        return conversation(seed)

    def lessons(self, seeds: Sequence[int]) -> list[Lesson]:
        return [lesson(seed) for seed in seeds]


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()
