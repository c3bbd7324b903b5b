"""A call that is made once more under its old key: on record before it is made, like the first time.

Others who come to the row wait until the repetition is over before they believe that nothing happened.
"""

from __future__ import annotations

from specflow.clock import Clock
from specflow.execution.finish import finish
from specflow.execution.time_allowed import UNBOUNDED, OnRecord, travelling
from specflow.journal.port import Journal
from specflow.journal.record import EffectRow, Lease
from specflow.probe import reach


def travels_until(row: EffectRow) -> float:
    """When no try that is on record can be travelling any longer, in seconds since the epoch."""
    return row.created_at + UNBOUNDED if row.call_deadline is None else row.call_deadline


async def repeat(
    journal: Journal, clock: Clock, lease: Lease, row: EffectRow, *, seconds: float | None
) -> OnRecord | None:
    """Put on record that the unknown `row` is about to be called again, for at most `seconds`.

    None: it must not be called; the row says by now what became of it, or what is to become of it.

    Raises:
        FencedError: somebody has taken the session over. It must not be called either.
        JournalError: it could not be written.
    """
    until = clock.wall() + travelling(seconds)
    # An earlier try may outlast this one.
    deadline = max(travels_until(row), until)
    # INVARIANT: I18, nothing is called again that is not on record until it is over.
    if not await finish(journal.repeat(lease, row.effect_id, rev=row.rev, call_deadline=deadline)):
        return None
    reach("again.committed")
    return OnRecord(rev=row.rev + 1, until=until, again=True)
