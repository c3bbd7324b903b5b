"""MISSED: what the real run did not adopt is cancelled (a read) or compensated (a write)."""

from __future__ import annotations

import asyncio
import logging

from specflow.effects.footprint import Keys, overlap
from specflow.errors import ConflictError, FencedError, SpecflowError
from specflow.journal.event import Outcomes
from specflow.lifecycle import RESTING, TERMINAL, Stage
from specflow.probe import reach
from specflow.speculation.freshness import WriteSpan
from specflow.speculation.ground import LOST_GROUND
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation, Standing
from specflow.speculation.session import Session, Stuck
from specflow.speculation.tell import Teller

log = logging.getLogger("specflow")


class Retirer:
    """Ends speculations that nobody will adopt, and clears their effects out of the real run's way."""

    def __init__(self, parts: Parts, tell: Teller) -> None:
        self._parts = parts
        self._tell = tell
        self._spans: dict[Speculation, WriteSpan] = {}

    def began(self, session: Session, speculation: Speculation) -> None:
        """An early write is launched: from now on it can be met by reads."""
        if speculation.writes:
            self._spans[speculation] = session.writes.begin(speculation.footprint, speculation.started)

    def adopted(self, session: Session, speculation: Speculation) -> None:
        """The early write is the session's own now; it happened when it returned."""
        speculation.kept = True
        speculation.decided.set()
        speculation.over.set()
        span = self._spans.pop(speculation, None)
        if span is not None:
            session.writes.end(span, speculation.finished or self._parts.clock.monotonic())

    def unadopted(
        self, session: Session, cause: str, *, lane: str | None = None, spare_expected: bool = False
    ) -> None:
        """End what is live and not adopted, of one lane or of all; reads may be kept for a later turn."""
        now = self._parts.clock.monotonic()
        for speculation in session.pending:
            if lane is not None and speculation.lane != lane:
                continue
            if spare_expected and speculation.expected:
                continue
            ttl = speculation.settings.ttl
            keeps = not speculation.writes and ttl is not None and now - speculation.started < ttl
            # INVARIANT: a write never outlives its turn, whatever its settings.
            if not (keeps and cause in {"mismatch", "turn_ended"}):
                self.retire(session, speculation, cause)

    def unless_adopted(self, session: Session, patience: float) -> None:
        """Undo the early writes that now wait for their call, if it has not come in `patience` seconds.

        A run can stop between its message and its tools, and nobody may tell us.
        """
        waiting = [item for item in session.pending if item.writes and item.expected and not item.awaited]
        if not waiting:
            return

        def give_up() -> None:
            for speculation in waiting:
                self.retire(session, speculation, "not called")

        for speculation in waiting:
            speculation.awaited = True
        asyncio.get_running_loop().call_later(patience, give_up)

    def retire(self, session: Session, speculation: Speculation, cause: str) -> bool:
        """End a live speculation. False when it is not live any more.

        Returns at once; undoing goes on in a task that the session waits for.
        """
        if not session.pending.take(speculation, Standing.RETIRED):
            return False
        self.dispose(session, speculation, cause)
        return True

    def dispose(self, session: Session, speculation: Speculation, cause: str) -> None:
        """Cancel or take back the work of a speculation that is out of the table."""
        if speculation.called:
            session.wasted_usd += speculation.settings.cost_usd
        speculation.decided.set()
        for dependent in speculation.dependents:
            # INVARIANT: what builds on it is undone before it; `_take_back` waits for that.
            self.retire(session, dependent, LOST_GROUND)
        if speculation.writes:
            task = asyncio.get_running_loop().create_task(self._take_back(session, speculation, cause))
            session.undoing[task] = speculation.footprint
            task.add_done_callback(lambda done: _forget(session, speculation, done))
            return
        if speculation.work is not None:
            speculation.work.cancel()
        outcome = Outcomes.STALE if cause == "stale" else Outcomes.CANCELLED
        self._tell.resolved(session, speculation, outcome, cause)

    async def clear_way(self, session: Session, keys: Keys, own_key: str, *, writes: bool) -> None:
        """Before a real call: abort early writes that overlap it, and wait until they are undone.

        Raises:
            ConflictError: that takes longer than `conflict_wait`, or the early twin of this very call
                is stuck: whether it happened is not known, so it must not be made beside it. Or the undo of
                an early write is still to come, and would put back what was there before this one.
            JournalError: an undo cannot be begun.
        """
        for speculation in session.pending:
            if speculation.writes and overlap(keys, speculation.footprint):
                self.retire(session, speculation, "conflict")
        in_the_way = [task for task, footprint in session.undoing.items() if overlap(keys, footprint)]
        if in_the_way:
            _, pending = await asyncio.wait(in_the_way, timeout=self._parts.conflict_wait)
            if pending:
                raise ConflictError(
                    f"an early write is still being undone after {self._parts.conflict_wait:g} s "
                    f"(journal session {session.session_id})",
                    hint=f"look at it with: specflow journal show {session.session_id}",
                    session_id=session.session_id,
                )
        for speculation in tuple(session.not_undone):
            if overlap(keys, speculation.footprint):
                await self._undo_at_last(session, speculation, writes=writes)
        twin = session.stuck.get(own_key)
        if twin is not None and not await self._resolved(twin):
            raise ConflictError(
                f"{twin.tool} was started early with these arguments and is stuck "
                f"(journal effect {twin.effect_id})",
                hint=f"settle it with: specflow journal resolve {twin.effect_id}",
                effect_id=twin.effect_id,
            )
        session.stuck.pop(own_key, None)
        if twin is not None:
            session.switched_off.resolved(twin.tool, twin.effect_id)

    async def _undo_at_last(self, session: Session, speculation: Speculation, *, writes: bool) -> None:
        """What could not be undone when it was lost is undone now, or holds up a write over it."""
        row = await self._parts.journal.effect(speculation.effect_id)
        if row is not None and row.stage not in RESTING:
            await self._undo(session, speculation, "conflict")
            row = await self._parts.journal.effect(speculation.effect_id)
        if row is None or row.stage in RESTING - {Stage.STUCK}:
            if speculation in session.not_undone:
                session.not_undone.remove(speculation)
        elif writes and row.before_known:
            raise ConflictError(
                f"an early {row.tool} is {row.stage}: its undo would put back what was there before this "
                f"call (journal effect {row.effect_id})",
                hint=f"settle it with: specflow journal resolve {row.effect_id}",
                effect_id=row.effect_id,
            )

    async def _resolved(self, twin: Stuck) -> bool:
        """Whether somebody has settled it in the meantime."""
        row = await self._parts.journal.effect(twin.effect_id)
        return row is None or row.stage in TERMINAL

    async def _take_back(self, session: Session, speculation: Speculation, cause: str) -> None:
        """Wait for the write (a write in flight cannot be called back), abort its branch, undo it."""
        if speculation.work is not None:
            # INVARIANT: a write is never cancelled in flight; its outcome would be unknown.
            if speculation.preparing:
                speculation.work.cancel()  # the tool has not been called yet
            await asyncio.wait({speculation.work})
        for dependent in speculation.dependents:
            await dependent.over.wait()
        try:
            stage = await self._undo(session, speculation, cause)
        except SpecflowError as error:
            log.error("early %s is not undone: %s", speculation.tool.name, error)  # noqa: TRY400 - the world's fault, said in one line
            stage, cause = Stage.STUCK, f"{cause}; {error}"
        if stage is not None and stage not in TERMINAL | {Stage.STUCK, Stage.COMMITTED}:
            stage, cause = Stage.STUCK, f"{cause}; it waits for what builds on it"
        if stage is Stage.STUCK:
            session.not_undone.append(speculation)
            session.stuck[speculation.key] = Stuck(
                tool=speculation.tool.name, effect_id=speculation.effect_id
            )
            session.switched_off.tell(speculation.tool.name, speculation.effect_id)
            outcome = Outcomes.STUCK
        elif stage is Stage.COMMITTED:
            return self._kept(session, speculation)
        else:
            outcome = Outcomes.COMPENSATED if stage is Stage.COMPENSATED else Outcomes.CANCELLED
            span = self._spans.pop(speculation, None)
            if span is not None:
                session.writes.end(span, self._parts.clock.monotonic())
        return self._tell.resolved(session, speculation, outcome, cause)

    def _kept(self, session: Session, speculation: Speculation) -> None:
        """The adoption was already durable when the real call was cancelled: it stands."""
        self.adopted(session, speculation)
        self._tell.resolved(session, speculation, Outcomes.HIT, "adopted, then its caller was cancelled")

    async def _undo(self, session: Session, speculation: Speculation, cause: str) -> Stage | None:
        """Abort the branch and bring the effect to rest. None: it never came to an intent."""
        if not session.opened:
            return None
        journal, lease = self._parts.journal, await session.lease()
        try:
            await self._parts.door.missed.catch_up(lease)
            reach("abort.before")
            await journal.abort(lease, speculation.branch_id, cause)
            reach("abort.committed")
        except FencedError:
            # The conversation goes on elsewhere, and what is on record is settled there.
            row = await journal.effect(speculation.effect_id)
            return None if row is None else row.stage if row.stage in RESTING else Stage.STUCK
        row = await journal.effect(speculation.effect_id)
        if row is None:
            return None
        return await self._parts.settler.rest(
            lease, row, cause=cause, speculation_id=speculation.speculation_id
        )


def _forget(session: Session, speculation: Speculation, task: asyncio.Task[None]) -> None:
    session.undoing.pop(task, None)
    speculation.over.set()
    if not task.cancelled() and task.exception() is not None:
        log.error("undoing failed", exc_info=task.exception())
