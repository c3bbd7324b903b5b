"""Bringing one effect to rest: what follows from the branch's decision and from what is known.

Never guessed: an unknown outcome is verified, repeated under its own key, undone by a compensator
that tolerates that nothing happened, or stuck.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from specflow.clock import Clock
from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.result import seen
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import SpecflowError
from specflow.execution.attempt import attempt
from specflow.execution.outcome import success
from specflow.execution.repetition import repeat, travels_until
from specflow.execution.time_allowed import OnRecord, too_late
from specflow.journal.cover import base_of
from specflow.journal.port import Journal
from specflow.journal.record import EffectRow, Lease, Outcome
from specflow.lifecycle import TERMINAL, BranchState, Stage
from specflow.probe import reach
from specflow.sealing.sealed import Subject
from specflow.sealing.sealer import Sealer
from specflow.settlement.recorded import Recorded, told
from specflow.settlement.undo import Compile, Undoer

log = logging.getLogger("specflow")

LOST = "the process ended before an outcome was written"
"""Error text of an effect whose caller died: unlike a raised error, nobody was told anything."""

ROLLED_BACK = "the process ended before it was committed: it did not happen"
"""The same of an effect in the journal's own database, of which that is certain."""

VERIFY_TIMEOUT = 30.0

REPEAT_TIMEOUT = 30.0
"""Seconds that a repetition by recovery may take: whoever asks after it in turn waits so long."""


