"""Whether a session takes back what it committed: asked before it is settled, and when it is."""

from __future__ import annotations

from specflow.journal.port import Journal
from specflow.journal.record import SessionRow
from specflow.journal.rules import SAGA_ABORTED


async def goes_back(journal: Journal, session: SessionRow) -> bool:
    """Whether what a session committed is to be taken back: that was decided of it, or of its run."""
    if session.decision == SAGA_ABORTED or not session.run_key:
        return session.decision == SAGA_ABORTED
    # INVARIANT: what was still open when its run was taken back, and so could not be condemned, goes with it.
    return await journal.run_taken_back(session.thread, session.run_key, tenant=session.tenant)
