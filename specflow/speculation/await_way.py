"""A real call waits for early work that it would meet: undoing, and reads that change something."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from specflow.effects.footprint import Keys, overlap
from specflow.errors import ConflictError
from specflow.speculation.session import Session


async def await_way(session: Session, keys: Keys, patience: float) -> None:
    """Wait until nothing early that touches `keys` is being undone, or still changes them on its way.

    Raises:
        ConflictError: it takes longer than `patience` seconds.
    """
    going_on = (*session.undoing.items(), *disturbing(session))
    in_the_way = [task for task, footprint in going_on if overlap(keys, footprint)]
    if not in_the_way:
        return
    _, pending = await asyncio.wait(in_the_way, timeout=patience)
    if pending:
        raise ConflictError(
            f"an early call is still running, or still being undone, after {patience:g} s "
            f"(journal session {session.session_id})",
            hint=f"look at it with: specflow journal show {session.session_id}",
            session_id=session.session_id,
        )


def disturbing(session: Session) -> Iterator[tuple[asyncio.Task[Any], Keys]]:
    """Early reads under way that change something, such as a buffer they share, and what they change."""
    yield from session.background.items()
    for item in session.pending:
        if item.running and item.work is not None and not item.writes and item.span is not None:
            yield item.work, item.span.keys
