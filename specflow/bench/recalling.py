"""What a prediction of `history` costs after 30 messages, and whether a longer conversation costs more."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from time import process_time

from specflow.bench.effort import Effort
from specflow.bench.paired import Measure, in_turn, paired
from specflow.bench.row import Row, row
from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.lesson import Lesson, Moment, train
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.predictor import HistoryItem, PastCall

BENCH = "history"
MESSAGES = 30
GOAL_MS = 1.0
_READS = ("find_customer", "get_customer", "get_order", "get_item", "track_parcel", "list_shops")
_WRITES = ("cancel_order", "change_address", "refund")
_THINGS = ("kettle", "lamp", "bicycle", "violin", "tent", "mirror", "carpet", "drill", "camera", "sofa")
_WANTED = {
    "find_customer": "email",
    "get_customer": "customer_id",
    "get_order": "order_id",
    "get_item": "item_id",
    "track_parcel": "parcel_id",
}


def rows(effort: Effort) -> Iterator[Row]:
    """Milliseconds of processor time for one prediction."""
    effort.tell("history: learning")
    lessons = [_lesson(seed, 40) for seed in range(effort.size(24, 6))]
    patterns = train(lessons, early=_READS.__contains__, epochs=2)
    effort.tell("history: predicting")
    yield from asyncio.run(_predictions(patterns, effort.pairs(9), effort.size(20, 2)))


async def _predictions(patterns: Patterns, rounds: int, seeds: int) -> list[Row]:
    talks = [_lesson(1_000 + seed, 2 * MESSAGES) for seed in range(seeds)]
    found = await in_turn(
        {
            "kept": _cost(patterns, talks, MESSAGES),
            "anew": _cost(patterns, talks, MESSAGES, anew=True),
            "short": _cost(patterns, talks, MESSAGES // 3),
            "long": _cost(patterns, talks, 2 * MESSAGES - 2),
        },
        rounds=rounds,
    )

    def told(case: str, ours: str, baseline: str, note: str) -> Row:
        return row(BENCH, case, "a prediction", "ms", paired(found[ours], found[baseline]), note=note)

    return [
        told(
            f"{MESSAGES} messages (goal {GOAL_MS:g} ms)",
            "kept",
            "anew",
            "baseline: the conversation read anew",
        ),
        told(f"{2 * MESSAGES - 2} messages", "long", "short", f"baseline: {MESSAGES // 3} messages"),
    ]


def _cost(patterns: Patterns, talks: Sequence[Lesson], messages: int, *, anew: bool = False) -> Measure:
    """Each conversation has come to so many messages, and what the model calls next is asked."""

    async def measure() -> float:
        spent = 0.0
        for talk in talks:
            dialogue, last = _told(patterns, talk, messages - 1)
            began = process_time()
            if anew:
                dialogue, last = _told(patterns, talk, messages - 1)
            dialogue.take(last)
            patterns.consider(dialogue, talk.tools, _READS.__contains__).chances()
            spent += process_time() - began
        return 1e3 * spent / len(talks)

    return measure


def _told(patterns: Patterns, talk: Lesson, messages: int) -> tuple[Dialogue, HistoryItem]:
    """The conversation so far, and the next message."""
    items = [item for moment in talk.moments for item in moment.new]
    dialogue = patterns.dialogue(talk.tools)
    for item in items[:messages]:
        dialogue.take(item)
    return dialogue, items[messages]


def _shop() -> ToolRegistry:
    def spec(name: str) -> ToolSpec:
        wanted = _WANTED.get(name, "order_id") if name != "list_shops" else ""
        fields = {wanted: {"type": "string"}} if wanted else {}
        return ToolSpec(name=name, parameters={"type": "object", "properties": fields, "required": [*fields]})

    return ToolRegistry(spec(name) for name in (*_READS, *_WRITES))


def _lesson(seed: int, messages: int) -> Lesson:
    """A conversation about a customer's orders, one after the other, with as many messages at least."""
    draw = random.Random(seed)  # noqa: S311 - repeatable on purpose, guards nothing
    said: list[HistoryItem] = []
    moments: list[Moment] = []
    known = 0

    def number(kind: str) -> str:
        return f"{kind}{draw.randrange(10**6, 10**7)}"

    def act(*calls: Call) -> None:
        nonlocal known
        moments.append(Moment(new=tuple(said[known:]), calls=calls))
        known = len(said)

    def call(tool: str, argument: str, answer: object) -> None:
        args = {_WANTED[tool]: argument}
        act(Call(tool=tool, args=args))
        past = PastCall(tool=tool, args=args, result=json.dumps(answer))
        said.append(HistoryItem(role="tool", text=past.result, call=past))

    email, customer = f"user{number('')}@post.example", number("C")
    said.append(HistoryItem(role="user", text=f"Where are my orders? My address is {email}."))
    call("find_customer", email, customer)
    orders = [number("W") for _ in range(messages // 3)]
    call("get_customer", customer, {"customer_id": customer, "name": "Ada Quist", "orders": orders})
    for order in orders:
        thing, item, parcel = draw.choice(_THINGS), number("I"), number("P")
        items = [{"item_id": number("I"), "name": other} for other in draw.sample(_THINGS, 3)]
        call(
            "get_order",
            order,
            {"order_id": order, "parcel_id": parcel, "items": [*items, {"item_id": item, "name": thing}]},
        )
        if draw.random() < 0.5:
            call("track_parcel", parcel, {"state": "on its way", "since": "2026-11-20"})
        else:
            call("get_item", item, {"item_id": item, "price": draw.randrange(10, 900), "name": thing})
        act()
        said.append(
            HistoryItem(role="assistant", text=f"The {thing} of {order} is on its way. And the next one?")
        )
        said.append(
            HistoryItem(role="user", text=draw.choice(("Yes, the next one, please.", f"And the {thing}?")))
        )
    return Lesson(moments=moments, tools=_shop(), task=str(seed))
