"""An early write that builds on another one: it comes after it, is adopted after it, and undone before it.

Two early writes of one agent that claim the same resource stand in this order. Where they only overlap
without a claim (undeclared, or by what one of them reads), the second one is not started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from specflow.effects.claim import meet
from specflow.effects.footprint import Keys, overlap
from specflow.errors import ConflictError
from specflow.lifecycle import BranchState
from specflow.speculation.pending import Speculation, Standing


def ground(
    pending: Iterable[Speculation], lane: str, footprint: Keys, claims: tuple[str, ...]
) -> tuple[Speculation, ...] | None:
    """The live early writes that a new one builds on; None when it must not run beside one of them."""
    below = tuple(item for item in pending if item.writes and overlap(footprint, item.footprint))
    for item in below:
        if item.lane != lane or not any(meet(one, other) for one in claims for other in item.claims):
            return None
    return below


async def await_ground(speculation: Speculation) -> None:
    """Wait until what it builds on has happened.

    Raises:
        ConflictError: it has not, or is not wanted any more.
    """
    for base in speculation.needs:
        assert base.work is not None
        await asyncio.wait({base.work})
        failed = base.work.cancelled() or base.work.exception() is not None
        if failed or base.standing is Standing.RETIRED:
            raise ConflictError(
                f"{speculation.tool.name} would build on an early {base.tool.name} that came to nothing",
                cause=LOST_GROUND,
                effect_id=base.effect_id,
            )


async def stands(speculation: Speculation) -> bool:
    """Whether everything it builds on is adopted; waits for what is being adopted right now.

    A write, moreover, stands on no hypothesis that is still open: its decision is that of the whole path.
    """
    for base in speculation.needs:
        if base.standing is Standing.LIVE:
            return False
        await base.decided.wait()
        if not base.kept:
            return False
    above = speculation.above
    return not speculation.writes or above is None or above.effective is BranchState.CONFIRMED


LOST_GROUND = "lost_ground"
"""Cause of what is withheld or taken back because what it builds on is."""
