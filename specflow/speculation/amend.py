"""AMENDED: the real call differs a little from an early write, which is patched and not undone and redone.

The patch is an effect of its own, in a leaf branch of its own that builds on the early one, its base. All
of this is still speculative: until both are adopted, in one transaction, a crash or an abort undoes the base,
and with it the patch. What cannot be amended, or failed to be, is undone, and the real call is made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from specflow.effects.call import Call, canonical_json
from specflow.effects.kind import EffectClass
from specflow.errors import SpecflowError
from specflow.execution.order import Done
from specflow.execution.time_allowed import seconds_of, travelling
from specflow.journal.event import Outcomes
from specflow.lifecycle import Stage
from specflow.policy.verdict import Verdict
from specflow.probe import reach
from specflow.speculation.adopt import Ending, RealCall
from specflow.speculation.ground import stands
from specflow.speculation.heard import heard
from specflow.speculation.parts import Parts
from specflow.speculation.patch import Amendment, Patcher
from specflow.speculation.pending import Speculation, Standing
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session
from specflow.speculation.stuck import Stuck
from specflow.speculation.tell import Teller

log = logging.getLogger("specflow")

PATCHED = "patched"
"""The cause with which a speculation that was amended ends, beside its outcome `hit` or `late`."""


class Amender:
    """Finds the early write that a real call could be made of, and makes it that."""

    def __init__(self, parts: Parts, tell: Teller, retirer: Retirer) -> None:
        self._parts = parts
        self._tell = tell
        self._retirer = retirer
        self._patcher = Patcher(parts, retirer)

    def expect(self, session: Session, lane: str, calls: Iterable[Call]) -> None:
        """A message is there: early writes of its lane that could be amended to a call of it wait for that.

        What the message asks for exactly can still be amended where it is the only call of its tool: then
        another one of it can only be the same, changed by a person.
        """
        early = {item.call.fingerprint for item in session.pending if item.writes}
        asked = list(calls)
        others = [call for call in asked if call.fingerprint not in early]
        for speculation in session.pending:
            if speculation.lane != lane or not speculation.writes or speculation.settings.patch is None:
                continue
            if speculation.expected:
                speculation.amendable = sum(call.tool == speculation.tool.name for call in asked) == 1
                continue
            chosen = next((call for call in others if self._could_be(speculation, call)), None)
            if chosen is not None:
                others.remove(chosen)
                speculation.expected = speculation.amendable = True

    async def amend(
        self, session: Session, key: str, real: RealCall, verdict: Verdict, ending: Ending
    ) -> Done | None:
        """The patched work of an early write that is nearly this call. None: make the call.

        Then nothing of what was tried stands, or a real call of that `key` is told what does.
        """
        speculation = await self._nearest(session, real, verdict)
        if speculation is None:
            return None
        assert speculation.work is not None
        outcome = Outcomes.HIT if speculation.work.done() else Outcomes.LATE
        session.pending.take(speculation, Standing.CLAIMED)
        session.claimed.add(speculation)
        trial = _Trial(started=self._parts.clock.monotonic())
        try:
            return await self._amend(session, speculation, key, real, ending, outcome, trial)
        except asyncio.CancelledError:
            self._retirer.dispose(session, speculation, "cancelled")
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            cause = ""  # the early work was cancelled, not this call
        except Exception as error:  # noqa: BLE001 - whatever went wrong early, the real run finds out for itself
            log.debug("early %s is not amended: %s", speculation.tool.name, error)
            cause = f"not patched: {type(error).__name__}"
            self._retirer.dispose(session, speculation, cause)
        finally:
            session.claimed.discard(speculation)
        await self._undone(session, speculation, key, trial)
        return None

    async def _nearest(self, session: Session, real: RealCall, verdict: Verdict) -> Speculation | None:
        if verdict.effect is not EffectClass.COMPENSATABLE or real.call.fingerprint in session.doubtful:
            return None
        for speculation in session.pending:
            ready = speculation.amendable and speculation.tool == real.tool and not speculation.preparing
            if not ready or not _near(speculation, real.call) or real.tool.problems(real.call.args):
                continue
            if await stands(speculation) and speculation.standing is Standing.LIVE:
                # What is on record under this name is answered from there.
                known = await self._parts.journal.adopted(real.identity)
                return speculation if known is None and speculation.standing is Standing.LIVE else None
        return None

    async def _amend(  # noqa: PLR0917 - one step of one method
        self,
        session: Session,
        speculation: Speculation,
        key: str,
        real: RealCall,
        ending: Ending,
        outcome: Outcomes,
        trial: _Trial,
    ) -> Done:
        clock = self._parts.clock
        assert speculation.work is not None
        base = await asyncio.shield(speculation.work)
        finished = speculation.finished if speculation.finished is not None else clock.monotonic()
        amendment = await self._patcher.prepare(session, speculation, real, base.value)
        # Announced first, so that no early write can start in its way while the way is being cleared.
        session.in_flight.append(amendment.footprint)
        try:
            await self._patcher.clear_way(session, speculation, key, amendment)
            reach("patch.before")
            trial.amendment, began = amendment, clock.monotonic()
            # INVARIANT: a patch is never cancelled in flight; who takes back its base waits for it.
            speculation.work = asyncio.ensure_future(self._patcher.run(session, amendment))
            speculation.work.add_done_callback(heard)
            done = await asyncio.shield(speculation.work)
            speculation.finished = clock.monotonic()
        finally:
            session.in_flight.remove(amendment.footprint)
        if amendment.trouble is not None:
            raise amendment.trouble
        if not await self._commit(session, speculation, amendment, real):
            raise SpecflowError("it was decided otherwise")
        self._retirer.adopted(session, speculation)
        saved = min(trial.started, finished) - speculation.started - (speculation.finished - began)
        facts = {"runway": trial.started - speculation.started, "saved": max(0.0, saved)}
        ending.outcome, ending.speculation_id = outcome, speculation.speculation_id
        ending.facts = {**facts, PATCHED: 1.0}
        self._tell.resolved(session, speculation, outcome, PATCHED, **facts)
        return done

    async def _commit(
        self, session: Session, speculation: Speculation, amendment: Amendment, real: RealCall
    ) -> bool:
        """The one compare-and-set by which both become real, before the result is handed out."""
        reach("patch.done")
        lease = await session.lease()
        won = await self._parts.journal.adopt_patched(
            lease, speculation.effect_id, amendment.effect_id, real.identity, moment=real.moment
        )
        reach("patch.adopted")
        return won

    async def _undone(self, session: Session, speculation: Speculation, key: str, trial: _Trial) -> None:
        """Wait until the base is undone: a patch that may still be travelling is waited for first."""
        within, parts = self._parts.conflict_wait, self._parts
        amendment = trial.amendment
        if amendment is not None:
            within += travelling(seconds_of(amendment.order))
        over = asyncio.ensure_future(speculation.over.wait())
        try:
            # Not `wait_for`: until Python 3.12 it can swallow a cancellation.
            await asyncio.wait({over}, timeout=within)
        finally:
            over.cancel()
        if amendment is None or speculation not in session.not_undone:
            return
        try:
            row = await parts.journal.effect(amendment.effect_id)
            happened = row is not None and row.stage is not Stage.FAILED
        except SpecflowError:
            happened = True
        if happened:
            # INVARIANT: the call is not made beside what may have been amended to it and is still there.
            session.stuck[key] = Stuck(tool=speculation.tool.name, effect_id=speculation.effect_id)

    def _could_be(self, speculation: Speculation, call: Call) -> bool:
        if not _near(speculation, call) or speculation.tool.problems(call.args):
            return False
        parts = self._parts
        verdict = parts.judge.judge(speculation.tool, call, context=parts.context)
        return verdict.effect is EffectClass.COMPENSATABLE


@dataclass(slots=True, kw_only=True)
class _Trial:
    """What has been begun with one early write. `started` is on the runtime's monotonic clock."""

    started: float
    amendment: Amendment | None = None


def _near(speculation: Speculation, call: Call) -> bool:
    """Whether the early call becomes `call` by changing only what its patch may change."""
    patch = speculation.settings.patch
    if patch is None or speculation.call.tool != call.tool:
        return False
    early, real = _texts(speculation.call.args), _texts(call.args)
    changed = {name for name in {*early, *real} if early.get(name) != real.get(name)}
    return bool(changed) and changed <= patch.fields


def _texts(args: Mapping[str, Any]) -> dict[str, str]:
    return {name: canonical_json(value) for name, value in args.items()}
