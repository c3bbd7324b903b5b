"""ADOPTED: the real run arrives at a call that was started early and takes it over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from specflow.effects.call import Call
from specflow.effects.result import seen
from specflow.effects.tool import Runner, ToolSpec
from specflow.execution.order import Done
from specflow.journal.approval import Consent
from specflow.journal.event import Outcomes
from specflow.policy.verdict import Speculate
from specflow.probe import reach
from specflow.speculation.ground import LOST_GROUND, stands
from specflow.speculation.keep import private
from specflow.speculation.overtaken import demoted, met_a_write, overtaken
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation, Standing
from specflow.speculation.race import Fresh, Won, first
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session
from specflow.speculation.share import Sharer
from specflow.speculation.tell import Teller
from specflow.speculation.verify import Verifier
from specflow.speculation.version import Versions

log = logging.getLogger("specflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class RealCall:
    """A call at the point where the real run would execute it.

    `identity` is the digest that makes it this call and no other (thread, checkpoint namespace,
    message id, tool_call_id, fingerprint); `call_id` joins its events. `approved`: a person has said
    yes to exactly this call, on record as `consent`; where none has, `elsewhere` tells whether the
    application's own step has asked. `lane` is the agent's; `origin` is the host's own handle on the run
    (its state, its graph), given back to it when something is run ahead on a guess of the result. `moment` is
    its word for where in the conversation it is made (see `Intent.moment`).
    """

    call: Call
    tool: ToolSpec
    runner: Runner
    identity: str
    call_id: str = ""
    tool_call_id: str = ""
    approved: bool = False
    consent: Consent | None = None
    elsewhere: Callable[[], bool] = lambda: False
    lane: str = ""
    origin: object = None
    moment: str = ""


@dataclass(slots=True, kw_only=True)
class Ending:
    """How a real call is answered; filled in as it goes."""

    outcome: str = Outcomes.MISS
    error: str = ""
    speculation_id: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def answered(self, value: Any) -> Any:
        """Take down what the tool returned, for who watches; the value again."""
        self.facts = {**self.facts, "result": seen(value)}
        return value


class Adopter:
    """Looks a real call up among what was started early."""

    def __init__(self, parts: Parts, tell: Teller, retirer: Retirer) -> None:
        self._parts = parts
        self._tell = tell
        self._retirer = retirer
        self._versions = Versions(parts)
        self._verifier = Verifier(parts, tell, retirer.leftovers)
        self.sharer = Sharer(parts, retirer.leftovers)

    async def find(
        self, session: Session, key: str, real: RealCall, ending: Ending, fresh: Fresh
    ) -> Done | None:
        """The work of the first live, fresh speculation of that key that comes to a result; else None.

        `fresh` makes the call itself, for where what is adopted takes too long.

        Raises:
            Exception: what the fresh call raised.
        """
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
            if overtaken(self._parts, session, speculation):
                ending.outcome = Outcomes.STALE
                self._retirer.retire(session, speculation, "stale")
                continue
            done = await self._adopt(session, speculation, real, ending, fresh)
            if done is not None:
                return done
        return await self._of_another(session, key, real, ending, fresh)

    async def _of_another(
        self, session: Session, key: str, real: RealCall, ending: Ending, fresh: Fresh
    ) -> Done | None:
        """What an early read says that was handed out before, or begun by somebody else; see `share`."""
        settings = self._parts.judge.settings(real.tool)
        if settings.ttl is None:
            return None  # nothing of it outlives its call; asked first, because a judgement takes its time
        verdict = self._parts.judge.judge(real.tool, real.call, context=self._parts.context)
        if verdict.effect.writes or verdict.speculate is not Speculate.NOW:
            return None
        if self._parts.demotions.holds(real.tool.name):
            return None
        shared = await self.sharer.answer(session, key, real.tool, settings, fresh)
        if shared is None:
            return None
        ending.outcome, ending.speculation_id = shared.outcome, shared.speculation.speculation_id
        ending.facts = {"shared": 1.0}
        if shared.outcome is not Outcomes.MISS:
            self._verifier.adopted(session, shared.speculation, shared.done.value, None)
        return shared.done

    async def orphan(self, session: Session, real: RealCall) -> Done | None:
        """What this run had committed before its checkpoint was lost; None when there is no such call."""
        journal = self._parts.journal
        if await journal.adopted(real.identity) is not None:
            session.orphans.asked(real.identity)
            return None  # it is the same call, and the door answers it
        door, lease = self._parts.door, await session.lease()
        return await session.orphans.adopt(journal, door, lease, real.call, real.identity, real.moment)

    async def _adopt(
        self, session: Session, speculation: Speculation, real: RealCall, ending: Ending, fresh: Fresh
    ) -> Done | None:
        """Take over one speculation, finished (hit) or still running (late). None: it came to nothing."""
        assert speculation.work is not None
        outcome = Outcomes.HIT if speculation.work.done() else Outcomes.LATE
        now = self._parts.clock.monotonic()
        session.pending.take(speculation, Standing.CLAIMED)
        # Not in the table any more, but the writes it may meet are still to be remembered.
        session.claimed.add(speculation)
        try:
            won = await self._result(session, speculation, fresh)
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
        except BaseException:
            self._retirer.dispose(session, speculation, "failed")
            raise
        finally:
            session.claimed.discard(speculation)
        parts = self._parts
        met = met_a_write(parts, session, speculation) or demoted(parts, speculation) or not won.current
        if not won.early or met:
            # It lost its race, or a write began while it was awaited, or it has another version now, or its
            # tool has turned out not to be trusted.
            ending.outcome = Outcomes.STALE if met else Outcomes.MISS
            ending.facts = {} if won.early else {"raced": 1.0}
            self._retirer.dispose(session, speculation, "stale" if met else "raced")
            if won.error is not None:
                raise won.error
            return won.done if not won.early else None
        self._retirer.adopted(session, speculation)
        finished = speculation.finished if speculation.finished is not None else now
        saved = max(0.0, min(now, finished) - speculation.started)
        ending.outcome, ending.speculation_id = outcome, speculation.speculation_id
        ending.facts = {"runway": now - speculation.started, "saved": saved}
        row = self._tell.adopted(session, speculation, outcome, "", **ending.facts)
        assert won.done is not None
        if not speculation.writes:
            self._verifier.adopted(session, speculation, won.done.value, row)
        return replace(won.done, value=private(won.done.value))

    async def _result(self, session: Session, speculation: Speculation, fresh: Fresh) -> Won:
        """What the early call returns, or the fresh call that overtakes it; of a write, only the former."""
        assert speculation.work is not None
        if speculation.writes:
            return Won(early=True, done=await asyncio.shield(speculation.work))
        if speculation.settings.version is None and speculation.work.done():
            return Won(early=True, done=speculation.work.result())
        asked = asyncio.get_running_loop().create_task(self._versions.same(session, speculation))
        try:
            if speculation.work.done():
                return Won(early=True, done=speculation.work.result(), current=await asyncio.shield(asked))
            # It has the deadline of the real call now, counted from here.
            speculation.patience.renew(speculation.settings.timeout)
            won = await first(
                self._parts,
                speculation,
                fresh,
                good=lambda: (
                    not met_a_write(self._parts, session, speculation) and asked.done() and asked.result()
                ),
                lost=self._retirer.leftovers.cancel,
            )
            return replace(won, current=await asyncio.shield(asked)) if won.early else won
        finally:
            if not asked.done():
                self._retirer.leftovers.cancel(asked)

    async def _commit(self, session: Session, speculation: Speculation, real: RealCall) -> bool:
        """The one compare-and-set by which an early write becomes real, before its result is handed out."""
        reach("adopt.before")
        lease = await session.lease()
        adopt = self._parts.journal.adopt
        won = await adopt(lease, speculation.effect_id, real.identity, moment=real.moment)
        reach("adopt.committed")
        return won
