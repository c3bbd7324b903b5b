"""What the benches work with: a help desk's tools, its policy, and a model that thinks aloud."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from langchain_core.tools import BaseTool, StructuredTool

import specflow as sf

POLICY = """
version: 1
defaults: {timeout: 60s, speculation: {max_per_minute: 100000, max_wasted_share: 1}}
tools:
  look_up_order: {effect: read_only, speculate: now, reads: ["order:{args.order_id}"]}
  find_customer: {effect: read_only, speculate: now, reads: ["customer:{args.email}"]}
  list_shipments: {effect: read_only, speculate: now, reads: ["order:{args.order_id}"]}
  product_details: {effect: read_only, speculate: now, reads: ["product:{args.product_id}"]}
  search_articles: {effect: read_only, speculate: now, reads: ["articles:all"]}
  exchange_rate: {effect: read_only, speculate: now, reads: ["rates:{args.source}"]}
  change_address: {effect: confirmation_required, confirm: host}
  refund_order: {effect: confirmation_required, confirm: host}
  send_message: {effect: confirmation_required, confirm: host}
"""

_THOUGHTS = (
    "The customer seems to be worried about the parcel that was promised for last week.",
    "There are two possibilities here, and neither of them is settled by what has been said so far.",
    "A refund would be too early as long as nobody knows where the goods are.",
    "If the address was wrong, the carrier would have sent a notice about it.",
    "The rules say that an exchange is possible within thirty days of delivery.",
    "On the other hand, the price has changed since then, which makes an exchange more difficult.",
    "It may be that the payment was made twice, although the message does not say so.",
    "The tone of the message is friendly, so there is no reason to hurry the answer.",
    "What matters most is that the information given is correct and complete.",
    "Perhaps the second item was never in stock, and the order was split because of that.",
)


class _Desk:
    """The bodies of the tools: each takes its time and answers by formula."""

    def __init__(self, latency: float) -> None:
        self._latency = latency

    async def look_up_order(self, order_id: str) -> dict[str, Any]:
        """Look up an order with its items, its payments and its state. Order ids look like A-10432."""
        return await self._answer(order_id=order_id)

    async def find_customer(self, email: str, active_only: bool = True) -> dict[str, Any]:
        """Find the customer with this e-mail address."""
        return await self._answer(email=email, active_only=active_only)

    async def list_shipments(self, order_id: str, limit: int = 10) -> dict[str, Any]:
        """List the shipments of an order with carrier, tracking number and dates."""
        return await self._answer(order_id=order_id, limit=limit)

    async def product_details(
        self, product_id: str, currency: Literal["EUR", "USD", "GBP"] = "EUR"
    ) -> dict[str, Any]:
        """Show the description, the price and the stock of a product."""
        return await self._answer(product_id=product_id, currency=currency)

    async def search_articles(self, query: str, language: str = "en", limit: int = 5) -> dict[str, Any]:
        """Search the help centre's articles for a question."""
        return await self._answer(query=query, language=language, limit=limit)

    async def exchange_rate(self, source: str, target: str, date: str = "") -> dict[str, Any]:
        """Tell the exchange rate between two currencies on a day, today if none is given."""
        return await self._answer(source=source, target=target, date=date)

    async def change_address(self, order_id: str, street: str, city: str, postcode: str) -> dict[str, Any]:
        """Change the delivery address of an order that has not been sent."""
        return await self._answer(order_id=order_id, street=street, city=city, postcode=postcode)

    async def refund_order(self, order_id: str, amount: float, reason: str) -> dict[str, Any]:
        """Pay back an amount of an order to the customer's card."""
        return await self._answer(order_id=order_id, amount=amount, reason=reason)

    async def send_message(self, customer_id: str, subject: str, body: str) -> dict[str, Any]:
        """Send a message to a customer."""
        return await self._answer(customer_id=customer_id, subject=subject, body=body)

    async def _answer(self, **fields: Any) -> dict[str, Any]:
        if self._latency:
            await asyncio.sleep(self._latency)
        return {**fields, "status": "found"}


def tools(latency: float = 0.0) -> list[BaseTool]:
    """The desk's tools; each takes `latency` seconds."""
    desk = _Desk(latency)
    bodies = (
        desk.look_up_order,
        desk.find_customer,
        desk.list_shipments,
        desk.product_details,
        desk.search_articles,
        desk.exchange_rate,
        desk.change_address,
        desk.refund_order,
        desk.send_message,
    )
    return [StructuredTool.from_function(coroutine=body) for body in bodies]


def musing(words: int, *, seed: int = 0, opening: str = "") -> str:
    """About `words` words of reasoning that announce nothing but what `opening` says."""
    draw = random.Random(seed)  # noqa: S311 - repeatable on purpose, guards nothing
    said, count = [opening] if opening else [], len(opening.split())
    while count < words:
        sentence = draw.choice(_THOUGHTS)
        said.append(sentence)
        count += len(sentence.split())
    return " ".join(said)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder with the desk's policy that is gone afterwards; TMPDIR says on which disk."""
    with TemporaryDirectory(prefix="specflow-bench-") as name:
        made = Path(name)
        (made / "policy.yaml").write_text(POLICY, encoding="utf-8")
        yield made


def runtime(place: Path, offered: Sequence[BaseTool], name: str, **options: Any) -> sf.Runtime:
    """A runtime for these tools, as a user makes it, with a journal of its own in the folder."""
    return sf.Runtime(place / "policy.yaml", tools=offered, journal=f"sqlite:///{place / name}.db", **options)
