"""One question to one person, for both runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from specflow.effects.call import canonical_json

Ask = Callable[[Mapping[str, Any]], Awaitable[bool]]
"""Asks a person about an approval request (LangChain's per-call format); True is yes."""


class Approval:
    """Asks once about each call, whichever run comes first, and gives the same answer to both."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._lock = asyncio.Lock()
        self._answers: dict[str, bool] = {}

    async def decide(self, request: Mapping[str, Any]) -> dict[str, str]:
        """The decision on one approval request, in LangChain's human-in-the-loop format."""
        key = canonical_json([request.get("name"), request.get("args")])
        async with self._lock:
            if key not in self._answers:
                self._answers[key] = await self._ask(request)
        if self._answers[key]:
            return {"type": "approve"}
        return {"type": "reject", "message": "the customer declined the charge"}


async def say_yes(request: Mapping[str, Any]) -> bool:
    """For `--yes`."""
    return True


async def say_no(request: Mapping[str, Any]) -> bool:
    """For a run that nobody watches: money is never spent on a question that was not answered."""
    print(
        f"{request.get('name')} needs a yes and there is no terminal to ask: declined (--yes approves)",
        file=sys.stderr,
    )
    return False
