"""ADOPTED: the real run arrives at a call that was started early and takes it over."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from specflow.effects.call import Call
from specflow.effects.tool import Runner, ToolSpec
from specflow.execution.door import Done
from specflow.journal.event import Outcomes
from specflow.probe import reach
from specflow.speculation.ground import LOST_GROUND, stands
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation, Standing
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session
from specflow.speculation.tell import Teller

log = logging.getLogger("specflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class RealCall:
    """A call at the point where the real run would execute it.

    `identity` is the digest that makes it this call and no other (thread, checkpoint namespace,
    message id, tool_call_id, fingerprint); `call_id` joins its events. `approved`: a person has said
    yes to exactly this call.
    """

    call: Call
    tool: ToolSpec
    runner: Runner
    identity: str
    call_id: str = ""
    tool_call_id: str = ""
    approved: bool = False


@dataclass(slots=True, kw_only=True)
class Ending:
    """How a real call is answered; filled in as it goes."""

    outcome: str = Outcomes.MISS
    error: str = ""
    speculation_id: str = ""
    facts: dict[str, float] = field(default_factory=dict)


class Adopter:
    """Looks a real call up among what was started early."""

    def __init__(self, parts: Parts, tell: Teller, retirer: Retirer) -> None:
        self._parts = parts
        self._tell = tell
        self._retirer = retirer

    async def find(self, session: Session, key: str, real: RealCall, ending: Ending) -> Done | None:
        """The work of the first live, fresh speculation of that key that comes to a result; else None."""
        while (speculation := session.pending.first(key)) is not None:
            if speculation.tool != real.tool or (speculation.writes and speculation.call != real.call):
                # Another tool of the same name, or a write that is not exactly this one.
                return None
            if speculation.preparing:
                # It still reads what was there before, for an undo that the real call does not need.
                self._retirer.retire(session, speculation, "preparing")
                continue
            if not await stands(speculation):
                # The real run has not asked for what this builds on: it cannot stand alone.
                self._retirer.retire(session, speculation, LOST_GROUND)
                continue
            if speculation.standing is not Standing.LIVE:
                continue  # somebody ended it while we waited
            if self._expired(speculation) or self._met_a_write(session, speculation):
                ending.outcome = Outcomes.STALE
                self._retirer.retire(session, speculation, "stale")
                continue
            done = await self._adopt(session, speculation, real, ending)
            if done is not None:
                return done
        return None

    async def orphan(self, session: Session, real: RealCall) -> Done | None:
        """What this run had committed before its checkpoint was lost; None when there is no such call."""
        journal = self._parts.journal
        if await journal.adopted(real.identity) is not None:
            session.orphans.asked(real.identity)
            return None  # it is the same call, and the door answers it
        door, lease = self._parts.door, await session.lease()
        return await session.orphans.adopt(journal, door, lease, real.call, real.identity)

    def _expired(self, speculation: Speculation) -> bool:
        """Whether a finished read is older than its `ttl`; one still running is as fresh as a new one."""
        ttl, finished = speculation.settings.ttl, speculation.finished
        if speculation.writes or ttl is None or finished is None:
            return False
        return self._parts.clock.monotonic() - speculation.started > ttl

    def _met_a_write(self, session: Session, speculation: Speculation) -> bool:
        return not speculation.writes and session.writes.met(speculation.footprint, speculation.started)

    async def _adopt(
        self, session: Session, speculation: Speculation, real: RealCall, ending: Ending
    ) -> Done | None:
        """Take over one speculation, finished (hit) or still running (late). None: it came to nothing."""
        assert speculation.work is not None
        outcome = Outcomes.HIT if speculation.work.done() else Outcomes.LATE
        now = self._parts.clock.monotonic()
        session.pending.take(speculation, Standing.CLAIMED)
        # Not in the table any more, but the writes it may meet are still to be remembered.
        session.claimed.add(speculation)
        try:
            done = await asyncio.shield(speculation.work)
            if speculation.writes and not await self._commit(session, speculation, real):
                self._retirer.dispose(session, speculation, "decided otherwise")
                return None
        except asyncio.CancelledError:
            self._retirer.dispose(session, speculation, "cancelled")
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None  # the early work was cancelled, not this call
        except Exception as error:  # noqa: BLE001 - whatever went wrong early, the real run finds out for itself
            # A failure is never adopted: the real run makes the call itself and sees its own error.
            log.debug("early %s failed: %s", speculation.tool.name, error)
            self._retirer.dispose(session, speculation, "failed")
            return None
        finally:
            session.claimed.discard(speculation)
        if self._met_a_write(session, speculation):
            # A write began while this read was awaited.
            ending.outcome = Outcomes.STALE
            self._retirer.dispose(session, speculation, "stale")
            return None
        self._retirer.adopted(session, speculation)
        finished = speculation.finished if speculation.finished is not None else now
        saved = max(0.0, min(now, finished) - speculation.started)
        ending.outcome, ending.speculation_id = outcome, speculation.speculation_id
        ending.facts = {"runway": now - speculation.started, "saved": saved}
        self._tell.resolved(session, speculation, outcome, "", **ending.facts)
        return done

    async def _commit(self, session: Session, speculation: Speculation, real: RealCall) -> bool:
        """The one compare-and-set by which an early write becomes real, before its result is handed out."""
        reach("adopt.before")
        lease = await session.lease()
        won = await self._parts.journal.adopt(lease, speculation.effect_id, real.identity)
        reach("adopt.committed")
        return won
