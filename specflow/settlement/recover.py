"""Bringing whole sessions to rest: at the end of a run, and after a process that died in the middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from specflow.errors import FencedError
from specflow.journal.port import Journal
from specflow.journal.record import EffectRow, Lease, SessionRow
from specflow.lifecycle import RESTING, Stage
from specflow.probe import reach
from specflow.settlement.rest import Settler


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a recovery did: sessions recovered, effects undone, effects stuck, sessions somebody holds."""

    recovered: int = 0
    compensated: int = 0
    stuck: int = 0
    held: int = 0

    def __add__(self, other: Report) -> Report:
        return Report(
            recovered=self.recovered + other.recovered,
            compensated=self.compensated + other.compensated,
            stuck=self.stuck + other.stuck,
            held=self.held + other.held,
        )


async def settle_session(
    journal: Journal,
    settler: Settler,
    lease: Lease,
    *,
    cause: str,
    close: bool = True,
    told: Callable[[EffectRow], None] = lambda _row: None,
) -> Report:
    """Decide every open branch (presumed abort), bring every effect to rest, newest first.

    Closes the session when `close` is set and everything is at rest. `told` hears of each effect that is
    stuck now.
    """
    for branch_id in await journal.open_branches(lease.session_id):
        reach("abort.before")
        await journal.abort(lease, branch_id, cause)
        reach("abort.committed")
    compensated = stuck = 0
    resting = True
    for row in await journal.unsettled(lease.session_id):
        if row.stage is Stage.STUCK:
            continue
        stage = await settler.rest(lease, row, cause=cause)
        compensated += stage is Stage.COMPENSATED
        if stage is Stage.STUCK:
            stuck += 1
            told(row)
        resting = resting and stage in RESTING
    if close and resting:
        reach("session.close")
        await journal.close_session(lease)
    return Report(compensated=compensated, stuck=stuck)


async def recover(
    journal: Journal,
    settler: Settler,
    *,
    owner: str,
    orphaned: Callable[[SessionRow], bool] = lambda _session: False,
) -> Report:
    """Recover every session whose owner is gone. Safe to run anywhere, by several at once, and again.

    `orphaned` knows sessions that nobody uses any more although their owner lives.

    Only tools registered in this process are run. Sessions whose owner may be alive are counted as
    `held` and left alone.
    """
    report = Report()
    for session in await journal.active_sessions():
        lease = await journal.take_session(session.session_id, owner=owner, force=orphaned(session))
        if lease is None:
            report += Report(held=1)
            continue
        reach("recover.taken")
        try:
            report += await settle_session(journal, settler, lease, cause="recovered")
        except FencedError:
            report += Report(held=1)  # somebody else recovers it at the same time, with a newer fence
        else:
            report += Report(recovered=1)
    return report
