"""Which effects the code at hand is a part of: an agent that is called as a tool is in its caller's effect.

What the caller's effect claims must not be in the way of what it consists of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from specflow.effects.call import Call
from specflow.effects.tool import CallContext, Runner

_INSIDE: ContextVar[tuple[str, ...]] = ContextVar("specflow_inside", default=())


_IN_TRANSACTION: set[str] = set()


def inside() -> tuple[str, ...]:
    """Ids of the effects that are being made around us, the outermost first."""
    return _INSIDE.get()


def in_transaction() -> str:
    """Id of the effect around us that is being made in a transaction of the journal's, or nothing."""
    return next((effect_id for effect_id in inside() if effect_id in _IN_TRANSACTION), "")


@contextmanager
def holding_transaction(effect_id: str) -> Iterator[None]:
    """While that effect is being made in a transaction."""
    _IN_TRANSACTION.add(effect_id)
    try:
        yield
    finally:
        _IN_TRANSACTION.discard(effect_id)


@contextmanager
def being_inside(effects: tuple[str, ...]) -> Iterator[None]:
    """For another thread that goes on with the work: there the context is its own."""
    token = _INSIDE.set(effects)
    try:
        yield
    finally:
        _INSIDE.reset(token)


def making(effect_id: str, runner: Runner) -> Runner:
    """`runner`, as a part of that effect."""

    async def run(call: Call, context: CallContext) -> Any:
        with being_inside((*_INSIDE.get(), effect_id)):
            return await runner(call, context)

    return run
