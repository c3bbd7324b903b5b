"""A real call on its way through the door: past claims of others, and past earlier tries of its own."""

from __future__ import annotations

from dataclasses import replace

from specflow.errors import ClaimedError, ConflictError
from specflow.execution.order import Done, Order
from specflow.lifecycle import Stage
from specflow.speculation.await_claim import await_claim
from specflow.speculation.parts import Parts
from specflow.speculation.room import Room
from specflow.speculation.session import Session
from specflow.speculation.sessions import Sessions


class Passage:
    """Makes real calls."""

    def __init__(self, parts: Parts, sessions: Sessions, room: Room) -> None:
        self._parts = parts
        self._room = room
        self._sessions = sessions

    async def make(self, session: Session, order: Order) -> Done:
        """Make the call, once no effect of another session holds what it would change.

        Raises:
            ConflictError: one still does after `conflict_wait`, or whether an earlier try of this very call
                happened is not known.
            Exception: what the door raises.
        """
        with self._room.for_real(session, order.tool.name, order.settings):
            return await self._make(session, order)

    async def _make(self, session: Session, order: Order) -> Done:
        parts, fingerprint = self._parts, order.call.fingerprint
        twin = session.doubtful.get(fingerprint)
        if twin is not None:
            done = await self._instead(session, order, twin)
            if done is not None:
                return done
        if order.verdict.effect.writes:
            order = replace(
                order, doubtful=lambda effect_id: session.doubtful.update({fingerprint: effect_id})
            )
        return await await_claim(
            lambda: self._through(session, order), parts.clock, parts.conflict_wait, self._sessions.preempt
        )

    async def _instead(self, session: Session, order: Order, twin: str) -> Done | None:
        """What is on record, once, where the model asks again under a new id for what raised an error.

        First it is found out whether it happened. None: certainly not, or it has been given once already.

        Raises:
            ConflictError: nobody can tell; a second call could be a second effect.
            Exception: it was repeated under its own key, and the tool raised again.
        """
        parts, lease = self._parts, await session.lease()
        await parts.door.missed.catch_up(lease)
        row = await parts.journal.effect(twin)
        # INVARIANT: a real call never runs beside its own twin of which nobody knows whether it happened.
        if row is not None and row.stage is Stage.UNKNOWN:
            if row.verify is None:
                await parts.door.again(order, lease, row)
            else:
                await parts.settler.rest(lease, row, cause="asked again")
            row = await parts.journal.effect(twin)
        if row is not None and row.stage in {Stage.UNKNOWN, Stage.STUCK, Stage.COMPENSATING}:
            raise ConflictError(
                f"{row.tool} was called with these arguments and is {row.stage} (journal effect {twin})",
                hint=f"settle it with: specflow journal resolve {twin}",
                effect_id=twin,
            )
        # INVARIANT: it stays doubtful until it is given; whoever asks next must not be the second one.
        if row is None or order.adopted_by is None or row.stage not in {Stage.DONE, Stage.COMMITTED}:
            session.doubtful.pop(order.call.fingerprint, None)
            return None
        if await parts.journal.readopt(lease, twin, order.adopted_by, moment=order.moment):
            value = parts.door.recorded(row)
            session.doubtful.pop(order.call.fingerprint, None)
            return Done(value=value, effect_id=twin, replayed=True)
        given = session.doubtful.get(order.call.fingerprint) != twin
        if given or await parts.journal.adopted(order.adopted_by) is not None:
            return None  # the door knows the call by this name
        raise ConflictError(
            f"{row.tool} was called with these arguments and is {row.stage} (journal effect {twin}); its "
            "result cannot be given again",
            hint=f"look at it with: specflow journal show {twin}",
            effect_id=twin,
        )

    async def _through(self, session: Session, order: Order) -> Done:
        """Through the door. Where an earlier try of this very call is unknown, it is first found out."""
        door = self._parts.door
        try:
            return await door.run(order, session.lease)
        except ClaimedError:
            raise
        except ConflictError as conflict:
            if not await self._found_out(session, order, str(conflict.facts.get("effect_id") or "")):
                raise
        return await door.run(order, session.lease)

    async def _found_out(self, session: Session, order: Order, effect_id: str) -> bool:
        lease, row = await session.lease(), await self._parts.journal.effect(effect_id)
        if row is None or row.stage is not Stage.UNKNOWN or row.verify is None:
            return False
        if row.session_id != lease.session_id or row.fingerprint != order.call.fingerprint:
            return False
        return await self._parts.settler.rest(lease, row, cause="asked again") is not Stage.STUCK