class Settler:
    """Decides and does what an effect still needs."""

    def __init__(
        self,
        journal: Journal,
        registry: ToolRegistry,
        clock: Clock,
        compile_text: Compile,
        undoer: Undoer,
        *,
        key_parameter: Callable[[ToolSpec], str],
        secrets: Callable[[str], Sequence[str]],
        sealer: Sealer | None = None,
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._clock = clock
        self._compile = compile_text
        self._undoer = undoer
        self._key_parameter = key_parameter
        self._secrets = secrets
        self._sealer = sealer

    async def rest(
        self, lease: Lease, row: EffectRow, *, cause: str, speculation_id: str = "", saga: bool = False
    ) -> Stage:
        """Bring `row` to rest as its branch was decided; returns the stage it then has.

        A branch still open counts as undecided: nothing is done. `saga`: the session takes back what it
        committed. What is to be undone waits for what builds on it, and stays as it is while that is stuck.
        """
        state = await self._journal.branch_state(row.branch_id)
        row = await self._no_longer_intended(lease, row)
        if state == BranchState.CONFIRMED and not saga:
            return await self._keep(lease, row, cause)
        if state == BranchState.OPEN:
            return row.stage
        if row.stage is Stage.UNKNOWN and not self.undo_tolerates_missing(row):
            row = await self._resolve(lease, row, repeat=False)
        if row.stage in TERMINAL or row.stage is Stage.STUCK:
            return row.stage
        if not await self._free(lease, row, cause, saga=saga):
            return row.stage
        if row.stage is Stage.UNKNOWN and (row.before_known or base_of(row.undo)):
            # Unlike a cancellation, what is written back cannot keep a call from arriving after it. Nor can
            # the undo of a base keep its patch from arriving: it waits here, as the patch builds on it.
            await self._until_it_cannot_travel(row)
        return await self._undoer.undo(lease, row, cause=cause, speculation_id=speculation_id)

    async def retry(self, lease: Lease, row: EffectRow) -> Stage:
        """An operator wants a stuck effect undone once more; it stays stuck while what builds on it is."""
        if not await self._free(lease, row, "operator retry", saga=True):
            return row.stage
        return await self._undoer.undo(lease, row, cause="operator retry")

    async def _keep(self, lease: Lease, row: EffectRow, cause: str) -> Stage:
        if row.stage is Stage.COMPENSATING:
            # Begun by a saga's decision, or as an orphan: whoever finds it goes on.
            if await self._free(lease, row, cause, saga=False):
                return await self._undoer.undo(lease, row, cause=cause)
            return await self._stuck_below(lease, row)
        if row.stage is Stage.UNKNOWN:
            row = await self._resolve(lease, row, repeat=row.error == LOST)
        if row.stage is Stage.DONE:
            await self._journal.move(lease, row.effect_id, Stage.DONE, Stage.COMMITTED, cause="settled")
            return Stage.COMMITTED
        return row.stage

    async def _stuck_below(self, lease: Lease, row: EffectRow) -> Stage:
        """An orphan that has to wait: for ever, where what builds on it stands. Then it is stuck."""
        above = await self._journal.dependents(row.effect_id)
        if not any(other.stage is Stage.COMMITTED for other in above):
            return row.stage
        error = "it is not undone: something that builds on it stands"
        await self._journal.move(lease, row.effect_id, row.stage, Stage.STUCK, cause="undo", error=error)
        return Stage.STUCK

    async def _free(self, lease: Lease, row: EffectRow, cause: str, *, saga: bool) -> bool:
        """Whether nothing that builds on `row` is left; what is left is undone first, if it can be."""
        # INVARIANT: I5, undo in the reverse of a linear extension; I13, stuck blocks what it builds on.
        for other in await self._journal.dependents(row.effect_id):
            stage = other.stage
            if stage not in TERMINAL and stage is not Stage.STUCK:
                stage = await self.rest(lease, other, cause=cause, saga=saga)
            if stage not in TERMINAL:
                log.warning("%s (%s) waits to be undone: %s, which builds on it, is %s",
                    row.effect_id, row.tool, other.effect_id, stage)  # fmt: skip
                return False
        return True

    def undo_tolerates_missing(self, row: EffectRow) -> bool:
        """Whether it can be undone without it being known that it happened."""
        undo = row.undo
        if undo is None or not undo.tolerates_missing:
            return False
        try:
            return not any("result" in self._compile(text).roots for text in undo.arguments.values())
        except SpecflowError:
            return False

    async def _no_longer_intended(self, lease: Lease, row: EffectRow) -> EffectRow:
        if row.stage is not Stage.INTENDED:
            return row
        # INVARIANT: what is one commit with its outcome has not happened without it, nor can it any more:
        # a process that still tries is fenced in that very transaction.
        lost = Outcome(stage=Stage.UNKNOWN, error=LOST)
        never = Outcome(stage=Stage.FAILED, error=ROLLED_BACK)
        await self._journal.record(lease, row.effect_id, never if row.in_journal else lost)
        return await self._reread(row)

    async def _resolve(self, lease: Lease, row: EffectRow, *, repeat: bool) -> EffectRow:
        """Find out whether an unknown effect happened; stuck when nobody can tell."""
        while row.stage is Stage.UNKNOWN:
            rev = row.rev
            row = await self._resolve_once(lease, row, repeat=repeat)
            if row.rev == rev:
                break  # it is not ours to change
            # INVARIANT: what was answered says nothing of a repetition since: that is asked after, too.
            row = await self._no_longer_intended(lease, row)
        return row

    async def _resolve_once(self, lease: Lease, row: EffectRow, *, repeat: bool) -> EffectRow:
        try:
            outcome = await self._find_out(lease, row, repeat=repeat)
        except Exception as error:  # noqa: BLE001 - whatever a tool raises here, the answer is: not known
            outcome = None
            reason = f"finding out whether it happened failed: {type(error).__name__}: {error}"[:2000]
        else:
            reason = f"whether {row.tool} happened is unknown, and it offers no way to find out"
        if outcome is None:
            await self._journal.move(
                lease, row.effect_id, Stage.UNKNOWN, Stage.STUCK, cause="unresolved", error=reason
            )
        else:
            rev = row.rev if outcome.stage is Stage.FAILED else None
            await self._journal.record(lease, row.effect_id, outcome, rev=rev)
        return await self._reread(row)

    async def _find_out(self, lease: Lease, row: EffectRow, *, repeat: bool) -> Outcome | None:
        if row.verify is not None and not row.in_journal:
            await self._until_it_cannot_travel(row)
            reach("verify.before")
            answer = await self._ask(row)
            reach("verify.after")
            if answer is None and row.call_deadline is None and await self._outlast(row):
                answer = await self._ask(row)
                reach("verify.after")
            if answer is None:
                return Outcome(stage=Stage.FAILED, error="verified: it did not happen")
            return self._happened(row, answer)
        spec = self._registry.get(row.tool)
        recorded = Recorded(row, self._sealer)
        if repeat and row.keyed and spec is not None and spec.runner is not None and recorded.whole:
            # Decided and keyed: the same key once more has the effect exactly once.
            return await self._repeat(lease, row, spec, recorded.repetition())
        return None

    async def _repeat(self, lease: Lease, row: EffectRow, spec: ToolSpec, call: Call) -> Outcome | None:
        """Call it once more; None: somebody else was first, and it is not called."""
        on_record = await repeat(self._journal, self._clock, lease, row, seconds=REPEAT_TIMEOUT)
        if on_record is None:
            return None
        context = CallContext(
            idempotency_key=row.idem_key, key_parameter=self._key_parameter(spec), fence=lease.fence
        )
        try:
            value = await self._call(
                spec, call, context, secret=row.redacted, within=self._left(spec, on_record)
            )
        except Exception:
            # Nobody was told of it: whoever comes to it next may repeat it as well.
            lost = Outcome(stage=Stage.UNKNOWN, error=LOST)
            await self._journal.record(lease, row.effect_id, lost, rev=on_record.rev)
            raise
        reach("again.called")
        return self._happened(row, value)

    def _left(self, spec: ToolSpec, on_record: OnRecord) -> float:
        """Seconds until a repetition has to be over, as the journal says."""
        left = on_record.until - self._clock.wall()
        if left <= 0.0:
            raise too_late(spec.name, REPEAT_TIMEOUT)
        return min(left, REPEAT_TIMEOUT)

    def _happened(self, row: EffectRow, value: Any) -> Outcome:
        secrets = self._secrets(row.tool)
        if row.redacted and not secrets:
            # Recovered without the policy that said what is secret: then all of it is.
            secrets = ("result",)
        subject = Subject(effect_id=row.effect_id, tool=row.tool, field="result")
        return success(value, secrets, subject=subject, sealer=self._sealer)

    async def _until_it_cannot_travel(self, row: EffectRow) -> None:
        """A verify may be overtaken by the request it asks about: wait until that has timed out."""
        if row.call_deadline is not None:
            await asyncio.sleep(max(0.0, travels_until(row) - self._clock.wall()))

    async def _outlast(self, row: EffectRow) -> bool:
        """Wait until a call without a time-out is taken to be over; False when it was so from the start."""
        left = travels_until(row) - self._clock.wall()
        if left > 0:
            await asyncio.sleep(left)
        return left > 0

    async def _ask(self, row: EffectRow) -> Any:
        plan = row.verify
        assert plan is not None
        spec = self._registry.require(plan.tool)
        if spec.runner is None:
            raise SpecflowError(f"{plan.tool} cannot be run in this process")
        texts = {name: self._compile(text) for name, text in plan.arguments.items()}
        call, secret = Recorded(row, self._sealer).call(plan.tool, texts)
        answer = await self._call(spec, call, CallContext(compensating=True), secret=bool(secret))
        return None if seen(answer) is None else answer

    async def _call(
        self,
        spec: ToolSpec,
        call: Call,
        context: CallContext,
        *,
        secret: bool,
        within: float = VERIFY_TIMEOUT,
    ) -> Any:
        assert spec.runner is not None
        try:
            return await attempt(spec.runner, call, context, within=within)
        except Exception as error:
            if secret:
                # What it says may quote what it was given.
                raise SpecflowError(f"{spec.name}: {told(error, secret=True)}") from None
            raise

    async def _reread(self, row: EffectRow) -> EffectRow:
        return await self._journal.effect(row.effect_id) or row
