"""A place among the early calls that run: taken until everything begun for it has really ended.

A cancelled body may go on all the same: one that ignores its cancellation is left behind after a while, and
a thread cannot be cancelled at all. What it was called for still bears the load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from specflow.effects.call import Call
from specflow.effects.tool import CallContext, Runner

_slot: ContextVar[Slot | None] = ContextVar("specflow_slot", default=None)


class Slot:
    """`freed` is called once, when nothing holds it any more. Belongs to one event loop."""

    def __init__(self, freed: Callable[[], None]) -> None:
        self._held: set[asyncio.Future[Any]] = set()
        self._freed = freed

    def hold(self, future: asyncio.Future[Any]) -> None:
        """It is taken at least until that is done."""
        if future not in self._held:
            self._held.add(future)
            future.add_done_callback(self._let_go)

    def _let_go(self, future: asyncio.Future[Any]) -> None:
        self._held.discard(future)
        if not self._held:
            self._freed()


def occupying(runner: Runner, slot: Slot) -> Runner:
    """The runner, which takes the slot until its body has ended, wherever it was left."""

    async def run(call: Call, context: CallContext) -> Any:
        body = asyncio.current_task()
        if body is not None:
            slot.hold(body)
        _slot.set(slot)
        return await runner(call, context)

    return run


def hold_slot(future: asyncio.Future[Any]) -> None:
    """The early call that is being made here, if it is one, goes on at least until that is done."""
    slot = _slot.get()
    if slot is not None:
        slot.hold(future)
