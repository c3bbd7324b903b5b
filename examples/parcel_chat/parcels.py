"""The carrier's records: slow to read."""

from __future__ import annotations

import asyncio
from typing import Any

PARCELS: dict[str, dict[str, Any]] = {
    "7731": {"order_id": "7731", "place": "the depot in Ghent", "reason": "the house number was missing"},
    "7732": {"order_id": "7732", "place": "the van of today", "reason": ""},
}


class Parcels:
    """Where parcels are. A read takes 3 seconds times `pace`; `read` are the orders, in that order."""

    def __init__(self, *, pace: float = 1.0) -> None:
        self.pace, self.read = pace, list[str]()

    async def find(self, order_id: str) -> dict[str, Any]:
        """Where the parcel of an order is.

        Raises:
            KeyError: there is none.
        """
        self.read.append(order_id)
        await asyncio.sleep(3.0 * self.pace)
        return PARCELS[order_id]
