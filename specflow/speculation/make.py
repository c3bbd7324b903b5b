"""The real run makes a call itself: what is in its way is cleared first, then it goes through the door."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from specflow.effects.footprint import Keys, overlap
from specflow.errors import ToolTimeoutError
from specflow.execution.order import Done, Order
from specflow.journal.record import EffectRow
from specflow.policy.verdict import Verdict
from specflow.speculation.adopt import RealCall
from specflow.speculation.freshness import WriteSpan
from specflow.speculation.parts import Parts
from specflow.speculation.passage import Passage
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session
from specflow.speculation.tell import Teller
from specflow.speculation.touch import claims_of, disturbed_by, disturbs, footprint_of, written_by
from specflow.speculation.verify import Verifier


class Maker:
    """Makes real calls, as they would be made without specflow."""

    def __init__(self, parts: Parts, retirer: Retirer, passage: Passage) -> None:
        self._parts = parts
        self._retirer = retirer
        self._passage = passage
        self._verifier = Verifier(parts, Teller(parts), retirer.leftovers)

    async def make(self, session: Session, key: str, real: RealCall, verdict: Verdict) -> Done:
        """Make the call. `key` is what it is looked up by.

        Raises:
            ConflictError: an effect in its way is not settled.
            Exception: whatever the tool raised.
        """
        parts = self._parts
        settings = parts.judge.settings(real.tool)
        args = real.call.args
        footprint = footprint_of(settings, args, verdict)
        # Announced first, so that no early write can start in its way while the way is being cleared.
        session.in_flight.append(footprint)
        try:
            await self._retirer.clear_way(session, footprint, key, writes=verdict.effect.writes)
            if verdict.effect.writes:
                await self._undo_orphans(session, footprint)
            order = Order(
                call=real.call,
                tool=real.tool,
                settings=settings,
                verdict=verdict,
                runner=real.runner,
                adopted_by=real.identity,
                moment=real.moment,
                traceparent=parts.traceparent(real.call_id),
                saga=parts.saga,
                claims=claims_of(settings, args),
                consent=real.consent and replace(real.consent, at=parts.clock.wall()),
            )
            if not disturbs(settings, verdict):
                began = parts.clock.monotonic()
                done = await self._passage.make(session, order)
                self._verifier.made(session, real.call, real.tool, verdict, value=done.value, began=began)
                return done
            with self._writing(session, disturbed_by(settings, args, verdict)) as span:
                done = await self._passage.make(session, order)
                span.keys = disturbed_by(settings, args, verdict, done.value)
                return done
        finally:
            session.in_flight.remove(footprint)

    async def _undo_orphans(self, session: Session, footprint: Keys) -> None:
        """Take back first what an earlier try of this run has written and this call would write over."""

        def meets(row: EffectRow) -> bool:
            return overlap(footprint, written_by(self._parts, row))

        if session.orphans.meeting(meets):
            with self._writing(session, None):
                await session.make_way(meets)

    @contextmanager
    def _writing(self, session: Session, keys: Keys) -> Iterator[WriteSpan]:
        """A write is made meanwhile; what is read in that time is stale."""
        clock = self._parts.clock
        span = session.writes.begin(keys, clock.monotonic())
        try:
            yield span
        except (ToolTimeoutError, asyncio.CancelledError):
            # INVARIANT: a write that may still be going on has no end: its body, or the service, was left.
            raise
        except BaseException:
            session.writes.end(span, clock.monotonic())
            raise
        session.writes.end(span, clock.monotonic())
