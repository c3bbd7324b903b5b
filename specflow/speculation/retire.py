"""MISSED: what the real run did not adopt is cancelled (a read) or compensated (a write)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from specflow.effects.footprint import Keys, overlap
from specflow.errors import ConflictError, FencedError, SpecflowError, ToolTimeoutError
from specflow.journal.event import Outcomes
from specflow.lifecycle import RESTING, TERMINAL, Stage
from specflow.probe import reach
from specflow.speculation.await_way import await_way
from specflow.speculation.branch import Branch
from specflow.speculation.ground import LOST_GROUND
from specflow.speculation.leftovers import Leftovers
from specflow.speculation.not_called import watch
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation, Standing, Stay
from specflow.speculation.session import Session
from specflow.speculation.stuck import Stuck
from specflow.speculation.tell import Teller, misfire_in
from specflow.speculation.touch import disturbed_by, disturbs

log = logging.getLogger("specflow")


class Retirer:
    """Ends speculations that nobody will adopt, and clears their effects out of the real run's way."""

    def __init__(self, parts: Parts, tell: Teller) -> None:
        self._parts = parts
        self._tell = tell
        self.leftovers = Leftovers()
        self._wave: list[Speculation] | None = None

    def began(self, session: Session, speculation: Speculation) -> None:
        """An early write, or a read that counts as one, is launched: from now on it can be met by reads."""
        if disturbs(speculation.settings, speculation.verdict):
            keys = disturbed_by(speculation.settings, speculation.call.args, speculation.verdict)
            speculation.span = session.writes.begin(keys, speculation.started)
        if speculation.writes:
            watch(session, speculation, self.retire)

    def returned(self, session: Session, speculation: Speculation, error: BaseException | None) -> None:
        """The tool has returned or raised, or was given up. A read that counts as a write is over with that.

        INVARIANT: unless its body may still be going on: then it has no end.
        """
        speculation.finished = self._parts.clock.monotonic()
        given_up = speculation.entered and isinstance(error, ToolTimeoutError | asyncio.CancelledError)
        if not speculation.writes and speculation.span is not None and not given_up:
            session.writes.end(speculation.span, speculation.finished)

    def adopted(self, session: Session, speculation: Speculation) -> None:
        """The early work is the session's own now; a write happened when it returned."""
        speculation.kept = True
        for home in speculation.homes:
            home.disown(speculation)
            home.confirm(self._parts.clock.monotonic())
        speculation.decided.set()
        speculation.over.set()
        if speculation.writes and speculation.span is not None:
            session.writes.end(speculation.span, speculation.finished or self._parts.clock.monotonic())

    def end(self, session: Session, cause: str, *, lane: str | None = None) -> None:
        """A run ends, or an agent in it: nothing that was presumed or started for it goes on."""
        for root in session.grove.roots(lane):
            self.abort(root, cause, close=True)
        self.unadopted(session, cause, lane=lane)

    def unadopted(
        self,
        session: Session,
        cause: str,
        *,
        lane: str | None = None,
        spare_expected: bool = False,
        began: float | None = None,
    ) -> None:
        """End what is live and not adopted, of one lane or of all; reads may be kept for a later turn.

        `began` is when the model turn began that ends: what was a guess about a later one is spared.
        """
        now = self._parts.clock.monotonic()
        mine = [item for item in session.pending if lane is None or item.lane == lane]
        if began is not None:
            for speculation in mine:
                speculation.message_came(began, wants=spare_expected and speculation.expected)
        for speculation in mine:
            later = began is not None and speculation.awaited_beyond(began)
            if later or (spare_expected and speculation.expected):
                continue
            ttl = speculation.settings.ttl
            keeps = not speculation.writes and ttl is not None and now - speculation.started < ttl
            # INVARIANT: a write never outlives its turn, whatever its settings.
            if not (keeps and cause in {"mismatch", "turn_ended"}):
                self.retire(session, speculation, cause)

    def abort(self, branch: Branch, cause: str, *, close: bool = False) -> bool:
        """A hypothesis is lost: end what was done under it. False when it was decided before.

        `close`: end that also where it was right.
        """
        now = self._parts.clock.monotonic()
        with self._one_by_one():
            aborted = branch.abort(cause, now)
            if close:
                branch.close(cause, now)
        return aborted

    @contextmanager
    def _one_by_one(self) -> Iterator[list[Speculation]]:
        """Early writes that are lost together are undone in the order in which they are retired here."""
        outer = self._wave
        self._wave = wave = [] if outer is None else outer
        try:
            yield wave
        finally:
            self._wave = outer

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
        # By the message that it was lost to: undoing a write can take longer than the next turn.
        if speculation.stay is not Stay.KEPT:
            speculation.misfire = misfire_in(session, speculation, cause)
        speculation.decided.set()
        with self._one_by_one() as wave:
            while speculation.homes:
                home = speculation.homes.pop()
                home.disown(speculation)
                home.abort(cause, self._parts.clock.monotonic())
            for dependent in speculation.dependents:
                # INVARIANT: what builds on it is undone before it; `_take_back` waits for that.
                self.retire(session, dependent, LOST_GROUND)
            if speculation.writes:
                # INVARIANT: children first, then what the branch owns itself, the newest first.
                speculation.dependents.extend(wave[-1:])
                wave.append(speculation)
        if speculation.writes:
            task = asyncio.get_running_loop().create_task(self._take_back(session, speculation, cause))
            session.undoing[task] = speculation.footprint
            task.add_done_callback(lambda done: _forget(session, speculation, done))
            return
        work, span = speculation.work, speculation.span
        if work is not None and (speculation.waited_for or (span is not None and speculation.entered)):
            # Another waits for it, or what it changes is seen: better a known end than a lost one.
            if span is not None and not speculation.waited_for:
                session.background[work] = span.keys
                work.add_done_callback(lambda done: session.background.pop(done, None))
            self.leftovers.see_off(work)
        elif work is not None:
            self.leftovers.cancel(work)
            if span is not None:
                session.writes.end(span, self._parts.clock.monotonic())
        missed = Outcomes.STALE if cause == "stale" else Outcomes.CANCELLED
        self._tell.resolved(session, speculation, Outcomes.HIT if speculation.answered else missed, cause)

    async def clear_way(self, session: Session, keys: Keys, own_key: str, *, writes: bool) -> None:
        """Before a real call: abort early writes that overlap it, and wait until they are undone.

        Early reads that change what it touches on their way are waited for, too.

        Raises:
            ConflictError: that takes longer than `conflict_wait`, or the early twin of this very call
                is stuck: whether it happened is not known, so it must not be made beside it. Or the undo of
                an early write is still to come, and would put back what was there before this one.
            JournalError: an undo cannot be begun.
        """
        for speculation in session.pending:
            if speculation.writes and overlap(keys, speculation.footprint):
                self.retire(session, speculation, "conflict")
        await await_way(session, keys, self._parts.conflict_wait)
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
            if speculation.span is not None:
                session.writes.end(speculation.span, self._parts.clock.monotonic())
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
