"""Early writes that nobody comes for: a run can stop at any point, and nobody may tell us."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable

from specflow.speculation.pending import Speculation, Standing
from specflow.speculation.session import Session

WRITE_PATIENCE = 60.0
"""Seconds that an early write which the message asked for waits for its call, before it is undone after all.

Any other one is given up when that many seconds have passed and nothing goes on in its session.
"""

Retire = Callable[[Session, Speculation, str], object]
"""Ends a speculation, with the cause."""

NOT_CALLED = "not called"


def watch(session: Session, speculation: Speculation, retire: Retire) -> None:
    """An early write is launched: see to it that it does not outlive a run that has stopped."""
    loop = asyncio.get_running_loop()
    # A timer must not keep alive what its coordinator has let go of.
    known, early = weakref.ref(session), weakref.ref(speculation)

    def look() -> None:
        there, it = known(), early()
        if there is None or it is None or it.standing is not Standing.LIVE or it.expected:
            return
        if there.busy:
            # The run goes on, and the end of a turn decides.
            it.watched = loop.call_later(WRITE_PATIENCE, look)
        else:
            retire(there, it, NOT_CALLED)

    speculation.watched = loop.call_later(WRITE_PATIENCE, look)


def unless_adopted(session: Session, retire: Retire) -> None:
    """A message is there: undo the early writes that now wait for their call, if it does not come."""
    loop = asyncio.get_running_loop()
    for speculation in session.pending:
        if speculation.writes and speculation.expected and speculation.giving_up is None:
            give_up = loop.call_later(WRITE_PATIENCE, retire, session, speculation, NOT_CALLED)
            speculation.giving_up = give_up
