"""Bringing whole sessions to rest: at the end of a run, and after a process that died in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from specflow.errors import ConflictError, FencedError, JournalError, SpecflowError
from specflow.execution.finish import finish
from specflow.journal.cover import base_of
from specflow.journal.port import Journal
from specflow.journal.record import EffectRow, Lease, SessionRow
from specflow.journal.rules import SAGA_ABORTED, TAKEN_BACK
from specflow.lifecycle import RESTING, TERMINAL, Stage
from specflow.probe import reach
from specflow.settlement.going_back import goes_back
from specflow.settlement.rest import Settler
from specflow.settlement.standstill import Standstill

AT_ONCE = 16
"""Sessions recovered at the same time: the process that died had them all going at once, too."""

DECIDE_PAUSES = (0.2, 1.0)
"""Seconds before the second and third try to write down that a session takes back what it did."""

log = logging.getLogger("specflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a recovery did: sessions recovered, effects undone, effects stuck, sessions somebody holds.

    `waiting` effects are to be undone and are not yet: something that builds on them is stuck.
    """

    recovered: int = 0
    compensated: int = 0
    stuck: int = 0
    held: int = 0
    waiting: int = 0

    def __add__(self, other: Report) -> Report:
        return Report(
            recovered=self.recovered + other.recovered,
            compensated=self.compensated + other.compensated,
            stuck=self.stuck + other.stuck,
            held=self.held + other.held,
            waiting=self.waiting + other.waiting,
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

    A session that was decided `saga_aborted`, or of a run that was taken back as a whole, takes back what it
    committed as well, and then what earlier sessions of its run did. It is closed when `close` is set and
    everything is at rest. `told` hears of each effect that is stuck now.
    """
    session = await journal.session(lease.session_id)
    saga = session is not None and await goes_back(journal, session) and await _decided(journal, lease)
    for branch_id in await journal.open_branches(lease.session_id):
        reach("abort.before")
        await journal.abort(lease, branch_id, cause)
        reach("abort.committed")
    # INVARIANT: all of the run is condemned before any of it is undone: whoever recovers goes on with all.
    earlier = list(await _condemned(journal, lease, session)) if saga and session is not None else []
    try:
        report = await _own(journal, settler, lease, cause=cause, saga=saga, close=close, told=told)
        while earlier:
            report += await settle_taken(journal, settler, earlier.pop(0), cause=TAKEN_BACK, told=told)
    finally:
        # INVARIANT: who cannot go on with what it has condemned does not keep it from others.
        for taken in earlier:
            await _give_back(journal, taken)
    return report


async def _own(
    journal: Journal,
    settler: Settler,
    lease: Lease,
    *,
    cause: str,
    saga: bool,
    close: bool,
    told: Callable[[EffectRow], None],
) -> Report:
    """Bring the effects of this very session to rest."""
    compensated = stuck = waiting = 0
    at_rest = TERMINAL | {Stage.STUCK} if saga else RESTING
    rows = await (journal.effects(lease.session_id) if saga else journal.unsettled(lease.session_id))
    for row in rows:
        if row.stage in at_rest:
            continue
        stage = await settler.rest(lease, row, cause=cause, saga=saga)
        # A patch and its base are undone once, by the undo of the base.
        compensated += stage is Stage.COMPENSATED and not base_of(row.undo)
        waiting += stage not in at_rest
        if stage is Stage.STUCK:
            stuck += 1
            told(row)
            for patch in await journal.dependents(row.effect_id):
                if base_of(patch.undo) == row.effect_id and patch.stage is not Stage.FAILED:
                    # It stands as it was amended, so the amended call must not be made beside it either.
                    told(replace(row, fingerprint=patch.fingerprint))
    if close and not waiting:
        reach("session.close")
        await journal.close_session(lease, decision=SAGA_ABORTED if saga else "completed")
    return Report(compensated=compensated, stuck=stuck, waiting=waiting)


async def _condemned(journal: Journal, lease: Lease, session: SessionRow) -> tuple[Lease, ...]:
    """Leases on earlier sessions of the run that have committed something, the newest first."""
    kept = await journal.kept_by_run(session.thread, session.run_key, tenant=session.tenant)
    others = [item for item in kept if item.effect.session_id != lease.session_id]
    if not others:
        return ()
    leases = await journal.condemn(
        lease,
        [item.effect.effect_id for item in others],
        seen={name for item in others for name in item.identities},
        cause=TAKEN_BACK,
    )
    age = {item.effect.session_id: item.effect.created_at for item in others}
    return tuple(sorted(leases, key=lambda taken: age[taken.session_id], reverse=True))


async def take_back(
    journal: Journal,
    settler: Settler,
    lease: Lease,
    *,
    cause: str,
    told: Callable[[EffectRow], None] = lambda _row: None,
) -> Report:
    """Take back everything the session has done, also what it has committed, and close it.

    The decision is on record before it is acted on: whoever recovers the session goes on with it. What
    has no compensator is stuck, and so shown to an operator.

    Raises:
        ConflictError: the session was decided `completed` before.
    """
    reach("saga.before")
    if not await _decided(journal, lease):
        raise ConflictError(
            f"session {lease.session_id} is completed: what it did cannot be taken back as a whole",
            hint="undo it with the tools themselves",
            session_id=lease.session_id,
        )
    reach("saga.decided")
    return await settle_session(journal, settler, lease, cause=cause, told=told)


async def _decided(journal: Journal, lease: Lease) -> bool:
    """Whether it is on record that the session takes back; without that, who recovers it would not."""
    for pause in DECIDE_PAUSES:
        try:
            return await journal.decide_session(lease, SAGA_ABORTED)
        except FencedError:
            raise
        except JournalError as error:
            log.warning("session %s is not decided yet: %s", lease.session_id, error)
        await asyncio.sleep(pause)
    return await journal.decide_session(lease, SAGA_ABORTED)


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
    `held` and left alone. Several are recovered at once; one that cannot be does not keep the others.

    Raises:
        SpecflowError: the first that kept a session from being recovered, when all others are done.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def some(sessions: Sequence[SessionRow]) -> Report:
        report = Report()
        async with gate:
            for session in sessions:
                report += await recover_session(
                    journal, settler, session.session_id, owner=owner, force=orphaned(session)
                )
        return report

    abandoned = {session.session_id for session in await journal.abandoned_sessions()}
    active = await journal.active_sessions()
    chosen = [session for session in active if session.session_id in abandoned or orphaned(session)]
    report = Report(held=len(active) - len(chosen))
    for answer in await asyncio.gather(*map(some, _runs(chosen)), return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
        report += answer
    return report


def _runs(sessions: Sequence[SessionRow]) -> list[list[SessionRow]]:
    """The sessions of one run together, the newest first: in that order their effects are undone."""
    found: dict[tuple[str, ...], list[SessionRow]] = {}
    for session in sorted(sessions, key=lambda session: session.created_at, reverse=True):
        run = (session.tenant, session.thread, session.run_key) if session.run_key else (session.session_id,)
        found.setdefault(run, []).append(session)
    return list(found.values())


async def recover_session(
    journal: Journal, settler: Settler, session_id: str, *, owner: str, force: bool = False
) -> Report:
    """Recover one session; `held` when somebody else has it. What cannot be finished is given back.

    Where everything that is left waits for something that is stuck, it is not taken.

    Raises:
        SpecflowError: something keeps it from being recovered now.
    """
    # INVARIANT: I12, recovering again changes nothing, not even the fence.
    if not force and (waiting := await Standstill(journal, settler).waiting(session_id)):
        return Report(waiting=waiting)
    lease = await journal.take_session(session_id, owner=owner, force=force)
    if lease is None:
        return Report(held=1)
    reach("recover.taken")
    report = await settle_taken(journal, settler, lease, cause="recovered")
    return report if report.held else report + Report(recovered=1)


async def settle_taken(
    journal: Journal,
    settler: Settler,
    lease: Lease,
    *,
    cause: str,
    told: Callable[[EffectRow], None] = lambda _row: None,
) -> Report:
    """Settle a session that was taken from somebody; `held` when it was taken from us in turn.

    What cannot be finished is given back: else it stayed ours, renewed and out of everybody's reach, until
    this process ends.

    Raises:
        SpecflowError: something keeps it from being settled now.
    """
    try:
        report = await settle_session(journal, settler, lease, cause=cause, told=told)
    except FencedError:
        return Report(held=1)  # somebody else settles it at the same time, with a newer fence
    except (SpecflowError, asyncio.CancelledError):
        await _give_back(journal, lease)
        raise
    if report.waiting:
        await journal.release_session(lease)  # an operator must be able to take it
    return report


async def _give_back(journal: Journal, lease: Lease) -> None:
    with contextlib.suppress(SpecflowError):  # it stays ours until this process ends
        await finish(journal.release_session(lease))
